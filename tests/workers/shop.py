"""A shop on PostgreSQL with worker processes, as ``./run worker`` starts them, and two vendors."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from creditapp import jobs, ledger
from creditapp.config import Settings
from creditapp.db import snapshot
from creditapp.generation import recovery
from creditapp.generation.models import FINISHED, Asset, Generation
from creditapp.jobs import engine
from creditapp.jobs.engine import JobStore
from creditapp.ledger.models import Charge, Wallet
from creditapp.runtime import server
from creditapp.services import get
from tests.app_factory import Person, close_app, new_app, newcomer
from tests.fakes.fal_server import FakeFal
from tests.fakes.openai_server import FakeOpenAI
from tests.faults.generation_worker import BEFORE_START, run_worker
from tests.processes import forked, start_command

PRICES = {"gpt-image": 2, "flux-dev": 1}
"""Credits of one image: GPT Image in its default quality is made by one call, FLUX by a job."""


class WorkerShop:
    """The app that takes orders and runs no job, and its worker processes."""

    def __init__(
        self, url: str, folder: Path, openai: FakeOpenAI, fal: FakeFal, **environ: str
    ) -> None:
        given = {
            "OPENAI_API_KEY": openai.key,
            "OPENAI_BASE_URL": openai.base_url,
            "FAL_KEY": fal.key,
            "FAL_BASE_URL": fal.base_url,
            **environ,
        }
        self.folder = folder
        self.app = new_app(url, folder, given)
        with self.app.app_context():
            server.prepare(self.app)
            settings = get(Settings)
            jobs.init_app(self.app, settings.database_url, settings.data_dir)
        self.environ = dict(settings.environ)
        self.workers: list[ForkServerProcess] = []

    def sign_up(self, name: str) -> Person:
        return newcomer(self.app).sign_up(f"{name}@example.com")

    def order(self, buyer: Person, prompt: str, model: str = "gpt-image") -> str:
        """Order one image and return the generation's id; nothing is drawn yet."""
        answer = buyer.call(
            "POST",
            "/api/generate-image",
            {"prompt": prompt, "model": model},
            Prefer="respond-async",
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json["id"])

    def start_worker(self) -> ForkServerProcess:
        worker = start_command("worker", environ=self.environ, folder=self.folder)
        self.workers.append(worker)
        return worker

    def start_brittle_worker(self) -> ForkServerProcess:
        """Start a worker that dies of each order with the prompt ``BEFORE_START``."""
        worker = forked.Process(target=_work_brittly, args=(self.environ, self.folder / "facts"))
        worker.start()
        self.workers.append(worker)
        return worker

    def start_workers(self, count: int) -> None:
        """Start them and wait until each can run jobs."""
        for _ in range(count):
            self.start_worker()
        self.await_until(lambda: self.health().workers == len(self.workers))

    def kill(self, worker: ForkServerProcess) -> float:
        """Kill a worker and return when."""
        worker.kill()
        at = time.time()
        worker.join(30)
        assert worker.exitcode == -signal.SIGKILL, self.errors()
        return at

    def health(self) -> jobs.Health:
        with self.app.app_context():
            return jobs.health()

    def generations(self) -> dict[str, Generation]:
        """Return every generation by its id."""
        with self.app.app_context(), snapshot() as session:
            return {row.id: row for row in session.scalars(select(Generation))}

    def unfinished(self) -> set[str]:
        return {row.id for row in self.generations().values() if row.state not in FINISHED}

    def generations_of(self, worker: ForkServerProcess) -> set[str]:
        """Return the ids of the generations whose jobs this worker runs."""
        query = text(
            "SELECT workflow_uuid FROM dbos.workflow_status WHERE status = 'PENDING'"
            " AND name = 'generate' AND executor_id LIKE :executor"
        )
        with self.app.app_context(), get(JobStore).records.engine.connect() as connection:
            keys = connection.scalars(query, {"executor": f"%-{worker.pid}-%"}).all()
        return {key.removeprefix("generate:").partition(".")[0] for key in keys}

    def await_until(self, condition: Callable[[], object], seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds} s: {self.health()}\n{self.errors()}")
            time.sleep(0.05)

    def errors(self) -> str:
        """Return the end of what the workers logged."""
        path = self.folder / "error"
        return path.read_text()[-4000:] if path.exists() else ""

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.join()
        with self.app.app_context():
            get(JobStore).records.engine.dispose()
        close_app(self.app)


def _work_brittly(environ: dict[str, str], facts: Path) -> None:
    """Run jobs as a worker does, with fewer kills and a shorter wait than in production."""
    engine.KILLS_MAX = 1
    recovery.QUEUED_SECONDS_MAX = 2
    run_worker(environ, facts, BEFORE_START)


@contextmanager
def opened(
    url: str, folder: Path, **environ: str
) -> Iterator[tuple[WorkerShop, FakeOpenAI, FakeFal]]:
    """Yield a shop and its two vendors; end its workers afterwards."""
    with FakeOpenAI() as openai, FakeFal() as fal:
        shop = WorkerShop(url, folder, openai, fal, **environ)
        try:
            yield shop, openai, fal
        finally:
            shop.close()


def check_payments(shop: WorkerShop, buyers: Iterable[Person]) -> None:
    """Assert that each image was paid once or not at all, and the ledger's proof."""
    generations = shop.generations()
    with shop.app.app_context(), snapshot() as session:
        assets = Counter(session.scalars(select(Asset.generation_id)))
        charges = {charge.id: charge for charge in session.scalars(select(Charge))}
        held = session.scalar(select(func.sum(Wallet.held_micro)))
        report = ledger.proof.check(session.connection())
    assert report.ok, report.as_text()
    assert held == 0
    assert {row.charge_id for row in generations.values()} == charges.keys()
    for row in generations.values():
        assert row.charge_id is not None
        charge = charges[row.charge_id]
        delivered = row.state == "succeeded"
        assert assets[row.id] == row.delivered == int(delivered), row.id
        assert charge.state == ("captured" if delivered else "released")
        price = PRICES[row.model] * 1_000_000 * delivered
        assert charge.captured_micro == row.charged_micro == price
    paid = sum(row.charged_micro for row in generations.values()) / 1_000_000
    assert sum(50 - buyer.balance() for buyer in buyers) == paid
