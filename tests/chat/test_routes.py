"""The routes paid by the token: conversations, repeated requests, bad input, each source."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from creditapp.chat import ChatProviders, ChatSlots
from creditapp.generation.providers import GenerationFailed
from creditapp.services import get, provide
from tests.api.contract import Program
from tests.app_factory import Person
from tests.chat.scripted import ANSWER, Gate, ScriptedChat, Turns, ask, events, wallet


@pytest.fixture
def api(alice: Person) -> Program:
    """Alice's program: every answer is checked against the OpenAPI document."""
    return Program(alice)


def body_of(text: str = "Hello", **members: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **members}


def test_a_conversation_goes_on_with_its_history(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    first = ask(alice, "Who are you?")
    conversation_id = first.json["conversationId"]
    second = ask(alice, "And now?", conversationId=conversation_id)
    assert second.json["conversationId"] == conversation_id
    assert [(each.role, each.text) for each in provider.requests[1].messages] == [
        ("user", "Who are you?"),
        ("assistant", "Hello there."),
        ("user", "And now?"),
    ]
    (conversation,) = turns.conversations()
    assert (conversation.title, conversation.length) == ("Who are you?", 4)


def test_an_answer_that_failed_is_not_in_the_history(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    provider.script = (GenerationFailed(),)
    assert ask(alice, "One").status_code == 502
    (conversation,) = turns.conversations()
    provider.script = ANSWER
    ask(alice, "Two", conversationId=conversation.id)
    assert [each.text for each in provider.requests[1].messages] == ["One", "Two"]


@pytest.mark.parametrize("known", ["theirs", "cnv_00000000000000000000000000", "../", "a\0b", ""])
def test_a_conversation_of_somebody_else_is_not_found(
    alice: Person, charlie: Person, provider: ScriptedChat, turns: Turns, known: str
) -> None:
    theirs = ask(charlie).json["conversationId"]
    answer = ask(alice, conversationId=theirs if known == "theirs" else known)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert len(provider.requests) == 1
    assert wallet(alice) == (50, 0)


def test_a_second_question_waits_for_the_answer_to_the_first(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    conversation_id = ask(alice).json["conversationId"]
    gate = Gate()
    provider.script = (gate, *ANSWER)
    stream = ask(alice, stream=True, conversationId=conversation_id)
    assert gate.reached.wait(20)
    answer = ask(alice, conversationId=conversation_id)
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    gate.opened.set()
    assert "event: done" in stream.text


def test_a_repeated_request_gets_the_same_answer_and_pays_once(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    key = {"Idempotency-Key": "k1"}
    first = ask(alice, headers=key)
    again = ask(alice, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json == first.json
    # How an answer is sent is no part of what was asked.
    streamed = dict(events(ask(alice, stream=True, headers=key)))
    assert streamed["done"]["id"] == first.json["id"]
    other = ask(alice, "Other", headers=key)
    assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused")
    assert len(provider.requests) == 1
    assert wallet(alice) == (49.98, 0)


def test_two_requests_with_one_key_at_once_ask_once(
    app: Flask, alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    gate = Gate()
    provider.script = (gate, *ANSWER)
    key = {"Idempotency-Key": "k1"}
    answers: list[TestResponse] = []
    thread = threading.Thread(target=lambda: answers.append(ask(alice, headers=key)))
    thread.start()
    assert gate.reached.wait(20)
    second = ask(alice, headers=key)
    assert (second.status_code, second.json["code"]) == (409, "idempotency_in_progress")
    gate.opened.set()
    thread.join(20)
    assert answers[0].status_code == 200
    assert len(provider.requests) == 1


BAD_BODIES: list[tuple[dict[str, Any], str]] = [
    ({}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": [{"role": "user"}]}, "messages.0.content"),
    ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role"),
    ({"messages": [{"role": "user", "content": "  "}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": "a\0b"}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": "a" * 200_001}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": ["a"]}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": "a"}] * 501}, "messages"),
    ({"messages": [{"role": "assistant", "content": "a"}]}, "messages"),
    (body_of(stream="maybe"), "stream"),
    (body_of(conversationId=7), "conversationId"),
    (body_of(model="gpt-3"), "model"),
    (body_of(model=""), "model"),
    (body_of(model="text-embedding-3-small"), "model"),
]


@pytest.mark.parametrize(("body", "field"), BAD_BODIES)
def test_a_bad_body_names_its_field(
    api: Program, provider: ScriptedChat, turns: Turns, body: dict[str, Any], field: str
) -> None:
    problem = api.refused(422, "validation_failed", "POST", "/api/chat", body)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert provider.requests == []
    assert turns.records() == []


def test_a_lone_surrogate_is_refused(alice: Person, provider: ScriptedChat) -> None:
    answer = alice.browser.post(
        "/api/chat",
        data=rb'{"messages": [{"role": "user", "content": "a\ud800b"}]}',
        content_type="application/json",
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "messages.0.content")
    assert provider.requests == []


def test_a_megabyte_is_too_large(api: Program, provider: ScriptedChat) -> None:
    body = body_of("a" * 1024 * 1024)
    api.refused(413, "payload_too_large", "POST", "/api/chat", body)
    assert provider.requests == []


@pytest.mark.parametrize("depth", [50, 900, 100_000])
def test_a_body_of_any_depth_is_refused(alice: Person, provider: ScriptedChat, depth: int) -> None:
    for member in ("messages", "model", "conversationId", "type"):
        answer = alice.browser.post(
            "/api/chat",
            data=f'{{"{member}": {"[" * depth}{"]" * depth}}}',
            content_type="application/json",
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code in (400, 422), member
    assert provider.requests == []


@pytest.mark.parametrize("path", ["/api/chat", "/api/agent", "/api/summarize", "/api/embeddings"])
def test_a_guest_is_asked_to_sign_up(app: Flask, provider: ScriptedChat, path: str) -> None:
    answer = Person(app).call("POST", path, body_of(text="a", input="a"))
    assert (answer.status_code, answer.json["code"]) == (401, "authentication_required")
    assert provider.requests == []


def test_each_route_has_its_source_in_the_usage(api: Program, turns: Turns) -> None:
    assert api.call("POST", "/api/chat", body_of()).status_code == 200
    assert api.call("POST", "/api/agent", body_of()).status_code == 200
    assert api.call("POST", "/api/summarize", {"text": "A long text."}).status_code == 200
    assert api.call("POST", "/api/embeddings", {"input": "A text."}).status_code == 200
    page = api.get("/api/usage?limit=3")
    assert [item["source"] for item in page["items"]] == ["embeddings", "summarize", "agent"]
    assert page["items"][1]["cost"] == Decimal("0.02")
    rest = api.get(f"/api/usage?cursor={page['nextCursor']}")
    assert [item["source"] for item in rest["items"]] == ["chat"]
    history = api.get("/api/credits/transactions")["items"]
    assert [line["operation"] for line in history][:4] == [
        "embeddings",
        "summarize",
        "agent",
        "chat",
    ]


def test_agent_and_summarize_begin_with_an_instruction(
    alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    alice.call("POST", "/api/agent", body_of("Plan a trip"))
    alice.call("POST", "/api/summarize", {"text": "A long text."})
    for request, asked in zip(provider.requests, ("Plan a trip", "A long text."), strict=True):
        assert [each.role for each in request.messages] == ["system", "user"]
        assert request.messages[1].text == asked
    assert [role for role, _ in turns.texts()] == ["user", "assistant"] * 2


def test_embeddings_are_paid_by_their_tokens(
    api: Program, provider: ScriptedChat, turns: Turns
) -> None:
    key = {"Idempotency-Key": "k1"}
    body = {"input": ["One", "Two"]}
    answer = api.call("POST", "/api/embeddings", body, **key)
    assert [each["embedding"] for each in answer.json["data"]] == [
        [Decimal("0.5"), 0],
        [Decimal("0.5"), 1],
    ]
    assert answer.headers["X-Credits-Cost"] == "0.000028"
    again = api.call("POST", "/api/embeddings", body, **key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["data"] == answer.json["data"]
    problem = api.call("POST", "/api/embeddings", {"input": "Other"}, **key)
    assert problem.json["code"] == "idempotency_key_reused"
    assert len(provider.requests) == 1
    provider.script = (GenerationFailed(),)
    failed = api.call("POST", "/api/embeddings", body, **{"Idempotency-Key": "k2"})
    assert (failed.status_code, failed.json["creditsCharged"]) == (502, 0)
    provider.script = ANSWER
    assert api.call("POST", "/api/embeddings", body, **{"Idempotency-Key": "k2"}).status_code == 200


def test_a_server_that_reads_enough_answers_refuses_the_next(
    app: Flask, alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    with app.app_context():
        provide(app, ChatSlots, ChatSlots(threads=4))
        slots = get(ChatSlots)
    slots.take("bob")
    slots.take("carol")
    answer = ask(alice)
    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert answer.headers["Retry-After"] == "5"
    slots.free("bob")
    assert ask(alice).status_code == 200
    assert ask(alice).status_code == 200, "an ended turn gives its slot back"


def test_one_member_has_at_most_half_of_the_slots(
    app: Flask, alice: Person, provider: ScriptedChat, turns: Turns
) -> None:
    with app.app_context():
        provide(app, ChatSlots, ChatSlots(threads=16))
        slots = get(ChatSlots)
    assert ask(alice).status_code == 200
    member_id = turns.record().user_id
    slots.take(member_id)
    slots.take(member_id)
    answer = ask(alice)
    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert "your other answers" in answer.json["detail"]
    slots.take("bob")
    slots.free(member_id)
    assert ask(alice).status_code == 200


def test_without_a_key_a_demonstration_answers_and_says_so(
    app: Flask, alice: Person, turns: Turns
) -> None:
    provide(app, ChatProviders, ChatProviders({}, offline=True))
    answer = ask(alice, "One two three")
    assert answer.json["preview"] is True
    assert answer.json["message"]["content"] == (
        "This is a demonstration: no language model is set up on this server. "
        "Your message has 3 words: “One two three” The conversation has 1 message so far."
    )
    assert answer.json["credits"]["used"] > 0
    vectors = alice.call("POST", "/api/embeddings", {"input": ["a", "a", "b"]}).json["data"]
    assert vectors[0]["embedding"] == vectors[1]["embedding"] != vectors[2]["embedding"]
    record = turns.records()[0]
    assert (record.provider, record.preview) == ("offline", True)


def test_in_production_a_model_without_a_key_is_unavailable(
    app: Flask, alice: Person, turns: Turns
) -> None:
    provide(app, ChatProviders, ChatProviders({}, offline=False))
    for path, body in (("/api/chat", body_of()), ("/api/embeddings", {"input": "a"})):
        answer = alice.call("POST", path, body)
        assert (answer.status_code, answer.json["code"]) == (503, "provider_unavailable")
    assert turns.records() == []
    assert wallet(alice) == (50, 0)
