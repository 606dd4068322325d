"""A turn: what it costs, what it leaves, and how it ends."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from werkzeug.test import TestResponse

from creditapp.chat import reader
from creditapp.chat.providers import Finished, ReportedUsage, TextDelta
from creditapp.generation.providers import GenerationFailed, ProviderUnavailable
from tests.app_factory import Person
from tests.chat.scripted import ANSWER, Gate, ScriptedChat, Turns, ask, events, wallet

COST = Decimal("0.02")
"""1,000 tokens in and 200 out, of GPT-6 Luna: 0.01 + 0.01 credits."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let readers store their progress often."""
    monkeypatch.setattr(reader, "RENEW_SECONDS", 0.02)


def test_an_answer_costs_what_the_vendor_counted(alice: Person, turns: Turns) -> None:
    answer = ask(alice)
    assert answer.status_code == 200, answer.text
    assert answer.json["message"] == {"role": "assistant", "content": "Hello there."}
    assert answer.json["usage"] == {
        "inputTokens": 1000,
        "cachedTokens": 0,
        "cacheWriteTokens": 0,
        "outputTokens": 200,
        "reasoningTokens": 0,
        "estimated": False,
    }
    assert Decimal(str(answer.json["credits"]["used"])) == COST
    assert (answer.headers["X-Credits-Cost"], answer.headers["X-Credits-Remaining"]) == (
        "0.02",
        "49.98",
    )
    assert wallet(alice) == (49.98, 0)
    record = turns.record()
    assert (record.source, record.provider, record.model) == ("chat", "scripted", "gpt-6-luna")
    assert (record.cost_micro, record.finish_reason) == (20_000, "stop")
    assert turns.texts() == [("user", "Hello"), ("assistant", "Hello there.")]


def test_a_stream_ends_with_usage_and_done_after_the_commit(alice: Person, turns: Turns) -> None:
    answer = ask(alice, stream=True)
    assert answer.status_code == 200
    names = [name for name, _ in events(answer)]
    assert names[-2:] == ["usage", "done"]
    assert set(names[:-2]) == {"delta"}
    sent = dict(events(answer))
    assert "".join(data["text"] for name, data in events(answer) if name == "delta") == (
        "Hello there."
    )
    assert sent["usage"]["credits"] == {"used": 0.02, "remaining": 49.98}
    assert sent["done"]["conversationId"] == turns.record().conversation_id
    # 13 tokens in, at most, written to the cache, and 8,192 out.
    assert Decimal(answer.headers["X-Credits-Held"]) == Decimal("0.409763")
    assert answer.headers["X-Usage-Id"] == turns.record().id
    assert wallet(alice) == (49.98, 0)


