"""Servers in processes of their own, their processor time, and the clients that call them."""

from __future__ import annotations

import http.client
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from bench.ledger import SERVER

START_SECONDS_MAX = 120
"""How long a server may take to start, on a machine that is busy."""


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """Yield a fresh database of each kind that this machine has; drop them afterwards."""
    urls = {"SQLite": f"sqlite:///{folder / 'bench.sqlite'}"}
    name = f"creditapp_bench_{secrets.token_hex(4)}"
    admin = create_engine(SERVER, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except Exception as error:
        print(f"PostgreSQL is left out: {type(error).__name__}")
        yield urls
        return
    urls["PostgreSQL"] = make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    try:
        yield urls
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    pid: int

    def processor_seconds(self) -> float:
        """Return the processor time of the server and its children so far, user and system."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if self.pid in (int(stat.parent.name), int(fields[1])):
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(
    target: str,
    folder: Path,
    environ: dict[str, str],
    interface: str = "asginl",
    processes: int = 1,
) -> Iterator[Server]:
    """Serve a factory as ``./run`` does; yield when it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "granian", "--interface", interface, "--factory"),
            *("--port", str(port), "--workers", str(processes), "--no-ws"),
            *(("--blocking-threads", "32") if interface == "wsgi" else ()),
            *("--log-level", "error", target),
        ],
        env={**os.environ, "CREDITAPP_DATA": str(folder), "PORT": str(port), **environ},
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def served_beside_bare(
    kind: str, url: str, folder: Path
) -> Iterator[tuple[Server, Server, Server | None]]:
    """Serve the bare route and the app on one database; on PostgreSQL the app by two as well."""
    bare_url, app = url, "creditapp.runtime.server:build"
    if kind == "PostgreSQL":
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, text text)")
    else:
        bare_url = f"sqlite:///{folder / 'bare.sqlite'}"
    bare_environ, environ = {"DATABASE_URL": bare_url}, environ_of(url)
    with ExitStack() as held:
        yield (
            held.enter_context(served("bench.bare:build", folder / "bare", bare_environ, "wsgi")),
            held.enter_context(served(app, folder / "app", environ)),
            held.enter_context(served(app, folder / "app", environ, processes=2))
            if kind == "PostgreSQL"
            else None,
        )


def environ_of(url: str) -> dict[str, str]:
    """Return the settings of an app that is measured."""
    return {
        "DATABASE_URL": url,
        "CREDITAPP_LOG_LEVEL": "error",
        "CREDITAPP_ENV": "testing",  # without the limiter, whose refusals are not measured
        "CREDITAPP_JOBS": "worker",  # nothing draws meanwhile: the route is measured alone
    }


def status_of(connection: http.client.HTTPConnection) -> int:
    """Read the answer of a connection to its end; return its status."""
    response = connection.getresponse()
    response.read()
    return response.status


def _wait_for(port: int) -> None:
    give_up_at = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < give_up_at:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not answer")


Call = Callable[[http.client.HTTPConnection, int], int]
"""Makes one request over a kept connection as client number n; returns the status."""


def at_rate(port: int, call: Call, *, clients: int, rate: int, seconds: float) -> list[float]:
    """Call ``rate`` times a second; return each call's milliseconds since it was due, sorted.

    A call that waits for a free client counts from when it was due, so that a slow server cannot
    slow its measurement down.
    """
    begin, total = time.perf_counter() + 0.05, int(rate * seconds)

    def due(number: int) -> Iterator[float]:
        for step in range(number, total, clients):
            at = begin + step / rate
            time.sleep(max(0.0, at - time.perf_counter()))
            yield at

    return _call_at_once(port, call, clients, due)


def at_most(port: int, call: Call, *, clients: int, seconds: float) -> float:
    """Call as often as ``clients`` at once can; return the calls a second."""
    return len(calls_at_once(port, call, clients=clients, seconds=seconds)) / seconds


def calls_at_once(port: int, call: Call, *, clients: int, seconds: float) -> list[float]:
    """Call as often as ``clients`` at once can; return each call's milliseconds, sorted."""
    stop_at = time.perf_counter() + seconds

    def due(_number: int) -> Iterator[float]:
        while (at := time.perf_counter()) < stop_at:
            yield at

    return _call_at_once(port, call, clients, due)


def _call_at_once(
    port: int, call: Call, clients: int, due: Callable[[int], Iterator[float]]
) -> list[float]:
    times: list[float] = []
    refused: list[int] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for due_at in due(number):
            status = call(connection, number)
            times.append((time.perf_counter() - due_at) * 1000)
            if status >= 300:
                refused.append(status)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refused:
        raise RuntimeError(f"{len(refused)} calls were refused, the first with {refused[0]}")
    return sorted(times)


def percentile(times: list[float], share: float) -> float:
    """Return the time below which ``share`` of the sorted calls lie."""
    return times[min(len(times) - 1, int(len(times) * share))]
