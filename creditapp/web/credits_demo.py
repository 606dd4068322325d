"""Designers' pages: every component in every state with its code, and every email."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, current_app, make_response

from creditapp import emails
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.emails import EmailService
from creditapp.errors import NotFound
from creditapp.http.headers import content_security_policy
from creditapp.http.policies import policy
from creditapp.http.rendering import render_page
from creditapp.services import get
from creditapp.web.examples import Component, Email, EmailExample, load_emails, load_examples

EMAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
"""Content security policy of an email in a frame: its own styles and nothing else."""

site = Blueprint("site", __name__)


@site.get("/credits-demo")
@policy("public")
def components() -> str:
    """Show all components."""
    return render_page("pages/credits_demo/index.html", components=_components())


@site.get("/credits-demo/mails")
@policy("public")
def email_list() -> str:
    """List all emails with their states and subjects."""
    rows = [
        (email, [(example, _part(email, example, "subject")) for example in email.examples])
        for email in _emails()
    ]
    return render_page("pages/credits_demo/emails.html", emails=rows)


@site.get("/credits-demo/mails/<event>/<state>")
@policy("public")
def email(event: str, state: str) -> Response:
    """Show one email in one state: its subject, its HTML in a frame, its text."""
    email_type, example = _find_email(event, state)
    response = make_response(
        render_page(
            "pages/credits_demo/email.html",
            email=email_type,
            example=example,
            subject=_part(email_type, example, "subject"),
            text=_part(email_type, example, "text"),
        )
    )
    with_frames = f"{content_security_policy(get(Settings))}; frame-src 'self'"
    response.headers["Content-Security-Policy"] = with_frames
    return response


@site.get("/credits-demo/mails/<event>/<state>/html")
@policy("public")
def email_html(event: str, state: str) -> Response:
    """Show the HTML of one email in one state, as an email program would."""
    response = make_response(_part(*_find_email(event, state), "html"))
    response.headers["Content-Security-Policy"] = EMAIL_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


@site.get("/credits-demo/<component>/<state>")
@policy("public")
def state(component: str, state: str) -> str:
    """Show one state of one component, alone."""
    for candidate in _components():
        for example in candidate.examples:
            if (candidate.name, example.name) == (component, state):
                return render_page(
                    "pages/credits_demo/state.html", component=candidate, example=example
                )
    raise NotFound("There is no such component or state.")


def _components() -> tuple[Component, ...]:
    return load_examples(_templates() / "examples", now())


def _emails() -> tuple[Email, ...]:
    return load_emails(_templates() / "emails", now())


def _find_email(event: str, state: str) -> tuple[Email, EmailExample]:
    for email in _emails():
        for example in email.examples:
            if (email.event, example.name) == (event, state):
                return email, example
    raise NotFound("There is no such email or state.")


def _part(email: Email, example: EmailExample, part: str) -> str:
    """Render one part like an email that is sent; its links carry an example token."""
    service = get(EmailService)
    context = {**example.context, "site_url": service.site_url}
    if email.event in emails.LINKS:
        context["link"] = service.site_url + emails.LINKS[email.event][1].replace(
            "{token}", "example"
        )
    if email.event in emails.OPTIONAL:
        context["unsubscribe_link"] = f"{service.site_url}/unsubscribe/example"
    return service.render(email.event, part, context)


def _templates() -> Path:
    return Path(current_app.root_path).parent / "templates"
