"""Own keys in the settings: the mode, a key checked as it is entered, its state, its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import text

from creditapp.catalog import Catalog
from creditapp.db import reading
from creditapp.generation.providers import OfflineProvider, Providers
from creditapp.services import get, provide
from tests.app_factory import Person, Queue, newcomer
from tests.fakes.openai_server import FakeOpenAI
from tests.pages import parse_html
from tests.web.steps import HTMX, order, submit

WRONG_KEY = "sk-a-key-that-no-vendor-knows-0000"  # pragma: allowlist secret
GPT_IMAGE = {"model": "gpt-image", "quality": "low"}


@pytest.fixture(scope="module")
def running() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def openai(app: Flask, running: FakeOpenAI) -> FakeOpenAI:
    """OpenAI, of which the server itself has no key."""
    running.forget()
    values = {
        "OPENAI_BASE_URL": running.base_url,
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:1",
        "FAL_BASE_URL": "http://127.0.0.1:1",
    }
    provide(app, Providers, Providers(values, offline=OfflineProvider()))
    return running


def own(person: Person, key: str | None = None) -> None:
    """Pay with own keys; enter OpenAI's."""
    person.post("/settings/api-key-mode", {"api_key_mode": "own"})
    if key is not None:
        answer = person.post("/settings/provider-keys/openai", {"provider_key": key})
        assert answer.status_code == 303, answer.text


def stored(app: Flask) -> list[str]:
    """Return the vendors of the stored keys."""
    with app.app_context():
        rows = reading().execute(text("SELECT vendor FROM provider_keys")).all()
        return [vendor for (vendor,) in rows]


def test_the_two_modes_are_offered_and_the_key_fields_only_in_one(alice: Person) -> None:
    page = alice.page("/settings")
    section = page.one("#provider-keys").text
    assert "Use My Own API Keys" in section
    assert "Buy Credits (Easier for Non-Technical Users)" in section
    assert "You're using credits. View your balance" in section
    assert not page.has("#field-openai_key")
    assert page.value("api_key_mode") == "credits"

    answer = alice.post("/settings/api-key-mode", {"api_key_mode": "own"})
    assert (answer.status_code, answer.location) == (303, "/settings#provider-keys")
    page = alice.page("/settings")
    assert page.value("api_key_mode") == "own"
    for vendor in ("openai", "anthropic", "google", "fal"):
        assert page.has(f"#field-{vendor}_key")
    assert "You're using credits" not in page.one("#provider-keys").text


def test_a_mode_that_there_is_not_is_refused(alice: Person) -> None:
    answer = alice.post("/settings/api-key-mode", {"api_key_mode": "free"})
    assert answer.status_code == 422
    assert "Choose your own keys or credits." in answer.text


def test_a_key_is_checked_and_shown_by_four_characters(
    app: Flask, alice: Person, openai: FakeOpenAI
) -> None:
    own(alice, f" {openai.key} ")
    page = alice.browser.get("/settings").text
    section = parse_html(page).one("#provider-keys").text
    assert "Key ending in cdef" in " ".join(section.split())
    assert "Works" in section
    assert openai.key not in page
    assert openai.count == 0
    assert stored(app) == ["openai"]

    answer = alice.post("/settings/provider-keys/openai/remove")
    assert (answer.status_code, stored(app)) == (303, [])
    assert "Your OpenAI key is removed." in alice.page("/settings").text


def test_a_wrong_key_is_refused_at_its_field_and_never_shown_again(
    app: Flask, alice: Person, openai: FakeOpenAI
) -> None:
    own(alice)
    for typed, words in ((WRONG_KEY, "OpenAI does not accept this key."), ("x", "This is no key")):
        answer = alice.post("/settings/provider-keys/openai", {"provider_key": typed})
        assert answer.status_code == 422
        assert words in parse_html(answer.text).one("#field-openai_key-error").text
        assert WRONG_KEY not in answer.text
    assert stored(app) == []


def test_a_vendor_that_does_not_answer_leaves_the_key_saved_and_unchecked(
    app: Flask, alice: Person, openai: FakeOpenAI
) -> None:
    own(alice)
    alice.post("/settings/provider-keys/anthropic", {"provider_key": WRONG_KEY})
    page = alice.page("/settings").text
    assert "Anthropic did not answer, so it is not checked yet." in page
    assert "Not checked" in page
    assert stored(app) == ["anthropic"]


