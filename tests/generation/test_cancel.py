"""Canceling and deleting: queued, running, finished, and one's own only."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from creditapp.generation.providers import GenerationFailed
from creditapp.rate_limits import CANCELED_ORDERS
from tests.app_factory import Person
from tests.generation.studio import Scripted, Studio, held_up, lines, remaining, wallet


def delete(person: Person, generation_id: str) -> TestResponse:
    return person.call("DELETE", f"/api/generations/{generation_id}")


@pytest.fixture(autouse=True)
def _quick_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("creditapp.generation.leases.RENEW_SECONDS", 0.02)


def test_a_queued_one_is_canceled_at_once(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    generation_id = studio.ask(alice, n=2)
    answer = delete(alice, generation_id)
    assert (answer.status_code, answer.json["status"]) == (200, "canceled")
    assert answer.json["credits"] == {"used": 0, "remaining": 50}
    assert wallet(alice) == (50, 0)
    studio.queue.run()
    assert provider.calls == 0
    assert lines(alice) == [("REFUND", 0)]
    studio.check()


def test_who_cancels_without_end_pays_for_the_next_one(
    alice: Person,
    charlie: Person,
    studio: Studio,
    provider: Scripted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The package has a function of the module's name.
    module = sys.modules["creditapp.generation.cancel"]
    monkeypatch.setattr(module, "CANCELED_ORDERS", replace(CANCELED_ORDERS, limit=2))
    for _ in range(2):
        canceled = studio.ask(alice)
        assert delete(alice, canceled).status_code == 200
    delete(alice, canceled)  # deletes it, and is no further cancel
    last = studio.ask(alice)
    refused = delete(alice, last)
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
    assert "this one goes on. Try again in 60 min." in refused.json["detail"]
    assert delete(charlie, studio.ask(charlie)).status_code == 200
    studio.queue.run()
    assert alice.call("GET", f"/api/generations/{last}").json["status"] == "succeeded"
    studio.check()


def test_a_running_one_is_asked_to_stop_and_pays_what_was_delivered(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    arrived, gate = threading.Event(), threading.Event()
    wait_for_the_beat = [lambda: threading.Event().wait(0.05)] * 60
    provider.script = [None, held_up(gate, arrived), *wait_for_the_beat, None, None]
    generation_id = studio.ask(alice, n=3)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)
    answer = delete(alice, generation_id)
    assert (answer.status_code, answer.json["status"]) == (202, "running")
    assert wallet(alice) == (48.5, 1.5)
    gate.set()
    worker.join()

    row = studio.generation(generation_id)
    assert (row.state, row.delivered, row.charged_micro) == ("succeeded", 1, 500_000)
    assert wallet(alice) == (49.5, 0)
    assert len(studio.files()) == 1
    entry = alice.call("GET", "/api/credits/transactions").json["items"][0]
    assert (entry["amount"], entry["description"]) == (-0.5, "Nano Banana, 1 of 3 images")
    studio.check()


def test_a_running_one_that_delivered_nothing_costs_nothing(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    arrived, gate = threading.Event(), threading.Event()
    wait_for_the_beat = [lambda: threading.Event().wait(0.05)] * 60
    provider.script = [held_up(gate, arrived), *wait_for_the_beat, None]
    generation_id = studio.ask(alice)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)
    assert delete(alice, generation_id).status_code == 202
    assert delete(alice, generation_id).status_code == 202, "asking twice is no mistake"
    gate.set()
    worker.join()
    assert studio.generation(generation_id).state == "canceled"
    assert wallet(alice) == (50, 0)
    studio.check()


def test_a_provider_that_does_not_listen_delivers_and_is_paid(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    arrived, gate = threading.Event(), threading.Event()
    provider.stops_when_asked = False
    provider.script = [held_up(gate, arrived), None]
    generation_id = studio.ask(alice)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)
    assert delete(alice, generation_id).status_code == 202
    gate.set()
    worker.join()
    assert studio.generation(generation_id).state == "succeeded"
    assert wallet(alice) == (49.5, 0)


def test_a_finished_one_is_deleted_with_its_media_and_stays_paid(
    alice: Person, studio: Studio
) -> None:
    row = studio.make(alice, n=2)
    answer = alice.call("GET", f"/api/generations/{row.id}").json
    urls = [asset["url"] for asset in answer["assets"]]
    assert [alice.browser.get(url).status_code for url in urls] == [200, 200]

    answer = delete(alice, row.id)
    assert (answer.status_code, answer.data) == (204, b"")
    assert studio.files() == set()
    assert [alice.browser.get(url).status_code for url in urls] == [404, 404]
    assert alice.call("GET", f"/api/generations/{row.id}").status_code == 404
    assert delete(alice, row.id).status_code == 404
    assert alice.call("GET", "/api/generations").json["items"] == []
    assert studio.generation(row.id).prompt == "", "the prompt is erased too"
    assert wallet(alice) == (49, 0)
    assert lines(alice) == [("DEBIT", -1)]
    studio.check()


@pytest.mark.parametrize("how", ["failed", "canceled"])
def test_one_that_came_to_nothing_can_be_deleted(
    alice: Person, studio: Studio, provider: Scripted, how: str
) -> None:
    provider.script = [GenerationFailed()]
    generation_id = studio.ask(alice)
    if how == "canceled":
        assert delete(alice, generation_id).status_code == 200
    studio.queue.run()
    assert studio.generation(generation_id).state == how
    assert delete(alice, generation_id).status_code == 204


def test_a_file_that_is_already_gone_does_not_keep_an_image_from_being_deleted(
    alice: Person, studio: Studio
) -> None:
    row = studio.make(alice)
    (name,) = studio.files()
    Path(next(iter(studio.media_folder.rglob(name)))).unlink()
    (asset,) = alice.call("GET", f"/api/generations/{row.id}").json["assets"]
    assert alice.browser.get(asset["url"]).status_code == 404
    assert delete(alice, row.id).status_code == 204


def test_a_stranger_finds_nothing_to_cancel_or_to_delete(
    alice: Person, charlie: Person, guest: Person, studio: Studio
) -> None:
    queued, finished = studio.ask(alice), studio.make(alice).id
    queued = studio.ask(alice)
    for stranger in (charlie, guest):
        for generation_id in (queued, finished, "gen_none", "gen_" + "0" * 26):
            assert delete(stranger, generation_id).status_code == 404
            answer = stranger.call("GET", f"/api/generations/{generation_id}")
            assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert studio.generation(queued).state == "queued"
    assert studio.generation(finished).deleted_at is None


def test_canceling_as_the_worker_begins_ends_it_once(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    for _ in range(6):
        generation_id = studio.ask(alice)
        worker = studio.work_beside(generation_id)
        status = delete(alice, generation_id).status_code
        worker.join()
        assert status in (200, 202, 204, 409)
        row = studio.generation(generation_id)
        assert row.state in ("canceled", "succeeded")
        assert row.charged_micro == (500_000 if row.state == "succeeded" else 0)
    assert wallet(alice)[1] == 0
    studio.check()


def test_a_guest_who_cancels_gets_the_free_image_back(guest: Person, studio: Studio) -> None:
    generation_id = studio.ask(guest)
    assert remaining(guest) == 2
    assert delete(guest, generation_id).status_code == 200
    assert remaining(guest) == 3
