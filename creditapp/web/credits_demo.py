"""The designers' pages: every component in every state with its call, and every mail."""

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
from creditapp.web.examples import Component, Mail, MailExample, load_examples, load_mails

MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
"""What a mail shown in a frame may do: bring its own looks, and nothing else."""

site = Blueprint("site", __name__)


@site.get("/credits-demo")
@policy("public")
def components() -> str:
    """Show all components."""
    return render_page("pages/credits_demo/index.html", components=_components())


@site.get("/credits-demo/mails")
@policy("public")
def mails() -> str:
    """List all mails with their states and subjects."""
    listed = [
        (mail, [(each, _part(mail, each, "subject")) for each in mail.examples])
        for mail in _mails()
    ]
    return render_page("pages/credits_demo/mails.html", mails=listed)


@site.get("/credits-demo/mails/<event>/<state>")
@policy("public")
def mail(event: str, state: str) -> Response:
    """Show one mail in one state: its subject, its HTML in a frame, its text."""
    found, example = _find_mail(event, state)
    response = make_response(
        render_page(
            "pages/credits_demo/mail.html",
            mail=found,
            example=example,
            subject=_part(found, example, "subject"),
            text=_part(found, example, "text"),
        )
    )
    with_frames = f"{content_security_policy(get(Settings))}; frame-src 'self'"
    response.headers["Content-Security-Policy"] = with_frames
    return response


@site.get("/credits-demo/mails/<event>/<state>/html")
@policy("public")
def mail_html(event: str, state: str) -> Response:
    """Show the HTML of one mail in one state, as a mail program would."""
    response = make_response(_part(*_find_mail(event, state), "html"))
    response.headers["Content-Security-Policy"] = MAIL_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


@site.get("/credits-demo/<component>/<state>")
@policy("public")
def state(component: str, state: str) -> str:
    """Show one state of one component, alone."""
    found = next((each for each in _components() if each.name == component), None)
    example = next((each for each in found.examples if each.name == state), None) if found else None
    if found is None or example is None:
        raise NotFound("There is no such component or state.")
    return render_page("pages/credits_demo/state.html", component=found, example=example)


def _components() -> tuple[Component, ...]:
    return load_examples(_templates() / "examples", now())


def _mails() -> tuple[Mail, ...]:
    return load_mails(_templates() / "emails", now())


def _find_mail(event: str, state: str) -> tuple[Mail, MailExample]:
    for found in _mails():
        for example in found.examples:
            if (found.event, example.name) == (event, state):
                return found, example
    raise NotFound("There is no such mail or state.")


def _part(found: Mail, example: MailExample, part: str) -> str:
    """Render one part by the same road as the mails that are sent; its links lead nowhere."""
    post = get(EmailService)
    context = {**example.context, "site_url": post.site_url}
    if found.event in emails.LINKS:
        context["link"] = post.site_url + emails.LINKS[found.event][1].replace("{token}", "example")
    if found.event in emails.OPTIONAL:
        context["unsubscribe_link"] = f"{post.site_url}/unsubscribe/example"
    return post.render(found.event, part, context)


def _templates() -> Path:
    return Path(current_app.root_path).parent / "templates"
