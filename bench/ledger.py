"""Measure the ledger beside its limit: the same rows, written with the least possible overhead.

On PostgreSQL the limit is one stored function called through the raw driver inside BEGIN and
COMMIT; on SQLite it is the same statements through the raw driver. Both write the same rows to the
same tables in the same run, in turns, so that a noisy machine disturbs both alike.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psycopg
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url

from bench import ledger_limit
from bench.ledger_limit import AMOUNT, NOW, Step
from creditapp import ledger
from creditapp.db import db, prepare_engine, transaction
from creditapp.ledger import models

SERVER = os.environ.get(
    "TEST_POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)
COLD_WALLETS = 64
PROCESSES = 2
SLICES, SLICE_SECONDS = 24, 0.25
_barrier: Barrier | None = None

NAMES = {getattr(value, "__tablename__", None) for value in vars(models).values()}
TABLES = [table for table in db.metadata.sorted_tables if table.name in NAMES]


def run(report: Callable[[str], None] = print) -> None:
    """Measure spend, hold and capture, and the balance, on every available database."""
    report(f"{'':<48} {'ledger':>9} {'limit':>9} {'ratio':>6}  aim")
    for name, opened in (("SQLite", sqlite_database), ("PostgreSQL", postgresql_database)):
        try:
            with opened() as url:
                _measure(name, url, report)
        except psycopg.OperationalError as error:
            report(f"{name}: not measured, {error}")


def _measure(name: str, url: str, report: Callable[[str], None]) -> None:
    prepare(url)
    for clients in (1, 8):
        for heat, wallets in (("cold wallets", COLD_WALLETS), ("one hot wallet", 1)):
            ours, limit = side_by_side(url, "spend", wallets, clients)
            _row(report, f"{name} spend/s, {_clients(clients)}, {heat}", ours, limit, ">= 0.5")
    for clients in (1, 8):
        ours, limit = side_by_side(url, "pair", COLD_WALLETS, clients)
        _row(report, f"{name} hold+capture/s, {_clients(clients)}", ours, limit, "")
    few, many = balance_microseconds(url)
    _row(report, f"{name} balance, µs, 10^6 entries beside 10", many, few, "<= 1.2")


def _clients(number: int) -> str:
    return "1 client" if number == 1 else f"{number} clients"


def _row(report: Callable[[str], None], label: str, figure: float, limit: float, aim: str) -> None:
    report(f"{label:<48} {figure:>9,.0f} {limit:>9,.0f} {figure / limit:>6.2f}  {aim}")


# Databases


@contextmanager
def sqlite_database() -> Iterator[str]:
    """Yield a fresh file on the disk that the app would use."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        yield f"sqlite:///{folder}/bench.sqlite"


@contextmanager
def postgresql_database() -> Iterator[str]:
    """Yield a fresh database and drop it afterwards."""
    name = f"creditapp_bench_{secrets.token_hex(4)}"
    url = make_url(SERVER)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def open_engine(url: str) -> Engine:
    """Return an engine configured as in the app."""
    options = {"connect_args": {"timeout": 0}} if url.startswith("sqlite") else {"pool_size": 16}
    engine = create_engine(url, **options)
    prepare_engine(engine)
    return engine


def prepare(url: str) -> None:
    """Create the tables, and wallets with three grants each."""
    engine = open_engine(url)
    with transaction(engine) as session:
        connection = session.connection()
        db.metadata.create_all(connection, tables=TABLES)
        ledger.install_triggers(connection)
        if not url.startswith("sqlite"):
            for function in ledger_limit.FUNCTIONS:
                connection.exec_driver_sql(function)
        for number in range(COLD_WALLETS):
            wallet = ledger.ensure_wallet(connection, "user", f"u{number}", now=NOW)
            for source in ("welcome", "subscription", "purchase"):
                ledger.grant(
                    connection, wallet, 10**12, source=source, origin=f"{source}:{number}", now=NOW
                )
    if not url.startswith("sqlite"):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


# Throughput


