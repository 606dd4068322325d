"""Waiting requests: latency of other requests while some wait for a generation to end.

Nothing runs the generations, so every wait lasts its whole time. The same requests are measured
with nobody waiting, with every waiting slot taken, and with three times as many callers who want
to wait, whom the server answers at once with 202. Then many call at once, with and without the gate
that lets few requests work at the same time.
"""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.http import grant_plenty, sign_up
from bench.servers import (
    Server,
    at_rate,
    calls_at_once,
    databases,
    environ_of,
    percentile,
    served,
    status_of,
)
from creditapp.rate_limits import waiting_requests

THREADS = 32
SLOTS = waiting_requests(THREADS)
RATE, SECONDS, ROUNDS, CLIENTS, CROWD = 40, 3.0, 3, 8, 32
WAIT_SECONDS = 5


def main() -> None:
    """Print latency and processor time of a call of the API with and without waiting requests."""
    print(f"\nWaits: GET /api/credits {RATE} times a second, {THREADS} threads, {SLOTS} slots")
    print(f"{'':<44} {'p50 ms':>8} {'p99 ms':>8} {'cpu %':>9}")
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as urls:
        for kind, url in urls.items():
            _measure(kind, url, Path(name) / kind)
            _measure_gate(kind, url, Path(name) / kind)


def _measure(kind: str, url: str, data: Path) -> None:
    environ = _environ(url)
    crowds = (0, SLOTS, 3 * SLOTS)
    figures: dict[int, list[tuple[float, float, float]]] = {crowd: [] for crowd in crowds}
    with served("creditapp.runtime.server:build", data, environ) as server:
        cookies = [sign_up(server.port, number) for number in range(CLIENTS)]
        grant_plenty(url)
        _read(server, cookies)  # warm
        for _ in range(ROUNDS):
            for crowd in crowds:
                with _waiting(server.port, cookies[0], crowd):
                    figures[crowd].append(_read(server, cookies))
    for crowd in crowds:
        p50, p99, cpu = (statistics.median(each) for each in zip(*figures[crowd], strict=True))
        title = f"{kind}, {crowd} callers who want to wait"
        print(f"{title:<44} {p50:>8.1f} {p99:>8.1f} {cpu:>9.0f}", flush=True)


def _measure_gate(kind: str, url: str, data: Path) -> None:
    """Print a crowd's calls a second and latencies at a server with the gate and at one without."""
    environ = _environ(url)
    targets = {"with": "creditapp.runtime.server:build", "without": "bench.ungated:build"}
    figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in targets}
    with (
        served(targets["with"], data, environ) as gated,
        served(targets["without"], data, environ) as ungated,
    ):
        cookies = [sign_up(gated.port, number) for number in range(CLIENTS, 2 * CLIENTS)]

        def call(connection: http.client.HTTPConnection, number: int) -> int:
            return _get_credits(connection, cookies[number % CLIENTS])

        for number in range(1 + ROUNDS):
            for name, server in (("with", gated), ("without", ungated)):
                times = calls_at_once(server.port, call, clients=CROWD, seconds=SECONDS)
                if number:  # the first round warms
                    figures[name].append(
                        (len(times) / SECONDS, percentile(times, 0.5), percentile(times, 0.99))
                    )
    for name, each in figures.items():
        most, p50, p99 = (statistics.median(column) for column in zip(*each, strict=True))
        title = f"{kind}, {CROWD} clients at once {name} the gate"
        print(f"{title:<44} {p50:>8.1f} {p99:>8.1f} {most:>7.0f}/s", flush=True)


def _get_credits(connection: http.client.HTTPConnection, cookie: str) -> int:
    connection.request("GET", "/api/credits", headers={"Cookie": cookie})
    return status_of(connection)


def _environ(url: str) -> dict[str, str]:
    return {**environ_of(url), "CREDITAPP_THREADS": str(THREADS)}


def _read(server: Server, cookies: list[str]) -> tuple[float, float, float]:
    def call(connection: http.client.HTTPConnection, number: int) -> int:
        return _get_credits(connection, cookies[number])

    before = server.processor_seconds()
    times = at_rate(server.port, call, clients=CLIENTS, rate=RATE, seconds=SECONDS)
    cpu = (server.processor_seconds() - before) / SECONDS * 100
    return percentile(times, 0.5), percentile(times, 0.99), cpu


@contextmanager
def _waiting(port: int, cookie: str, callers: int) -> Iterator[None]:
    """Keep that many callers asking to wait; one who is answered at once asks again each second."""
    stopped = threading.Event()

    def wait() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not stopped.is_set():
            body = json.dumps({"prompt": "a boat", "model": "nano-banana"})
            headers = {
                "Content-Type": "application/json",
                "Prefer": f"wait={WAIT_SECONDS}",
                "Sec-Fetch-Site": "same-origin",
                "Cookie": cookie,
            }
            connection.request("POST", "/api/generate-image", body, headers)
            connection.getresponse().read()
            stopped.wait(1)

    threads = [threading.Thread(target=wait) for _ in range(callers)]
    for thread in threads:
        thread.start()
    stopped.wait(0.5)  # until they wait
    yield
    stopped.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
