"""Fixtures for tests that kill a process in the middle of its work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults.crash_worker import CrashWorker
from tests.shop_app import ShopApp


@pytest.fixture(scope="module")
def killed() -> Iterator[Counter[str]]:
    """Kills by action and database, printed after a module's tests."""
    counted = Counter[str]()
    yield counted
    print(f"\nkilled by SIGKILL: {counted.total()} {dict(counted)}")


@pytest.fixture(scope="module")
def crash_worker(
    shared_shop_app: ShopApp, tmp_path_factory: pytest.TempPathFactory, killed: Counter[str]
) -> Iterator[CrashWorker]:
    """A CrashWorker on the module's ShopApp."""
    worker = CrashWorker(shared_shop_app, tmp_path_factory.mktemp("fork_server"), killed)
    yield worker
    worker.stop()
