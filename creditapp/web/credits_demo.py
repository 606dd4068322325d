"""Designers' pages: an index, one page for each component, the tokens, and every email."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from creditapp import emails
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.emails import EmailService
from creditapp.errors import NotFound
from creditapp.http import forms, mistakes
from creditapp.http.headers import EMAIL_POLICY, content_security_policy
from creditapp.http.policies import policy
from creditapp.http.rendering import styles
from creditapp.http.shared_pages import render_shared, send_shared
from creditapp.services import get
from creditapp.web.designers import component_docs, design_tokens, embed
from creditapp.web.designers.examples import Example, Subject, load_emails
from creditapp.web.designers.icons import icons
from creditapp.web.designers.index import PAGES, Entry, find_component, index, root
from creditapp.web.designers.previews import preview, previews
from creditapp.web.designers.shown_states import SHOWN_STATES, with_shown_states

site = Blueprint("site", __name__)


@site.get("/credits-demo")
@policy("public")
def overview() -> Response:
    """Show the index, or what the filter leaves of it."""
    query = forms.text("q").strip()
    if not query:
        return send_shared(lambda: _render("index"))
    return Response(_render("index", index=index(query), query=query))


@site.get("/credits-demo/<name>")
@policy("public")
def component(name: str) -> Response:
    """Show one component, or a page about what all of them share."""
    page = next((page for page in PAGES if page.name == name), None)
    return send_shared(lambda: _build_foundation(page) if page else _build_component(name))


def _build_foundation(page: Entry) -> str:
    context: dict[str, Any] = {}
    if page.name == "icons":
        context["icons"] = icons()
    elif page.name == "embed":
        context |= embed.context()
    else:
        context["groups"] = design_tokens.read(root() / "static/css/tokens.css")
    return _render(page.name, page=page, **context)


def _build_component(name: str) -> str:
    subject = find_component(name)
    if mistakes.shown():
        docs, found = component_docs.read_for_designer(subject)
    else:
        docs, found = component_docs.read(name), []
    return _render(
        "component",
        at=name,
        component=subject,
        docs=docs,
        mistakes=[mistakes.draw(mistake) for mistake in found],
        previews=previews(subject),
        shown_states=SHOWN_STATES,
    )


@site.get("/credits-demo/<name>/<state>")
@policy("public")
def state(name: str, state: str) -> Response:
    """Show one state of one component, alone."""
    return send_shared(lambda: _build_state("state", name, state))


@site.get("/credits-demo/<name>/<state>/code")
@policy("public")
def state_code(name: str, state: str) -> Response:
    """Show the code of one state: its call, its data and its HTML."""
    return send_shared(lambda: _build_state("code", name, state))


def _build_state(page: str, name: str, state: str) -> str:
    subject = find_component(name)
    example = next((each for each in subject.examples if each.name == state), None)
    if example is None:
        raise NotFound("There is no such state.")
    return _render(page, at=name, component=subject, preview=preview(subject, example))


@site.get("/static/states.css")
@policy("public")
def state_styles() -> Response:
    """Send the style sheet that also draws the states shown: hover, focus, loading."""
    return send_shared(lambda: with_shown_states(styles()[0]), "text/css")


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
    return _render("emails", emails=rows)


@site.get("/credits-demo/emails/<event>/<state>")
@policy("public")
def email(event: str, state: str) -> Response:
    """Show one email in one state: its subject, its HTML in a frame, its text."""
    response = send_shared(lambda: _build_email(event, state))
    with_frames = f"{content_security_policy(get(Settings))}; frame-src 'self'"
    response.headers["Content-Security-Policy"] = with_frames
    return response


def _build_email(event: str, state: str) -> str:
    email_type, example = _find_email(event, state)
    return _render(
        "email",
        at="emails",
        email=email_type,
        example=example,
        subject=_part(email_type, example, "subject"),
        text=_part(email_type, example, "text"),
    )


@site.get("/credits-demo/emails/<event>/<state>/html")
@policy("public")
def email_html(event: str, state: str) -> Response:
    """Show the HTML of one email in one state, as an email program would."""
    response = send_shared(lambda: _part(*_find_email(event, state), "html"))
    response.headers["Content-Security-Policy"] = EMAIL_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


def _render(template: str, /, **context: Any) -> str:
    context = {"at": template, "query": "", **context}
    if template != "state":
        context.setdefault("index", index())
    return render_shared(f"pages/credits_demo/{template}.html", **context)


def _emails() -> tuple[Subject, ...]:
    return load_emails(root() / "templates/emails", now())


def _find_email(event: str, state: str) -> tuple[Subject, Example]:
    for subject in _emails():
        for example in subject.examples:
            if (subject.name, example.name) == (event, state):
                return subject, example
    raise NotFound("There is no such email or state.")


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
    try:
        return service.render(email.name, part, context)
    except Exception as error:
        mistake = mistakes.find(error)
        if mistake is None or not mistakes.shown():
            raise
        # A subject or a text has no place for a box, so the HTML is the box alone.
        return mistakes.draw(mistake)
