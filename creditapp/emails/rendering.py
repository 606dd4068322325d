"""Render emails from ``templates/emails``."""

from __future__ import annotations

import re
from typing import Final

from jinja2 import Environment

from creditapp import emails
from creditapp.config import Settings

_FILES: Final = {"subject": "subject.txt", "text": "body.txt", "html": "body.html"}
_EXPIRES: Final = {"verify": "in 7 days", "reset": "in 1 hour", "address_change": "in 1 day"}
_BLANK_LINES: Final = re.compile(r"\n{3,}")


def renderer(environment: Environment, settings: Settings) -> emails.Renderer:
    """Return a function that renders one part of an email: subject, text or HTML."""

    def render(event: str, part: str, context: dict[str, object]) -> str:
        values = _frame(settings, event) | context
        if part == "html":
            values["subject"] = render(event, "subject", context)
        text = environment.get_template(f"emails/{event}/{_FILES[part]}").render(values)
        return text if part == "html" else _BLANK_LINES.sub("\n\n", text).strip() + "\n"

    return render


def _frame(settings: Settings, event: str) -> dict[str, object]:
    """Return the context that every email shares."""
    return {
        "site": settings.site_name,
        "support_email": settings.support_email,
        "event": event,
        "name": "",
        "optional": event in emails.OPTIONAL,
        "about_money": event in emails.ABOUT_MONEY,
        "expires": _EXPIRES.get(event, ""),
    }
