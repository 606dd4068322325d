"""The requests that vendors of chat get, and which of them a model's address gets."""

from __future__ import annotations

import pytest
from flask import Flask

from creditapp.catalog import load_catalog
from creditapp.catalog.models import LanguageModel
from creditapp.chat.providers import ChatMessage, ChatProviders, ChatRequest, Finished, TextDelta
from creditapp.generation.providers import ProviderUnavailable
from tests.app_factory import Person
from tests.chat.scripted import Turns
from tests.chat.test_fault_table import connect, fake_of
from tests.fakes.openai_chat_server import FakeOpenAIChat

MESSAGES = (
    ChatMessage("system", "Be brief."),
    ChatMessage("user", "One"),
    ChatMessage("assistant", "Two"),
    ChatMessage("user", "Three"),
)


def model_named(model_id: str, **changes: object) -> LanguageModel:
    model = load_catalog("studio").language_model(model_id)
    assert model is not None
    return model.model_copy(update=changes)


def test_openai_gets_the_conversation_and_the_limit(
    app: Flask, alice: Person, turns: Turns
) -> None:
    with fake_of("openai") as fake:
        connect(app, "openai", fake)
        body = {"messages": [{"role": each.role, "content": each.text} for each in MESSAGES]}
        assert alice.call("POST", "/api/chat", body).status_code == 200
    (call,) = fake.calls
    assert call.body == {
        "model": "gpt-6-luna",
        "messages": body["messages"],
        "max_completion_tokens": 8192,
        "service_tier": "default",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_anthropic_gets_the_instruction_apart(app: Flask, alice: Person, turns: Turns) -> None:
    with fake_of("anthropic") as fake:
        connect(app, "anthropic", fake)
        body = {"messages": [{"role": each.role, "content": each.text} for each in MESSAGES]}
        body["model"] = "claude-haiku-5-5"  # type: ignore[assignment]  # beside the messages
        assert alice.call("POST", "/api/chat", body).status_code == 200
    (call,) = fake.calls
    assert call.body == {
        "model": "claude-haiku-5-5",
        "system": "Be brief.",
        "messages": body["messages"][1:],
        "max_tokens": 16384,
        "stream": True,
    }


def test_another_endpoint_gets_the_older_name_of_the_limit() -> None:
    with FakeOpenAIChat() as fake:
        entry = model_named(
            "gpt-6-luna", base_url=fake.base_url, provider_model="talk-1", parameters={}
        )
        route = ChatProviders({"OPENAI_API_KEY": fake.key}, offline=False).require(entry)
        request = ChatRequest(messages=MESSAGES, max_output_tokens=100)
        with pytest.raises(Exception, match="does not take this conversation"):
            list(route.stream(request))
    assert fake.calls[0].body["max_tokens"] == 100


def test_closing_the_stream_closes_the_connection() -> None:
    with FakeOpenAIChat() as fake:
        values = {"OPENAI_API_KEY": fake.key, "OPENAI_BASE_URL": fake.base_url}
        route = ChatProviders(values, offline=False).require(model_named("gpt-6-luna"))
        fake.fail("hang")
        stream = route.stream(ChatRequest(messages=MESSAGES, max_output_tokens=100))
        assert isinstance(next(stream), TextDelta)
        stream.close()  # type: ignore[attr-defined]  # it is a generator
        assert list(stream) == []


@pytest.mark.parametrize("name", ["gpt-6-luna", "GPT-6-Luna-2026-09-01", "openai/gpt-6-luna", None])
def test_a_version_of_the_model_is_the_same_model(name: str | None) -> None:
    from creditapp.chat.providers.answers import check_model

    check_model(name, "gpt-6-luna")


def test_a_model_without_key_or_adapter_is_a_demonstration_or_unavailable() -> None:
    google = model_named("gpt-6-luna", provider="google", key_env="GEMINI_API_KEY")
    for entry in (model_named("claude-haiku-5-5"), google):
        with pytest.raises(ProviderUnavailable):
            ChatProviders({"OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k"}, offline=False).require(
                entry
            )
        route = ChatProviders({}, offline=True).require(entry)
        assert route.preview
        request = ChatRequest(messages=MESSAGES, max_output_tokens=100)
        assert list(route.stream(request))[-1] == Finished("stop")
        short = ChatRequest(messages=MESSAGES, max_output_tokens=4)
        assert list(route.stream(short))[-1] == Finished("length")


def test_a_key_is_in_no_text() -> None:
    values = {"OPENAI_API_KEY": "sk-secret", "ANTHROPIC_API_KEY": "sk-secret"}
    providers = ChatProviders(values, offline=False)
    for model_id in ("gpt-6-luna", "claude-haiku-5-5"):
        route = providers.require(model_named(model_id))
        assert "sk-secret" not in repr(route)
    assert "sk-secret" not in repr(providers)
    assert "Three" not in repr(MESSAGES)
