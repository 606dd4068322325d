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
from tests.payments.till import Till

__all__ = ["Doer", "doer", "killed"]

_processes = multiprocessing.get_context("spawn")


class Doer:
    """Does things in children that die, each kill counted by what it was in and on what."""

    def __init__(self, house: Till, folder: Path, killed: Counter[str]) -> None:
        self._killed = killed
        self._pipe, theirs = _processes.Pipe()
        self._kind = house.url.partition(":")[0].partition("+")[0]
        environ = {
            "CREDITAPP_ENV": "testing",
            "DATABASE_URL": house.url,
            "SECRET_KEY": house.settings.secret_key,
            "SITE_URL": "http://localhost",
            "CREDITAPP_LOG_LEVEL": "error",
            "STRIPE_SECRET_KEY": house.gateway._secret_key,
            "STRIPE_WEBHOOK_SECRET": house.secret,
            "STRIPE_API_BASE": house.gateway.api_base(),
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
def doer(
    house: Till, tmp_path_factory: pytest.TempPathFactory, killed: Counter[str]
) -> Iterator[Doer]:
    """Who does things in children of a module's till."""
    made = Doer(house, tmp_path_factory.mktemp("mother"), killed)
    yield made
    made.stop()
