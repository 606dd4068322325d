"""Hostile bodies: never a 500, and never a charge without an image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from creditapp.chat import ChatProviders, UsageRecord
from creditapp.chat.providers import TextDelta
from creditapp.db import snapshot
from creditapp.generation.models import Asset, Generation
from creditapp.generation.operations import OPERATIONS
from creditapp.services import provide
from tests.api.contract import Document
from tests.app_factory import Person
from tests.chat.scripted import ANSWER, ScriptedChat
from tests.generation.orders import ORDERS
from tests.generation.studio import Scripted, Studio
from tests.generation.test_submit import change_wallet

ALLOWED = {200, 202, 400, 401, 402, 404, 409, 413, 415, 422, 429, 502, 503, 504}

texts = st.text(max_size=60) | st.sampled_from(
    ["", "a quay", "x" * 4001, "\ud800", "\x00", "1024x1024", "16:9", "../../etc/passwd"]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
models = st.sampled_from(
    [*("nano-banana", "flux-dev", "gpt-image", "nano-banana-pro", "gemini-flash", "none")]
)
images = st.fixed_dictionaries(
    {"prompt": texts | st.just("a quay")},
    optional={
        "model": models | anything,
        "aiModel": models | anything,
        "models": anything,
        "n": st.integers(-1, 6) | anything,
        "size": st.sampled_from(["1024x1024", "1536x1024", "1:1", "9x9"]) | anything,
        "quality": st.sampled_from(["low", "medium", "high", "best"]) | anything,
        "idempotencyKey": st.sampled_from(["k1", "k2"]) | anything,
    },
)
quotes = st.fixed_dictionaries(
    {},
    optional={
        "operation": st.sampled_from(["text-to-image", "video", "audio", "chat", "upscale"])
        | anything,
        "type": anything,
        "model": models | anything,
        "n": st.integers() | anything,
        "quality": anything,
        "size": anything,
        "seconds": st.integers() | anything,
        "text": anything,
        "inputTokens": st.integers() | anything,
        "outputTokens": st.integers() | anything,
        "cachedTokens": st.integers(0, 9) | anything,
        "cacheWriteTokens": st.integers(0, 9) | anything,
        "prompt": anything,
    },
)
message = st.fixed_dictionaries(
    {"content": texts | st.just("a quay") | anything},
    optional={"role": st.sampled_from(["system", "user", "assistant"]) | anything},
)
talks = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(message, max_size=3) | anything,
        "text": texts | st.just("a quay"),
        "input": texts | st.lists(texts, max_size=3) | anything,
        "model": st.sampled_from(["gpt-6-luna", "text-embedding-3-small", "none"]) | anything,
        "stream": st.booleans() | anything,
        "conversationId": st.sampled_from(["cnv_" + "0" * 26, "cnv_"]) | anything,
        "idempotencyKey": st.sampled_from(["k1", "k2"]) | anything,
    },
)


def media(files: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Return bodies of any operation, which start from some of these files or from others."""
    file = st.sampled_from([*files, "upl_" + "0" * 26, "ast_1", "data:image/png;base64,AAAA"])
    some = file | anything
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from([*OPERATIONS, "dance"]) | anything,
            "prompt": texts | st.just("a quay") | anything,
            "text": texts | st.just("a quay"),
            "seconds": st.integers(-1, 12) | anything,
            "voice": st.sampled_from(["coral", "x"]) | some,
            "format": st.sampled_from(["mp3", "wav", "flac"]) | anything,
            "image": some,
            "audio": some,
            "mask": some,
            "images": st.lists(file, max_size=3) | anything,
            "n": st.integers(0, 3) | anything,
            "size": st.sampled_from(["16:9", "1:1", "9x9"]) | anything,
            "seed": st.integers() | anything,
            "negativePrompt": texts,
            "style": texts,
        },
    )


wholes = anything | st.dictionaries(texts, anything, max_size=6)
headers = st.fixed_dictionaries(
    {"Prefer": st.sampled_from(["respond-async", "wait=0"])},
    optional={
        "Idempotency-Key": st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
    },
)

