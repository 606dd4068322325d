"""Recovery: every generation ends once, whatever happened to its worker."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from flask import Flask
from structlog.testing import capture_logs

from creditapp.generation import recovery
from creditapp.generation.leases import LEASE_SECONDS
from tests.app_factory import Person
from tests.generation.studio import Scripted, Studio, held_up, lines, wallet

LAPSED = LEASE_SECONDS + 1


def leave_running(studio: Studio, generation_id: str) -> None:
    """Leave the row as a killed worker does."""
    studio.queue.waiting.clear()
    moment = studio.clock.now()
    studio.set(
        generation_id,
        state="running",
        provider_started_at=moment,
        lease_until=moment + timedelta(seconds=LEASE_SECONDS),
    )


def test_a_lost_queue_entry_is_found_again(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    generation_id = studio.ask(alice)
    studio.queue.waiting.clear()
    studio.queue.seen.clear()
    studio.sweep(after_seconds=recovery.QUEUED_SECONDS_MAX - 1)
    assert studio.queue.run() == 0, "it may still be on its way"
    studio.sweep(after_seconds=2)
    studio.queue.run()
    assert studio.generation(generation_id).state == "succeeded"
    assert provider.calls == 1
    studio.check()


def test_one_that_only_waits_long_is_looked_at_now_and_then_and_not_doubled(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    generation_id = studio.ask(alice)
    studio.sweep(after_seconds=30)
    looked_again_at = studio.generation(generation_id).lease_until
    assert looked_again_at == studio.clock.now() + timedelta(seconds=recovery.QUEUED_SECONDS_MAX)
    studio.sweep(after_seconds=1)
    assert studio.generation(generation_id).lease_until == looked_again_at
    studio.queue.run()
    assert provider.calls == 1


def test_an_entry_that_died_gets_a_successor(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    generation_id = studio.ask(alice)
    studio.queue.waiting.clear()  # and the store still believes that it has it
    studio.sweep(after_seconds=60)
    assert studio.queue.run() == 0
    studio.sweep(after_seconds=recovery.QUEUED_SECONDS_LONG)
    assert studio.queue.run() == 1
    row = studio.generation(generation_id)
    assert (row.state, row.attempt) == ("succeeded", 2)
    assert provider.calls == 1
    studio.check()


def test_one_whose_job_failed_for_good_ends_without_a_charge(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    generation_id = studio.ask(alice)
    studio.queue.waiting.clear()
    studio.queue.dead.add(("generate", f"{generation_id}.1"))
    studio.sweep(after_seconds=recovery.QUEUED_SECONDS_MAX + 1)
    row = studio.generation(generation_id)
    assert (row.state, row.error_code, row.attempt) == ("failed", "generation_failed", 1)
    assert provider.calls == 0
    assert wallet(alice) == (50, 0)
    assert lines(alice) == [("REFUND", 0)]
    studio.check()


def test_a_lapsed_lease_ends_without_a_charge_and_without_another_call(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    generation_id = studio.ask(alice)
    leave_running(studio, generation_id)
    studio.sweep(after_seconds=LEASE_SECONDS - 1)
    assert studio.generation(generation_id).state == "running", "its worker may live"
    studio.sweep(after_seconds=2)
    studio.queue.run()

    row = studio.generation(generation_id)
    assert (row.state, row.error_code, row.charged_micro) == ("failed", "generation_failed", 0)
    assert provider.calls == 0
    assert wallet(alice) == (50, 0)
    assert lines(alice) == [("REFUND", 0)]
    studio.work(generation_id)
    assert provider.calls == 0, "the job's own repetition finds the row taken"
    studio.check()


def test_a_repeatable_provider_is_asked_again(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.repeatable = True
    generation_id = studio.ask(alice)
    leave_running(studio, generation_id)
    studio.sweep(after_seconds=LAPSED)
    assert studio.generation(generation_id).state == "queued"
    studio.queue.run()
    row = studio.generation(generation_id)
    assert (row.state, row.attempt) == ("succeeded", 2)
    assert lines(alice) == [("DEBIT", -0.5)]
    studio.check()


def test_a_repeatable_provider_that_kills_its_workers_is_given_up(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.repeatable = True
    generation_id = studio.ask(alice)
    for _ in range(recovery.ATTEMPTS_MAX):
        leave_running(studio, generation_id)
        studio.sweep(after_seconds=LAPSED)
    assert studio.generation(generation_id).state == "failed"
    assert wallet(alice) == (50, 0)
    studio.check()


def test_a_generation_whose_owner_canceled_is_not_repeated(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.repeatable = True
    generation_id = studio.ask(alice)
    leave_running(studio, generation_id)
    assert alice.call("DELETE", f"/api/generations/{generation_id}").status_code == 202
    studio.sweep(after_seconds=LAPSED)
    row = studio.generation(generation_id)
    assert (row.state, row.error_code) == ("canceled", None)
    assert wallet(alice) == (50, 0)
    studio.check()


def test_a_worker_that_comes_back_to_life_delivers_and_charges_nothing_more(
    alice: Person, studio: Studio, provider: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditapp.generation.leases.RENEW_SECONDS", 3600.0)  # no renewal
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [None, held_up(gate, arrived), None]
    generation_id = studio.ask(alice, n=2)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)
    assert len(studio.files()) == 1
    studio.sweep(after_seconds=LAPSED)
    row = studio.generation(generation_id)
    assert (row.state, row.delivered, row.charged_micro) == ("succeeded", 1, 500_000)
    assert row.error_text == "The server stopped while this was being made."
    assert wallet(alice) == (49.5, 0)
    gate.set()
    worker.join()

    assert studio.generation(generation_id).delivered == 1
    assert wallet(alice) == (49.5, 0)
    assert len(studio.files()) == 1, "the file that came late was removed"
    studio.check()


def test_of_two_attempts_that_both_live_only_the_later_one_settles(
    alice: Person, studio: Studio, provider: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditapp.generation.leases.RENEW_SECONDS", 3600.0)
    provider.repeatable = True
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [held_up(gate, arrived), None]
    generation_id = studio.ask(alice)
    first = studio.work_beside(generation_id, 1)
    assert arrived.wait(60)
    studio.sweep(after_seconds=LAPSED)
    arrived.clear()
    second_gate = threading.Event()
    provider.script = [held_up(second_gate, arrived), None]
    second = studio.work_beside(generation_id, 2)
    assert arrived.wait(60)

    gate.set()
    first.join()
    assert studio.generation(generation_id).state == "running", "the first is no longer asked"
    assert studio.files() == set()
    second_gate.set()
    second.join()
    assert studio.generation(generation_id).state == "succeeded"
    assert lines(alice) == [("DEBIT", -0.5)]
    studio.check()


def test_a_worker_learns_that_it_was_given_up_and_stops(
    alice: Person, studio: Studio, provider: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditapp.generation.leases.RENEW_SECONDS", 0.02)
    asked = threading.Event()

    def wait_to_be_stopped() -> None:
        studio.set(generation_id, attempt=2)
        asked.set()

    provider.script = [wait_to_be_stopped, *[lambda: threading.Event().wait(0.05)] * 100, None]
    generation_id = studio.ask(alice)
    studio.work(generation_id)
    assert asked.is_set()
    assert studio.files() == set()
    assert studio.generation(generation_id).state == "running"


def test_a_worker_that_lives_is_not_ended_because_a_clock_is_ahead(
    alice: Person, studio: Studio, provider: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditapp.generation.leases.RENEW_SECONDS", 0.02)
    monkeypatch.setattr(recovery, "WATCH_SECONDS", 0.5)
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [held_up(gate, arrived), None]
    generation_id = studio.ask(alice)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)
    # Now and then the row is seen with the lease of the clock from before.
    for _ in range(5):
        studio.sweep(after_seconds=LAPSED)
    gate.set()
    worker.join()
    assert studio.generation(generation_id).state == "succeeded"
    assert provider.calls == 1
    studio.check()


def test_a_lease_is_renewed_while_the_provider_works(
    alice: Person, studio: Studio, provider: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditapp.generation.leases.RENEW_SECONDS", 0.02)
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [held_up(gate, arrived), None]
    generation_id = studio.ask(alice)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)
    studio.clock.advance(timedelta(seconds=LAPSED))
    renewed = studio.clock.now() + timedelta(seconds=LEASE_SECONDS)
    while studio.generation(generation_id).lease_until != renewed:
        assert worker.is_alive()
    studio.sweep()
    assert studio.generation(generation_id).state == "running"
    gate.set()
    worker.join()
    assert studio.generation(generation_id).state == "succeeded"


def test_a_provider_that_hangs_for_too_long_loses_its_lease(
    alice: Person, studio: Studio, provider: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditapp.generation.leases.RENEW_SECONDS", 0.02)
    monkeypatch.setattr("creditapp.generation.leases.RUN_SECONDS_MAX", 0.1)
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [held_up(gate, arrived), None]
    generation_id = studio.ask(alice)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)
    threading.Event().wait(0.3)
    studio.sweep(after_seconds=LAPSED)
    assert studio.generation(generation_id).state == "failed"
    gate.set()
    worker.join()
    assert wallet(alice) == (50, 0)
    studio.check()


def test_one_row_that_cannot_be_mended_does_not_stop_the_others(
    app: Flask, alice: Person, charlie: Person, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, whole = studio.ask(alice), studio.ask(charlie)
    leave_running(studio, broken)
    leave_running(studio, whole)
    genuine = recovery.settle_lapsed

    def settle(generation, refusal, *, now):  # type: ignore[no-untyped-def]
        if generation.id == broken:
            raise RuntimeError("a row that the ledger does not agree with")
        return genuine(generation, refusal, now=now)

    monkeypatch.setattr(recovery, "settle_lapsed", settle)
    studio.sweep(after_seconds=LAPSED)
    assert studio.generation(whole).state == "failed"
    assert studio.generation(broken).state == "running"
    monkeypatch.undo()


def test_an_order_of_a_newer_version_is_released_by_the_worker(
    alice: Person, studio: Studio
) -> None:
    generation_id = studio.ask(alice)
    studio.set(generation_id, operation="hologram")
    with capture_logs() as logs:
        studio.queue.run()
    row = studio.generation(generation_id)
    assert (row.state, row.error_code, row.charged_micro) == ("failed", "provider_unavailable", 0)
    assert wallet(alice) == (50, 0)
    (line,) = [line for line in logs if line["event"] == "unknown operation"]
    assert (line["generation"], line["operation"]) == (generation_id, "hologram")
    studio.check()


def test_an_order_of_a_newer_version_is_released_when_its_worker_died(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.repeatable = True
    generation_id = studio.ask(alice)
    leave_running(studio, generation_id)
    studio.set(generation_id, operation="hologram")
    studio.sweep(after_seconds=LAPSED)
    assert studio.generation(generation_id).state == "failed"
    assert wallet(alice) == (50, 0)
    assert lines(alice) == [("REFUND", 0)]
    studio.check()


def test_two_sweeps_at_once_end_it_once(alice: Person, studio: Studio) -> None:
    generation_id = studio.ask(alice)
    leave_running(studio, generation_id)
    studio.clock.advance(timedelta(seconds=LAPSED))
    sweeps = [threading.Thread(target=studio.sweep) for _ in range(4)]
    for sweep in sweeps:
        sweep.start()
    for sweep in sweeps:
        sweep.join()
    assert studio.generation(generation_id).state == "failed"
    assert lines(alice) == [("REFUND", 0)]
    studio.check()
