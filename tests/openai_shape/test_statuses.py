"""Every status is the exception that OpenAI's client has for it, raised before a view or within."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest
from flask import Flask
from openai import OpenAI

from creditapp import chat
from creditapp.api.waiting import WaitingSlots
from creditapp.chat import ChatProviders
from creditapp.errors import AppError, Conflict, IdempotencyInProgress, RateLimited
from creditapp.generation.providers import (
    GenerationFailed,
    GenerationTimeout,
    KeyRefused,
    PromptRejected,
    ProviderUnavailable,
)
from creditapp.http import bearer
from creditapp.ledger import AccountFrozen
from creditapp.services import provide
from tests.app_factory import Person
from tests.openai_shape.shop import IMAGE, TEXTS, V1Program

TEXT: Any = TEXTS


@pytest.fixture
def client(app: Flask, alice: Person) -> OpenAI:
    """OpenAI's client on the app of this process; it repeats nothing."""
    transport = httpx2.WSGITransport(app=app, raise_app_exceptions=False)
    http = openai.DefaultHttpxClient(transport=transport)
    key = V1Program(alice).key
    return OpenAI(base_url="http://localhost/v1", api_key=key, max_retries=0, http_client=http)


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def embed(*_args: object, **_more: object) -> None:
        raise error

    monkeypatch.setattr(chat, "embed", embed)


@pytest.mark.parametrize(
    ("error", "kind", "retried", "retried_with_key"),
    [
        (RuntimeError("a secret"), openai.InternalServerError, False, True),
        (GenerationFailed(), openai.InternalServerError, False, False),
        (ProviderUnavailable(), openai.InternalServerError, False, True),
        (KeyRefused(), openai.InternalServerError, False, False),
        (GenerationTimeout(), openai.InternalServerError, False, True),
        (PromptRejected(), openai.UnprocessableEntityError, False, False),
        (RateLimited.after(7, "Later."), openai.RateLimitError, True, True),
        (IdempotencyInProgress(), openai.ConflictError, True, True),
        (Conflict("No."), openai.ConflictError, False, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_failure_has_its_class_and_says_whether_to_repeat(
    client: OpenAI,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    kind: type[openai.APIStatusError],
    retried: bool,
    retried_with_key: bool,
) -> None:
    fail_with(monkeypatch, error)
    for headers, expected in (({}, retried), ({"Idempotency-Key": "k"}, retried_with_key)):
        with pytest.raises(kind) as raised:
            client.embeddings.create(**TEXT, extra_headers=headers)
        answer = raised.value.response
        assert answer.headers["x-should-retry"] == ("true" if expected else "false")
        assert raised.value.code == (
            error.code if isinstance(error, AppError) else "internal_error"
        )
        assert "secret" not in answer.text
        if answer.status_code == 429 or isinstance(error, IdempotencyInProgress):
            assert int(answer.headers["Retry-After"]) in (2, 7)


def test_a_failure_before_the_view_is_in_the_envelope_too(
    client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(bearer, "_member_of_key", broken)
    with pytest.raises(openai.InternalServerError) as raised:
        client.models.list()
    assert raised.value.code == "internal_error"


def test_a_model_that_is_not_set_up_is_unavailable_and_listed_as_such(
    app: Flask, client: OpenAI
) -> None:
    provide(app, ChatProviders, ChatProviders({}, offline=False))
    with pytest.raises(openai.InternalServerError) as raised:
        client.embeddings.create(**TEXT)
    assert (raised.value.status_code, raised.value.code) == (503, "provider_unavailable")
    listed = {model.id: model.to_dict()["available"] for model in client.models.list()}
    assert listed["text-embedding-3-small"] is False
    assert listed["nano-banana"] is True


def test_lack_of_credits_and_of_slots(app: Flask, client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.images.generate(**IMAGE, extra_body={"maxCredits": 0.1})
    assert raised.value.status_code == 402
    slots = WaitingSlots(threads=4)
    provide(app, WaitingSlots, slots)
    assert slots.semaphore.acquire(blocking=False)
    with pytest.raises(openai.RateLimitError):
        client.images.generate(**IMAGE)


def test_any_of_the_accounts_refusals_is_one_of_permission(
    client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, AccountFrozen())
    with pytest.raises(openai.PermissionDeniedError) as raised:
        client.embeddings.create(**TEXT)
    assert raised.value.code == "account_frozen"
