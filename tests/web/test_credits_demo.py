"""The designers' page shows everything, to anyone, and harms nobody."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Flask

from creditapp.web.examples import load_emails, load_examples
from tests.app_factory import Person
from tests.conventions.files import ROOT
from tests.pages import parse_html

EMAILS = load_emails(ROOT / "templates" / "emails", datetime(2026, 11, 21, tzinfo=UTC))
EXAMPLES = load_examples(ROOT / "templates" / "examples", datetime(2026, 11, 21, tzinfo=UTC))


def test_the_page_names_every_component_and_state_with_the_code_to_use_it(app: Flask) -> None:
    page = Person(app).browser.get("/credits-demo")
    assert page.status_code == 200
    for component in EXAMPLES:
        assert f"ui.{component.name}(" in page.text
        for example in component.examples:
            assert f"/credits-demo/{component.name}/{example.name}" in page.text
            assert example.title


def test_the_four_widgets_show_the_states_that_people_meet() -> None:
    states = {each.name: {example.name for example in each.examples} for each in EXAMPLES}
    for widget in ("balance", "pack_list", "cost_indicator", "model_picker"):
        assert len(states[widget]) >= 3, widget
    assert states["pack_modal"] >= {"open", "guest"}
    for word in ("guest", "low", "insufficient"):
        assert any(word in state for state in states["cost_indicator"]), word


def test_one_state_is_shown_on_a_page_of_its_own(app: Flask) -> None:
    component = EXAMPLES[0]
    path = f"/credits-demo/{component.name}/{component.examples[0].name}"
    assert Person(app).browser.get(path).status_code == 200


def test_an_unknown_state_is_not_found_and_nothing_is_posted(app: Flask) -> None:
    person = Person(app)
    for path in ("/credits-demo/balance/none", "/credits-demo/none/low", "/credits-demo/../x/y"):
        assert person.browser.get(path).status_code == 404
    assert person.post("/credits-demo").status_code == 405


def test_every_email_is_shown_as_html_and_as_text(app: Flask) -> None:
    browser = Person(app).browser
    page = Person(app).page("/credits-demo/emails")
    for email in EMAILS:
        assert page.has(f'code:-soup-contains("{email.name}")')
        for example in email.examples:
            path = f"/credits-demo/emails/{email.name}/{example.name}"
            assert page.has(f'a[href="{path}"]')
            shown = browser.get(path)
            assert parse_html(shown.text).has(f'iframe[src="{path}/html"]')
            assert "Hello" in shown.text
            assert "frame-src 'self'" in shown.headers["Content-Security-Policy"]
            alone = browser.get(f"{path}/html")
            assert alone.status_code == 200
            assert "<body" in alone.text
            policy = alone.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "sandbox" in policy
            assert alone.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert browser.get("/credits-demo").headers["X-Frame-Options"] == "DENY"
    for path in ("/credits-demo/emails/none/paid", "/credits-demo/emails/receipt/none/html"):
        assert browser.get(path).status_code == 404


def test_members_and_guests_see_the_same_examples(app: Flask) -> None:
    guest, member = Person(app), Person(app).sign_up("alice@example.com")
    shown = [_examples(person) for person in (guest, member)]
    assert shown[0] == shown[1]
    assert len(shown[0]) > 100


def _examples(person: Person) -> list[str]:
    links = person.page("/credits-demo").all('[href^="/credits-demo/"], [src^="/credits-demo/"]')
    return [link["href" if link.has_attribute("href") else "src"] for link in links]
