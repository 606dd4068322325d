"""Turns that a dead process left are settled once, by what it had stored."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from creditapp.chat import reader
from creditapp.chat.providers import ReportedUsage, TextDelta
from creditapp.generation import delivery
from tests.app_factory import Person
from tests.chat.scripted import ANSWER, Gate, ScriptedChat, Turns, ask, wallet


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "RENEW_SECONDS", 0.02)


def await_stored(turns: Turns, output_tokens: int) -> None:
    """Wait until the reader has stored so much."""
    for _ in range(400):
        if turns.record().output_tokens == output_tokens:
            return
        Gate().opened.wait(0.02)
    pytest.fail("not stored")


def stop_renewing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no lease be renewed from now on; return after the last renewal."""
    called = threading.Event()

    def checkpoint(*_: object, **__: object) -> bool:
        called.set()
        return True

    monkeypatch.setattr(reader, "_checkpoint", checkpoint)
    assert called.wait(20)


def begin(
    alice: Person,
    provider: ScriptedChat,
    monkeypatch: pytest.MonkeyPatch,
    *script: object,
    stored: int,
    turns: Turns,
) -> Gate:
    """Begin a turn that stores its progress, and then loses its process."""
    gate = Gate()
    provider.script = (*script, gate, *ANSWER)  # type: ignore[assignment]  # steps, all of them
    ask(alice, "Hello wo", stream=True)
    assert gate.reached.wait(20)
    await_stored(turns, stored)
    stop_renewing(monkeypatch)
    return gate


@pytest.mark.parametrize(
    ("script", "stored", "cost_micro"),
    [
        ((), 0, 0),
        ((ReportedUsage(input_tokens=900),), 0, 0),
        ((TextDelta("Hello there."),), 4, 310),
        ((ReportedUsage(input_tokens=1000), TextDelta("Hello there.")), 4, 10_200),
    ],
)
def test_a_dead_process_leaves_a_turn_that_is_charged_for_what_was_stored(
    alice: Person,
    provider: ScriptedChat,
    turns: Turns,
    monkeypatch: pytest.MonkeyPatch,
    script: tuple[object, ...],
    stored: int,
    cost_micro: int,
) -> None:
    gate = begin(alice, provider, monkeypatch, *script, stored=stored, turns=turns)
    turns.sweep()
    assert turns.record().state == "open", "its lease has not lapsed"
    turns.lapse()
    record = turns.record()
    assert (record.state, record.cost_micro, record.finish_reason) == (
        "settled",
        cost_micro,
        "failed",
    )
    assert record.error_text == "The server stopped while this was being written."
    turns.lapse()
    gate.opened.set()
    left = 50 - cost_micro / 1_000_000
    assert wallet(alice) == (pytest.approx(left), 0)
    if stored:
        assert turns.texts()[-1] == ("assistant", "Hello there.")


def test_a_reader_that_was_taken_for_dead_settles_nothing_twice(
    alice: Person, provider: ScriptedChat, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    provider.script = (TextDelta("Hello there."), gate, *ANSWER)
    answer = ask(alice, "Hello wo", stream=True)
    assert gate.reached.wait(20)
    await_stored(turns, 4)
    stop_renewing(monkeypatch)
    turns.lapse()
    gate.opened.set()
    assert '"used":0.00031' in answer.text
    assert turns.record().cost_micro == 310
    history = alice.call("GET", "/api/credits/transactions").json["items"]
    assert [line["type"] for line in history].count("DEBIT") == 1


def test_a_turn_that_cannot_be_stored_is_settled_later(
    alice: Person, provider: ScriptedChat, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("UPDATE", {}, ValueError("the database is away"))

    monkeypatch.setattr(delivery, "RETRY_SECONDS", (0.01, 0.01))
    monkeypatch.setattr(reader, "settle", fail)
    provider.script = (TextDelta("Hello there."), lambda: await_stored(turns, 4), *ANSWER)
    answer = ask(alice, "Hello wo")
    assert (answer.status_code, answer.json["code"]) == (503, "settlement_unknown")
    assert "event: error" in ask(alice, stream=True).text
    turns.lapse()
    # By the text alone, or by the vendor's count if that was stored in time.
    assert turns.records()[0].cost_micro in (310, 20_000)
    assert wallet(alice)[1] == 0


def test_a_living_reader_is_left_alone(alice: Person, provider: ScriptedChat, turns: Turns) -> None:
    gate = Gate()
    provider.script = (TextDelta("Hello there."), gate, *ANSWER[2:])
    answer = ask(alice, stream=True)
    assert gate.reached.wait(20)
    turns.clock.advance(timedelta(seconds=4))
    turns.sweep()
    assert turns.record().state == "open"
    gate.opened.set()
    assert "event: done" in answer.text
    assert turns.record().cost_micro == 20_000
