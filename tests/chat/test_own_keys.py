"""Chat on a person's own key: never charged, never on another key, kept nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import select, text

from creditapp import credentials
from creditapp.accounts import User
from creditapp.chat import ChatProviders
from creditapp.credentials import REFUSED, VENDORS, ProviderKey
from creditapp.db import snapshot, transaction
from creditapp.services import provide
from tests.app_factory import Person
from tests.chat.scripted import Turns, ask, events, wallet
from tests.fakes.openai_chat_server import FakeOpenAIChat

SERVERS_KEY = "sk-the-servers-own-key-of-the-tests"  # pragma: allowlist secret
WRONG_KEY = "sk-a-key-that-no-vendor-knows-0000"  # pragma: allowlist secret

PayWith = Callable[[str | None], None]


@pytest.fixture
def vendor(app: Flask) -> Iterator[FakeOpenAIChat]:
    """The vendor, which does not know the server's key."""
    with FakeOpenAIChat() as fake:
        values = {"OPENAI_API_KEY": SERVERS_KEY, "OPENAI_BASE_URL": fake.base_url}
        provide(app, ChatProviders, ChatProviders(values, offline=True))
        yield fake


@pytest.fixture
def pay_with(app: Flask, alice: Person, turns: Turns) -> PayWith:
    """Let Alice pay with own keys, of which she stores one."""

    def use(key: str | None) -> None:
        with app.app_context(), transaction() as session:
            user_id = session.scalars(select(User.id).where(User.email == alice.email)).one()
            credentials.choose_mode(session, user_id, "own")
            if key is not None:
                moment = turns.clock.now()
                credentials.store_key(
                    session, user_id, VENDORS["openai"], key, checked_at=None, now=moment
                )

    return use


def test_an_answer_on_an_own_key_costs_nothing(
    alice: Person, turns: Turns, vendor: FakeOpenAIChat, pay_with: PayWith
) -> None:
    pay_with(vendor.key)
    answer = ask(alice, stream=True)
    assert answer.headers["X-Credits-Held"] == "0"
    assert dict(events(answer))["usage"]["credits"] == {"used": 0, "remaining": 50}
    made = alice.call("POST", "/api/embeddings", {"input": "Harbour"})
    assert made.json["credits"] == {"used": 0, "remaining": 50}
    for record in turns.records():
        assert (record.funding, record.cost_micro, record.charge_id) == ("own_key", 0, None)
        assert record.input_tokens > 0
    assert wallet(alice) == (50, 0)


def test_below_the_minimum_an_own_key_still_pays(
    alice: Person, turns: Turns, vendor: FakeOpenAIChat, pay_with: PayWith
) -> None:
    turns.spend_down_to("0.01")
    pay_with(vendor.key)
    assert ask(alice).json["credits"] == {"used": 0, "remaining": Decimal("0.01")}


@pytest.mark.parametrize("path", ["/api/chat", "/api/agent", "/api/summarize", "/api/embeddings"])
def test_without_a_key_nothing_else_pays(
    alice: Person, turns: Turns, vendor: FakeOpenAIChat, pay_with: PayWith, path: str
) -> None:
    pay_with(None)
    messages = [{"role": "user", "content": "Hello"}]
    answer = alice.call("POST", path, {"messages": messages, "text": "a", "input": "a"})
    assert (answer.status_code, answer.json["code"]) == (400, "missing_api_key")
    assert vendor.calls == []
    assert turns.records() == []


def test_a_key_of_the_request_comes_before_the_stored_one(
    alice: Person, turns: Turns, vendor: FakeOpenAIChat, pay_with: PayWith
) -> None:
    pay_with(WRONG_KEY)
    assert ask(alice, headers={"x-openai-api-key": vendor.key}).status_code == 200
    assert vendor.calls[0].headers["authorization"] == f"Bearer {vendor.key}"


def test_a_refused_key_is_said_to_its_owner_and_noted(
    app: Flask, alice: Person, turns: Turns, vendor: FakeOpenAIChat, pay_with: PayWith
) -> None:
    pay_with(WRONG_KEY)
    for _ in range(2):
        answer = ask(alice)
        assert answer.status_code == 503
        assert answer.json["detail"] == (
            "OpenAI does not accept your key. Enter another one in the settings."
        )
    made = alice.call("POST", "/api/embeddings", {"input": "a"})
    assert made.json["detail"] == answer.json["detail"]
    with app.app_context(), snapshot() as session:
        assert session.scalars(select(ProviderKey.problem)).one() == REFUSED
    assert SERVERS_KEY not in str(vendor.calls[0].headers["authorization"])


def test_the_key_is_in_no_row(
    app: Flask, alice: Person, turns: Turns, vendor: FakeOpenAIChat, pay_with: PayWith
) -> None:
    pay_with(vendor.key)
    ask(alice)
    with app.app_context(), snapshot() as session:
        for table in ("usage_records", "messages", "conversations", "provider_keys"):
            rows = session.execute(text(f"SELECT * FROM {table}")).all()
            assert vendor.key not in str(rows)
