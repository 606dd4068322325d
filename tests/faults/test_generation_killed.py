"""Workers are killed at every step of a generation: it ends once, paid once or not at all."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from sqlalchemy import select

from creditapp import jobs, ledger
from creditapp.config import Settings
from creditapp.db import snapshot
from creditapp.generation.models import FINISHED, Asset, Generation
from creditapp.jobs.engine import JobStore
from creditapp.services import get
from tests.app_factory import Person, build_app, close_app
from tests.fakes.fal_server import FakeFal
from tests.fakes.openai_server import FakeOpenAI
from tests.faults.generation_worker import (
    AFTER_SETTLE,
    AFTER_TWO,
    BEFORE_CALL,
    BEFORE_COMMIT,
    BEFORE_MEDIA,
    BEFORE_ROW,
    BEFORE_SETTLE,
    BEFORE_START,
    DURING_CALL,
    LEASE_SECONDS,
    run_worker,
)
from tests.faults.jobs_worker import read_facts
from tests.processes import forked

TAKEN_OVER_WITHIN_SECONDS = 10.0
PRICE = 2
"""Credits of one image in GPT Image's default quality."""

# Images kept and paid, and number of provider calls, after the worker died at each step.
ENDS = {
    DURING_CALL: (0, 1),
    BEFORE_CALL: (0, 0),
    BEFORE_MEDIA: (0, 1),
    BEFORE_ROW: (0, 1),
    AFTER_TWO: (2, 1),
    BEFORE_SETTLE: (1, 1),
    BEFORE_COMMIT: (1, 1),
    AFTER_SETTLE: (1, 1),
    # The last, because the next worker begins it anew, and that one must live.
    BEFORE_START: (1, 1),
}

_killed = Counter[str]()


@pytest.fixture(scope="module", autouse=True)
def _count_the_killed() -> Iterator[None]:
    yield
    print(f"\nworkers killed by SIGKILL: {_killed.total()}")
    for step, count in sorted(_killed.items()):
        print(f"  {count} x {step}")


class GenerationShop:
    """The app that takes orders, the fake vendor, and the worker processes."""

    def __init__(self, url: str, folder: Path, given: dict[str, str]) -> None:
        self.facts_file = folder / "facts"
        self.app = build_app(url, folder, given)
        with self.app.app_context():
            settings = get(Settings)
            jobs.init_app(self.app, settings.database_url, settings.data_dir)
        self.environ = dict(settings.environ)
        self.media_folder = Path(settings.media_url.removeprefix("file:"))
        self.alice = Person(self.app).sign_up("alice@example.com")
        self.children: list[ForkServerProcess] = []

    def start_worker(self, step: str = "", manner: str = "kill") -> ForkServerProcess:
        child = forked.Process(
            target=run_worker, args=(self.environ, self.facts_file, step, manner)
        )
        child.start()
        self.children.append(child)
        return child

    def await_killed(self, child: ForkServerProcess, step: str) -> None:
        child.join(timeout=60)
        assert child.exitcode == -signal.SIGKILL, f"{step}: {child.exitcode}"
        _killed[step] += 1

    def ask(self, prompt: str, model: str = "gpt-image") -> str:
        answer = self.alice.call(
            "POST",
            "/api/generate-image",
            {"prompt": prompt, "model": model, "n": 4 if prompt == AFTER_TWO else 1},
            Prefer="respond-async",
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json["id"])

    def generations(self) -> dict[str, Generation]:
        with self.app.app_context(), snapshot() as session:
            return {row.prompt: row for row in session.scalars(select(Generation))}

    def await_until(self, true: Callable[[], object], seconds: float = 120.0) -> None:
        give_up_at = time.monotonic() + seconds
        while not true():
            if time.monotonic() > give_up_at:
                states = {row.prompt: row.state for row in self.generations().values()}
                pytest.fail(f"not within {seconds} s; {states}; {read_facts(self.facts_file)}")
            time.sleep(0.05)

    def await_ended(self, *prompts: str) -> None:
        self.await_until(
            lambda: all(self.generations()[prompt].state in FINISHED for prompt in prompts)
        )

    def workers(self) -> int:
        with self.app.app_context():
            return jobs.health().workers

    def check(self, ends: dict[str, tuple[int, int]], vendor: FakeOpenAI) -> None:
        """Assert each end, the calls to the vendor, the payments, and the ledger's proof."""
        generations = self.generations()
        calls = Counter(call["body"]["prompt"] for call in vendor.calls)
        outcomes = {prompt: (generations[prompt].delivered, calls[prompt]) for prompt in ends}
        assert outcomes == ends
        with self.app.app_context(), snapshot() as session:
            assets = Counter(session.scalars(select(Asset.generation_id)))
            report = ledger.proof.check(session.connection())
        assert report.ok, report.as_text()
        for prompt, (delivered, _) in ends.items():
            row = generations[prompt]
            assert row.state == ("succeeded" if delivered else "failed")
            assert row.charged_micro == delivered * PRICE * 1_000_000
            assert assets[row.id] == delivered
        credits = self.alice.call("GET", "/api/credits").json["credits"]
        paid = sum(delivered for delivered, _ in ends.values()) * PRICE
        assert (credits["balance"], credits["held"]) == (50 - paid, 0)
        history = self.alice.call("GET", "/api/credits/transactions?limit=100").json["items"]
        ended_once = [item["amount"] for item in history if item["type"] != "CREDIT"]
        assert sorted(ended_once) == sorted(-PRICE * delivered for delivered, _ in ends.values())

    def close(self) -> None:
        for child in self.children:
            child.kill()
            child.join()
        with self.app.app_context():
            get(JobStore).records.engine.dispose()
        close_app(self.app)


