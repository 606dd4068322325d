"""Streams and waits below ``/v1``: clients that leave, partial images, slots."""

from __future__ import annotations

import base64
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import select

from creditapp.api.v1 import generations, image_stream
from creditapp.api.waiting import WaitingSlots
from creditapp.chat import reader
from creditapp.chat.providers import Finished, ReportedUsage, TextDelta
from creditapp.clock import StoppedClock
from creditapp.db import snapshot
from creditapp.generation import partial_images
from creditapp.generation.models import PartialImage
from creditapp.services import get, provide
from tests.app_factory import Person, member
from tests.chat.scripted import Gate, ScriptedChat, Turns, wallet
from tests.generation.studio import Scripted, Studio
from tests.openai_shape.shop import CHAT, IMAGE, SPEECH, V1Program, content_of, events, png, until

pytestmark = pytest.mark.databases("sqlite", "postgresql")

ANSWER_COST = Decimal("0.02")


@pytest.mark.parametrize("key", [None, "once"], ids=["no key", "key"])
def test_a_client_that_leaves_a_stream_of_chat_pays_once_for_what_was_written(
    program: V1Program,
    alice: Person,
    chats: ScriptedChat,
    turns: Turns,
    key: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "RENEW_SECONDS", 0.02)
    gate = Gate()
    usage = ReportedUsage(input_tokens=1000, output_tokens=200)
    chats.script = [TextDelta("Hello "), gate, TextDelta("there."), usage, Finished("stop")]
    headers = {"Authorization": f"Bearer {program.key}"}
    headers |= {"Idempotency-Key": key} if key else {}
    body = {**CHAT, "stream": True}
    answer = alice.app.test_client().post(
        "/v1/chat/completions", json=body, headers=headers, buffered=False
    )
    parts = answer.iter_encoded()
    assert b'"role":"assistant"' in next(iter(parts))
    assert gate.reached.wait(20)
    answer.close()
    if key is None:
        until(lambda: turns.record().state == "settled")
    gate.opened.set()
    until(lambda: turns.record().state == "settled")
    record = turns.record()
    assert record.finish_reason == ("stopped" if key is None else "stop")
    assert record.cost_micro > 0
    assert wallet(alice) == (float(50 - Decimal(record.cost_micro) / 1_000_000), 0)
    if key is not None:
        replay = program.post("chat/completions", body, key)
        assert content_of(replay) == "Hello there."
        assert wallet(alice)[0] == float(50 - ANSWER_COST)


def test_a_client_that_leaves_a_stream_of_images_finds_them_made_and_charged_once(
    program: V1Program, alice: Person, images: Scripted, studio: Studio
) -> None:
    gate = Gate()
    images.script = [gate, None]
    headers = {"Authorization": f"Bearer {program.key}", "Idempotency-Key": "once"}
    body = {**IMAGE, "stream": True}
    answer = alice.app.test_client().post(
        "/v1/images/generations", json=body, headers=headers, buffered=False
    )
    next(iter(answer.iter_encoded()))
    assert gate.reached.wait(20)
    answer.close()
    gate.opened.set()
    until(lambda: wallet(alice) == (49.5, 0))
    (event,) = events(program.post("images/generations", body, "once"))
    assert event["type"] == "image_generation.completed"
    assert event["credits"] == {"used": 0.5, "remaining": 49.5}
    assert images.calls == 1
    assert wallet(alice) == (49.5, 0)


def test_partial_images_are_sent_cost_nothing_and_are_gone_afterwards(
    app: Flask, program: V1Program, alice: Person, images: Scripted
) -> None:
    shown = [png(), png() + b"2", png() + b"3", png() + b"4"]
    images.partial = shown
    body = {**IMAGE, "stream": True, "partial_images": 3}
    *partial, final = events(program.post("images/generations", body))
    assert [base64.b64decode(each["b64_json"]) for each in partial] == shown[:3]
    assert [each["partial_image_index"] for each in partial] == [0, 1, 2]
    assert final["credits"] == {"used": 0.5, "remaining": 49.5}
    assert _stored(app) == 0
    # Without an order for them, none is stored.
    program.post("images/generations", IMAGE)
    assert _stored(app) == 0
    assert wallet(alice) == (49, 0)


