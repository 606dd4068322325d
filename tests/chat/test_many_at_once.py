"""Many questions at once: the balance pays for all that were answered, and nothing is overdrawn."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from creditapp.chat import ChatSlots
from creditapp.chat.providers import Finished, ReportedUsage
from creditapp.generation.moderation import Moderation, ModerationUnavailable, PromptNotAllowed
from creditapp.services import provide
from tests.app_factory import Person
from tests.chat.scripted import Gate, ScriptedChat, TextDelta, Turns, ask, wallet

AT_ONCE = 24


def test_questions_at_once_never_hold_more_than_there_is(
    app: Flask, alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    provide(app, ChatSlots, ChatSlots(threads=8 * AT_ONCE))
    turns.spend_down_to("1")
    gate = Gate()
    # 0.25 credits each: 25,000 tokens in.
    usage = ReportedUsage(input_tokens=25_000, output_tokens=0)
    provider.script = (gate, TextDelta("Hi"), usage, Finished("stop"))
    answers: list[TestResponse] = []
    people = [_same(app, alice) for _ in range(AT_ONCE)]
    threads = [
        threading.Thread(target=lambda person=person: answers.append(ask(person)))
        for person in people
    ]
    for thread in threads:
        thread.start()
    assert gate.reached.wait(20)
    for _ in range(200):
        if len(answers) + len(turns.records()) == AT_ONCE:
            break
        threading.Event().wait(0.02)
    assert sum(record.held_micro for record in turns.records()) <= 1_000_000
    gate.opened.set()
    for thread in threads:
        thread.join(20)
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {200: len(turns.records()), 402: AT_ONCE - len(turns.records())}
    # Each holds 0.41 credits, the third what is left, a fourth finds less than the minimum.
    assert len(turns.records()) == 3
    assert wallet(alice)[1] == 0
    assert 0 <= wallet(alice)[0] < 0.51


def _same(app: Flask, person: Person) -> Person:
    """Return another browser of the same session: a client is not used by two threads."""
    other = Person(app)
    for cookie in person.browser._cookies.values():
        other.browser._cookies[cookie._storage_key] = cookie
    return other


class Rules:
    """A moderation that refuses one word, or gives no answer."""

    asks = True

    def __init__(self) -> None:
        self.checked: list[str] = []

    def check(self, prompts: Sequence[str]) -> None:
        self.checked += prompts
        if "forbidden" in prompts:
            raise PromptNotAllowed("The moderation refused this prompt. Change it.")
        if "unanswered" in prompts:
            raise ModerationUnavailable


@pytest.mark.parametrize(
    ("question", "status", "code"),
    [("forbidden", 422, "prompt_rejected"), ("unanswered", 503, "moderation_unavailable")],
)
def test_the_moderation_is_asked_before_anything_is_held(
    app: Flask,
    alice: Person,
    provider: ScriptedChat,
    turns: Turns,
    question: str,
    status: int,
    code: str,
) -> None:
    rules = Rules()
    provide(app, Moderation, rules)
    answer = ask(alice, question)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert turns.records() == []
    assert provider.requests == []
    assert ask(alice, "allowed", headers={"Idempotency-Key": "k"}).status_code == 200
    assert ask(alice, "allowed", headers={"Idempotency-Key": "k"}).status_code == 200
    assert rules.checked == [question, "allowed"], "a repeated request is not checked again"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/summarize", {"text": "forbidden"}),
        ("/api/embeddings", {"input": ["allowed", "forbidden"]}),
        (
            "/api/agent",
            {
                "messages": [
                    {"role": "system", "content": "forbidden"},
                    {"role": "user", "content": "allowed"},
                ]
            },
        ),
    ],
)
def test_a_refused_text_costs_nothing_wherever_it_is_sent(
    app: Flask,
    alice: Person,
    provider: ScriptedChat,
    turns: Turns,
    path: str,
    body: dict[str, object],
) -> None:
    rules = Rules()
    provide(app, Moderation, rules)
    refused = alice.call("POST", path, body)
    assert (refused.status_code, refused.json["code"]) == (422, "prompt_rejected")
    assert refused.json["creditsCharged"] == 0
    assert turns.records() == []
    assert provider.requests == []
    assert wallet(alice) == (50, 0)


def test_repeated_embeddings_are_not_checked_again(
    app: Flask, alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    rules = Rules()
    provide(app, Moderation, rules)
    for _ in range(2):
        answer = alice.call(
            "POST", "/api/embeddings", {"input": "allowed"}, **{"Idempotency-Key": "k"}
        )
        assert answer.status_code == 200
    assert rules.checked == ["allowed"]
