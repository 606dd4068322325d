"""Choices of a caller below ``/v1``: what each vendor is sent of them, and what it is not."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.app_factory import Person
from tests.chat.test_fault_table import connect, fake_of
from tests.openai_shape.shop import V1Program

MESSAGES = [{"role": "user", "content": "Hello"}]
CHOSEN: Any = {
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
    "seed": 7,
    "frequency_penalty": 1,
    "presence_penalty": -0.5,
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
    "verbosity": "low",
}


def test_openai_is_sent_every_choice(app: Flask, alice: Person) -> None:
    with fake_of("openai") as fake:
        connect(app, "openai", fake)
        body = {"model": "gpt-6-luna", "messages": MESSAGES, **CHOSEN, "max_tokens": 50}
        answer = V1Program(alice).post("chat/completions", body)
        assert answer.status_code == 200, answer.text
    (call,) = fake.calls
    assert call.body == {
        "model": "gpt-6-luna",
        "messages": MESSAGES,
        "max_completion_tokens": 50,
        "service_tier": "default",
        "stream": True,
        "stream_options": {"include_usage": True},
        **CHOSEN,
    }


def test_anthropic_is_sent_what_it_takes_by_its_own_names(app: Flask, alice: Person) -> None:
    with fake_of("anthropic") as fake:
        connect(app, "anthropic", fake)
        program = V1Program(alice)
        model = _model_of(program, "anthropic")
        body = {"model": model, "messages": MESSAGES, "temperature": 1, "stop": "END", "top_p": 0.5}
        assert program.post("chat/completions", body).status_code == 200
        for name in CHOSEN.keys() - {"temperature", "top_p", "stop"}:
            refused = {**body, name: CHOSEN[name]}
            error = program.refused(400, "unsupported_parameter", "chat/completions", refused)
            assert error["param"] == name
        hot = {**body, "temperature": 1.5}
        error = program.refused(400, "unsupported_parameter", "chat/completions", hot)
        assert error["param"] == "temperature"
    (call,) = fake.calls
    assert call.body["stop_sequences"] == ["END"]
    assert (call.body["temperature"], call.body["top_p"]) == (1, 0.5)
    assert "stop" not in call.body


def _model_of(program: V1Program, vendor: str) -> str:
    headers = {"Authorization": f"Bearer {program.key}"}
    listed: Any = program.app.test_client().get("/v1/models", headers=headers).json
    return next(each["id"] for each in listed["data"] if each["owned_by"] == vendor)


@pytest.mark.parametrize("changed", ["temperature", "max_tokens"])
def test_a_repeated_key_with_another_choice_is_another_request(alice: Person, changed: str) -> None:
    program = V1Program(alice)
    body = {"model": "gpt-6-luna", "messages": MESSAGES, "temperature": 0.5, "max_tokens": 50}
    assert program.post("chat/completions", body, "once").status_code == 200
    other = {**body, changed: 1}
    program.refused(409, "idempotency_key_reused", "chat/completions", other, "once")
