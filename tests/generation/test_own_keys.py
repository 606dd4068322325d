"""Generations on a person's own key: never charged, never on another key, erased at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text

from creditapp import credentials
from creditapp.accounts import User
from creditapp.clock import now
from creditapp.credentials import VENDORS, ProviderKey
from creditapp.db import reading, transaction
from creditapp.generation import own_keys
from creditapp.generation.models import Generation
from creditapp.generation.providers import Providers
from creditapp.services import provide
from tests.app_factory import Person
from tests.fakes.fal_server import FakeFal
from tests.fakes.google_server import FakeGoogle
from tests.fakes.openai_server import FakeOpenAI
from tests.generation.studio import Scripted, Studio, lines, wallet
from tests.web.steps import order

SERVERS_KEY = "sk-the-servers-own-key-of-the-tests"  # pragma: allowlist secret
WRONG_KEY = "sk-a-key-that-no-vendor-knows-0000"  # pragma: allowlist secret
GPT_IMAGE = {"model": "gpt-image", "quality": "low"}


@dataclass
class Vendors:
    """The vendors' stand-ins."""

    openai: FakeOpenAI
    google: FakeGoogle
    fal: FakeFal

    @property
    def calls(self) -> int:
        """How often anything was ordered from any of them."""
        return self.openai.count + self.google.count + self.fal.count


@pytest.fixture(scope="module")
def running() -> Iterator[Vendors]:
    with FakeOpenAI() as openai, FakeGoogle() as google, FakeFal() as fal:
        yield Vendors(openai, google, fal)


@pytest.fixture
def vendors(app: Flask, running: Vendors, provider: Scripted) -> Vendors:
    """The vendors, of which the server has a key that none of them knows."""
    for server in (running.openai, running.google, running.fal):
        server.forget()
    values = {
        "OPENAI_BASE_URL": running.openai.base_url,
        "GEMINI_BASE_URL": running.google.base_url,
        "FAL_BASE_URL": running.fal.base_url,
        "OPENAI_API_KEY": SERVERS_KEY,
    }
    provide(app, Providers, Providers(values, offline=provider))
    return running


UseOwnKeys = Callable[..., str]


@pytest.fixture
def use_own_keys(app: Flask) -> UseOwnKeys:
    """Let a person pay with these keys; return the person's id."""

    def use(person: Person, keys: Mapping[str, str], mode: str = "own") -> str:
        with app.app_context(), transaction() as session:
            user_id = session.scalars(select(User.id).where(User.email == person.email)).one()
            credentials.choose_mode(session, user_id, mode)
            for vendor, key in keys.items():
                credentials.store_key(
                    session, user_id, VENDORS[vendor], key, checked_at=None, now=now()
                )
        return user_id

    return use


def key_row(app: Flask) -> ProviderKey:
    with app.app_context():
        return reading().scalars(select(ProviderKey)).one()


def stored_texts(app: Flask) -> str:
    """Return every text of every table, as a person with the database would find it."""
    with app.app_context(), transaction() as session:
        tables = ("provider_keys", "generations", "users", "emails", "outbox", "prompts")
        return "".join(str(session.execute(text(f"SELECT * FROM {name}")).all()) for name in tables)


def test_an_image_on_an_own_key_costs_nothing_and_shows_whose_key_paid(
    app: Flask, alice: Person, studio: Studio, vendors: Vendors, use_own_keys: UseOwnKeys
) -> None:
    use_own_keys(alice, {"openai": vendors.openai.key})
    generation_id = studio.ask(alice, **GPT_IMAGE)
    waiting = studio.generation(generation_id)
    assert (waiting.funding, waiting.charge_id, waiting.quoted_micro) == ("own_key", None, 0)
    assert waiting.encrypted_key
    assert wallet(alice) == (50, 0), "nothing is held"
    studio.queue.run()

    row = studio.generation(generation_id)
    assert (row.state, row.charged_micro, row.preview) == ("succeeded", 0, False)
    assert row.encrypted_key is None, "erased with the end"
    assert vendors.openai.count == 1
    assert (wallet(alice), lines(alice)) == ((50, 0), [])
    assert key_row(app).problem is None
    assert "own key" in alice.page(f"/generations/{generation_id}").text
    studio.check()


@pytest.mark.parametrize(("vendor", "model"), [("google", "nano-banana"), ("fal", "flux-dev")])
def test_each_vendor_gets_the_key_that_is_its_own(
    alice: Person,
    studio: Studio,
    vendors: Vendors,
    use_own_keys: UseOwnKeys,
    vendor: str,
    model: str,
) -> None:
    server: FakeGoogle | FakeFal = getattr(vendors, vendor)
    use_own_keys(alice, {vendor: server.key, "openai": WRONG_KEY})
    row = studio.make(alice, model=model)
    assert (row.state, row.error_text, row.charged_micro) == ("succeeded", None, 0)
    assert (server.count, vendors.calls) == (1, 1)


