"""Credits below ``/v1``: held before, charged once, never beyond a balance or a budget."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from creditapp.chat import exchanges
from creditapp.chat import recovery as chat_recovery
from creditapp.clock import StoppedClock
from creditapp.db import transaction
from creditapp.generation.providers import GenerationFailed
from creditapp.media import Link
from creditapp.media.files import FileMedia
from tests.app_factory import Person
from tests.chat.scripted import ANSWER, ScriptedChat, Turns, wallet
from tests.generation.studio import Scripted
from tests.openai_shape.shop import (
    CHAT,
    IMAGE,
    SPEECH,
    TEXTS,
    V1Program,
    at_once,
    content_of,
    events,
    png,
)

pytestmark = pytest.mark.databases("sqlite", "postgresql")


def test_images_that_the_balance_does_not_pay_are_refused_before_anything_runs(
    program: V1Program, alice: Person, images: Scripted, turns: Turns
) -> None:
    turns.spend_down_to("1.9")
    error = program.refused(402, "insufficient_credits", "images/generations", {**IMAGE, "n": 4})
    assert (error["type"], error["param"]) == ("insufficient_quota", None)
    assert (error["required"], float(error["balance"])) == (2, 1.9)
    assert error["packsUrl"] == "/credits"
    program.refused(
        402, "insufficient_credits", "images/generations", {**IMAGE, "n": 4, "stream": True}
    )
    assert images.calls == 0
    assert wallet(alice) == (1.9, 0)


def test_an_answer_is_cut_to_what_the_balance_pays(
    program: V1Program, alice: Person, chats: ScriptedChat, turns: Turns
) -> None:
    turns.spend_down_to("0.2")
    answer = program.post("chat/completions", {**CHAT, "max_tokens": 8000})
    assert answer.status_code == 200
    assert Decimal(answer.headers["X-Credits-Held"]) <= Decimal("0.2")
    # 0.05 credits for a thousand tokens written.
    assert chats.requests[0].max_output_tokens < 4000


def test_below_the_least_balance_nothing_is_asked(
    program: V1Program, alice: Person, chats: ScriptedChat, turns: Turns
) -> None:
    turns.spend_down_to("0.05")
    for body in (CHAT, {**CHAT, "stream": True}):
        program.refused(402, "insufficient_credits", "chat/completions", body)
    program.refused(402, "insufficient_credits", "embeddings", TEXTS)
    assert chats.requests == []
    assert wallet(alice) == (0.05, 0)


def test_the_callers_limit_of_an_answer_bounds_the_hold(
    program: V1Program, chats: ScriptedChat
) -> None:
    answer = program.post("chat/completions", {**CHAT, "max_completion_tokens": 100})
    assert chats.requests[0].max_output_tokens == 100
    # A hundred tokens written are 0.005 credits.
    assert Decimal(answer.headers["X-Credits-Held"]) < Decimal("0.01")
    program.post("chat/completions", {**CHAT, "max_tokens": 1})
    assert chats.requests[1].max_output_tokens == 1


def test_the_most_that_a_request_may_cost_is_kept(program: V1Program, images: Scripted) -> None:
    error = program.refused(
        402, "max_credits_exceeded", "images/generations", {**IMAGE, "n": 3, "maxCredits": 1}
    )
    assert (error["required"], error["limit"]) == (1.5, 1)
    answer = program.post("images/generations", IMAGE, X_Max_Credits="0.4")
    assert answer.status_code == 402
    assert images.calls == 0


def test_a_field_that_a_form_has_twice_or_as_a_text_orders_nothing(
    program: V1Program, alice: Person, images: Scripted
) -> None:
    """The first of two would count, and a program may mean the second."""
    for name, texts in (("n", ["1", "4"]), ("maxCredits", ["9", "0.1"]), ("prompt", ["a", "a"])):
        answer = program.edit([("a.png", png())], **{name: texts})
        error = answer.json["error"]  # type: ignore[index]  # checked by the document
        assert (answer.status_code, error["code"]) == (400, "malformed_request")
        assert f'"{name}" twice' in error["message"]
    for fields in ({"image": "a text"}, {"maxCredits": "1_0"}, {"maxCredits": "0"}):
        answer = program.edit([("a.png", png())], **fields)
        assert answer.status_code == 422, answer.text
        assert answer.json["error"]["param"] == next(iter(fields))  # type: ignore[index]
    assert program.edit([("a.png", png())], maxCredits="0.1").status_code == 402
    assert images.calls == 0
    assert wallet(alice) == (50, 0)


def test_a_key_over_its_budget_buys_nothing(alice: Person, program: V1Program) -> None:
    poor = V1Program(alice, budget={"amount": 1, "period": "day"})
    assert poor.post("images/generations", {**IMAGE, "n": 2}).status_code == 200
    error = poor.refused(402, "budget_exceeded", "images/generations", IMAGE)
    assert error["limit"] == 1
    assert error["resetAt"]
    poor.refused(402, "budget_exceeded", "chat/completions", CHAT)
    poor.refused(402, "budget_exceeded", "audio/speech", SPEECH)
    assert wallet(alice) == (49, 0)


def test_a_key_makes_what_its_models_make_and_lists_no_other(
    alice: Person, program: V1Program
) -> None:
    narrow = V1Program(alice, models=["nano-banana", "text-embedding-3-small"])
    assert narrow.post("images/generations", IMAGE).status_code == 200
    assert narrow.post("embeddings", TEXTS).status_code == 200
    for path, body in (
        ("images/generations", {**IMAGE, "model": "flux-dev"}),
        ("chat/completions", CHAT),
        ("audio/speech", SPEECH),
    ):
        error = narrow.refused(403, "forbidden", path, body)
        assert error["type"] == "permission_error"
    headers = {"Authorization": f"Bearer {narrow.key}"}
    listed = alice.app.test_client().get("/v1/models", headers=headers).json
    assert listed is not None
    assert [each["id"] for each in listed["data"]] == ["nano-banana", "text-embedding-3-small"]


def test_eight_calls_at_once_never_pass_the_budget_of_their_key(
    alice: Person, program: V1Program, images: Scripted
) -> None:
    poor = V1Program(alice, budget={"amount": 2, "period": "all"})
    answers = at_once(8, lambda _: poor.post("images/generations", IMAGE)).values()
    assert Counter(answer.status_code for answer in answers) == {200: 4, 402: 4}
    assert images.calls == 4
    assert wallet(alice) == (48, 0)


@pytest.mark.parametrize(
    ("path", "body", "cost"),
    [
        ("images/generations", {**IMAGE, "n": 2}, "1"),
        ("images/generations", {**IMAGE, "stream": True}, "0.5"),
        ("chat/completions", CHAT, "0.02"),
        ("chat/completions", {**CHAT, "stream": True}, "0.02"),
        ("audio/speech", SPEECH, "1"),
        ("embeddings", TEXTS, None),
    ],
    ids=["images", "image stream", "chat", "chat stream", "speech", "embeddings"],
)
def test_the_same_key_pays_once_and_gives_the_same_answer(
    program: V1Program, alice: Person, path: str, body: Any, cost: str | None
) -> None:
    first = program.post(path, body, "once")
    assert first.status_code == 200, first.text
    paid = wallet(alice)
    assert cost is None or paid == (50 - float(cost), 0)
    second = program.post(path, body, "once")
    assert second.status_code == 200, second.text
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    if "X-Credits-Cost" in first.headers:
        assert second.headers["X-Credits-Cost"] == first.headers["X-Credits-Cost"]
    assert content_of(second) == content_of(first)
    assert wallet(alice) == paid
    named = "input" if "input" in body else "prompt" if "prompt" in body else "messages"
    other = {**body, named: [{"role": "user", "content": "x"}] if named == "messages" else "x"}
    program.refused(409, "idempotency_key_reused", path, other, "once")
    assert wallet(alice) == paid


def test_a_key_belongs_to_its_route_and_an_edit_is_recognised_by_its_files(
    program: V1Program, alice: Person, images: Scripted
) -> None:
    first = program.edit([("a.png", png())], "once")
    assert first.status_code == 200, first.text
    second = program.edit([("a.png", png())], "once")
    assert second.headers["Idempotent-Replayed"] == "true"
    assert first.data == second.data
    assert images.calls == 1
    assert program.post("images/generations", IMAGE, "once").status_code == 200
    assert wallet(alice) == (48.5, 0)


def test_eight_requests_with_one_key_pay_once(
    program: V1Program, alice: Person, images: Scripted
) -> None:
    answers = at_once(8, lambda _: program.post("images/generations", IMAGE, "once")).values()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.data for answer in answers}) == 1
    assert images.calls == 1
    assert wallet(alice) == (49.5, 0)


def test_a_failure_costs_nothing_and_is_not_repeated_by_the_client(
    program: V1Program, alice: Person, images: Scripted, chats: ScriptedChat
) -> None:
    images.script = [GenerationFailed()]
    error = program.refused(502, "generation_failed", "images/generations", IMAGE)
    assert (error["type"], error["creditsCharged"]) == ("server_error", 0)
    assert error["generationId"].startswith("gen_")
    answer = program.post("images/generations", IMAGE)
    assert answer.headers["x-should-retry"] == "false"
    (event,) = events(program.post("images/generations", {**IMAGE, "stream": True}))
    assert event["error"]["code"] == "generation_failed"
    chats.script = [GenerationFailed()]
    program.refused(502, "generation_failed", "chat/completions", CHAT)
    program.refused(502, "generation_failed", "embeddings", TEXTS)
    *_, last = events(program.post("chat/completions", {**CHAT, "stream": True}))
    assert last["error"]["code"] == "generation_failed"
    assert wallet(alice) == (50, 0)


def test_fewer_images_than_ordered_cost_what_came(
    program: V1Program, alice: Person, images: Scripted
) -> None:
    images.script = [None, None, GenerationFailed()]
    answer = program.post("images/generations", {**IMAGE, "n": 4})
    assert answer.json is not None
    assert len(answer.json["data"]) == 2
    assert answer.json["credits"] == {"used": 1, "remaining": 49}
    assert wallet(alice) == (49, 0)


def test_an_answer_that_breaks_off_ends_with_length_and_costs_what_came(
    program: V1Program, chats: ScriptedChat, turns: Turns
) -> None:
    chats.script = [*ANSWER[:2], GenerationFailed()]
    answer = program.post("chat/completions", CHAT)
    assert answer.json is not None
    (choice,) = answer.json["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello there.", "length")
    assert answer.json["credits"]["used"] > 0
    body = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    *_, usage, error = events(program.post("chat/completions", body))
    assert usage["credits"]["used"] > 0
    assert error["error"]["creditsCharged"] == usage["credits"]["used"]


def test_no_conversation_is_stored_and_an_answer_only_for_its_key(
    program: V1Program, turns: Turns
) -> None:
    program.post("chat/completions", CHAT)
    program.post("chat/completions", CHAT, "once")
    plain, keyed = turns.records()
    assert (plain.source, plain.conversation_id, plain.answer) == ("chat", None, None)
    assert (keyed.source, keyed.conversation_id, keyed.answer) == ("chat", None, "Hello there.")
    assert turns.conversations() == []
    assert turns.texts() == []


def test_what_was_written_before_a_crash_is_charged(
    program: V1Program, chats: ScriptedChat, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.post("chat/completions", CHAT)
    # As the row is while a process dies in the middle.
    (record,) = turns.records()
    turns.change(state="open", settled_at=None, answer="Hello", finish_reason=None, cost_micro=0)
    seen = []
    monkeypatch.setattr(chat_recovery, "settle", lambda *args, **_more: seen.append(args))
    turns.lapse()
    (_, ending) = seen[0]
    assert ending.text == "Hello"
    assert ending.is_charged
    turns.change(state="settled", settled_at=record.settled_at, cost_micro=record.cost_micro)


def test_the_address_of_a_file_in_a_bucket_is_a_signed_link(
    program: V1Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def location(_self: object, key: str, _disposition: str) -> Link:
        return Link(url=f"https://bucket.example/{key}?signature=x", fresh_seconds=60)

    body = {**IMAGE, "response_format": "url"}
    own = program.post("images/generations", body, "once")
    assert own.json is not None
    assert "/media/ast_" in own.json["data"][0]["url"]
    monkeypatch.setattr(FileMedia, "location", location)
    signed = program.post("images/generations", body, "once")
    assert signed.json is not None
    assert signed.json["data"][0]["url"].startswith("https://bucket.example/")


@pytest.mark.parametrize("by", ["age", "account"])
def test_a_kept_answer_is_forgotten_with_time_and_with_the_account(
    app: Flask, program: V1Program, turns: Turns, clock: StoppedClock, by: str
) -> None:
    assert program.post("chat/completions", CHAT, "once").status_code == 200
    (record,) = turns.records()
    with app.app_context(), transaction() as session:
        exchanges.forget_answers(session, before=clock.now())
    assert turns.record().answer == "Hello there."  # it is not older than that
    with app.app_context(), transaction() as session:
        if by == "age":
            exchanges.forget_answers(session, before=clock.now() + timedelta(seconds=1))
        else:
            exchanges.delete_all(session, record.user_id)
    assert turns.record().answer is None
    assert turns.record().cost_micro == record.cost_micro
    program.refused(404, "not_found", "chat/completions", CHAT, "once")
