"""The API with a key: spending and reading the balance, beside a bare route with one insert.

The servers run at the same time on the same database and take turns. Latencies are those at a
fixed rate that none is busy with; the most calls a second are figures of their own, for one web
process and for two. The key has a budget, which every spend looks at.
"""

from __future__ import annotations

import http.client
import itertools
import json
import tempfile
from pathlib import Path

from bench.http import CLIENTS, HEAD, RATE, ROUNDS, Figures, grant_plenty, insert, sign_up
from bench.servers import Call, at_most, databases, served_beside_bare, status_of

P99_RATIO_MAX = 3
"""A spend is to take at most so many times as long as a bare insert, in all but 1% of calls."""
_KEY_SETTINGS = {
    "name": "Benchmark",
    "scopes": ["read", "spend"],
    "budget": {"amount": 1_000_000, "period": "month"},
}
_numbers = itertools.count()


def main() -> None:
    """Print the figures of each route on each database, and the ratios to the bare insert."""
    print(f"\nAPI with a key on a budget: {RATE} calls a second, then {CLIENTS} clients at once")
    print(HEAD)
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as urls:
        for kind, url in urls.items():
            _measure(kind, url, Path(name) / kind)


def _measure(kind: str, url: str, folder: Path) -> None:
    bare, spends, reads, pair = Figures(), Figures(), Figures(), Figures()
    with served_beside_bare(kind, url, folder) as (limit, app, two):
        keys = [_create_key(app.port, sign_up(app.port, number)) for number in range(CLIENTS)]
        grant_plenty(url)
        spend, read = _spend_with(keys), _read_with(keys)
        for server, call in ((limit, insert), (app, spend), (app, read), (two, spend)):
            if server:
                at_most(server.port, call, clients=CLIENTS, seconds=1.0)  # warm
        for _ in range(ROUNDS):
            bare.measure(limit, insert)
            spends.measure(app, spend)
            reads.measure(app, read)
            if two:
                pair.measure(two, spend)
    print(f"{kind + ' bare: one durable insert':<44} {bare.text()}")
    print(f"{kind + ' POST /api/credits/spend':<44} {spends.text()}")
    p50, p99 = (spends.ratio_to(bare, share) for share in (0.5, 0.99))
    print(
        f"{'  ratio to the bare insert':<44} {p50:>8.2f} {p99:>8.2f}"
        f"   at most {P99_RATIO_MAX}: {'holds' if p99 <= P99_RATIO_MAX else 'FAILS'}"
    )
    print(f"{kind + ' GET /api/credits/balance':<44} {reads.text()}")
    if two:
        print(f"{kind + ' spend, two web processes':<44} {pair.text()}")
        most = pair.most_ratio_to(spends)
        print(f"{'  ratio of two processes to one, calls a second':<44} {most:>36.2f}")


def _create_key(port: int, cookie: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {
        "Content-Type": "application/json",
        "Sec-Fetch-Site": "same-origin",
        "Cookie": cookie,
    }
    connection.request("POST", "/api/keys", json.dumps(_KEY_SETTINGS), headers)
    answer = connection.getresponse()
    body = json.load(answer)
    if answer.status != 201:
        raise RuntimeError(f"no key: {answer.status} {body}")
    return str(body["key"])


def _spend_with(keys: list[str]) -> Call:
    """Return the call that spends a hundredth of a credit, once for each idempotency key."""
    body = json.dumps({"amount": 0.01, "feature": "benchmark"})

    def spend(connection: http.client.HTTPConnection, number: int) -> int:
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {keys[number]}",
            "Idempotency-Key": f"bench-{next(_numbers)}",
        }
        connection.request("POST", "/api/credits/spend", body, headers)
        return status_of(connection)

    return spend


def _read_with(keys: list[str]) -> Call:
    def read(connection: http.client.HTTPConnection, number: int) -> int:
        headers = {"Authorization": f"Bearer {keys[number]}"}
        connection.request("GET", "/api/credits/balance", headers=headers)
        return status_of(connection)

    return read


if __name__ == "__main__":
    main()