def test_partial_images_of_a_stream_that_nobody_read_are_swept(
    app: Flask, program: V1Program, images: Scripted, clock: StoppedClock, studio: Studio
) -> None:
    gate = Gate()
    images.partial = [png()]
    images.script = [gate, None]
    headers = {"Authorization": f"Bearer {program.key}"}
    body = {**IMAGE, "stream": True, "partial_images": 1}
    answer = app.test_client().post(
        "/v1/images/generations", json=body, headers=headers, buffered=False
    )
    next(iter(answer.iter_encoded()))
    assert gate.reached.wait(20)
    answer.close()
    gate.opened.set()
    until(lambda: all(each.finished for each in studio.generations()))
    assert _stored(app) == 1
    studio.sweep()
    assert _stored(app) == 1  # a stream may be about to read it
    clock.advance(timedelta(seconds=partial_images.KEPT_SECONDS + 1))
    studio.sweep()
    assert _stored(app) == 0


def test_without_a_free_slot_nothing_is_ordered(
    app: Flask, program: V1Program, alice: Person, images: Scripted
) -> None:
    provide(app, WaitingSlots, WaitingSlots(threads=4))
    with app.app_context():
        slots = get(WaitingSlots).semaphore
    assert slots.acquire(blocking=False)
    for path, body in (
        ("images/generations", IMAGE),
        ("images/generations", {**IMAGE, "stream": True}),
        ("audio/speech", SPEECH),
    ):
        answer = program.post(path, body)
        assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "true")
        assert int(answer.headers["Retry-After"]) > 0
    assert images.calls == 0
    slots.release()
    for _ in range(3):  # each gives its slot back
        assert program.post("images/generations", IMAGE).status_code == 200
        assert program.post("images/generations", {**IMAGE, "stream": True}).status_code == 200
        program.refused(422, "validation_failed", "images/generations", {**IMAGE, "n": 99})
    assert wallet(alice) == (47, 0)


def test_one_member_leaves_half_of_the_slots_to_others(
    app: Flask, program: V1Program, alice: Person, images: Scripted
) -> None:
    slots = WaitingSlots(threads=16)  # four slots
    provide(app, WaitingSlots, slots)
    gate = Gate()
    images.script = [gate, None]
    answers = list[int]()
    bob = V1Program(member(app, "bob"))

    def order(by: V1Program) -> None:
        answers.append(by.post("images/generations", IMAGE).status_code)

    waiting = [threading.Thread(target=order, args=(by,)) for by in (program, program, bob)]
    for thread in waiting:
        thread.start()
    assert gate.reached.wait(20)
    until(lambda: slots.semaphore._value == 1)
    assert program.post("images/generations", IMAGE).status_code == 429
    gate.opened.set()
    for thread in waiting:
        thread.join(20)
    assert answers == [200, 200, 200]
    assert slots.semaphore._value == 4
    assert wallet(alice) == (49, 0)


def test_a_wait_that_is_too_long_says_where_the_image_will_be(
    program: V1Program, alice: Person, images: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (generations, image_stream):
        monkeypatch.setattr(module, "RESULT_WAIT_SECONDS", 0.2)
    gate = Gate()
    images.script = [gate, None]
    answer = program.post("images/generations", IMAGE, "once")
    assert (answer.status_code, answer.headers["x-should-retry"]) == (504, "true")
    assert answer.json is not None
    assert answer.json["error"]["code"] == "generation_timeout"
    assert answer.json["error"]["generationId"].startswith("gen_")
    (event,) = events(program.post("images/generations", {**IMAGE, "stream": True}, "once"))
    assert event["error"]["code"] == "generation_timeout"
    gate.opened.set()
    until(lambda: wallet(alice) == (49.5, 0))
    assert program.post("images/generations", IMAGE, "once").status_code == 200
    assert wallet(alice) == (49.5, 0)


def _stored(app: Flask) -> int:
    with app.app_context(), snapshot() as session:
        return len(session.scalars(select(PartialImage.position)).all())