def test_keys_are_the_members_own(
    app: Flask, alice: Person, charlie: Person, guest: Person, openai: FakeOpenAI
) -> None:
    own(alice, openai.key)
    own(charlie)
    assert "cdef" not in charlie.page("/settings").one("#provider-keys").text
    charlie.post("/settings/provider-keys/openai/remove")
    assert stored(app) == ["openai"]
    assert alice.post("/settings/provider-keys/nobody", {"provider_key": "x"}).status_code == 404
    for path in ("/settings/api-key-mode", "/settings/provider-keys/openai"):
        assert guest.post(path, {"api_key_mode": "own"}).status_code in (303, 401)
        assert alice.browser.get(path).status_code == 405
        assert alice.browser.post(path, data={"api_key_mode": "own"}).status_code == 403


def test_many_checks_are_refused(app: Flask, alice: Person, openai: FakeOpenAI) -> None:
    own(alice)
    fields = {"provider_key": WRONG_KEY}
    for _ in range(20):
        assert alice.post("/settings/provider-keys/openai", fields).status_code == 422
    answer = alice.post("/settings/provider-keys/openai", {"provider_key": openai.key})
    assert answer.status_code == 429
    assert openai.key not in answer.text
    assert stored(app) == []


def test_stored_keys_are_listed_and_can_be_removed_while_credits_pay(
    app: Flask, alice: Person, openai: FakeOpenAI
) -> None:
    own(alice, openai.key)
    alice.post("/settings/api-key-mode", {"api_key_mode": "credits"})
    page = alice.page("/settings")
    assert "not used while you pay with credits" in page.one("#provider-keys").text
    assert not page.has("#field-openai_key")
    alice.post("/settings/provider-keys/openai/remove")
    assert stored(app) == []


def test_the_studio_shows_whose_key_pays_or_which_is_missing(
    alice: Person, openai: FakeOpenAI
) -> None:
    own(alice)
    page = alice.page("/?model=gpt-image")
    panel = page.one("#price-panel")
    assert "This model needs your OpenAI key." in panel.text
    assert panel.one("a.button-main")["href"] == "/settings#provider-keys"
    assert not page.has("#generate")

    own(alice, openai.key)
    page = alice.page("/?model=gpt-image")
    assert "own key" in page.one("#generate").text
    assert page.value("shown_micro") == "0"
    assert "Own keys" in page.one("header").text
    chosen = page.one("#model-chosen").text
    assert "own key" in chosen
    assert "Needs your Google key." in page.one("#model-list").text
    assert "low" not in page.one("header").text.lower().split()


def test_an_image_on_an_own_key_leaves_the_balance(
    alice: Person, openai: FakeOpenAI, queue: Queue
) -> None:
    own(alice, openai.key)
    assert submit(alice, **GPT_IMAGE).status_code == 303
    queue.run()
    assert alice.balance() == 50
    assert openai.count == 1
    assert "own key" in alice.page("/").one("#jobs").text


def test_a_quote_on_an_own_key_costs_nothing(alice: Person, openai: FakeOpenAI) -> None:
    own(alice, openai.key)
    body = {"prompt": "a quay", "model": "gpt-image", "quality": "high", "n": 4}
    quote = alice.call("POST", "/api/quotes", body).json
    assert (quote["cost"], quote["lines"], quote["affordable"], quote["shortfall"]) == (
        *(0, [], True),
        0,
    )


def test_a_missing_key_is_a_problem_with_the_way_to_the_settings(
    alice: Person, openai: FakeOpenAI
) -> None:
    own(alice)
    answer = alice.post("/generations", order(alice, **GPT_IMAGE), headers=HTMX)
    assert answer.status_code == 400
    problem = parse_html(answer.text)
    assert "OpenAI" in problem.text
    assert problem.one("a.button-main")["href"] == "/settings#provider-keys"


def test_a_member_with_an_empty_balance_and_own_keys_is_warned_of_nothing(
    app: Flask, openai: FakeOpenAI
) -> None:
    with app.app_context():
        catalog = get(Catalog)
    provide(app, Catalog, catalog.model_copy(update={"welcome_micro": 0, "api_key_mode": "own"}))
    bob = newcomer(app).sign_up("bob@example.com")
    page = bob.page("/dashboard")
    assert "No credits left" not in page.text
    assert "Your balance stays until you switch back." in page.text
    assert "Own keys" in page.one("header").text
