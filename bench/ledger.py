"""Measure the ledger beside its limit, and beside a spend as it is usually written.

On PostgreSQL the limit is one stored function called through the raw driver inside BEGIN and
COMMIT; on SQLite it is the same statements through the raw driver. Both write the same rows to the
same tables. The usual way is Flask-SQLAlchemy's ORM with fewer promises, on PostgreSQL alone: on
SQLite it fails as soon as two clients write. All take turns in every round, so that a noisy machine
disturbs them alike, and a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psycopg
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from bench import ledger_limit, ledger_orm
from bench.ledger_limit import AMOUNT, NOW, Step
from creditapp import ledger
from creditapp.db import db, prepare_engine, transaction, writer
from creditapp.ledger import models

SERVER = os.environ.get(
    "TEST_POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)
COLD_WALLETS = 64
PROCESSES = 2
ROUNDS, TURN_SECONDS = 7, 0.25
ROWS_BEFORE = 3_000
"""Spends before the tables are analysed: a plan for empty tables would slow the limit down."""
ENTRIES_MANY = 100_000
BUDGET = ledger.Budget(limit_micro=10**12, since=NOW)
_barrier: Barrier | None = None

NAMES = {getattr(value, "__tablename__", None) for value in vars(models).values()}
TABLES = [table for table in db.metadata.sorted_tables if table.name in NAMES]


def main() -> None:
    """Print a table of spends, holds with captures, and the balance, on every database."""
    print("\nLedger, operations a second; ratios are medians of rounds in which all take turns")
    print(f"{'':<44} {'ledger':>8} {'limit':>8} {'ratio':>6} {'ORM':>8} {'ratio':>6}")
    for name, opened in (("SQLite", sqlite_database), ("PostgreSQL", postgresql_database)):
        try:
            with opened() as url:
                _measure(name, url)
        except psycopg.OperationalError as error:
            print(f"{name}: not measured, {error}")


def _measure(name: str, url: str) -> None:
    prepare(url)
    for clients in (1, 8):
        for heat, wallets in (("cold wallets", COLD_WALLETS), ("one hot wallet", 1)):
            label = f"{name} spend, {_clients(clients)}, {heat}"
            _row(label, in_turns(url, "spend", wallets, clients))
    for clients in (1, 8):
        label = f"{name} spend by a key on a budget, {_clients(clients)}"
        _row(label, in_turns(url, "budget", COLD_WALLETS, clients))
    for clients in (1, 8):
        label = f"{name} hold and capture, {_clients(clients)}"
        _row(label, in_turns(url, "pair", COLD_WALLETS, clients))
    few, many = balance_microseconds(url)
    label = f"{name} balance, us, {ENTRIES_MANY:,} entries beside 10"
    print(f"{label:<44} {many:>8,.0f} {few:>8,.0f} {many / few:>6.2f}")


def _clients(number: int) -> str:
    return "1 client" if number == 1 else f"{number} clients"


def _row(label: str, rounds: list[list[int]]) -> None:
    rates = [statistics.median(counts) / TURN_SECONDS for counts in zip(*rounds, strict=True)]
    cells = [f"{rates[0]:>8,.0f}"]
    for rival in range(1, len(rates)):
        ratio = statistics.median(counts[0] / max(1, counts[rival]) for counts in rounds)
        cells.append(f"{rates[rival]:>8,.0f} {ratio:>6.2f}")
    print(f"{label:<44} {' '.join(cells)}")


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
    engine = create_engine(url, pool_use_lifo=True, **options)
    prepare_engine(engine)
    return writer(engine)


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
                    connection,
                    wallet,
                    ledger.NewGrant(
                        amount_micro=10**12, source=source, origin=f"{source}:{number}"
                    ),
                    now=NOW,
                )
    with transaction(engine) as session:
        for number in range(ROWS_BEFORE):
            _spend_once(session, 1 + number % COLD_WALLETS, f"before:{number}")
    _analyse(engine)
    engine.dispose()
    if not url.startswith("sqlite"):
        ledger_orm.prepare(url, COLD_WALLETS)


def _analyse(engine: Engine) -> None:
    statement = "ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))


# Throughput


def in_turns(url: str, verb: str, wallets: int, clients: int) -> list[list[int]]:
    """Return the operations of each round: of the ledger, of the limit, and of the ORM.

    All clients take the same turn at the same time. 8 clients are 2 processes of 4 threads.
    """
    processes = 1 if clients == 1 else PROCESSES
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(clients)
    with context.Pool(processes, initializer=_meet_at, initargs=(barrier,)) as pool:
        shares = [(url, verb, wallets, clients // processes)] * processes
        counts = pool.starmap(client_process, shares, chunksize=1)
    return _sum(counts)


def _meet_at(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _sum(tables: Sequence[list[list[int]]]) -> list[list[int]]:
    return [[sum(cell) for cell in zip(*rows, strict=True)] for rows in zip(*tables, strict=True)]


def client_process(url: str, verb: str, wallets: int, threads: int) -> list[list[int]]:
    """Run client threads; return the operations of each round."""
    engine = open_engine(url)
    with ThreadPoolExecutor(threads) as pool:
        counts = list(pool.map(lambda _: _client(engine, url, verb, wallets), range(threads)))
    engine.dispose()
    return _sum(counts)


def _client(engine: Engine, url: str, verb: str, wallets: int) -> list[list[int]]:
    assert _barrier is not None
    name = secrets.token_hex(6)
    try:
        steps = _rivals(engine, url, verb)
        for warm in range(20):
            for number, step in enumerate(steps):
                step(1 + random.randrange(wallets), f"warm:{name}:{number}:{warm}")
    except BaseException:
        _barrier.abort()  # otherwise the other clients wait forever
        raise
    _barrier.wait(timeout=60)
    begin, done = time.monotonic(), 0
    counts = [[0] * len(steps) for _ in range(ROUNDS)]
    while (turn := int((time.monotonic() - begin) / TURN_SECONDS)) < ROUNDS * len(steps):
        number, rival = divmod(turn, len(steps))
        steps[rival](1 + random.randrange(wallets), f"generation:{name}:{done}")
        counts[number][rival] += 1
        done += 1
    return counts


def _rivals(engine: Engine, url: str, verb: str) -> list[Step]:
    if verb == "pair":
        return [_pair(engine), ledger_limit.pair(url)]
    if verb == "budget":
        return [_spend_by_key(engine), ledger_limit.spend(url)]
    steps = [_spend(engine), ledger_limit.spend(url)]
    return steps if url.startswith("sqlite") else [*steps, ledger_orm.spend(url)]


def _spend(engine: Engine) -> Step:
    def step(wallet: int, key: str) -> None:
        with transaction(engine) as session:
            _spend_once(session, wallet, key)

    return step


def _spend_once(session: Session, wallet: int, key: str) -> None:
    ledger.spend(session.connection(), wallet, _new_charge(key), now=NOW)


def _spend_by_key(engine: Engine) -> Step:
    """Return a spend with every fact that a request of a program has, within its key's budget."""

    def step(wallet: int, key: str) -> None:
        charge = replace(
            _new_charge(key),
            api_key_id=f"key_{wallet}",
            budget=BUDGET,
            max_micro=AMOUNT,
            request_id="req_01m8nhvtw4e8kn3bmr1h3paxar",
            low_micro=AMOUNT,
            note="A word of the history",
        )
        with transaction(engine) as session:
            ledger.spend(session.connection(), wallet, charge, now=NOW)

    return step


def _new_charge(key: str) -> ledger.NewCharge:
    return ledger.NewCharge(
        amount_micro=AMOUNT, key=key, digest="d", operation="image", actor="usr", feature="studio"
    )


def _pair(engine: Engine) -> Step:
    def step(wallet: int, key: str) -> None:
        with transaction(engine) as session:
            charge = ledger.hold(session.connection(), wallet, _new_charge(key), now=NOW)
        with transaction(engine) as session:
            ledger.capture(session.connection(), charge.id, AMOUNT, now=NOW)

    return step


# Reads


def balance_microseconds(url: str) -> tuple[float, float]:
    """Return the median cost of a balance with 10 entries and with many."""
    engine = open_engine(url)
    with transaction(engine) as session:
        connection = session.connection()
        few, many = (
            ledger.ensure_wallet(connection, "user", f"entries-{count}", now=NOW)
            for count in (10, ENTRIES_MANY)
        )
        for wallet, count in ((few, 10), (many, ENTRIES_MANY)):
            _fill(connection, wallet, count)
    _analyse(engine)
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
        connection,
        wallet,
        ledger.NewGrant(amount_micro=10**9, source="admin", origin=f"fill:{wallet}"),
        now=NOW,
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


if __name__ == "__main__":
    main()