def test_a_model_whose_vendor_has_no_key_of_the_person_is_refused_before_anything(
    alice: Person, studio: Studio, vendors: Vendors, provider: Scripted, use_own_keys: UseOwnKeys
) -> None:
    use_own_keys(alice, {"google": vendors.google.key})
    answer = alice.call("POST", "/api/generate-image", {"prompt": "a quay", **GPT_IMAGE})
    assert (answer.status_code, answer.json["code"]) == (400, "missing_api_key")
    assert "OpenAI" in answer.json["detail"]
    assert (answer.json["vendor"], answer.json["settingsUrl"], answer.json["creditsCharged"]) == (
        *("openai", "/settings#provider-keys"),
        0,
    )
    assert (studio.generations(), vendors.calls, provider.calls) == ([], 0, 0)
    assert wallet(alice) == (50, 0)


@pytest.mark.parametrize(
    ("fault", "problem", "words"),
    [("http_401", "refused", "does not accept your key"), ("http_402", "empty", "is empty")],
)
def test_a_key_that_stops_working_says_so_and_never_falls_back(
    app: Flask,
    alice: Person,
    studio: Studio,
    vendors: Vendors,
    provider: Scripted,
    use_own_keys: UseOwnKeys,
    fault: str,
    problem: str,
    words: str,
) -> None:
    use_own_keys(alice, {"google": vendors.google.key})
    vendors.google.fail(fault)
    row = studio.make(alice, model="nano-banana")
    assert (row.state, row.error_code) == ("failed", "provider_unavailable")
    assert words in str(row.error_text)
    assert key_row(app).problem == problem
    assert (wallet(alice), lines(alice)) == ((50, 0), [])
    assert (vendors.calls, provider.calls) == (1, 0), "no second call, no preview"
    studio.make(alice, model="nano-banana")
    assert key_row(app).problem is None, "it works again"


def test_a_member_who_pays_with_credits_never_uses_a_stored_key(
    alice: Person, studio: Studio, vendors: Vendors, provider: Scripted, use_own_keys: UseOwnKeys
) -> None:
    use_own_keys(alice, {"google": vendors.google.key}, mode="credits")
    row = studio.make(alice, model="nano-banana")
    assert (row.funding, row.charged_micro, row.preview) == ("wallet", 500_000, True)
    assert (vendors.calls, provider.calls) == (0, 1)
    assert wallet(alice) == (49.5, 0)
    keys = {"x_openai_api_key": vendors.openai.key}
    generation_id = studio.order(
        alice, "/api/generate-image", {"prompt": "a quay", **GPT_IMAGE}, **keys
    )
    assert studio.generation(generation_id).funding == "wallet"


def test_mode_and_key_are_those_of_the_order_whatever_changes_before_it_runs(
    app: Flask, alice: Person, studio: Studio, vendors: Vendors, use_own_keys: UseOwnKeys
) -> None:
    user_id = use_own_keys(alice, {"openai": vendors.openai.key})
    generation_id = studio.ask(alice, **GPT_IMAGE)
    use_own_keys(alice, {"openai": WRONG_KEY}, mode="credits")
    studio.queue.run()
    row = studio.generation(generation_id)
    assert (row.state, row.charged_micro) == ("succeeded", 0)
    assert wallet(alice) == (50, 0)
    assert user_id == row.owner_id
    assert key_row(app).checked_at is None, "another key than the one that worked"


def test_an_order_of_before_the_switch_is_charged_as_it_was_priced(
    alice: Person, studio: Studio, vendors: Vendors, use_own_keys: UseOwnKeys
) -> None:
    generation_id = studio.ask(alice, model="nano-banana")
    use_own_keys(alice, {"google": vendors.google.key})
    studio.queue.run()
    row = studio.generation(generation_id)
    assert (row.funding, row.charged_micro, vendors.calls) == ("wallet", 500_000, 0)


def test_a_key_of_the_request_pays_and_is_never_stored_in_plain(
    app: Flask, alice: Person, studio: Studio, vendors: Vendors, use_own_keys: UseOwnKeys
) -> None:
    use_own_keys(alice, {"openai": WRONG_KEY})
    body = {"prompt": "a quay", **GPT_IMAGE}
    path, headers = "/api/generate-image", {"x_openai_api_key": vendors.openai.key}
    generation_id = studio.order(alice, path, body, **headers)
    assert vendors.openai.key not in stored_texts(app)
    studio.queue.run()
    row = studio.generation(generation_id)
    assert (row.state, row.encrypted_key) == ("succeeded", None)
    assert vendors.openai.key not in stored_texts(app)

    answer = alice.call("POST", path, body, x_openai_api_key="spaced out")
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert "spaced out" not in answer.text


def test_many_orders_on_own_keys_are_refused_and_those_of_others_are_not(
    alice: Person,
    charlie: Person,
    studio: Studio,
    vendors: Vendors,
    use_own_keys: UseOwnKeys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_keys, "OWN_KEY_ORDERS", replace(own_keys.OWN_KEY_ORDERS, limit=2))
    for person in (alice, charlie):
        use_own_keys(person, {"openai": vendors.openai.key})
        for _ in range(2):
            studio.ask(person, **GPT_IMAGE)
    answer = alice.call("POST", "/api/generate-image", {"prompt": "a quay", **GPT_IMAGE})
    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert len(studio.generations()) == 4
    use_own_keys(alice, {}, mode="credits")
    studio.ask(alice, model="nano-banana")
    studio.clock.advance(timedelta(hours=1))
    use_own_keys(alice, {}, mode="own")
    studio.ask(alice, **GPT_IMAGE)