def side_by_side(url: str, verb: str, wallets: int, clients: int) -> tuple[float, float]:
    """Return the operations per second of the ledger and of its limit.

    All clients alternate between the two in shared time slices, so that other load on the machine
    disturbs both alike. 8 clients are 2 processes of 4 threads.
    """
    processes = 1 if clients == 1 else PROCESSES
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(clients)
    with context.Pool(processes, initializer=_meet_at, initargs=(barrier,)) as pool:
        shares = [(url, verb, wallets, clients // processes)] * processes
        counts = pool.starmap(client_process, shares, chunksize=1)
    seconds = SLICES * SLICE_SECONDS / 2
    return sum(ours for ours, _ in counts) / seconds, sum(limit for _, limit in counts) / seconds


def _meet_at(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def client_process(url: str, verb: str, wallets: int, threads: int) -> tuple[int, int]:
    """Run client threads; return the operations of the ledger and of the limit."""
    engine = open_engine(url)
    with ThreadPoolExecutor(threads) as pool:
        counts = list(pool.map(lambda _: _client(engine, url, verb, wallets), range(threads)))
    engine.dispose()
    return sum(ours for ours, _ in counts), sum(limit for _, limit in counts)


def _client(engine: Engine, url: str, verb: str, wallets: int) -> tuple[int, int]:
    assert _barrier is not None
    try:
        ours = _spend(engine) if verb == "spend" else _pair(engine)
        limit = ledger_limit.spend(url) if verb == "spend" else ledger_limit.pair(url)
        name = secrets.token_hex(6)
        for warm in range(20):
            ours(1 + random.randrange(wallets), f"warm:{name}:{warm}")
            limit(1 + random.randrange(wallets), f"warm:{name}:limit:{warm}")
    except BaseException:
        _barrier.abort()  # otherwise the other clients wait forever
        raise
    _barrier.wait(timeout=60)
    begin = time.monotonic()
    counts = [0, 0]
    number = 0
    while (slice_now := int((time.monotonic() - begin) / SLICE_SECONDS)) < SLICES:
        step = limit if slice_now % 2 else ours
        step(1 + random.randrange(wallets), f"generation:{name}:{number}")
        counts[slice_now % 2] += 1
        number += 1
    return counts[0], counts[1]


def _spend(engine: Engine) -> Step:
    def step(wallet: int, key: str) -> None:
        with transaction(engine) as session:
            ledger.spend(
                session.connection(), wallet, AMOUNT, key=key, digest="d", operation="image",
                now=NOW, actor="usr", feature="studio",
            )  # fmt: skip

    return step


def _pair(engine: Engine) -> Step:
    def step(wallet: int, key: str) -> None:
        with transaction(engine) as session:
            charge = ledger.hold(
                session.connection(), wallet, AMOUNT, key=key, digest="d", operation="image",
                now=NOW, actor="usr", feature="studio",
            )  # fmt: skip
        with transaction(engine) as session:
            ledger.capture(session.connection(), charge.id, AMOUNT, now=NOW)

    return step


# Reads


def balance_microseconds(url: str) -> tuple[float, float]:
    """Return the median cost of a balance with 10 entries and with a million."""
    engine = open_engine(url)
    with transaction(engine) as session:
        connection = session.connection()
        few, many = (
            ledger.ensure_wallet(connection, "user", f"entries-{count}", now=NOW)
            for count in (10, 1_000_000)
        )
        for wallet, count in ((few, 10), (many, 1_000_000)):
            _fill(connection, wallet, count)
    if not url.startswith("sqlite"):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    costs: dict[int, list[float]] = {few: [], many: []}
    with engine.connect() as connection:
        for _ in range(3000):
            for wallet in (few, many):
                start = time.perf_counter()
                ledger.balance(connection, wallet, now=NOW)
                costs[wallet].append(time.perf_counter() - start)
    engine.dispose()
    return statistics.median(costs[few]) * 1e6, statistics.median(costs[many]) * 1e6


def _fill(connection: Connection, wallet: int, count: int) -> None:
    """Give a wallet a history: one grant, then entries of spends of one microcredit."""
    grant = ledger.grant(
        connection, wallet, 10**9, source="admin", origin=f"fill:{wallet}", now=NOW
    )
    assert grant is not None
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
        if connection.dialect.name == "sqlite"
        else "WITH n(i) AS (SELECT generate_series(2, :count))"
    )
    connection.execute(
        text(
            "INSERT INTO entries (wallet_id, seq, kind, account, amount_micro, balance_after_micro,"
            f" grant_id, effective_at, recorded_at) {numbers}"
            " SELECT :wallet, i, 'spend', 'usage', -1, 1000000001 - i, NULL,"
            " g.created_at, g.created_at FROM n, grants g WHERE g.id = :grant"
        ),
        {"count": count, "wallet": wallet, "grant": grant.id},
    )
    connection.execute(
        text(
            "UPDATE wallets SET seq = :count, available_micro = available_micro - :count + 1"
            " WHERE id = :id"
        ),
        {"count": count, "id": wallet},
    )


def main() -> None:
    """Print the table."""
    run()


if __name__ == "__main__":
    main()
