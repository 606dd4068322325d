"""An order that kills every worker before it begins: it ends failed and free, the others go on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from creditapp import jobs
from tests.faults.generation_worker import BEFORE_START
from tests.workers.shop import check_payments, opened

pytestmark = [pytest.mark.databases("postgresql"), pytest.mark.slow]


def test_an_order_that_kills_its_workers_ends_free_and_the_others_are_made(
    database_url: str, tmp_path: Path
) -> None:
    with opened(database_url, tmp_path) as (shop, openai, _):
        alice, bob = shop.sign_up("alice"), shop.sign_up("bob")
        poison = shop.order(alice, BEFORE_START)
        workers = [shop.start_brittle_worker() for _ in range(3)]
        shop.await_until(lambda: sum(worker.is_alive() for worker in workers) == 1)
        others = [shop.order(bob, f"bob {number}") for number in range(3)]
        shop.await_until(lambda: not shop.unfinished())

        assert [shop.generations()[each].state for each in others] == ["succeeded"] * 3
        row = shop.generations()[poison]
        assert (row.state, row.error_code, row.attempt) == ("failed", "generation_failed", 1)
        assert row.provider_started_at is None
        check_payments(shop, [alice, bob])
        assert alice.balance() == 50
        assert [call["body"]["prompt"] for call in openai.calls if "bob" not in str(call)] == []
        ends = sorted(str(worker.exitcode) for worker in workers)
        assert ends == sorted(["None", str(-signal.SIGKILL), str(-signal.SIGKILL)])
        # An email that was being sent on both dead workers may be a dead letter too.
        with shop.app.app_context():
            assert jobs.dead_letters("generate", [f"{poison}.1"]) == {f"{poison}.1"}
