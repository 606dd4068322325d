"""The test's end of the pipe to the mother of children that are killed."""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults.payments_worker import NEVER_KILLED, Deed, mother
from tests.shop_app import ShopApp

_processes = multiprocessing.get_context("spawn")


class CrashWorker:
    """Does things in children that die, each kill counted by what it was in and on what."""

    def __init__(self, shared_shop_app: ShopApp, folder: Path, killed: Counter[str]) -> None:
        self._killed = killed
        self._pipe, theirs = _processes.Pipe()
        self._kind = shared_shop_app.url.partition(":")[0].partition("+")[0]
        environ = {
            "CREDITAPP_ENV": "testing",
            "DATABASE_URL": shared_shop_app.url,
            "SECRET_KEY": shared_shop_app.settings.secret_key,
            "SITE_URL": "http://localhost",
            "CREDITAPP_LOG_LEVEL": "error",
            "STRIPE_SECRET_KEY": shared_shop_app.gateway._secret_key,
            "STRIPE_WEBHOOK_SECRET": shared_shop_app.secret,
            "STRIPE_API_BASE": shared_shop_app.gateway.api_base(),
        }
        self._process = _processes.Process(target=mother, args=(theirs, environ, folder))
        self._process.start()

    def count(self, name: str, *arguments: Any) -> int:
        """Do it without an accident and return how many steps it took."""
        ended, steps = self._do(Deed(name, arguments, NEVER_KILLED))
        assert ended == 0
        assert steps > 0
        return steps

    def killed_at(self, step: int, name: str, *arguments: Any) -> None:
        """Do it and be killed at a step."""
        assert self.dies_at(step, name, *arguments), f"step {step} of {name} was never reached"

    def dies_at(self, step: int, name: str, *arguments: Any, at: datetime | None = None) -> bool:
        """Do it and be killed at a step; False when it was done before it came to that step."""
        ended, _steps = self._do(Deed(name, arguments, step, at))
        assert ended in (0, signal.SIGKILL), f"{name} failed by itself: {ended}"
        self._killed[f"{name} on {self._kind}"] += ended == signal.SIGKILL
        return ended == signal.SIGKILL

    def _do(self, deed: Deed) -> tuple[int, int]:
        self._pipe.send(deed)
        assert self._pipe.poll(30), "the child hangs"
        answer: tuple[int, int] = self._pipe.recv()
        return answer

    def stop(self) -> None:
        self._pipe.send(None)
        self._process.join(5)


@pytest.fixture(scope="module")
def killed() -> Iterator[Counter[str]]:
    """How many children died in what; said when a module's tests are over."""
    counted = Counter[str]()
    yield counted
    print(f"\nkilled by SIGKILL: {counted.total()} {dict(counted)}")


@pytest.fixture(scope="module")
def crash_worker(
    shared_shop_app: ShopApp, tmp_path_factory: pytest.TempPathFactory, killed: Counter[str]
) -> Iterator[CrashWorker]:
    """Who does things in children of a module's till."""
    made = CrashWorker(shared_shop_app, tmp_path_factory.mktemp("mother"), killed)
    yield made
    made.stop()
