"""HTTP: setting credits aside for a generation, beside a bare route with one durable insert.

The servers run at the same time on the same database and take turns. Latencies are those at a
fixed rate that neither is busy with; the most calls a second are a figure of their own.
"""

from __future__ import annotations

import http.client
import json
import re
import statistics
import tempfile
import urllib.parse
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from bench.ledger import open_engine
from bench.servers import (
    Call,
    Server,
    at_most,
    at_rate,
    databases,
    environ_of,
    percentile,
    served,
    served_beside_bare,
    status_of,
)
from creditapp import ledger
from creditapp.db import transaction

CLIENTS = 16
RATE, ROUNDS = 40, 3
SECONDS, SECONDS_AT_RATE = 3.0, 5.0
COUNTED_CALLS = 20
HEAD = f"{'':<44} {'p50 ms':>8} {'p99 ms':>8} {'cpu ms':>9} {'most/s':>8}"
"""The head of the columns of ``Figures``."""


@dataclass
class Figures:
    """Figures of one route: every call at the fixed rate, and the others of each round."""

    times_ms: list[float] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)

    def measure(self, server: Server, call: Call) -> None:
        """Measure one round."""
        before = server.processor_seconds()
        times = at_rate(server.port, call, clients=CLIENTS, rate=RATE, seconds=SECONDS_AT_RATE)
        self.processor_ms.append((server.processor_seconds() - before) / len(times) * 1000)
        self.times_ms = sorted(self.times_ms + times)
        self.most.append(at_most(server.port, call, clients=CLIENTS, seconds=SECONDS))

    def text(self) -> str:
        """Return the cells of a row: of all calls, and the medians of the rounds."""
        p50, p99 = self.at(0.5), self.at(0.99)
        cpu, most = map(statistics.median, (self.processor_ms, self.most))
        return f"{p50:>8.1f} {p99:>8.1f} {cpu:>9.2f} {most:>8.0f}"

    def at(self, share: float) -> float:
        """Return the milliseconds below which a share of the calls lie.

        Of all rounds together: of one round the slowest of 100 would be a single call.
        """
        return percentile(self.times_ms, share)

    def ratio_to(self, other: Figures, share: float) -> float:
        """Return how many times as long a share of the calls took."""
        return self.at(share) / other.at(share)

    def most_ratio_to(self, other: Figures) -> float:
        """Return the median of the rounds' ratios of the most calls a second."""
        return statistics.median(a / b for a, b in zip(self.most, other.most, strict=True))


def main() -> None:
    """Print the figures of both routes on each database, and the ratio of their latencies."""
    print(f"\nHTTP, one server process each: {RATE} calls a second, then {CLIENTS} clients at once")
    print(f"{HEAD} {'statements':>11} {'trips':>6}")
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as urls:
        for kind, url in urls.items():
            _measure(kind, url, Path(name) / kind)


def _measure(kind: str, url: str, folder: Path) -> None:
    bare, hold, pair = Figures(), Figures(), Figures()
    with served_beside_bare(kind, url, folder) as (limit, app, two):
        cookies = [sign_up(app.port, number) for number in range(CLIENTS)]
        grant_plenty(url)

        def call_hold(connection: http.client.HTTPConnection, number: int) -> int:
            return _hold(connection, cookies[number])

        for server, call in ((limit, insert), (app, call_hold), (two, call_hold)):
            if server:
                at_most(server.port, call, clients=CLIENTS, seconds=1.0)  # warm
        for _ in range(ROUNDS):
            bare.measure(limit, insert)
            hold.measure(app, call_hold)
            if two:
                pair.measure(two, call_hold)
    counted = ""
    if kind == "PostgreSQL":  # on SQLite the ledger bypasses what counts
        with served("bench.counted:build", folder / "app", environ_of(url)) as server:
            statements, trips = _count(server.port, cookies[0])
        counted = f" {statements:>11.1f} {trips:>6.1f}"
    print(f"{kind + ' bare: one durable insert':<44} {bare.text()}")
    print(f"{kind + ' hold: POST /api/generate-image':<44} {hold.text()}{counted}")
    p50, p99 = (hold.ratio_to(bare, share) for share in (0.5, 0.99))
    print(f"{'  ratio of the hold to the bare insert':<44} {p50:>8.2f} {p99:>8.2f}")
    if two:
        print(f"{kind + ' hold, two web processes':<44} {pair.text()}")
        most = pair.most_ratio_to(hold)
        print(f"{'  ratio of two processes to one, calls a second':<44} {most:>36.2f}")


def _count(port: int, cookie: str) -> tuple[float, float]:
    """Return the statements and round trips of one hold."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def counts() -> dict[str, int]:
        connection.request("GET", "/bench-counts")
        answer: dict[str, int] = json.load(connection.getresponse())
        return answer

    for _ in range(COUNTED_CALLS):  # connections, prepared statements and the job store
        _hold(connection, cookie)
    before = counts()
    for _ in range(COUNTED_CALLS):
        _hold(connection, cookie)
    after = counts()
    statements, trips = (
        (after[name] - before[name]) / COUNTED_CALLS for name in ("statements", "trips")
    )
    return statements, trips


def grant_plenty(url: str) -> None:
    """Grant every wallet more than a benchmark spends."""
    engine = open_engine(url)
    with transaction(engine) as session:
        connection = session.connection()
        for (wallet_id,) in connection.execute(text("SELECT id FROM wallets")).all():
            origin = f"bench:{wallet_id}"
            ledger.grant(
                connection,
                wallet_id,
                ledger.NewGrant(amount_micro=10**12, source="admin", origin=origin),
                now=datetime.now(UTC),
            )
    engine.dispose()


def insert(connection: http.client.HTTPConnection, _number: int) -> int:
    """Call the bare route."""
    connection.request("POST", "/insert")
    return status_of(connection)


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
    return status_of(connection)


def sign_up(port: int, number: int) -> str:
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