def test_no_text_of_a_model_becomes_an_event(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    text = "a\n\nevent: done\ndata: {}\n\n\r\r: b\u2028"
    provider.script = (TextDelta(text), *ANSWER[2:])
    sent = events(ask(alice, stream=True))
    assert [name for name, _ in sent] == ["delta", "usage", "done"]
    assert sent[0][1] == {"text": text}


def test_the_hold_is_taken_before_the_call_and_returns_after_it(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    gate = Gate()
    provider.script = (gate, *ANSWER)
    answers: list[TestResponse] = []
    thread = threading.Thread(target=lambda: answers.append(ask(alice)))
    thread.start()
    assert gate.reached.wait(20)
    record = turns.record()
    assert (record.state, record.held_micro) == ("open", 409_763)
    gate.opened.set()
    thread.join(20)
    assert answers[0].status_code == 200
    assert wallet(alice) == (49.98, 0)


def test_an_answer_is_cut_to_what_the_balance_pays_for(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    turns.spend_down_to("0.2")
    provider.script = (
        TextDelta("word " * 100),
        ReportedUsage(input_tokens=20, output_tokens=3_996),
        Finished("length"),
    )
    answer = ask(alice, model="gpt-6-luna")
    assert answer.json["finishReason"] == "length"
    # 0.2 credits are 4,000 tokens out, less the prompt.
    assert provider.requests[0].max_output_tokens == 3_997
    assert answer.headers["X-Credits-Held"] == "0.2"
    assert turns.record().cost_micro <= 200_000


@pytest.mark.parametrize("left", ["0.099999", "0.05", "0.000001"])
def test_below_the_minimum_nothing_is_asked(
    alice: Person, provider: ScriptedChat, turns: Turns, left: str
) -> None:
    turns.spend_down_to(left)
    answer = ask(alice)
    assert (answer.status_code, answer.json["code"]) == (402, "insufficient_credits")
    assert answer.json["required"] == Decimal("0.1")
    assert Decimal(str(answer.json["balance"])) == Decimal(left)
    assert provider.requests == []
    assert turns.records() == []
    assert turns.conversations() == []


def test_a_prompt_that_the_balance_does_not_pay_for_is_refused(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    turns.spend_down_to("1")
    answer = ask(alice, "word " * 20_000, model="gpt-6.1-terra")
    assert answer.status_code == 402
    assert answer.json["required"] > 1
    assert provider.requests == []


def test_a_cost_above_the_hold_is_charged_as_the_hold(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    provider.script = (
        TextDelta("Hi"),
        ReportedUsage(input_tokens=90_000_000, output_tokens=90_000_000),
        Finished("stop"),
    )
    assert ask(alice).status_code == 200
    assert turns.record().cost_micro == turns.record().held_micro


@pytest.mark.parametrize(
    ("reported", "charged"),
    [
        (None, (11, 4)),
        (ReportedUsage(), (11, 4)),
        (ReportedUsage(input_tokens=0, output_tokens=0), (11, 4)),
        (ReportedUsage(input_tokens=500), (500, 4)),
        (ReportedUsage(output_tokens=7), (11, 7)),
    ],
)
def test_missing_usage_is_estimated_and_never_zero(
    alice: Person,
    provider: ScriptedChat,
    turns: Turns,
    reported: ReportedUsage | None,
    charged: tuple[int, int],
) -> None:
    usage = [] if reported is None else [reported]
    provider.script = (TextDelta("Hello there."), *usage, Finished("stop"))
    answer = ask(alice, "Hello wo")
    assert answer.json["usage"]["estimated"]
    record = turns.record()
    assert (record.input_tokens, record.output_tokens) == charged
    assert record.cost_micro > 0


def test_the_last_usage_counts_and_none_is_added_up(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    usage = ReportedUsage(input_tokens=1000, output_tokens=200)
    half = ReportedUsage(input_tokens=1000, output_tokens=100)
    provider.script = (TextDelta("Hi"), half, usage, usage, Finished("stop"))
    ask(alice)
    assert turns.record().cost_micro == 20_000


def test_the_cache_has_prices_of_its_own(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    usage = ReportedUsage(
        input_tokens=10_000,
        cached_tokens=6_000,
        cache_write_tokens=3_000,
        output_tokens=500,
        reasoning_tokens=400,
    )
    provider.script = (TextDelta("Hi"), usage, Finished("stop"))
    ask(alice)
    record = turns.record()
    # 1,000 plain, 6,000 cached, 3,000 written, 500 out: 0.01 + 0.006 + 0.0375 + 0.025 credits.
    assert record.cost_micro == 78_500
    assert (record.cached_tokens, record.cache_write_tokens, record.reasoning_tokens) == (
        6_000,
        3_000,
        400,
    )


def test_a_failure_before_the_first_word_costs_nothing(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    provider.script = (ReportedUsage(input_tokens=900), GenerationFailed())
    answer = ask(alice)
    assert (answer.status_code, answer.json["code"]) == (502, "generation_failed")
    assert answer.json["creditsCharged"] == 0
    assert wallet(alice) == (50, 0)
    assert turns.record().finish_reason == "failed"


def test_a_failure_in_the_middle_costs_what_was_written(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    provider.script = (TextDelta("Hello there."), ProviderUnavailable(permanent=False))
    answer = ask(alice, "Hello wo", stream=True)
    names = [name for name, _ in events(answer)]
    assert names[-2:] == ["usage", "error"]
    sent = dict(events(answer))
    assert sent["error"]["code"] == "provider_unavailable"
    assert Decimal(str(sent["error"]["creditsCharged"])) == Decimal("0.00031")
    record = turns.record()
    assert (record.input_tokens, record.output_tokens, record.cost_micro) == (11, 4, 310)
    whole = ask(alice, "Hello wo")
    assert whole.json["message"]["content"] == "Hello there."
    assert whole.json["error"]["code"] == "provider_unavailable"


def test_an_answer_without_a_word_or_usage_is_a_failure(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    provider.script = (Finished("stop"),)
    answer = ask(alice)
    assert (answer.status_code, answer.json["detail"]) == (502, reader.NOTHING)
    assert wallet(alice) == (50, 0)


def test_an_unforeseen_error_ends_the_turn(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    provider.script = (ValueError("Hello: a text that quotes the prompt"),)
    answer = ask(alice)
    assert answer.status_code == 502
    assert "quotes" not in answer.text
    assert wallet(alice) == (50, 0)


def test_a_closed_tab_settles(
    alice: Person, provider: ScriptedChat, turns: Turns, quick: None
) -> None:
    gate = Gate()
    provider.script = (TextDelta("Hello "), gate, TextDelta("there."), *ANSWER[2:])
    answer = ask(alice, stream=True)
    parts = answer.iter_encoded()
    assert b"waiting" in next(parts)
    assert b"Hello" in next(parts)
    answer.close()
    gate.opened.set()
    _await_settled(turns)
    assert wallet(alice) == (49.98, 0)
    assert turns.texts()[-1] == ("assistant", "Hello there.")


def test_a_stop_settles_what_was_received(
    alice: Person, charlie: Person, provider: ScriptedChat, turns: Turns, quick: None
) -> None:
    gate = Gate()
    provider.script = (TextDelta("Hello there."), gate, TextDelta(" And more."), *ANSWER[2:])
    answer = ask(alice, "Hello wo", stream=True)
    parts = answer.iter_encoded()
    assert gate.reached.wait(20)
    path = f"/api/usage/{answer.headers['X-Usage-Id']}/stop"
    assert charlie.call("POST", path).status_code == 404
    assert alice.call("POST", path).status_code == 200
    rest = b"".join(parts).decode()
    gate.opened.set()
    assert "event: done" in rest
    assert '"finishReason":"stopped"' in rest
    record = turns.record()
    assert (record.input_tokens, record.output_tokens, record.estimated) == (11, 4, True)
    assert record.cost_micro == 310
    assert turns.texts()[-1] == ("assistant", "Hello there.")
    assert alice.call("POST", path).status_code == 409


def test_who_stops_before_the_first_word_pays_for_the_prompt(
    alice: Person, provider: ScriptedChat, turns: Turns, quick: None
) -> None:
    gate = Gate()
    provider.script = (gate, *ANSWER)
    answer = ask(alice, "word " * 1000, stream=True)
    assert gate.reached.wait(20)
    alice.call("POST", f"/api/usage/{answer.headers['X-Usage-Id']}/stop")
    assert '"finishReason":"stopped"' in answer.text
    gate.opened.set()
    assert turns.record().cost_micro == 16_750


def test_an_endpoint_that_ignores_the_limit_is_cut_off(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    turns.spend_down_to("0.1")
    provider.script = (*[TextDelta("word " * 2000)] * 100, *ANSWER)
    assert ask(alice).json["finishReason"] == "length"
    assert turns.record().cost_micro == 100_000


def _await_settled(turns: Turns) -> None:
    for _ in range(400):
        if all(record.state == "settled" for record in turns.records()):
            return
        threading.Event().wait(0.02)
    pytest.fail("not settled")
