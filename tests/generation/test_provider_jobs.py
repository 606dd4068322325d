"""A vendor's job outlives its worker: it is submitted once, delivered once and charged once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from creditapp.generation import recovery
from creditapp.generation.leases import LEASE_SECONDS, Lease
from creditapp.generation.models import Generation
from creditapp.generation.providers import OfflineProvider, Providers, fal
from creditapp.services import provide
from tests.app_factory import Person
from tests.fakes.fal_server import FakeFal
from tests.generation.studio import Studio, lines, wallet

LAPSED = LEASE_SECONDS + 1


class Killed(BaseException):
    """The end of a process, as far as the worker sees it."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fal, "POLL_SECONDS_FIRST", 0.01)
    monkeypatch.setattr(fal, "POLL_SECONDS_MAX", 0.01)


@pytest.fixture
def vendor(app: Flask) -> Iterator[FakeFal]:
    with FakeFal() as server:
        values = {"FAL_KEY": server.key, "FAL_BASE_URL": server.base_url}
        provide(app, Providers, Providers(values, offline=None))
        yield server


def ask_and_die(studio: Studio, alice: Person, monkeypatch: pytest.MonkeyPatch) -> str:
    """Order two images, and end their worker at its second poll."""
    generation_id = studio.ask(alice, model="flux-dev", n=2)
    run_and_die(studio, monkeypatch)
    return generation_id


def run_and_die(studio: Studio, monkeypatch: pytest.MonkeyPatch, polls: int = 2) -> None:
    genuine, asked = fal.FalProvider._poll, iter(range(polls))

    def poll(provider: Any, *rest: Any) -> Any:
        if next(asked, None) is None:
            raise Killed
        return genuine(provider, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(fal.FalProvider, "_poll", poll)
        with pytest.raises(Killed):
            studio.queue.run()


def ended(studio: Studio, generation_id: str) -> tuple[str, int, int, int]:
    row: Generation = studio.generation(generation_id)
    return row.state, row.attempt, row.delivered, row.charged_micro


def test_the_next_attempt_polls_the_job_and_submits_nothing(
    alice: Person, studio: Studio, vendor: FakeFal, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.polls = 4
    generation_id = ask_and_die(studio, alice, monkeypatch)
    [job] = vendor.jobs
    assert studio.generation(generation_id).provider_job == job
    assert wallet(alice) == (48, 2), "held while it runs"

    studio.sweep(after_seconds=LAPSED)
    studio.queue.run()
    assert ended(studio, generation_id) == ("succeeded", 2, 2, 2_000_000)
    assert vendor.count == 1
    assert lines(alice) == [("DEBIT", -2)]
    studio.check()


def test_a_job_that_ended_hours_ago_is_fetched(
    alice: Person, studio: Studio, vendor: FakeFal, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.polls = 4
    generation_id = ask_and_die(studio, alice, monkeypatch)
    studio.sweep(after_seconds=6 * 3600)
    studio.queue.run()
    assert ended(studio, generation_id) == ("succeeded", 2, 2, 2_000_000)
    assert vendor.count == 1
    studio.check()


def test_a_job_that_the_vendor_no_longer_has_is_released(
    alice: Person, studio: Studio, vendor: FakeFal, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.polls = 4
    generation_id = ask_and_die(studio, alice, monkeypatch)
    vendor.jobs.clear()
    studio.sweep(after_seconds=24 * 3600)
    studio.queue.run()
    assert ended(studio, generation_id) == ("failed", 2, 0, 0)
    assert "no longer has this order" in str(studio.generation(generation_id).error_text)
    assert vendor.count == 1
    assert wallet(alice) == (50, 0)
    studio.check()


def test_a_job_whose_workers_keep_dying_is_released_and_never_submitted_again(
    alice: Person, studio: Studio, vendor: FakeFal, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.polls = 1000
    generation_id = ask_and_die(studio, alice, monkeypatch)
    for _ in range(recovery.ATTEMPTS_MAX - 1):
        studio.sweep(after_seconds=LAPSED)
        run_and_die(studio, monkeypatch)
    studio.sweep(after_seconds=LAPSED)
    assert studio.queue.run() == 0
    assert ended(studio, generation_id) == ("failed", recovery.ATTEMPTS_MAX, 0, 0)
    assert vendor.count == 1
    assert wallet(alice) == (50, 0)
    studio.check()


def test_a_worker_that_died_before_the_job_was_noted_is_released_and_not_called_again(
    alice: Person, studio: Studio, vendor: FakeFal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(_lease: Lease, _job: str) -> None:
        raise Killed

    generation_id = studio.ask(alice, model="flux-dev")
    with monkeypatch.context() as patch:
        patch.setattr(Lease, "note_provider_job", note)
        with pytest.raises(Killed):
            studio.queue.run()
    studio.sweep(after_seconds=LAPSED)
    assert studio.queue.run() == 0
    assert ended(studio, generation_id) == ("failed", 1, 0, 0)
    assert vendor.count == 1
    assert wallet(alice) == (50, 0)
    studio.check()


def test_a_worker_that_died_between_two_files_of_a_job_is_charged_for_the_first(
    alice: Person, studio: Studio, vendor: FakeFal, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, asked = fal.FalProvider._fetch, iter(range(1))

    def fetch(provider: Any, *rest: Any) -> Any:
        if next(asked, None) is None:
            raise Killed
        return genuine(provider, *rest)

    generation_id = studio.ask(alice, model="flux-dev", n=2)
    with monkeypatch.context() as patch:
        patch.setattr(fal.FalProvider, "_fetch", fetch)
        with pytest.raises(Killed):
            studio.queue.run()
    studio.sweep(after_seconds=LAPSED)
    assert studio.queue.run() == 0
    assert ended(studio, generation_id) == ("succeeded", 1, 1, 1_000_000)
    assert vendor.count == 1
    assert wallet(alice) == (49, 0)
    studio.check()


def test_an_owner_who_canceled_before_the_worker_died_pays_nothing(
    alice: Person, studio: Studio, vendor: FakeFal, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.polls = 1000
    generation_id = ask_and_die(studio, alice, monkeypatch)
    assert alice.call("DELETE", f"/api/generations/{generation_id}").status_code == 202
    studio.sweep(after_seconds=LAPSED)
    assert ended(studio, generation_id) == ("canceled", 1, 0, 0)
    assert wallet(alice) == (50, 0)
    studio.check()


def test_a_job_is_never_asked_of_another_provider(
    app: Flask, alice: Person, studio: Studio, vendor: FakeFal, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.polls = 1000
    generation_id = ask_and_die(studio, alice, monkeypatch)
    provide(app, Providers, Providers({}, offline=OfflineProvider()))  # the key was taken away
    studio.sweep(after_seconds=LAPSED)
    studio.queue.run()
    assert ended(studio, generation_id) == ("failed", 2, 0, 0)
    assert wallet(alice) == (50, 0)
    studio.check()
