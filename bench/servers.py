"""Servers in processes of their own, and a crowd that calls them."""

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
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

POSTGRESQL = "postgresql+psycopg://postgres@127.0.0.1:5432/"


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """Yield a fresh database of each kind that this machine has; drop them afterwards."""
    found = {"sqlite": f"sqlite:///{folder / 'bench.sqlite'}"}
    name = f"creditapp_bench_{secrets.token_hex(4)}"
    admin = create_engine(POSTGRESQL + "postgres", isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except Exception as error:
        print(f"PostgreSQL is left out: {type(error).__name__}")
        yield found
        return
    found["postgresql"] = POSTGRESQL + name
    try:
        yield found
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def served(target: str, folder: Path, environ: dict[str, str]) -> Iterator[int]:
    """Serve a WSGI factory as ``./run`` does; yield the port when it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--factory"),
            *("--port", str(port), "--workers", "1", "--blocking-threads", "32"),
            *("--log-level", "error", target),
        ],
        env={**os.environ, "CREDITAPP_DATA": str(folder), "PORT": str(port), **environ},
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int) -> None:
    for _ in range(300):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not answer")


Call = Callable[[http.client.HTTPConnection, int], int]
"""Makes one request over a kept connection as caller number n; returns the status."""


def crowd(port: int, call: Call, *, clients: int, seconds: float) -> list[float]:
    """Let ``clients`` call at once for some seconds; return each call's milliseconds, sorted."""
    times: list[float] = []
    wrong: list[int] = []
    stop_at = time.monotonic() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        mine = []
        while time.monotonic() < stop_at:
            began = time.perf_counter()
            status = call(connection, number)
            mine.append((time.perf_counter() - began) * 1000)
            if status >= 300:
                wrong.append(status)
        times.extend(mine)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise RuntimeError(f"{len(wrong)} calls were refused, the first with {wrong[0]}")
    return sorted(times)


def percentile(times: list[float], share: float) -> float:
    """Return the time below which ``share`` of the sorted calls lie."""
    return times[min(len(times) - 1, int(len(times) * share))]