@pytest.fixture
def vendor() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def shop(database_url: str, tmp_path: Path, vendor: FakeOpenAI) -> Iterator[GenerationShop]:
    given = {"OPENAI_API_KEY": vendor.key, "OPENAI_BASE_URL": vendor.base_url}
    shop = GenerationShop(database_url, tmp_path, given)
    yield shop
    shop.close()


@pytest.mark.in_turn
def test_a_worker_killed_at_any_step_leaves_a_generation_that_ends_once(
    shop: GenerationShop, vendor: FakeOpenAI
) -> None:
    for step in ENDS:
        if step == DURING_CALL:
            vendor.fail("delay", seconds=30)
        shop.ask(step)
        child = shop.start_worker(step)
        if step == DURING_CALL:
            shop.await_until(lambda: vendor.count == 1)
            child.kill()
            shop.await_killed(child, step)
        else:
            shop.await_killed(child, step)
            assert read_facts(shop.facts_file)[-1]["did"] == step
    assert shop.generations()[AFTER_SETTLE].state == "succeeded"

    shop.start_worker()
    shop.await_ended(*ENDS)
    shop.check(ENDS, vendor)


@pytest.mark.databases("postgresql")
def test_a_dead_workers_generations_end_on_the_worker_that_lives(
    shop: GenerationShop, vendor: FakeOpenAI
) -> None:
    vendor.fail("delay", seconds=30)
    shop.ask(DURING_CALL)
    first = shop.start_worker(BEFORE_START, "hold")
    shop.await_until(lambda: vendor.count == 1)
    shop.ask(BEFORE_START)
    shop.await_until(lambda: read_facts(shop.facts_file))
    shop.start_worker()
    shop.await_until(lambda: shop.workers() == 2)
    time.sleep(LEASE_SECONDS + 0.5)  # the first one keeps renewing its lease
    assert shop.generations()[DURING_CALL].state == "running"

    first.kill()
    killed_at = datetime.now(UTC)
    shop.await_killed(first, "a peer alive")
    shop.await_ended(DURING_CALL, BEFORE_START)
    for prompt in (DURING_CALL, BEFORE_START):
        finished_at = shop.generations()[prompt].finished_at
        assert finished_at is not None
        seconds = (finished_at - killed_at).total_seconds()
        print(f"\n{prompt}: ended {seconds:.2f} s after the kill")
        assert seconds < TAKEN_OVER_WITHIN_SECONDS
    shop.check({prompt: ENDS[prompt] for prompt in (DURING_CALL, BEFORE_START)}, vendor)


@pytest.mark.databases("postgresql")
def test_a_worker_killed_while_the_vendors_job_runs_leaves_it_to_the_next(
    database_url: str, tmp_path: Path
) -> None:
    prompt = "8 while the vendor's job runs"
    with FakeFal() as fal:
        given = {"FAL_KEY": fal.key, "FAL_BASE_URL": fal.base_url}
        shop = GenerationShop(database_url, tmp_path, given)
        try:
            fal.polls = 10_000
            shop.ask(prompt, "flux-dev")
            child = shop.start_worker()
            shop.await_until(lambda: shop.generations()[prompt].provider_job)
            child.kill()
            shop.await_killed(child, prompt)

            for job in fal.jobs.values():
                job.polls_left = 1
            shop.start_worker()
            shop.await_ended(prompt)
            row = shop.generations()[prompt]
            assert (row.state, row.attempt, row.charged_micro) == ("succeeded", 2, 1_000_000)
            assert fal.count == 1, "submitted once"
            assert [job.canceled for job in fal.jobs.values()] == [False]
            with shop.app.app_context(), snapshot() as session:
                assert len(session.scalars(select(Asset.id)).all()) == 1
                assert ledger.proof.check(session.connection()).ok
            credits = shop.alice.call("GET", "/api/credits").json["credits"]
            assert (credits["balance"], credits["held"]) == (49, 0)
        finally:
            shop.close()
