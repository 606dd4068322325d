"""Terms, privacy, refunds and contact: linked from every page, and true of this site."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from creditapp.config import Settings
from creditapp.services import get, provide
from tests.app_factory import Person, build_app, close_app
from tests.pages import parse_html


@pytest.mark.parametrize("path", ["/", "/credits", "/auth/signup", "/nothing-here", "/api/docs"])
def test_every_page_links_the_rules_and_a_contact(client: FlaskClient, path: str) -> None:
    footer = parse_html(client.get(path).text).one("footer")
    links = {link.text: link["href"] for link in footer.all("a")}
    for name in ("Terms", "Privacy", "Refunds", "Contact"):
        assert client.get(links[name]).status_code == 200, name


def test_the_built_in_pages_say_what_this_site_does(client: FlaskClient, alice: Person) -> None:
    terms = client.get("/terms").text
    assert "within 14 days" in terms
    assert "no real money is charged" in terms
    assert "A plan renews automatically" in terms
    assert "keyed hash" in client.get("/privacy").text
    assert alice.browser.get("/terms").status_code == 200


def test_an_operator_may_have_pages_and_an_address_of_their_own(tmp_path: Path) -> None:
    settings = {
        "CREDITAPP_TERMS_URL": "https://acme.example/terms",
        "CREDITAPP_PRIVACY_URL": "https://acme.example/privacy",
        "CREDITAPP_SUPPORT_EMAIL": "help@acme.example",
        "CREDITAPP_SELLER_NAME": "Acme Studio Ltd",
        "CREDITAPP_REFUND_DAYS": "0",
    }
    app = build_app(f"sqlite:///{tmp_path}/a.sqlite", tmp_path, settings)
    try:
        browser = app.test_client()
        footer = parse_html(browser.get("/").text).one("footer")
        links = {link.text: link["href"] for link in footer.all("a")}
        assert links["Terms"] == "https://acme.example/terms"
        assert links["Privacy"] == "https://acme.example/privacy"
        assert links["Contact"] == "mailto:help@acme.example"
        assert browser.get("/terms").location == "https://acme.example/terms"
        assert browser.get("/privacy").location == "https://acme.example/privacy"
    finally:
        close_app(app)


def test_the_privacy_page_says_that_a_moderation_reads_prompts(app: Flask) -> None:
    words = "OpenAI gets every prompt"
    assert words not in Person(app).browser.get("/privacy").text
    with app.app_context():
        provide(app, Settings, get(Settings).model_copy(update={"moderation": "openai"}))
    assert words in Person(app).browser.get("/privacy").text
