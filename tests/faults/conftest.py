"""Fixtures for tests that kill a process in the middle of its work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults.crash_worker import CrashWorker
from tests.shop_app import ShopApp


@pytest.fixture(scope="package")
def killed() -> Iterator[Counter[str]]:
    """Kills by action and database, printed after the last test."""
    counted = Counter[str]()
    yield counted
    print(f"\nkilled by SIGKILL: {counted.total()} {dict(counted)}")


@pytest.fixture(scope="package")
def crash_workers() -> Iterator[dict[str, CrashWorker]]:
    """One CrashWorker for each kind of database."""
    workers: dict[str, CrashWorker] = {}
    yield workers
    for worker in workers.values():
        worker.stop()


@pytest.fixture
def crash_worker(
    shop_app: ShopApp,
    database_kind: str,
    crash_workers: dict[str, CrashWorker],
    tmp_path_factory: pytest.TempPathFactory,
    killed: Counter[str],
) -> CrashWorker:
    """A CrashWorker on the test's ShopApp."""
    if database_kind not in crash_workers:
        folder = tmp_path_factory.mktemp("fork_server")
        crash_workers[database_kind] = CrashWorker(shop_app, folder, killed)
    return crash_workers[database_kind]
