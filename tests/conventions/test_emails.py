"""Every email has its parts, its examples and its place in the list, and says the same twice."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from flask import Flask

from creditapp import emails
from creditapp.emails import EmailService
from creditapp.services import get
from creditapp.web.designers.examples import load_emails
from tests.conventions.files import ROOT

FOLDER = ROOT / "templates" / "emails"
EMAILS = load_emails(FOLDER, datetime(2026, 11, 21, 12, tzinfo=UTC))
STATES = [(email.name, example.name) for email in EMAILS for example in email.examples]
LINKS = {
    "site_url": "https://shop.example",
    "link": "https://shop.example/auth/verify/token",
    "unsubscribe_link": "https://shop.example/unsubscribe/token",
}
_ONLY_HTML = "If the button does not work, open this link:"
"""Words that only the HTML version needs."""


def example(event: str, state: str) -> dict[str, Any]:
    (email,) = (each for each in EMAILS if each.name == event)
    (found,) = (each for each in email.examples if each.name == state)
    return {**LINKS, **found.args}


def rendered(app: Flask, event: str, context: dict[str, Any]) -> dict[str, str]:
    with app.app_context():
        post = get(EmailService)
        return {
            part: post.render(event, part, dict(context)) for part in ("subject", "text", "html")
        }


def words_of(html: str) -> list[str]:
    body = html.partition("<body")[2].partition(">")[2]
    text = unescape(re.sub(r"<[^>]+>", " ", body)).replace(_ONLY_HTML, " ")
    return re.findall(r"[\w$€£.,:/@−-]*\w", text)


def test_every_email_has_a_folder_with_its_parts_and_is_in_the_list() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir()} - {"parts"}
    assert folders == set(emails.EVENTS) == {email.name for email in EMAILS}
    for name in folders:
        parts = {path.name for path in (FOLDER / name).iterdir()}
        assert parts == {"subject.txt", "body.txt", "body.html", "examples.json"}, name


def test_every_part_of_an_email_exists_in_html_and_in_text() -> None:
    parts = list((FOLDER / "parts").iterdir())
    kinds = {path.stem: {each.suffix for each in parts if each.stem == path.stem} for path in parts}
    assert all(each == {".html", ".txt"} for each in kinds.values()), kinds


@pytest.mark.parametrize(("event", "state"), STATES)
def test_an_email_says_in_text_all_that_it_says_in_html(
    looked_at: Flask, event: str, state: str
) -> None:
    parts = rendered(looked_at, event, example(event, state))
    assert parts["subject"].strip()
    assert "\n" not in parts["subject"].strip()
    assert f"<title>{parts['subject'].strip()}" in unescape(parts["html"])
    said = parts["text"].lower()
    missing = [word for word in words_of(parts["html"]) if word.lower() not in said]
    assert missing == []
    assert not re.search(r"<\w+", parts["text"]), "markup in the text"
    assert "&" not in parts["text"], "escaped text"


@pytest.mark.parametrize(("event", "state"), STATES)
def test_an_email_loads_nothing_and_has_no_tracking(
    looked_at: Flask, event: str, state: str
) -> None:
    html = rendered(looked_at, event, example(event, state))["html"]
    assert not re.search(r"<(img|script|link|iframe|object)\b|url\(|@import|src=", html)
    addresses = set(re.findall(r'href="([^"]+)"', html))
    assert all(each.startswith(("https://shop.example/", "mailto:")) for each in addresses)


@pytest.mark.parametrize("event", emails.EVENTS)
def test_a_name_is_shown_as_it_is_and_never_read_as_markup(looked_at: Flask, event: str) -> None:
    (email,) = (each for each in EMAILS if each.name == event)
    name = '<b>Al & "Ice"</b> {{ 7 * 7 }}'
    context = {**example(event, email.examples[0].name), "name": name}
    context |= {key: name for key in ("item", "plan", "card") if key in context}
    parts = rendered(looked_at, event, context)
    assert f"Hello {name}," in parts["text"]
    assert "<b>" not in parts["html"]
    assert "&lt;b&gt;Al &amp; &#34;Ice&#34;&lt;/b&gt; {{ 7 * 7 }}" in parts["html"]


@pytest.mark.parametrize("event", emails.EVENTS)
def test_an_email_says_whether_it_can_be_switched_off(looked_at: Flask, event: str) -> None:
    (email,) = (each for each in EMAILS if each.name == event)
    text = rendered(looked_at, event, example(event, email.examples[0].name))["text"]
    assert ("cannot be switched off" in text) == (event in emails.ABOUT_MONEY)
    assert (LINKS["unsubscribe_link"] in text) == (event in emails.OPTIONAL)


@pytest.mark.parametrize(
    ("event", "state"),
    [
        state
        for state in STATES
        if example(*state).get("sandbox") is not None and state[0] not in emails.ACCOUNT
    ],
)
def test_money_of_the_sandbox_is_called_so(looked_at: Flask, event: str, state: str) -> None:
    for sandbox in (True, False):
        context = {**example(event, state), "sandbox": sandbox}
        parts = rendered(looked_at, event, context)
        for part in ("text", "html"):
            assert ("no real money" in parts[part]) == sandbox
