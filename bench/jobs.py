"""Jobs: how many a second, and their processor time, beside DBOS with an empty workflow.

All jobs wait before the worker starts, in the partitions of the same users. The vendor is a
stand-in that answers at once, so that what is measured is the worker's own: claim, lease, storing
the file, thumbnail, rows, settlement.
"""

from __future__ import annotations

import io
import re
import secrets
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from bench.pages import build
from bench.servers import databases
from creditapp import accounts, jobs
from creditapp.accounts import AccountRules
from creditapp.clock import now
from creditapp.db import db, transaction
from creditapp.generation.providers import ImageRequest, ProducedFile, Providers, Request, Work
from creditapp.jobs import engine, records
from creditapp.jobs.engine import JobStore
from creditapp.jobs.registry import periodics
from creditapp.services import get

USERS, JOBS_EACH = 10, 20
JOBS = USERS * JOBS_EACH
SECONDS_MAX = 120
"""How long one measurement may take."""
OWN_MS_MAX = 20
"""Processor time of one generation besides the engine's and that of decoding the image."""
PASSWORD = "correct horse battery"  # of people who exist for a minute


class Course:
    """The jobs that have run so far, with clock and processor time of the first and the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: list[tuple[float, float]] = []

    def count(self) -> None:
        """Count one job."""
        with self._lock:
            self._times.append((time.perf_counter(), time.process_time()))

    def figures(self) -> tuple[float, float]:
        """Wait for all jobs; return jobs a second and milliseconds of processor time of a job."""
        give_up_at = time.monotonic() + SECONDS_MAX
        while len(self._times) < JOBS:
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"{len(self._times)} of {JOBS} jobs ran")
            time.sleep(0.05)
        (first, first_cpu), (last, last_cpu) = self._times[0], self._times[-1]
        between = len(self._times) - 1
        return between / (last - first), (last_cpu - first_cpu) / between * 1000


class InstantProvider:
    """A vendor that answers at once with the same image."""

    name = "offline"
    repeatable = True
    makes = frozenset[type[Request]]({ImageRequest})

    def __init__(self) -> None:
        self.image = b""
        self.course = Course()

    def make(self, request: Request, work: Work) -> Iterator[ProducedFile]:
        """Yield the image."""
        self.course.count()
        yield ProducedFile(data=self.image, mime_type="image/png", width=1024, height=1024)


def main() -> None:
    """Print the floor, an empty job and generations of two sizes, on each database."""
    print(f"\nJobs, one worker: {JOBS} waiting jobs of {USERS} users")
    print(f"{'':<44} {'jobs/s':>8} {'cpu ms':>8} {'own ms':>8} {'statements':>11}")
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as urls:
        for kind, url in urls.items():
            _measure(kind, url, Path(name) / kind)


def _measure(kind: str, url: str, folder: Path) -> None:
    provider = InstantProvider()
    app = build(url, folder, Providers({}, offline=provider))
    periodics.clear()  # the sweeps of the app are not what is measured
    floor = _floor(app)
    _print(f"{kind} floor: an empty DBOS workflow", floor)

    empty = Course()
    jobs.handler("bench.empty")(lambda _row_id: empty.count())
    with app.app_context():
        for number in range(JOBS):
            jobs.enqueue("bench.empty", str(number), partition=f"bench/user{number % USERS}")
    with _working(app):
        _print(f"{kind} an empty job", empty.figures(), floor)

    buyers = [_sign_up(app, number) for number in range(USERS)]
    with _working(app):
        pass  # the emails of the new accounts are sent
    for title, side in (("of one pixel", 1), ("of 1024x1024", 1024)):
        provider.image, provider.course = _png(side), Course()
        for buyer in buyers * JOBS_EACH:
            _order(buyer)
        with _working(app), _counted(app) as statements:
            figures = provider.course.figures()
            _print(f"{kind} a generation {title}", figures, floor, statements.total() / JOBS)
        if side == 1 and figures[1] - floor[1] > OWN_MS_MAX:
            print(f"  that is more than {OWN_MS_MAX} ms of our own")
    with app.app_context():
        get(JobStore).records.engine.dispose()
        db.session.remove()
        db.engine.dispose()


def _print(
    title: str,
    figures: tuple[float, float],
    floor: tuple[float, float] | None = None,
    statements: float | None = None,
) -> None:
    own = f"{figures[1] - floor[1]:>8.2f}" if floor else f"{'':>8}"
    counted = f" {statements:>11.1f}" if statements else ""
    print(f"{title:<44} {figures[0]:>8.1f} {figures[1]:>8.2f} {own}{counted}", flush=True)


def _floor(app: Flask) -> tuple[float, float]:
    """Measure DBOS alone: its queue with our limits, its workflow without a line of ours."""
    from dbos import DBOS, DBOSPortableJSONSerializer

    course = Course()
    with app.app_context():
        store = get(JobStore)
    client = store.client()
    client.register_queue(
        "floor",
        worker_concurrency=engine.THREADS,
        partition_concurrency=engine.PER_USER,
        global_concurrency=engine.PER_PROVIDER,
        polling_interval_sec=0.1,
    )
    for number in range(JOBS):
        client.enqueue(
            {
                "workflow_name": "floor",
                "queue_name": "floor",
                "workflow_id": f"floor:{number}",
                "app_version": "1",
                "queue_partition_key": f"user{number % USERS}",
            },
            str(number),
        )
    DBOS(
        config={
            "name": "creditapp",
            "system_database_engine": store.records.engine,
            "dbos_system_schema": records.SCHEMA,
            "serializer": DBOSPortableJSONSerializer(),
            "application_version": "1",
            "executor_id": secrets.token_hex(4),
            "log_level": "ERROR",
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 0.25,
        }
    )
    DBOS.workflow(name="floor")(lambda _row_id: course.count())
    DBOS.launch()
    try:
        return course.figures()
    finally:
        DBOS.destroy(destroy_registry=True)


@contextmanager
def _working(app: Flask) -> Iterator[None]:
    jobs.start(app)
    try:
        yield
        with app.app_context():
            while jobs.health().waiting + jobs.health().running:
                time.sleep(0.05)
    finally:
        jobs.stop()


@contextmanager
def _counted(app: Flask) -> Iterator[Counter[str]]:
    """Count the statements on the app's own database, not the engine's."""
    statements = Counter[str]()

    def record(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements[statement] += 1

    with app.app_context():
        own_engine = db.engine
    event.listen(own_engine, "before_cursor_execute", record)
    yield statements
    event.remove(own_engine, "before_cursor_execute", record)


def _sign_up(app: Flask, number: int) -> FlaskClient:
    """Open an account; return a browser that is signed in."""
    email = f"user{number}@example.com"
    with app.app_context():
        new_account = accounts.prepare_account(email, PASSWORD)
        with transaction() as session:
            accounts.sign_up(session, new_account, get(AccountRules), now=now())
    browser = app.test_client()
    token = re.findall(r'name="csrf_token" value="([^"]+)"', browser.get("/auth/login").text)[0]
    fields = {"csrf_token": token, "email": email, "password": PASSWORD}
    if browser.post("/auth/login", data=fields).status_code != 303:
        raise RuntimeError("no session")
    return browser


def _order(buyer: FlaskClient) -> None:
    answer = buyer.post(
        "/api/generate-image",
        json={"prompt": "a boat", "model": "nano-banana"},
        headers={"Prefer": "respond-async", "Sec-Fetch-Site": "same-origin"},
    )
    if answer.status_code != 202:
        raise RuntimeError(f"no order: {answer.status_code} {answer.text}")


def _png(side: int) -> bytes:
    """Return an image with some detail, as a vendor's has."""
    from PIL import Image

    file = io.BytesIO()
    Image.effect_mandelbrot((side, side), (-2, -1.5, 1, 1.5), 100).convert("RGB").save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main()
