"""Delivery: each image is kept as it arrives, and charged once whatever happens to its worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from creditapp.db import transaction
from creditapp.generation import delivery, recovery
from creditapp.generation.leases import LEASE_SECONDS
from creditapp.generation.providers import GenerationFailed
from creditapp.generation.settlement import settle
from tests.app_factory import Person
from tests.generation.studio import Scripted, Step, Studio, held_up, lines, remaining, wallet

LAPSED = LEASE_SECONDS + 1


class Killed(BaseException):
    """The end of the worker's process: nothing of it runs any more."""


def lose(studio: Studio, generation_id: str) -> None:
    """Run the worker until its script kills it, and let its lease lapse."""
    studio.queue.waiting.clear()
    with pytest.raises(Killed):
        studio.work(generation_id)
    studio.sweep(after_seconds=LAPSED)


def test_images_appear_one_by_one_and_are_charged_at_the_end(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [None, None, held_up(gate, arrived), None]
    generation_id = studio.ask(alice, n=3)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)

    answer = alice.call("GET", f"/api/generations/{generation_id}").json
    assert answer["status"] == "running"
    urls = [asset["url"] for asset in answer["assets"]]
    assert len(urls) == 2
    assert [alice.browser.get(url).status_code for url in urls] == [200, 200]
    row = studio.generation(generation_id)
    assert (row.delivered, row.charged_micro, row.provider_cost_micros_usd) == (2, 0, 22_000)
    assert wallet(alice) == (48.5, 1.5)
    assert lines(alice) == []

    gate.set()
    worker.join()
    answer = alice.call("GET", f"/api/generations/{generation_id}").json
    assert [asset["url"] for asset in answer["assets"]][:2] == urls
    assert (answer["status"], len(answer["assets"])) == ("succeeded", 3)
    assert wallet(alice) == (48.5, 0)
    assert lines(alice) == [("DEBIT", -1.5)]
    studio.check()


def test_a_stranger_does_not_see_an_image_of_a_running_generation(
    alice: Person, charlie: Person, guest: Person, studio: Studio, provider: Scripted
) -> None:
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [None, held_up(gate, arrived), None]
    worker = studio.work_beside(studio.ask(alice, n=2))
    assert arrived.wait(60)
    (asset,) = studio.assets()
    for stranger in (charlie, guest):
        assert stranger.browser.get(f"/media/{asset.id}").status_code == 404
    gate.set()
    worker.join()


@pytest.mark.parametrize("repeatable", [False, True])
def test_a_worker_killed_after_two_of_four_leaves_two_that_are_kept_and_paid(
    alice: Person, studio: Studio, provider: Scripted, repeatable: bool
) -> None:
    provider.repeatable = repeatable
    provider.script = [None, None, Killed()]
    generation_id = studio.ask(alice, n=4)
    lose(studio, generation_id)

    row = studio.generation(generation_id)
    assert (row.state, row.delivered, row.charged_micro) == ("succeeded", 2, 1_000_000)
    assert row.error_text == "The server stopped while this was being made."
    assert row.provider_cost_micros_usd == 22_000
    assert provider.calls == 1, "a second attempt would make the two once more"
    assert wallet(alice) == (49, 0)
    assert lines(alice) == [("DEBIT", -1)]
    assert len(studio.files()) == 2
    studio.check()


def test_a_worker_killed_between_the_last_image_and_settling_leaves_a_whole_order(
    alice: Person, studio: Studio, provider: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: object, **_named: object) -> bool:
        raise Killed

    generation_id = studio.ask(alice, n=2)
    monkeypatch.setattr("creditapp.generation.worker.settle", killed)
    lose(studio, generation_id)
    row = studio.generation(generation_id)
    assert (row.state, row.delivered, row.charged_micro) == ("succeeded", 2, 1_000_000)
    assert row.error_text is None
    assert lines(alice) == [("DEBIT", -1)]
    studio.check()


