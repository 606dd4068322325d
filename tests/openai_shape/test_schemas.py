"""Schemas of answers: the model reads them, so that they are held, charged and bounded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from creditapp.chat import ChatProviders
from creditapp.chat.providers import Finished, ReportedUsage, TextDelta
from creditapp.services import provide
from tests.app_factory import Person, member
from tests.chat.scripted import ScriptedChat
from tests.openai_shape.shop import CHAT, V1Program

pytestmark = pytest.mark.databases("sqlite", "postgresql")

TOKENS = 50_000
LONG = "a very long description " * 8_000
"""Has at most as many tokens as bytes, and these are more than ``TOKENS``."""


@pytest.fixture
def chats(app: Flask) -> ScriptedChat:
    """A vendor that read ``TOKENS`` and wrote two."""
    provider = ScriptedChat()
    usage = ReportedUsage(input_tokens=TOKENS, output_tokens=2)
    provider.script = (TextDelta("{}"), usage, Finished("stop"))
    provide(app, ChatProviders, provider)
    return provider


@pytest.fixture
def alice(app: Flask, chats: ScriptedChat) -> Person:
    """A member with 50 welcome credits."""
    assert not chats.requests
    return member(app, "alice")


def answering_with(schema: Any) -> Any:
    named = {"name": "answer", "schema": schema}
    return {
        **CHAT,
        "max_tokens": 16,
        "response_format": {"type": "json_schema", "json_schema": named},
    }


def cost_of(program: V1Program, body: Any) -> Decimal:
    answer = program.post("chat/completions", body)
    assert answer.status_code == 200, answer.text
    cost = Decimal(answer.headers["X-Credits-Cost"])
    assert cost <= Decimal(answer.headers["X-Credits-Held"])
    return cost


def test_a_long_schema_costs_as_much_as_a_long_message(alice: Person, chats: ScriptedChat) -> None:
    program = V1Program(alice)
    message = {"role": "user", "content": LONG}
    of_message = cost_of(program, {**CHAT, "max_tokens": 16, "messages": [message]})
    of_schema = cost_of(program, answering_with({"description": LONG}))
    assert of_schema == of_message > Decimal("0.4")
    sent = chats.requests[1]
    assert [each.text for each in sent.messages] == ["Hello"], "it is sent once, as an option"
    assert sent.options["response_format"]["json_schema"]["schema"]["description"] == LONG


def test_a_schema_that_the_balance_does_not_pay_is_refused(
    alice: Person, chats: ScriptedChat
) -> None:
    program = V1Program(alice)
    sent = {**answering_with({"description": LONG * 5}), "maxCredits": 0.2}
    program.refused(402, "max_credits_exceeded", "chat/completions", sent)
    program.refused(
        422, "validation_failed", "chat/completions", answering_with({"description": LONG * 20})
    )
    assert chats.requests == []


def test_fractions_in_a_schema_arrive_as_numbers(alice: Person, chats: ScriptedChat) -> None:
    program = V1Program(alice)
    cost_of(program, answering_with({"type": "number", "minimum": Decimal("0.5")}))
    schema = chats.requests[0].options["response_format"]["json_schema"]["schema"]
    assert schema == {"type": "number", "minimum": 0.5}
    assert type(schema["minimum"]) is float


@pytest.mark.parametrize("text", ["1e400", '"\\ud800"'])
def test_a_schema_that_cannot_be_sent_is_named(
    alice: Person, chats: ScriptedChat, text: str
) -> None:
    program = V1Program(alice)
    data = (
        '{"model": "gpt-6-luna", "messages": [{"role": "user", "content": "Hello"}],'
        ' "response_format": {"type": "json_schema", "json_schema": {"schema": {"a": '
        + text
        + "}}}}"
    )
    answer = program.app.test_client().post(
        "/v1/chat/completions",
        data=data,
        content_type="application/json",
        headers={"Authorization": f"Bearer {program.key}"},
    )
    assert answer.json is not None
    assert (answer.status_code, answer.json["error"]["code"]) == (422, "validation_failed")
    assert answer.json["error"]["param"].startswith("response_format")
    assert chats.requests == []


def test_no_depth_of_a_schema_breaks_the_server(alice: Person, chats: ScriptedChat) -> None:
    program = V1Program(alice)
    for depth in (*range(820, 1000, 12), 100_000):
        text = "[" * depth + "]" * depth
        data = (
            '{"model": "gpt-6-luna", "messages": [{"role": "user", "content": "Hello"}],'
            ' "response_format": {"type": "json_schema", "json_schema": {"a": ' + text + "}}}"
        )
        answer = program.app.test_client().post(
            "/v1/chat/completions",
            data=data,
            content_type="application/json",
            headers={"Authorization": f"Bearer {program.key}"},
        )
        assert answer.status_code in (200, 400, 422), (depth, answer.text)
