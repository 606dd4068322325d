"""One server of two web processes on PostgreSQL and Redis: what one counts, the other knows."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from creditapp.config import SettingsInvalid, load_settings
from tests.browser.conftest import free_port, start_server, stop_server
from tests.databases import lacking, new_database
from tests.processes import run_command

pytestmark = pytest.mark.slow

REDIS = "redis://127.0.0.1:6379"
CALLS = 24
"""On connections of their own, which the system divides between the two at random."""


@dataclass
class Site:
    """A running server, called on a new connection each time."""

    port: int
    pid: int
    data: Path

    def call(
        self, method: str, path: str, body: str = "", **headers: str
    ) -> tuple[int, http.client.HTTPResponse, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body or None, named)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, response, text

    def generate(self, prompt: str, **headers: str) -> tuple[int, str]:
        order = json.dumps({"prompt": prompt, "model": "nano-banana"})
        status, _, text = self.call(
            "POST", "/api/generate-image", order, Content_Type="application/json", **headers
        )
        return status, text

    def processes(self) -> set[int]:
        """Return the ids of the web processes that are alive."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        # A dead child has no command line; another one only waits until the server answers.
        return {
            int(child)
            for child in children
            if "creditapp" in Path(f"/proc/{child}/cmdline").read_text()
        }


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """The address of an empty database of the local Redis, emptied again afterwards."""
    for number in range(15, 0, -1):
        try:
            with redis.Redis.from_url(f"{REDIS}/{number}") as store:
                if store.set("creditapp test", 1, nx=True) and store.dbsize() == 1:
                    yield f"{REDIS}/{number}"
                    store.flushdb()
                    return
        except redis.ConnectionError:
            break
    lacking("Redis on 127.0.0.1:6379", "apt-get install redis-server, then start it")


@pytest.fixture(scope="module")
def site(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A demo served by two processes, which run jobs too."""
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    with new_database("postgresql", folder) as url:
        environ = {
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            "CREDITAPP_WEB_PROCESSES": "2",
            "CREDITAPP_THREADS": "8",
        }
        process = start_server(folder, port, environ)
        yield Site(port, process.pid, folder)
        stop_server(process)
        assert process.exitcode in (0, -signal.SIGTERM)


def test_two_processes_answer_and_their_metrics_are_added_up(site: Site) -> None:
    assert len(site.processes()) == 2
    for _ in range(CALLS):
        assert site.call("GET", "/healthz")[0] == 200
    counted = re.search(
        r'creditapp_requests_total\{method="GET",route="/healthz",status="200"\} (\d+)',
        site.call("GET", "/metrics")[2],
    )
    assert counted
    assert int(counted[1]) >= CALLS
    written = {path.name for path in (site.data / "metrics").glob("counter_*.db")}
    assert written == {f"counter_{pid}.db" for pid in site.processes()}
    await_until(lambda: "creditapp_jobs_workers 2.0" in site.call("GET", "/metrics")[2])


def test_a_rate_limit_is_one_for_both(site: Site) -> None:
    paths = (f"/credits-demo/header/none-{number}" for number in range(40))
    statuses = Counter(site.call("GET", path)[0] for path in paths)
    assert statuses == {404: 30, 429: 10}


def test_free_images_are_counted_by_both(site: Site) -> None:
    ours = {"Sec_Fetch_Site": "same-origin"}
    statuses = Counter(site.generate(f"boat {number}", **ours)[0] for number in range(8))
    assert statuses == {200: 3, 429: 5}, "the free ones waited for their images"


def test_a_session_and_a_wait_of_one_hold_on_the_other(site: Site) -> None:
    status, response, page = site.call("GET", "/auth/signup")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    form = {
        "csrf_token": token[1],
        "email": "alice@example.com",
        "password": "correct horse battery",
    }
    status, response, page = site.call(
        "POST",
        "/auth/signup",
        urllib.parse.urlencode(form),
        Cookie=cookies(response),
        Content_Type="application/x-www-form-urlencoded",
    )
    assert status == 303, page
    alice = {"Cookie": cookies(response), "Sec_Fetch_Site": "same-origin"}
    key = {"Idempotency_Key": "one order", **alice}
    made = {site.generate("a boat", Prefer="wait=20", **key) for _ in range(6)}
    assert {status for status, _ in made} == {200}
    assert len({json.loads(text)["id"] for _, text in made}) == 1
    balances = {site.call("GET", "/api/credits", **alice)[2] for _ in range(CALLS)}
    assert [json.loads(text)["credits"]["balance"] for text in balances] == [49.5]


def test_a_killed_process_is_replaced_and_the_other_goes_on(site: Site) -> None:
    victim, survivor = sorted(site.processes())
    os.kill(victim, signal.SIGKILL)
    await_until(lambda: len(site.processes() - {victim}) == 2)
    assert survivor in site.processes()
    assert {site.call("GET", "/healthz")[0] for _ in range(CALLS)} == {200}


def await_until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)


def cookies(response: http.client.HTTPResponse) -> str:
    headers = response.headers.get_all("Set-Cookie") or []
    return "; ".join(header.partition(";")[0] for header in headers)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://x@127.0.0.1/x"}, "REDIS_URL"),
        ({"REDIS_URL": f"{REDIS}/0"}, "DATABASE_URL"),
    ],
)
def test_several_processes_need_postgresql_and_redis(
    changes: dict[str, str], missing: str, tmp_path: Path
) -> None:
    environ = {"CREDITAPP_DATA": str(tmp_path / "data"), "CREDITAPP_WEB_PROCESSES": "2", **changes}
    with pytest.raises(SettingsInvalid, match=missing):
        load_settings(environ)
    assert not (tmp_path / "data" / "creditapp.sqlite").exists()


def test_the_start_says_in_one_line_what_several_processes_need(tmp_path: Path) -> None:
    environ = {"CREDITAPP_DATA": str(tmp_path), "CREDITAPP_WEB_PROCESSES": "2", "PORT": "0"}
    ended = run_command("serve", environ=environ)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.strip().splitlines() == [
        "CREDITAPP_WEB_PROCESSES needs PostgreSQL for more than one: set DATABASE_URL."
    ]