def test_a_canceled_one_whose_worker_is_killed_keeps_and_pays_what_had_arrived(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    def cancel() -> None:
        assert alice.call("DELETE", f"/api/generations/{generation_id}").status_code == 202

    provider.stops_when_asked = False
    provider.script = [None, cancel, Killed()]
    generation_id = studio.ask(alice, n=4)
    lose(studio, generation_id)
    row = studio.generation(generation_id)
    assert (row.state, row.delivered, row.charged_micro) == ("succeeded", 1, 500_000)
    assert row.error_text is None
    assert wallet(alice) == (49.5, 0)
    studio.check()


def test_a_vendors_job_is_not_polled_again_once_it_has_delivered(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.script = [None, Killed()]
    generation_id = studio.ask(alice, n=2)
    studio.set(generation_id, provider_job="job-1")
    lose(studio, generation_id)
    row = studio.generation(generation_id)
    assert (row.state, row.attempt, row.delivered) == ("succeeded", 1, 1)
    assert provider.calls == 1
    studio.check()


def test_one_that_is_still_being_made_is_not_deleted_with_its_images(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [None, held_up(gate, arrived), None]
    generation_id = studio.ask(alice, n=2)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)
    (asset,) = studio.assets()
    assert alice.post(f"/generations/{generation_id}/delete").status_code == 409
    assert alice.post("/images/delete", {"images": asset.id}).status_code == 409
    assert len(studio.files()) == 1
    gate.set()
    worker.join()
    assert studio.generation(generation_id).charged_micro == 1_000_000
    studio.check()


def test_an_image_that_has_arrived_shows_its_price_before_it_is_charged(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [None, held_up(gate, arrived), None]
    worker = studio.work_beside(studio.ask(alice, n=2))
    assert arrived.wait(60)
    (asset,) = studio.assets()
    assert "0.5 credits" in alice.page(f"/images/{asset.id}").text
    gate.set()
    worker.join()


def test_a_guest_who_signs_up_meanwhile_finds_the_image_in_the_account(
    guest: Person, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sign_up_first(*arguments: Any, **named: Any) -> bool:
        guest.sign_up("delivered@example.com")
        return settle(*arguments, **named)

    monkeypatch.setattr("creditapp.generation.worker.settle", sign_up_first)
    generation_id = studio.ask(guest)
    assert remaining(guest) == 2
    studio.work(generation_id)
    answer = guest.call("GET", f"/api/generations/{generation_id}").json
    assert (answer["status"], len(answer["assets"])) == ("succeeded", 1)
    assert wallet(guest) == (50, 0), "it was free when it was ordered"
    studio.check()


def fail(monkeypatch: pytest.MonkeyPatch, failures: int, *, after_commit: bool) -> None:
    """Let the first writes of delivered files fail, before or after their commit."""
    left = iter(range(failures))

    @contextmanager
    def failing() -> Iterator[Session]:
        with transaction() as session:
            yield session
            if not after_commit and next(left, None) is not None:
                raise OperationalError("INSERT", {}, Exception("the server went away"))
        if after_commit and next(left, None) is not None:
            raise OperationalError("COMMIT", {}, Exception("connection lost"))

    monkeypatch.setattr(delivery, "transaction", failing)


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_database_that_fails_while_delivering_is_tried_again(
    alice: Person, studio: Studio, monkeypatch: pytest.MonkeyPatch, after_commit: bool
) -> None:
    monkeypatch.setattr(delivery, "RETRY_SECONDS", (0.0,))
    fail(monkeypatch, 1, after_commit=after_commit)
    row = studio.make(alice, n=2)
    assert (row.state, row.delivered, row.charged_micro) == ("succeeded", 2, 1_000_000)
    assert row.provider_cost_micros_usd == 22_000
    assert lines(alice) == [("DEBIT", -1)]
    studio.check()


def test_a_database_that_stays_away_while_delivering_costs_nothing(
    alice: Person, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "RETRY_SECONDS", ())
    fail(monkeypatch, 1, after_commit=False)
    row = studio.make(alice, n=2)
    assert (row.state, row.delivered, row.charged_micro) == ("failed", 0, 0)
    assert wallet(alice) == (50, 0)
    assert studio.assets() == []


def test_a_file_that_arrives_while_the_sweep_gives_up_keeps_the_attempt(
    alice: Person, studio: Studio, provider: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep has read the row without a file; then one arrives, and it must not be requeued."""
    monkeypatch.setattr("creditapp.generation.leases.RENEW_SECONDS", 3600.0)
    provider.repeatable = True
    arrived, gate, delivered, end = (threading.Event() for _ in range(4))
    provider.script = [held_up(gate, arrived), None, held_up(end, delivered), None]
    generation_id = studio.ask(alice, n=2)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)

    @contextmanager
    def deliver_first() -> Iterator[Session]:
        gate.set()
        assert delivered.wait(60)
        with transaction() as session:
            yield session

    monkeypatch.setattr(recovery, "transaction", deliver_first)
    studio.sweep(after_seconds=LAPSED)
    row = studio.generation(generation_id)
    assert (row.state, row.attempt, row.delivered) == ("running", 1, 1)
    end.set()
    worker.join()
    assert studio.generation(generation_id).delivered == 2
    assert lines(alice) == [("DEBIT", -1)]
    studio.check()


ENDS = st.sampled_from(["done", "error", "kill", "cancel", "cancel and kill"])


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 4),
    arriving=st.integers(0, 4),
    end=ENDS,
    repeatable=st.booleans(),
    lost_answers=st.integers(0, 2),
)
def test_however_it_ends_each_delivered_image_is_charged_once(
    alice: Person,
    studio: Studio,
    provider: Scripted,
    n: int,
    arriving: int,
    end: str,
    repeatable: bool,
    lost_answers: int,
) -> None:
    provider.forget()
    provider.repeatable, provider.stops_when_asked = repeatable, False
    generation_id = ""
    balance = wallet(alice)[0]

    def cancel() -> None:
        alice.call("DELETE", f"/api/generations/{generation_id}")

    script: list[Step] = [None] * arriving
    script += [cancel] if "cancel" in end else []
    script += [Killed()] if "kill" in end else [GenerationFailed()] if end == "error" else []
    provider.script = script
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "RETRY_SECONDS", (0.0, 0.0))
        fail(patch, lost_answers, after_commit=True)
        generation_id = studio.ask(alice, n=n)
        studio.queue.waiting.clear()
        for attempt in range(1, recovery.ATTEMPTS_MAX + 1):
            try:
                studio.work(generation_id, attempt)
            except Killed:
                studio.sweep(after_seconds=LAPSED)
                studio.queue.waiting.clear()
    row = studio.generation(generation_id)
    kept = [asset for asset in studio.assets() if asset.generation_id == generation_id]
    assert row.finished
    assert row.delivered == len(kept) == min(n, arriving)
    assert row.charged_micro == 500_000 * len(kept)
    assert provider.calls == 1 or not kept, "an attempt after a delivery"
    available, held = wallet(alice)
    assert held == 0
    assert float(str(balance)) - float(str(available)) == 0.5 * len(kept)
    studio.check()
    if float(str(available)) < 10:
        alice.sign_up(f"{generation_id}@example.com")
