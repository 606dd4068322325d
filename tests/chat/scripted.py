"""A scripted chat provider, and helpers that read what a turn left."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from flask import Flask
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from creditapp import ledger
from creditapp.catalog.models import LanguageModel
from creditapp.chat import recovery
from creditapp.chat.models import Conversation, Message, UsageRecord
from creditapp.chat.providers import (
    ChatEvent,
    ChatProviders,
    ChatRequest,
    ChatRoute,
    Embedded,
    Finished,
    ReportedUsage,
    TextDelta,
)
from creditapp.clock import StoppedClock
from creditapp.db import snapshot, transaction
from creditapp.ledger.models import Wallet
from tests.app_factory import Person

Step = ChatEvent | BaseException | Callable[[], object]

ANSWER: Sequence[Step] = (
    TextDelta("Hello "),
    TextDelta("there."),
    ReportedUsage(input_tokens=1000, output_tokens=200),
    Finished("stop"),
)


class ScriptedChat(ChatProviders):
    """Providers whose every model runs ``script``: sends events, raises errors, calls functions."""

    name = "scripted"

    def __init__(self) -> None:
        super().__init__({}, offline=False)
        self.script: Sequence[Step] = ANSWER
        self.requests: list[ChatRequest] = []

    def require(self, entry: LanguageModel, *, own_key: str | None = None) -> ChatRoute:
        return ChatRoute(self, entry, preview=False)

    def stream(self, request: ChatRequest) -> Iterator[ChatEvent]:
        self.requests.append(request)
        for step in self.script:
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, TextDelta | ReportedUsage | Finished):
                yield step
            else:
                step()

    def embed(self, request: ChatRequest) -> Embedded:
        self.requests.append(request)
        for step in self.script:
            if isinstance(step, BaseException):
                raise step
        vectors = [[0.5, float(number)] for number, _ in enumerate(request.messages)]
        return Embedded(vectors, ReportedUsage(input_tokens=14, output_tokens=0))


class Turns:
    """Conversations and usage records of one app."""

    def __init__(self, app: Flask, clock: StoppedClock) -> None:
        self.app, self.clock = app, clock

    def records(self) -> Sequence[UsageRecord]:
        with self.app.app_context(), snapshot() as session:
            return session.scalars(select(UsageRecord).order_by(UsageRecord.id)).all()

    def record(self) -> UsageRecord:
        (record,) = self.records()
        return record

    def texts(self) -> list[tuple[str, str]]:
        """Return role and text of every message, in their order."""
        with self.app.app_context(), snapshot() as session:
            rows = session.scalars(
                select(Message).order_by(Message.conversation_id, Message.position)
            )
            return [(row.role, row.text) for row in rows]

    def conversations(self) -> Sequence[Conversation]:
        with self.app.app_context(), snapshot() as session:
            return session.scalars(select(Conversation).order_by(Conversation.id)).all()

    def change(self, **values: object) -> None:
        """Change every usage record."""
        with self.app.app_context(), transaction() as session:
            session.execute(update(UsageRecord).values(values))

    def spend_down_to(self, left: str) -> None:
        """Spend the credits of the newest wallet until ``left`` are left."""
        with self.app.app_context(), transaction() as session:
            connection, moment = session.connection(), self.clock.now()
            wallet_id = session.scalars(select(func.max(Wallet.id))).one()
            available_micro = ledger.balance(connection, wallet_id, now=moment).available_micro
            charge = ledger.NewCharge(
                amount_micro=available_micro - int(Decimal(left) * 1_000_000),
                key="spent",
                digest="",
                operation="chat",
            )
            ledger.spend(connection, wallet_id, charge, now=moment)

    def lapse(self) -> None:
        """Let time pass until every lease has lapsed, and sweep."""
        self.clock.advance(timedelta(minutes=10))
        self.sweep()

    def sweep(self) -> None:
        with self.app.app_context():
            recovery.sweep()

    def check(self) -> None:
        """Assert the ledger's proof, and that no turn and no hold is open."""
        assert {record.state for record in self.records()} <= {"settled"}
        with self.app.app_context(), snapshot() as session:
            report = ledger.proof.check(session.connection())
        assert report.ok, report.as_text()


class Gate:
    """A step that waits until the test opens it; the test waits until it is reached."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(20)


def ask(person: Person, text: str = "Hello", **members: Any) -> TestResponse:
    """Send a message to the chat."""
    headers = members.pop("headers", {})
    body = {"messages": [{"role": "user", "content": text}], **members}
    return person.call("POST", "/api/chat", body, **headers)


def events(answer: TestResponse) -> list[tuple[str, Any]]:
    """Return the events of a stream, without its heartbeats."""
    assert answer.mimetype == "text/event-stream", answer.text
    found = []
    for block in answer.text.split("\n\n"):
        if block.startswith("event: "):
            name, _, data = block.removeprefix("event: ").partition("\ndata: ")
            found.append((name, json.loads(data)))
    return found


def wallet(person: Person) -> tuple[float, float]:
    """Return what a person can spend, and what is held."""
    credits = person.call("GET", "/api/credits").json["credits"]
    return float(credits["balance"]), float(credits["held"])
