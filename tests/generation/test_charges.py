"""The charge of every operation: what came, never more than the quote, and nothing for nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from creditapp.generation.leases import LEASE_SECONDS
from creditapp.generation.providers import GenerationFailed, GenerationTimeout
from creditapp.media import Media
from creditapp.services import get
from tests.app_factory import Person
from tests.generation.orders import ORDERS, WITH_SOURCES, face_and_voice
from tests.generation.studio import Scripted, Studio, held_up, lines, wallet
from tests.generation.test_recovery import leave_running
from tests.generation.test_submit import at_once, post_as

TEXT = "x" * 400
"""About 27 s, so two started blocks of 15 s."""

# Operation, members that differ, the length that comes in milliseconds, quoted and charged credits.
LENGTHS: list[tuple[str, dict[str, Any], int | None, float, float]] = [
    ("audio", {"text": "x" * 225}, 15_000, 1, 1),
    ("audio", {"text": "x" * 226}, 15_000, 2, 1),
    ("audio", {"text": TEXT}, 1, 2, 1),
    ("audio", {"text": TEXT}, 14_999, 2, 1),
    ("audio", {"text": TEXT}, 15_000, 2, 1),
    ("audio", {"text": TEXT}, 15_001, 2, 2),
    ("audio", {"text": TEXT}, 30_000, 2, 2),
    ("audio", {"text": TEXT}, 30_001, 2, 2),
    ("audio", {"text": TEXT}, 600_000, 2, 2),
    ("audio", {"text": TEXT}, None, 2, 2),
    ("audio", {"text": "x" * 225}, 15_001, 1, 1),
    ("video", {"seconds": 5}, 5_000, 25, 25),
    ("video", {"seconds": 5}, 5_001, 25, 25),
    ("video", {"seconds": 5}, 8_000, 25, 25),
    ("video", {"seconds": 6}, 6_000, 50, 50),
    ("video", {"seconds": 6}, 5_001, 50, 50),
    ("video", {"seconds": 6}, 5_000, 50, 25),
    ("video", {"seconds": 10}, 4_200, 50, 25),
    ("video", {"seconds": 10}, 10_500, 50, 50),
    ("video", {"seconds": 10}, None, 50, 50),
    ("upscale", {}, None, 5, 5),
]

# Length of the voice, length that comes, quoted and charged credits.
VOICES = [
    (10_000, 10_000, 20, 20),
    (10_001, 10_001, 40, 40),
    (10_001, 10_000, 40, 20),
    (10_001, 20_001, 40, 40),
    (20_000, None, 40, 40),
    (1, 1, 20, 20),
]


@pytest.fixture(autouse=True)
def _quick_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("creditapp.generation.leases.RENEW_SECONDS", 0.02)


def settled(studio: Studio, person: Person, generation_id: str) -> tuple[str, int]:
    """Return state and charge; assert that wallet, history and ledger agree with them."""
    row = studio.generation(generation_id)
    charged = row.charged_micro / 1_000_000
    assert row.charged_micro <= row.quoted_micro
    assert wallet(person) == (50 - charged, 0)
    assert sum(-float(str(amount)) for _, amount in lines(person)) == charged
    studio.check()
    return row.state, charged


@pytest.mark.parametrize(("operation", "members", "comes", "quoted", "charged"), LENGTHS)
def test_the_length_that_comes_is_charged_and_never_more_than_the_quote(
    alice: Person,
    studio: Studio,
    provider: Scripted,
    operation: str,
    members: dict[str, Any],
    comes: int | None,
    quoted: float,
    charged: float,
) -> None:
    order, provider.milliseconds = ORDERS[operation], comes
    made = studio.order(alice, order.path, order.body(studio, alice, **members))
    assert wallet(alice) == (50 - quoted, quoted)
    studio.queue.run()
    assert settled(studio, alice, made) == ("succeeded", charged)


@pytest.mark.parametrize(("voice", "comes", "quoted", "charged"), VOICES)
def test_a_talking_face_is_quoted_by_its_voice_and_charged_as_it_came(
    alice: Person,
    studio: Studio,
    provider: Scripted,
    voice: int,
    comes: int | None,
    quoted: float,
    charged: float,
) -> None:
    provider.milliseconds = comes
    made = studio.order(alice, "/api/generate-lipsync", face_and_voice(studio, alice, voice))
    assert wallet(alice) == (50 - quoted, quoted)
    studio.queue.run()
    assert settled(studio, alice, made) == ("succeeded", charged)


@pytest.mark.parametrize(
    "script",
    [[GenerationFailed()], [GenerationTimeout()], [RuntimeError("a quay")], []],
    ids=["failed", "too late", "a fault of ours", "nothing"],
)
@pytest.mark.parametrize("operation", ORDERS)
def test_nothing_that_comes_costs_nothing(
    alice: Person, studio: Studio, provider: Scripted, operation: str, script: list[Any]
) -> None:
    order, provider.script = ORDERS[operation], script
    made = studio.order(alice, order.path, order.body(studio, alice))
    studio.queue.run()
    assert settled(studio, alice, made) == ("failed", 0)
    assert lines(alice) == [("REFUND", 0)]
    assert studio.generation(made).error_text


@pytest.mark.parametrize("operation", ["text-to-image", "image-to-image"])
def test_a_part_of_the_images_costs_its_part(
    alice: Person, studio: Studio, provider: Scripted, operation: str
) -> None:
    order, provider.script = ORDERS[operation], [None, GenerationFailed(), None]
    made = studio.order(alice, order.path, order.body(studio, alice, n=3))
    assert wallet(alice) == (47, 3)
    studio.queue.run()
    assert settled(studio, alice, made) == ("succeeded", 1)


@pytest.mark.parametrize("operation", ORDERS)
def test_two_orders_at_once_with_one_key_are_made_and_charged_once(
    alice: Person, studio: Studio, provider: Scripted, operation: str
) -> None:
    order = ORDERS[operation]
    provider.milliseconds = order.milliseconds
    body = order.body(studio, alice)
    answers = at_once(3, lambda: post_as(alice, body, "k1", order.path))
    assert {answer.status_code for answer in answers} == {202}
    (made,) = {answer.json["id"] for answer in answers}
    assert wallet(alice) == (50 - order.quoted, order.quoted)
    workers = [studio.work_beside(made) for _ in range(2)]
    for worker in workers:
        worker.join()
    assert provider.calls == 1
    assert settled(studio, alice, made) == ("succeeded", order.charged)


@pytest.mark.parametrize("listens", [True, False], ids=["stops", "delivers all the same"])
@pytest.mark.parametrize("operation", ORDERS)
def test_one_that_is_canceled_half_way_costs_what_came(
    alice: Person, studio: Studio, provider: Scripted, operation: str, listens: bool
) -> None:
    order = ORDERS[operation]
    provider.milliseconds, provider.stops_when_asked = order.milliseconds, listens
    arrived, gate = threading.Event(), threading.Event()
    beats = [lambda: threading.Event().wait(0.05)] * 60 if listens else []
    images = order.members.get("n", 1)
    provider.script = [held_up(gate, arrived), *beats, *[None] * images]
    made = studio.order(alice, order.path, order.body(studio, alice))
    worker = studio.work_beside(made)
    assert arrived.wait(60)
    assert alice.call("DELETE", f"/api/generations/{made}").status_code == 202
    gate.set()
    worker.join()
    expected = ("canceled", 0) if listens else ("succeeded", order.charged)
    assert settled(studio, alice, made) == expected


@pytest.mark.parametrize("operation", ORDERS)
def test_a_killed_worker_costs_nothing(
    alice: Person, studio: Studio, provider: Scripted, operation: str
) -> None:
    order = ORDERS[operation]
    made = studio.order(alice, order.path, order.body(studio, alice))
    leave_running(studio, made)
    studio.sweep(after_seconds=LEASE_SECONDS + 1)
    studio.queue.run()
    assert settled(studio, alice, made) == ("failed", 0)
    assert provider.calls == 0


@pytest.mark.parametrize("operation", WITH_SOURCES)
def test_a_file_that_is_deleted_before_the_work_fails_it_and_costs_nothing(
    alice: Person, studio: Studio, provider: Scripted, operation: str
) -> None:
    order = ORDERS[operation]
    made = studio.order(alice, order.path, order.body(studio, alice))
    with studio.app.app_context():
        for upload in studio.uploads():
            get(Media).delete(upload.media_key)
    studio.queue.run()
    row = studio.generation(made)
    assert (row.state, row.error_code, row.charged_micro) == ("failed", "generation_failed", 0)
    assert row.error_text == "A file to start from was deleted before the work began."
    assert wallet(alice) == (50, 0)
    assert provider.calls == 0


def test_an_image_that_is_deleted_before_it_is_enlarged_fails_that_alone(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    image = studio.make(alice)
    (asset,) = studio.assets()
    made = studio.order(alice, "/api/upscale-image", {"image": asset.id})
    assert alice.call("DELETE", f"/api/generations/{image.id}").status_code == 204
    studio.queue.run()
    assert studio.generation(made).state == "failed"
    assert wallet(alice) == (49.5, 0)
    assert provider.calls == 1
    studio.check()
