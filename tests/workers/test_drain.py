"""Workers are stopped by SIGTERM, as a deployment does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.workers.shop import check_payments, opened

pytestmark = [pytest.mark.databases("postgresql"), pytest.mark.slow]


def test_a_stopped_worker_ends_what_it_runs_and_takes_nothing_new(
    database_url: str, tmp_path: Path
) -> None:
    with opened(database_url, tmp_path) as (shop, openai, _):
        alice = shop.sign_up("alice")
        openai.fail("delay", seconds=2)
        running = shop.order(alice, "running")
        worker = shop.start_worker()
        shop.await_until(lambda: openai.count == 1)
        worker.terminate()
        waiting = shop.order(alice, "waiting")
        worker.join(60)
        assert worker.exitcode == 0, shop.errors()
        rows = shop.generations()
        assert (rows[running].state, rows[waiting].state) == ("succeeded", "queued")

        shop.start_worker()
        shop.await_until(lambda: not shop.unfinished())
        assert shop.generations()[waiting].state == "succeeded"
        assert openai.count == 2
        check_payments(shop, [alice])


@pytest.mark.whole
def test_a_stopped_worker_hands_on_what_takes_too_long(database_url: str, tmp_path: Path) -> None:
    with opened(database_url, tmp_path, CREDITAPP_DRAIN_SECONDS="1") as (shop, openai, fal):
        alice = shop.sign_up("alice")
        openai.fail("delay", seconds=60)
        fal.polls = 100_000
        call, job = shop.order(alice, "a call"), shop.order(alice, "a job", "flux-dev")
        first = shop.start_worker()
        shop.await_until(lambda: openai.count == 1 and shop.generations()[job].provider_job)
        shop.start_workers(1)
        stopped_at = time.monotonic()
        first.terminate()
        first.join(60)
        assert first.exitcode == 0, shop.errors()
        assert time.monotonic() - stopped_at < 15
        for each in fal.jobs.values():
            each.polls_left = 1
        shop.await_until(lambda: not shop.unfinished())

        rows = shop.generations()
        assert (rows[call].state, rows[call].attempt) == ("failed", 1), "no vendor is asked twice"
        assert (rows[job].state, rows[job].attempt) == ("succeeded", 2)
        assert (openai.count, fal.count) == (1, 1)
        check_payments(shop, [alice])
