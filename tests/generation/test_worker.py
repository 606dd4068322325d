"""Workers: a generation from the queue to its end, charged for what was delivered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.db import transaction
from creditapp.generation import delivery, settlement
from creditapp.generation.providers import (
    GenerationFailed,
    GenerationTimeout,
    PromptRejected,
    ProviderError,
    ProviderUnavailable,
)
from creditapp.media import FileMedia
from tests.app_factory import Person
from tests.generation.studio import Scripted, Studio, held_up, lines, wallet


def test_the_price_is_held_and_then_taken(alice: Person, studio: Studio) -> None:
    generation_id = studio.ask(alice, model="nano-banana-pro", n=2)
    assert wallet(alice) == (46, 4)
    assert lines(alice) == []

    studio.queue.run()
    row = studio.generation(generation_id)
    assert (row.state, row.delivered, row.charged_micro) == ("succeeded", 2, 4_000_000)
    assert row.provider_cost_micros_usd == 22_000
    assert row.lease_until is None
    assert wallet(alice) == (46, 0)
    assert lines(alice) == [("DEBIT", -4)]
    assets = [asset for asset in studio.assets() if asset.generation_id == generation_id]
    assert sorted(asset.position for asset in assets) == [0, 1]
    studio.check()


def test_two_of_four_that_come_before_a_failure_are_kept_and_paid(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.script = [None, None, GenerationTimeout("Too slow.")]
    row = studio.make(alice, model="nano-banana", n=4)

    assert (row.state, row.delivered, row.charged_micro) == ("succeeded", 2, 1_000_000)
    assert (row.error_code, row.error_text) == ("generation_timeout", "Too slow.")
    assert wallet(alice) == (49, 0)
    assert lines(alice) == [("DEBIT", -1)]
    assert len(studio.files()) == 2
    studio.check()


@pytest.mark.parametrize(
    "error",
    [
        GenerationFailed("It went wrong."),
        GenerationTimeout("Too slow."),
        PromptRejected("Not this."),
        ProviderUnavailable("No server there."),
        RuntimeError("a quay: unforeseen, and it quotes the prompt"),
        MemoryError(),
        KeyError("a quay"),
        StopIteration("a quay"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_releases_the_hold_and_shows_as_zero_in_the_history(
    alice: Person, studio: Studio, provider: Scripted, error: Exception
) -> None:
    provider.script = [error]
    row = studio.make(alice, n=3)

    assert (row.state, row.delivered, row.charged_micro) == ("failed", 0, 0)
    assert wallet(alice) == (50, 0)
    assert lines(alice) == [("REFUND", 0)]
    expected = error.code if isinstance(error, ProviderError) else "generation_failed"
    assert row.error_code == expected
    assert "a quay" not in (row.error_text or "")
    assert studio.files() == set()
    studio.check()


def test_a_provider_that_delivers_nothing_without_an_error_costs_nothing(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.script = []
    row = studio.make(alice)
    assert (row.state, row.error_code) == ("failed", "generation_failed")
    assert wallet(alice) == (50, 0)


def test_an_image_beyond_the_order_is_neither_kept_nor_charged(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.script = [None] * 4
    row = studio.make(alice, n=2)
    assert (row.delivered, row.charged_micro) == (2, 1_000_000)
    assert len(studio.files()) == 2


def test_a_full_disk_ends_the_generation_and_keeps_what_was_stored(
    alice: Person, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = FileMedia.store

    def store(media: FileMedia, data: bytes, mime_type: str) -> str:
        if len(studio.files()) == 1:
            raise OSError(28, "No space left on device")
        return genuine(media, data, mime_type)

    monkeypatch.setattr(FileMedia, "store", store)
    row = studio.make(alice, n=2)
    assert (row.state, row.delivered, row.charged_micro) == ("succeeded", 1, 500_000)
    assert wallet(alice) == (49.5, 0)
    studio.check()


def test_an_odd_price_is_shared_exactly(alice: Person, studio: Studio, provider: Scripted) -> None:
    generation_id = studio.ask(alice, model="nano-banana", n=3)
    provider.script = [None, GenerationFailed()]
    studio.queue.run()
    row = studio.generation(generation_id)
    assert row.charged_micro == 500_000
    assert wallet(alice) == (49.5, 0)


def test_two_workers_with_the_same_job_call_the_provider_once(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [held_up(gate, arrived), None]
    generation_id = studio.ask(alice)
    first = studio.work_beside(generation_id)
    assert arrived.wait(60)
    studio.work(generation_id)
    assert provider.calls == 1
    gate.set()
    first.join()
    studio.work(generation_id)

    assert provider.calls == 1
    assert studio.generation(generation_id).state == "succeeded"
    assert wallet(alice) == (49.5, 0)
    studio.check()


def test_eight_workers_at_the_same_moment_call_the_provider_once(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    generation_id = studio.ask(alice)
    workers = [studio.work_beside(generation_id) for _ in range(8)]
    for worker in workers:
        worker.join()
    assert provider.calls == 1
    assert lines(alice) == [("DEBIT", -0.5)]
    studio.check()


def test_progress_is_told_with_the_lease_and_never_falls(
    alice: Person, studio: Studio, provider: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditapp.generation.leases.RENEW_SECONDS", 0.02)
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [None, held_up(gate, arrived), None]
    generation_id = studio.ask(alice, n=2)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)
    progress = [0]
    while progress[-1] < 33:
        answer = alice.call("GET", f"/api/generations/{generation_id}").json
        assert answer["status"] == "running"
        progress.append(answer["progress"])
    assert progress == sorted(progress)
    gate.set()
    worker.join()
    assert alice.call("GET", f"/api/generations/{generation_id}").json["progress"] == 100


def test_a_database_that_fails_while_settling_is_tried_again(
    alice: Person, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "RETRY_SECONDS", (0.0, 0.0))
    genuine, failures = ledger.capture, iter((1, 2))

    def fail_twice(*arguments: Any, **named: Any) -> ledger.Charge:
        charge = genuine(*arguments, **named)
        if next(failures, None):
            raise OperationalError("UPDATE", {}, Exception("the server went away"))
        return charge

    monkeypatch.setattr(ledger, "capture", fail_twice)
    row = studio.make(alice)
    assert (row.state, row.charged_micro) == ("succeeded", 500_000)
    assert wallet(alice) == (49.5, 0)
    studio.check()


def test_a_commit_whose_answer_was_lost_keeps_the_files(
    alice: Person, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "RETRY_SECONDS", (0.0,))
    commits = []

    @contextmanager
    def lose_the_answer() -> Iterator[Session]:
        with transaction() as session:
            yield session
        commits.append(session)
        if len(commits) == 1:
            raise OperationalError("COMMIT", {}, Exception("connection lost"))

    monkeypatch.setattr(settlement, "transaction", lose_the_answer)
    row = studio.make(alice)
    assert len(commits) == 2
    assert (row.state, row.charged_micro) == ("succeeded", 500_000)
    assert len(studio.files()) == 1
    studio.check()


def test_a_model_that_left_the_catalog_costs_nothing(alice: Person, studio: Studio) -> None:
    generation_id = studio.ask(alice)
    studio.set(generation_id, model="of-yesterday")
    studio.queue.run()
    row = studio.generation(generation_id)
    assert (row.state, row.error_code) == ("failed", "provider_unavailable")
    assert wallet(alice) == (50, 0)
    studio.check()
