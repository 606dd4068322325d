"""``kill -9`` before every statement of every verb: nothing is lost, nothing is invented.

A child process runs one verb and kills itself before its n-th statement, for every n until it
survives. After each death the tables must be as they were, to the row, and the proof must hold;
the last child's effect must be whole. Run with ``pytest -s`` to see who died where.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from creditapp import ledger
from creditapp.db import transaction
from creditapp.ledger import idempotency
from tests.ledger.cast import DAY, START, TABLES, Person, create_ledger, open_engine, prove

Verb = Callable[[Connection, "Stage"], object]
LATE = START + 20 * DAY


class Stage:
    """What stands before the verb runs: Alice owes, holds, and has given to Bob."""

    def __init__(self, connection: Connection) -> None:
        alice, bob = Person(connection, "alice"), Person(connection, "bob")
        self.alice, self.bob = alice.wallet, bob.wallet
        self.bought = alice.buys(100).id
        alice.gets(10, expires_at=START + 30 * DAY)
        self.welcome = alice.gets(10, expires_at=START + 30 * DAY).id
        ledger.transfer(connection, self.alice, self.bob, 40, key="g", now=LATE)
        owing = alice.buys(20, priority=1)
        alice.spends(20)
        ledger.revoke(connection, owing.id, 20, now=START, reason="refund")
        self.owing = owing.id
        self.spent = alice.spends(15).id
        self.held = alice.holds(25).id
        alice.holds(5, expires_at=LATE + DAY)
        self.frozen = bob.buys(7).id
        ledger.freeze(connection, self.frozen, now=START)


def _spend(connection: Connection, stage: Stage) -> object:
    return ledger.spend(
        connection, stage.alice, 12, key="k", digest="d", operation="image", now=LATE,
        low_micro=10**6, note="words",
    )  # fmt: skip


def _spend_by_request(connection: Connection, stage: Stage) -> object:
    assert idempotency.claim(connection, "alice", "spend", "k", "d", now=LATE) is None
    charge = _spend(connection, stage)
    idempotency.store_response(connection, "alice", "spend", "k", "{}")
    return charge


def _grant_that_pays_a_debt(connection: Connection, stage: Stage) -> object:
    return ledger.grant(
        connection, stage.alice, 50, source="purchase", origin="p", now=LATE, note="words"
    )


VERBS: dict[str, Verb] = {
    "ensure_wallet": lambda c, s: ledger.ensure_wallet(c, "team", "t", now=LATE),
    "grant": lambda c, s: ledger.grant(c, s.bob, 5, source="gift", origin="o", now=LATE),
    "grant that pays a debt": _grant_that_pays_a_debt,
    "spend": _spend,
    "spend by request": _spend_by_request,
    "spend after an expiry": lambda c, s: ledger.spend(
        c, s.alice, 5, key="k", digest="d", operation="image", now=LATE + 15 * DAY
    ),
    "hold": lambda c, s: ledger.hold(
        c, s.alice, 12, key="k", digest="d", operation="image", now=LATE, expires_at=LATE + DAY
    ),
    "capture": lambda c, s: ledger.capture(c, s.held, 11, now=LATE),
    "release": lambda c, s: ledger.release(c, s.held, now=LATE),
    "release to an expired grant": lambda c, s: ledger.release(c, s.held, now=LATE + 40 * DAY),
    "refund": lambda c, s: ledger.refund(c, s.spent, down_to_micro=4, now=LATE),
    "revoke": lambda c, s: ledger.revoke(c, s.bought, 100, now=LATE, reason="r"),
    "revoke less": lambda c, s: ledger.revoke(c, s.owing, 5, now=LATE, reason="r"),
    "freeze": lambda c, s: ledger.freeze(c, s.bought, now=LATE),
    "unfreeze": lambda c, s: ledger.unfreeze(c, s.frozen, now=LATE),
    "freeze_wallet": lambda c, s: ledger.freeze_wallet(c, s.alice, now=LATE),
    "transfer": lambda c, s: ledger.transfer(c, s.alice, s.bob, 9, key="k", now=LATE),
    "expire": lambda c, s: ledger.expire(c, s.alice, now=LATE + 40 * DAY),
    "seal": lambda c, s: ledger.seal(c, now=LATE),
}


def test_a_kill_before_any_statement_loses_and_invents_nothing(database_url: str) -> None:
    engine = open_engine(database_url)
    create_ledger(engine)
    with transaction(engine) as session:
        stage = Stage(session.connection())
    deaths = 0
    for name, verb in VERBS.items():
        before = rows(engine)
        step = 1
        while killed(database_url, engine, verb, stage, step):
            assert rows(engine) == before, f"{name}: killed before statement {step}"
            with engine.connect() as connection:
                prove(connection)
            step += 1
        assert step > 2, f"{name}: nobody died"
        after = rows(engine)
        assert after != before, f"{name} has no effect"
        with engine.connect() as connection:
            prove(connection)
        deaths += step - 1
        print(f"{engine.dialect.name}: {name}: died before each of {step - 1}, then survived")
        undo(engine, before)
    print(f"{engine.dialect.name}: {deaths} children killed")
    assert deaths > 100
    engine.dispose()


def killed(url: str, engine: Engine, verb: Verb, stage: Stage, step: int) -> bool:
    """Run the verb in a child that dies before its n-th statement; whether it died."""
    engine.dispose()  # a connection must not be shared with a child
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run_and_die(url, verb, stage, step)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the child failed instead of dying"
    return False


def run_and_die(url: str, verb: Verb, stage: Stage, step: int) -> None:
    engine = open_engine(url)
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)

    if engine.dialect.name == "sqlite":
        # The driver's own trace, because some statements go past SQLAlchemy; BEGIN and COMMIT too.
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.set_trace_callback(count)
    else:
        event.listen(engine, "begin", count)
        event.listen(engine, "before_cursor_execute", count)
        event.listen(engine, "commit", count)
    seen = 0
    with transaction(engine) as session:
        verb(session.connection(), stage)


def rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything that is in the ledger."""
    with engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(table.select())), key=repr)
            for table in TABLES
        }


def undo(engine: Engine, before: dict[str, list[tuple[Any, ...]]]) -> None:
    """Put the ledger back, so that every verb begins on the same stage."""
    with transaction(engine) as session:
        connection = session.connection()
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            connection.exec_driver_sql("DROP TRIGGER entries_refuse_update")
            connection.exec_driver_sql("DROP TRIGGER entries_refuse_delete")
        else:
            # As a replica neither triggers nor foreign keys are checked.
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table in reversed(TABLES):
            connection.execute(table.delete())
        for table in TABLES:
            if before[table.name]:
                names = table.columns.keys()
                connection.execute(
                    table.insert(),
                    [dict(zip(names, row, strict=True)) for row in before[table.name]],
                )
        if engine.dialect.name == "sqlite":
            ledger.install_triggers(connection)
    assert rows(engine) == before


pytestmark = pytest.mark.slow
