"""How mails are rendered: their frame, and amounts and moments in plain words.

A mail is read days later and without a script, so its moments are dates and never "in 3 hours".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from flask import Flask

from creditapp import emails
from creditapp.catalog import Catalog
from creditapp.catalog import amount as amount_text
from creditapp.config import Settings
from creditapp.services import get

_FILES: Final = {"subject": "subject.txt", "text": "body.txt", "html": "body.html"}
_EXPIRES: Final = {"verify": "in 7 days", "reset": "in 1 hour"}
_GAPS: Final = re.compile(r"\n{3,}")


def renderer(app: Flask, settings: Settings) -> emails.Renderer:
    """Return what renders the mails from ``templates/emails``."""

    def render(event: str, part: str, context: dict[str, object]) -> str:
        given = _frame(settings, event) | context
        if part == "html":
            given["subject"] = render(event, "subject", context)
        text = app.jinja_env.get_template(f"emails/{event}/{_FILES[part]}").render(given)
        return text if part == "html" else _GAPS.sub("\n\n", text).strip() + "\n"

    return render


def _frame(settings: Settings, event: str) -> dict[str, object]:
    """Return what every mail may say, whatever it is about."""
    return {
        "site": settings.site_name,
        "support_email": settings.support_email,
        "event": event,
        "name": "",
        "optional": event in emails.OPTIONAL,
        "about_money": event in emails.ABOUT_MONEY,
        "expires": _EXPIRES.get(event, ""),
    }


def words(micro: int) -> str:
    """Return an amount with its unit: ``110 credits``, ``$12.34``."""
    return amount_text(get(Catalog), micro)


def day(value: datetime | str) -> str:
    """Return a moment's day: ``21 November 2026``. Mails keep their moments as text."""
    moment = _moment(value)
    return f"{moment.day} {moment:%B %Y}"


def moment_text(value: datetime | str) -> str:
    """Return a moment in full: ``21 November 2026, 14:05 UTC``."""
    moment = _moment(value)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _moment(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


FILTERS: Final[Mapping[str, Callable[[Any], str]]] = {
    "words": words,
    "day": day,
    "moment_text": moment_text,
}
"""The filters that mails and receipts need beside those of the pages."""
