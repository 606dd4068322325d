"""A process is killed at every step of a turn: it ends once, and is charged for what was stored."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from creditapp import ledger
from creditapp.chat import recovery
from creditapp.chat.models import Message, UsageRecord
from creditapp.chat.reader import LEASE_SECONDS
from creditapp.clock import Clock, StoppedClock, now
from creditapp.config import Settings
from creditapp.db import snapshot
from creditapp.services import get, provide
from tests.app_factory import Person, build_app, close_app
from tests.fakes.openai_chat_server import FakeOpenAIChat
from tests.faults.chat_worker import (
    AFTER_SETTLE,
    BEFORE_CALL,
    BEFORE_COMMIT,
    BEFORE_HOLD_COMMIT,
    BEFORE_SETTLE,
    DURING_CALL,
    IN_THE_MIDDLE,
    run_turn,
)
from tests.processes import forked

pytestmark = pytest.mark.slow

# The calls to the vendor, and whether something was stored to pay for; None is either.
STEPS: dict[str, tuple[int, bool | None]] = {
    BEFORE_HOLD_COMMIT: (0, False),
    BEFORE_CALL: (0, False),
    DURING_CALL: (1, False),
    IN_THE_MIDDLE: (1, True),
    BEFORE_SETTLE: (1, None),
    BEFORE_COMMIT: (1, None),
    AFTER_SETTLE: (1, True),
}


@pytest.fixture
def vendor() -> Iterator[FakeOpenAIChat]:
    with FakeOpenAIChat() as server:
        yield server


@pytest.fixture
def app(database_url: str, tmp_path: Path, vendor: FakeOpenAIChat) -> Iterator[Flask]:
    """The app with the machine's clock, as the killed processes have it."""
    given = {"OPENAI_API_KEY": vendor.key, "OPENAI_BASE_URL": vendor.base_url}
    app = build_app(database_url, tmp_path, given)
    yield app
    close_app(app)


@pytest.mark.in_turn
def test_a_process_killed_at_any_step_leaves_a_turn_that_ends_once(
    app: Flask, vendor: FakeOpenAIChat
) -> None:
    alice = Person(app).sign_up("alice@example.com")
    with alice.browser.session_transaction() as session:
        session_id = str(session["_user_id"])
    for step, (calls, _) in STEPS.items():
        vendor.forget()
        if step in (DURING_CALL, IN_THE_MIDDLE):
            vendor.fail("timeout" if step == DURING_CALL else "hang", seconds=30)
        kill_at(app, vendor, session_id, step)
        assert vendor.count == calls, step
    with app.app_context():
        provide(app, Clock, StoppedClock(now() + timedelta(seconds=LEASE_SECONDS)))
        recovery.sweep()
        recovery.sweep()
    check(app, alice)


def kill_at(app: Flask, vendor: FakeOpenAIChat, session_id: str, step: str) -> None:
    """Start a process that asks, and wait until it is killed at the step."""
    with app.app_context():
        environ = dict(get(Settings).environ)
    child = forked.Process(target=run_turn, args=(environ, session_id, step))
    child.start()
    try:
        if step == DURING_CALL:
            await_until(lambda: vendor.count == 1)
            child.kill()
        if step == IN_THE_MIDDLE:
            await_until(lambda: step in rows(app) and rows(app)[step][1])
            child.kill()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL, step
    finally:
        child.kill()
        child.join()


def check(app: Flask, alice: Person) -> None:
    """Assert each end, its charge, and the ledger's proof."""
    ended = rows(app)
    assert set(ended) == set(STEPS) - {BEFORE_HOLD_COMMIT}
    for step, (record, text) in ended.items():
        print(f"\n{step:40} {record.finish_reason:8} {record.cost_micro / 1e6:.6f}  {text}", end="")
        assert record.state == "settled", step
        assert (record.cost_micro > 0) is bool(text), step
        assert STEPS[step][1] in (None, bool(text)), step
    assert ended[AFTER_SETTLE][0].cost_micro == 7_300
    spent_micro = sum(record.cost_micro for record, _ in ended.values())
    credits = alice.call("GET", "/api/credits").json["credits"]
    assert credits["held"] == 0
    assert int(credits["balance"] * 1_000_000) == 50_000_000 - spent_micro
    lines = alice.call("GET", "/api/credits/transactions?limit=100").json["items"]
    debits_micro = [int(line["amount"] * -1_000_000) for line in lines if line["type"] == "DEBIT"]
    assert sum(debits_micro) == spent_micro
    with app.app_context(), snapshot() as session:
        report = ledger.proof.check(session.connection())
    assert report.ok, report.as_text()


def rows(app: Flask) -> dict[str, tuple[UsageRecord, str]]:
    """Return each turn with its answer's text, by its question."""
    with app.app_context(), snapshot() as session:
        found = {}
        for record in session.scalars(select(UsageRecord)):
            of_conversation = Message.conversation_id == record.conversation_id
            messages = select(Message).where(of_conversation).order_by(Message.position)
            question, answer = session.scalars(messages)
            found[question.text] = (record, answer.text)
        return found


def await_until(is_true: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