def test_a_canceled_order_keeps_no_key(
    app: Flask, alice: Person, studio: Studio, vendors: Vendors, use_own_keys: UseOwnKeys
) -> None:
    use_own_keys(alice, {"openai": vendors.openai.key})
    generation_id = studio.ask(alice, **GPT_IMAGE)
    assert alice.call("DELETE", f"/api/generations/{generation_id}").status_code == 200
    row = studio.generation(generation_id)
    assert (row.state, row.encrypted_key) == ("canceled", None)
    studio.queue.run()
    assert vendors.calls == 0


def test_a_dead_worker_is_not_followed_by_a_second_call_on_the_persons_bill(
    alice: Person, studio: Studio, vendors: Vendors, provider: Scripted, use_own_keys: UseOwnKeys
) -> None:
    provider.repeatable = True  # of the preview, which an own key never gets
    use_own_keys(alice, {"google": vendors.google.key})
    generation_id = studio.ask(alice, model="nano-banana")
    moment = studio.clock.now()
    studio.queue.waiting.clear()
    studio.set(generation_id, state="running", provider_started_at=moment, lease_until=moment)
    studio.sweep(after_seconds=10)
    studio.queue.run()
    row = studio.generation(generation_id)
    assert (row.state, row.encrypted_key, row.attempt) == ("failed", None, 1)
    assert (vendors.calls, provider.calls) == (0, 0)


def test_a_key_that_can_no_longer_be_read_fails_and_uses_no_other(
    app: Flask,
    alice: Person,
    charlie: Person,
    studio: Studio,
    vendors: Vendors,
    provider: Scripted,
    use_own_keys: UseOwnKeys,
) -> None:
    use_own_keys(alice, {"openai": vendors.openai.key})
    use_own_keys(charlie, {"openai": WRONG_KEY})
    alices, charlies = studio.ask(alice, **GPT_IMAGE), studio.ask(charlie, **GPT_IMAGE)
    studio.set(charlies, encrypted_key=studio.generation(alices).encrypted_key)
    studio.work(charlies)
    row = studio.generation(charlies)
    assert row.state == "failed"
    assert "can no longer be read" in str(row.error_text)
    assert (vendors.calls, provider.calls) == (0, 0)


def test_several_models_on_own_keys_are_one_batch_without_a_hold(
    alice: Person, studio: Studio, vendors: Vendors, use_own_keys: UseOwnKeys
) -> None:
    use_own_keys(alice, {"openai": vendors.openai.key, "google": vendors.google.key})
    compared = {"compare": "1", "models": ["gpt-image", "nano-banana"], "quality": "low"}
    answer = alice.post("/generations", order(alice, "a quay") | compared)
    assert answer.status_code == 303, answer.text
    studio.queue.run()
    assert len(studio.generations()) == 2
    rows: list[Generation] = studio.generations()
    assert {(row.funding, row.state, row.charged_micro) for row in rows} == {
        ("own_key", "succeeded", 0)
    }
    assert wallet(alice) == (50, 0)


def test_an_order_from_a_page_that_showed_an_own_key_is_not_charged_after_a_switch(
    alice: Person, studio: Studio, vendors: Vendors, use_own_keys: UseOwnKeys
) -> None:
    use_own_keys(alice, {"google": vendors.google.key})
    fields = alice.page("/").fields()
    assert fields["shown_micro"] == "0"
    use_own_keys(alice, {}, mode="credits")
    answer = alice.post("/generations", {**fields, "prompt": "a quay"})
    assert answer.status_code == 409
    assert (studio.generations(), wallet(alice)) == ([], (50, 0))


def test_no_table_holds_a_key_in_plain(
    app: Flask,
    alice: Person,
    studio: Studio,
    vendors: Vendors,
    use_own_keys: UseOwnKeys,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    keys = {"openai": vendors.openai.key, "google": vendors.google.key, "fal": WRONG_KEY}
    use_own_keys(alice, keys)
    vendors.google.fail("http_500")  # an error that quotes the key
    answers = [
        alice.call(
            "POST",
            "/api/generate-image",
            {"prompt": "a quay", "model": model},
            Prefer="respond-async",
        ).text
        for model in ("gpt-image", "nano-banana", "flux-dev", "nano-banana-pro")
    ]
    studio.queue.run()
    pages = [alice.browser.get(path).text for path in ("/", "/settings", "/gallery", "/dashboard")]
    export = alice.browser.get("/dashboard/history.csv").text
    captured = capfd.readouterr()
    everything = stored_texts(app) + caplog.text + captured.out + captured.err
    everything += export + "".join(answers + pages)
    for key in keys.values():
        assert key not in everything
        assert key[-12:] not in everything
