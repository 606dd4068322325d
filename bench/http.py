"""HTTP: setting credits aside for a generation, beside a bare route with one durable insert."""

from __future__ import annotations

import http.client
import json
import re
import tempfile
import urllib.parse
from pathlib import Path

import psycopg

from bench.servers import crowd, databases, percentile, served

CLIENTS = 16
SECONDS = 6.0


def main() -> None:
    """Print rate and p99 of both routes on each database."""
    print(f"\nHTTP, {CLIENTS} clients, {SECONDS:.0f} s each, one server process")
    print(f"{'database':<12} {'route':<34} {'calls/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as found:
        for kind, url in found.items():
            _measure(kind, url, Path(name))


def _measure(kind: str, url: str, folder: Path) -> None:
    if kind == "postgresql":
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, text text)")
        bare_url = url
    else:
        bare_url = f"sqlite:///{folder / 'bare.sqlite'}"
    environ = {"DATABASE_URL": bare_url, "CREDITAPP_LOG_LEVEL": "error"}
    with served("bench.bare:build", folder / f"bare-{kind}", environ) as port:
        bare = crowd(port, _insert, clients=CLIENTS, seconds=SECONDS)
    _row(kind, "bare: one durable insert", bare, None)
    environ = {
        "DATABASE_URL": url,
        "CREDITAPP_LOG_LEVEL": "error",
        "CREDITAPP_ENV": "testing",  # without the limiter, whose refusals are not what is measured
        "CREDITAPP_JOBS": "worker",  # nobody draws meanwhile: the route is measured, not the artist
    }
    with served("creditapp.runtime.server:build", folder / f"app-{kind}", environ) as port:
        sessions = [_sign_up(port, number) for number in range(CLIENTS)]

        def hold(connection: http.client.HTTPConnection, number: int) -> int:
            return _hold(connection, sessions[number])

        held = crowd(port, hold, clients=CLIENTS, seconds=SECONDS)
    _row(kind, "hold: POST /api/generate-image", held, percentile(bare, 0.99))


def _row(kind: str, name: str, times: list[float], limit_ms: float | None) -> None:
    p99 = percentile(times, 0.99)
    ratio = f"{p99 / limit_ms:6.2f}x" if limit_ms else ""
    rate = len(times) / SECONDS
    print(f"{kind:<12} {name:<34} {rate:9.0f} {percentile(times, 0.5):8.1f} {p99:8.1f} {ratio:>7}")


def _insert(connection: http.client.HTTPConnection, _number: int) -> int:
    connection.request("POST", "/insert")
    response = connection.getresponse()
    response.read()
    return response.status


def _hold(connection: http.client.HTTPConnection, cookie: str) -> int:
    body = json.dumps({"prompt": "a boat", "model": "nano-banana"})
    connection.request(
        "POST",
        "/api/generate-image",
        body,
        {
            "Content-Type": "application/json",
            "Prefer": "respond-async",
            "Sec-Fetch-Site": "same-origin",
            "Cookie": cookie,
        },
    )
    response = connection.getresponse()
    response.read()
    return response.status


def _sign_up(port: int, number: int) -> str:
    """Open an account with plenty of credits; return its cookie."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/auth/signup")
    response = connection.getresponse()
    found = re.search(r'name="csrf_token" value="([^"]+)"', response.read().decode())
    if found is None:
        raise RuntimeError("the form has no token")
    form = {
        "csrf_token": found[1],
        "email": f"client{number}@example.com",
        "password": "correct horse battery",
    }
    connection.request(
        "POST",
        "/auth/signup",
        urllib.parse.urlencode(form),
        {"Cookie": _cookies(response), "Content-Type": "application/x-www-form-urlencoded"},
    )
    answer = connection.getresponse()
    answer.read()
    if answer.status != 303:
        raise RuntimeError(f"no account: {answer.status}")
    return _cookies(answer)


def _cookies(response: http.client.HTTPResponse) -> str:
    headers = response.headers.get_all("Set-Cookie") or []
    return "; ".join(header.partition(";")[0] for header in headers)


if __name__ == "__main__":
    main()