slowly = settings(
    max_examples=300,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def rich(app: Flask, alice: Person, studio: Studio) -> Iterator[Person]:
    """Alice, with more credits than the fuzzing can spend; the ledger is proven at the end."""
    from creditapp import ledger

    change_wallet(
        app,
        alice,
        lambda connection, wallet_id: ledger.grant(
            connection,
            wallet_id,
            ledger.NewGrant(
                amount_micro=100_000_000_000, source="admin", origin=f"test:fuzz:{wallet_id}"
            ),
            now=studio.clock.now(),
        ),
    )
    yield alice
    studio.queue.run()
    studio.check()
    charged, images = 0, 0
    with app.app_context(), snapshot() as session:
        for made in session.scalars(select(Generation).where(Generation.charged_micro > 0)):
            charged += 1
            count = session.scalar(
                select(func.count()).select_from(Asset).where(Asset.generation_id == made.id)
            )
            images += bool(count)
            assert count == made.delivered > 0
    assert charged == images


def send(person: Person, document: Document, path: str, body: Any, **named: str) -> int:
    """Post a hostile body; return the status, which is never a 500."""
    answer = person.browser.post(
        path,
        data=json.dumps(body),
        content_type="application/json",
        headers={"Sec-Fetch-Site": "same-origin", **named},
    )
    text = answer.text  # which reads a stream to its end
    assert answer.status_code in ALLOWED, (body, text)
    document.check("POST", path, answer)
    return answer.status_code


def test_any_order_is_generated_or_refused(
    app: Flask, rich: Person, guest: Person, studio: Studio, provider: Scripted
) -> None:
    document, seen = Document(app), set()

    @slowly
    @given(body=images, named=headers, member=st.booleans(), fails=st.booleans())
    def play(body: Any, named: dict[str, str], member: bool, fails: bool) -> None:
        provider.script = [None, RuntimeError("a quay")] if fails else None
        person = rich if member else guest
        seen.add(send(person, document, "/api/generate-image", body, **named))
        studio.queue.run()

    play()
    assert seen >= {202, 422}


@pytest.mark.parametrize("operation", ORDERS)
def test_any_order_of_any_operation_is_generated_or_refused(
    app: Flask, rich: Person, studio: Studio, provider: Scripted, operation: str
) -> None:
    document, order, seen = Document(app), ORDERS[operation], set()
    good = order.body(studio, rich)
    voice = studio.bring(rich, "audio/mpeg", milliseconds=11_000)
    files = [studio.bring(rich), studio.bring(rich, size=(9000, 9000)), voice]
    provider.milliseconds = 11_000

    @settings(slowly, max_examples=60)
    @given(wrong=media(files), by_chat=st.booleans())
    def play(wrong: dict[str, Any], by_chat: bool) -> None:
        body = {**good, **wrong}
        path = "/api/chat" if by_chat else order.path
        if by_chat:
            body.setdefault("type", operation)
        send(rich, document, "/api/quotes", body)
        seen.add(send(rich, document, path, body, Prefer="respond-async"))
        studio.queue.run()

    play()
    assert seen >= {202, 422}


def test_any_conversation_is_answered_or_refused(app: Flask, rich: Person) -> None:
    document, seen, model = Document(app), set(), ScriptedChat()
    provide(app, ChatProviders, model)
    good = {
        "chat": {"messages": [{"content": "a quay"}]},
        "agent": {"messages": [{"content": "a quay"}]},
        "summarize": {"text": "a quay"},
        "embeddings": {"input": "a quay"},
    }

    @settings(slowly, max_examples=80)
    @given(
        route=st.sampled_from([*good]), wrong=talks, whole=st.booleans(), named=headers, fails=...
    )
    def play(
        route: str, wrong: dict[str, Any], whole: bool, named: dict[str, str], fails: bool
    ) -> None:
        model.script = [TextDelta("One"), RuntimeError("a quay")] if fails else ANSWER
        body = {**wrong, **good[route]} if whole else {**good[route], **wrong}
        seen.add((route, send(rich, document, f"/api/{route}", body, **named)))

    play()
    assert seen >= {(route, status) for route in good for status in (200, 422)}
    with app.app_context(), snapshot() as session:
        records = session.scalars(select(UsageRecord)).all()
    assert {record.state for record in records} == {"settled"}


def test_any_quote_is_returned_or_refused(app: Flask, rich: Person, studio: Studio) -> None:
    document, seen = Document(app), set()

    @slowly
    @given(body=quotes)
    def play(body: Any) -> None:
        seen.add(send(rich, document, "/api/quotes", body))

    play()
    assert seen >= {200, 422}


def test_bodies_that_are_not_orders_are_refused(app: Flask, rich: Person, studio: Studio) -> None:
    document, seen = Document(app), set()

    @slowly
    @given(body=wholes, path=st.sampled_from(["/api/generate-image", "/api/quotes"]))
    def play(body: Any, path: str) -> None:
        seen.add(send(rich, document, path, body, Prefer="respond-async"))

    play()
    assert seen >= {400, 422}
