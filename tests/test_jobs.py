"""Jobs as a page and a handler use them; tests of killed workers are in ``faults``."""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask, current_app
from sqlalchemy import text

from creditapp import jobs
from creditapp.clock import Clock
from creditapp.jobs import engine, registry
from creditapp.jobs.engine import JobStore
from creditapp.jobs.worker_registry import FileWorkerRegistry
from creditapp.services import get, provide

pytestmark = [pytest.mark.databases("sqlite", "postgresql"), pytest.mark.in_turn]
SECRET = "a prompt about a neighbour, and sk-live-123"


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """An app that only enqueues jobs, until a test starts them."""
    handlers, periodics = dict(registry.handlers), dict(registry.periodics)
    registry.handlers.clear()  # the app's own handlers need the whole app
    registry.periodics.clear()
    try:
        app = Flask("jobs_under_test")
        provide(app, Clock, Clock())
        data_dir = tmp_path / "data"
        data_dir.mkdir()
        jobs.init_app(app, database_url, data_dir)
        with app.app_context():
            yield app
            jobs.stop()
            get(JobStore).records.engine.dispose()
    finally:
        registry.handlers.clear()
        registry.handlers.update(handlers)
        registry.periodics.clear()
        registry.periodics.update(periodics)


def await_until(condition: Callable[[], object], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def test_a_job_enqueued_by_eight_threads_runs_once(app: Flask) -> None:
    done: list[str] = []
    jobs.handler("test.once")(done.append)
    at_once = threading.Barrier(8)

    def ask(_: int) -> bool:
        with app.app_context():
            at_once.wait()
            return all(jobs.enqueue("test.once", f"row{number}") for number in range(5))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(8)))
    assert jobs.health().waiting == 5
    jobs.start(app)
    await_until(lambda: len(done) >= 5)
    assert jobs.enqueue("test.once", "row0"), (
        "enqueued again after it ran: known, and not run again"
    )
    assert jobs.enqueue("test.once", "row0.2"), "another id is another job"
    await_until(lambda: "row0.2" in done)
    assert Counter(done) == Counter([*(f"row{number}" for number in range(5)), "row0.2"])


