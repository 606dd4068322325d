"""Designers' pages: every component in every state with its code, and every email."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, current_app

from creditapp import emails
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.emails import EmailService
from creditapp.errors import NotFound
from creditapp.http.headers import content_security_policy
from creditapp.http.policies import policy
from creditapp.http.shared_pages import render_shared, send_shared
from creditapp.services import get
from creditapp.web.examples import Example, Subject, load_emails, load_examples

EMAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
"""Content security policy of an email in a frame: its own styles and nothing else."""

site = Blueprint("site", __name__)


@site.get("/credits-demo")
@policy("public")
def components() -> Response:
    """Show all components."""
    return send_shared(
        lambda: render_shared("pages/credits_demo/index.html", components=_components())
    )


@site.get("/credits-demo/emails")
@policy("public")
def email_list() -> Response:
    """List all emails with their states and subjects."""
    return send_shared(_build_email_list)


def _build_email_list() -> str:
    rows = [
        (email, [(example, _part(email, example, "subject")) for example in email.examples])
        for email in _emails()
    ]
    return render_shared("pages/credits_demo/emails.html", emails=rows)


@site.get("/credits-demo/emails/<event>/<state>")
@policy("public")
def email(event: str, state: str) -> Response:
    """Show one email in one state: its subject, its HTML in a frame, its text."""
    response = send_shared(lambda: _build_email(event, state))
    with_frames = f"{content_security_policy(get(Settings))}; frame-src 'self'"
    response.headers["Content-Security-Policy"] = with_frames
    return response


def _build_email(event: str, state: str) -> str:
    email_type, example = _find(_emails(), event, state)
    return render_shared(
        "pages/credits_demo/email.html",
        email=email_type,
        example=example,
        subject=_part(email_type, example, "subject"),
        text=_part(email_type, example, "text"),
    )


@site.get("/credits-demo/emails/<event>/<state>/html")
@policy("public")
def email_html(event: str, state: str) -> Response:
    """Show the HTML of one email in one state, as an email program would."""
    response = send_shared(lambda: _part(*_find(_emails(), event, state), "html"))
    response.headers["Content-Security-Policy"] = EMAIL_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


@site.get("/credits-demo/<component>/<state>")
@policy("public")
def state(component: str, state: str) -> Response:
    """Show one state of one component, alone."""
    return send_shared(lambda: _build_state(component, state))


def _build_state(component: str, state: str) -> str:
    subject, example = _find(_components(), component, state)
    return render_shared("pages/credits_demo/state.html", component=subject, example=example)


def _components() -> tuple[Subject, ...]:
    return load_examples(_templates() / "examples", now())


def _emails() -> tuple[Subject, ...]:
    return load_emails(_templates() / "emails", now())


def _find(subjects: tuple[Subject, ...], name: str, state: str) -> tuple[Subject, Example]:
    for subject in subjects:
        for example in subject.examples:
            if (subject.name, example.name) == (name, state):
                return subject, example
    raise NotFound("There is no such example or state.")


def _part(email: Subject, example: Example, part: str) -> str:
    """Render one part like an email that is sent; its links carry an example token."""
    service = get(EmailService)
    context = {**example.args, "site_url": service.site_url}
    if email.name in emails.LINKS:
        context["link"] = service.site_url + emails.LINKS[email.name][1].replace(
            "{token}", "example"
        )
    if email.name in emails.OPTIONAL:
        context["unsubscribe_link"] = f"{service.site_url}/unsubscribe/example"
    return service.render(email.name, part, context)


def _templates() -> Path:
    return Path(current_app.root_path).parent / "templates"