def test_one_process_enqueues_a_job_and_another_runs_it(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    done: list[str] = []
    jobs.handler("test.elsewhere")(lambda row_id: done.append(current_app.name))
    assert jobs.health() == jobs.Health(False, 0, None, 0, 0, 0.0, 0)
    jobs.enqueue("test.elsewhere", "1")
    health = jobs.health()
    assert (health.alive, health.waiting, done) == (False, 1, [])

    worker = Flask("worker")
    provide(worker, Clock, Clock())
    jobs.init_app(worker, database_url, tmp_path / "data")
    jobs.start(worker)
    await_until(lambda: done == ["worker"])
    health = jobs.health()
    assert (health.alive, health.workers, health.waiting, health.dead_letters) == (True, 1, 0, 0)
    assert health.last_beat is not None
    assert datetime.now(UTC) - health.last_beat < timedelta(seconds=5)
    jobs.stop()
    await_until(lambda: not jobs.health().alive)
    with worker.app_context():
        get(JobStore).records.engine.dispose()


def test_a_partition_runs_two_jobs_and_a_worker_eight_and_others_do_not_wait(app: Flask) -> None:
    lock = threading.Lock()
    running: Counter[str] = Counter()
    peaks: Counter[str] = Counter()
    done: list[str] = []

    def work(row_id: str) -> None:
        user = row_id.split("-")[0]
        with lock:
            running.update([user, "all"])
            peaks[user] = max(peaks[user], running[user])
            peaks["all"] = max(peaks["all"], running["all"])
        time.sleep(0.3)
        with lock:
            running.subtract([user, "all"])
            done.append(row_id)

    jobs.handler("test.partition")(work)
    jobs.handler("test.paid")(done.append)
    jobs.handler("test.other")(done.append)
    for number in range(6):
        for user in ("alice", "bob", "charlie", "dora", "emil", "frida"):
            jobs.enqueue("test.partition", f"{user}-{number}", partition=f"vendor/{user}")
    jobs.start(app)
    await_until(lambda: running["all"] == 8)
    jobs.enqueue("test.paid", "paid")
    jobs.enqueue("test.other", "other vendor", partition="quick/alice")
    await_until(lambda: {"paid", "other vendor"} <= set(done), seconds=5)
    assert len(done) < 30, "jobs outside the full partitions did not wait for them"
    await_until(lambda: len(done) == 38, seconds=20)
    assert peaks.pop("all") == engine.THREADS == 8
    assert set(peaks.values()) == {engine.PER_USER} == {2}


def test_a_failing_job_is_retried_then_fails_for_good_and_its_text_is_not_stored(
    app: Flask, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts: list[float] = []

    @jobs.handler("test.failing", retry_seconds=(0.2, 0.2))
    def fail(row_id: str) -> None:
        attempts.append(time.monotonic())
        raise RuntimeError(SECRET)

    @jobs.handler("test.healing", retry_seconds=(0.2,))
    def heal(row_id: str) -> None:
        attempts.append(0.0)
        if attempts.count(0.0) == 1:
            raise RuntimeError(SECRET)

    jobs.start(app)
    jobs.enqueue("test.healing", "b", partition="vendor/bob")
    jobs.enqueue("test.failing", "a")
    await_until(lambda: jobs.health().dead_letters == 1)
    await_until(lambda: attempts.count(0.0) == 2)
    jobs.enqueue("test.failing", "a")
    time.sleep(0.5)
    assert len(attempts) == 3 + 2
    assert jobs.health().dead_letters == 1
    jobs.stop()

    output = capsys.readouterr()
    assert SECRET not in caplog.text + output.out + output.err
    schema = "" if get(JobStore).records.engine.dialect.name == "sqlite" else "dbos."
    with get(JobStore).records.engine.connect() as connection:
        tables = ("workflow_status", "workflow_input", "workflow_output", "operation_outputs")
        for table in tables:
            rows = connection.execute(text(f"SELECT * FROM {schema}{table}")).all()
            assert "neighbour" not in repr(rows), table


def test_a_delayed_job_waits_for_its_delay(app: Flask) -> None:
    done: dict[str, float] = {}

    @jobs.handler("test.later")
    def later(row_id: str) -> None:
        done.setdefault(row_id, time.monotonic())

    jobs.start(app)
    jobs.enqueue("test.later", "at once")
    await_until(lambda: "at once" in done)
    asked_at = time.monotonic()
    jobs.enqueue("test.later", "in a moment", after=timedelta(seconds=1.5))
    await_until(lambda: len(done) == 2)
    assert 1.5 <= done["in a moment"] - asked_at < 4.0


@pytest.mark.databases("sqlite")
def test_a_periodic_job_runs_by_its_cron_and_never_twice_at_once(app: Flask) -> None:
    ticks: list[float] = []
    running: list[int] = []

    @jobs.every("test.slow_tick", "* * * * * *")
    def tick() -> None:
        ticks.append(time.monotonic())
        running.append(1)
        assert len(running) == 1
        time.sleep(1.2)
        running.pop()

    jobs.start(app)
    await_until(lambda: len(ticks) == 2, seconds=12)
    jobs.stop()
    assert running == []
    assert all(later - earlier >= 1.2 for earlier, later in itertools.pairwise(ticks))


def test_a_sweep_may_enqueue_other_jobs_when_it_runs_again(app: Flask) -> None:
    done: list[str] = []
    jobs.handler("test.found")(done.append)

    @jobs.handler("test.sweep", retry_seconds=(0.1,))
    def sweep(row_id: str) -> None:
        if jobs.health().waiting > 100:
            return
        jobs.enqueue("test.found", f"found{len(done)}")
        jobs.enqueue("test.found", "found always")
        if not done:
            done.append("first sweep fails")
            raise RuntimeError

    jobs.start(app)
    jobs.enqueue("test.sweep", "1")
    await_until(lambda: len(done) >= 3)
    assert "found always" in done
    assert jobs.health().dead_letters == 0


def test_records_of_ended_jobs_are_deleted_after_their_retention(app: Flask) -> None:
    done: list[str] = []
    jobs.handler("test.old")(done.append)
    jobs.start(app)
    for number in range(3):
        jobs.enqueue("test.old", f"{number}")
    await_until(lambda: len(done) == 3 and jobs.health().running == 0)
    jobs.enqueue("test.old", "waiting", after=timedelta(days=1))
    store = get(JobStore)
    schema = "" if store.records.engine.dialect.name == "sqlite" else "dbos."
    with store.records.engine.begin() as connection:
        aged = f"UPDATE {schema}workflow_status SET updated_at = updated_at - 2 * 86400000"
        connection.execute(text(aged))
    store.prune()
    with store.records.engine.connect() as connection:
        keys = connection.scalars(text(f"SELECT workflow_uuid FROM {schema}workflow_status")).all()
    assert [key for key in keys if key.startswith("test.old")] == ["test.old:waiting"]


def test_an_unreachable_store_is_reported_and_not_raised(tmp_path: Path) -> None:
    jobs_before = dict(registry.handlers)
    jobs.handler("test.lost")(lambda row_id: None)
    app = Flask("jobs_under_test")
    provide(app, Clock, Clock())
    jobs.init_app(app, "postgresql+psycopg://nobody@127.0.0.1:9/nowhere", tmp_path)
    with app.app_context():
        began_at = time.monotonic()
        assert jobs.enqueue("test.lost", "1") is False
        assert not jobs.health().alive
        assert time.monotonic() - began_at < 6
    registry.handlers.clear()
    registry.handlers.update(jobs_before)


def test_a_reader_never_takes_the_lock_of_a_worker_that_registers(tmp_path: Path) -> None:
    """A reader holds the lock for an instant; a worker that registers then must still get it."""
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            FileWorkerRegistry(tmp_path).live_workers()

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(200):
            worker = FileWorkerRegistry(tmp_path)
            worker.register(f"worker-{number}")
            with FileWorkerRegistry(tmp_path).lock_if_dead(f"worker-{number}") as is_dead:
                assert not is_dead
            worker.unregister()
    finally:
        stop.set()
        for reader in readers:
            reader.join()


@pytest.mark.databases("sqlite")
def test_mistakes_in_the_code_are_raised(app: Flask) -> None:
    jobs.handler("test.known")(lambda row_id: None)
    with pytest.raises(KeyError, match="no handler is called"):
        jobs.enqueue("test.unknown", "1")
    for partition in ("", "/", "vendor/", "Vendor/alice", "a/b/c", "vendor/al ice"):
        with pytest.raises(ValueError, match="is not a partition"):
            jobs.enqueue("test.known", "1", partition=partition)
    jobs.start(app)
    with pytest.raises(RuntimeError, match="already"):
        jobs.start(app)


def test_a_start_does_not_wait_for_dbos(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from flask import Flask
from creditapp import jobs
app = Flask("x")
jobs.init_app(app, "sqlite:///{tmp_path}/app.sqlite", Path("{tmp_path}"))
assert "dbos" not in sys.modules
jobs.start(app)
assert not hasattr(sys.modules.get("dbos"), "DBOS"), "it is still being imported"
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=200
    )
    assert "Traceback" not in result.stderr


def test_the_private_dbos_function_that_recovers_jobs_is_as_expected() -> None:
    """ADR 2 says why it is used; a new release of DBOS may rename it or change its arguments."""
    from dbos import DBOS

    parameters = inspect.signature(DBOS._recover_pending_workflows).parameters
    assert list(parameters) == ["executor_ids"]
