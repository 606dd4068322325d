"""``kill -9`` before every statement of every verb: nothing is lost, nothing is invented.

A child process runs one verb and kills itself before its n-th statement, for every n until it
survives. After each kill the tables must be unchanged, to the row, and the proof must hold; the
last child's effect must be complete. Run with ``pytest -s`` to see each kill. In the check each
database gets half of the verbs, and the other database the other half; in the soak both get all.
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
from creditapp.ledger.triggers import REMOVE
from tests.ledger.cast import DAY, START, TABLES, Person, create_ledger, open_engine, prove

SOAK = os.environ.get("CREDITAPP_SOAK") == "1"
Verb = Callable[[Connection, "Setup"], object]
LATE = START + 20 * DAY


class Setup:
    """The state before the verb runs: Alice owes, holds, and has transferred to Bob."""

    def __init__(self, connection: Connection) -> None:
        alice, bob = Person(connection, "alice"), Person(connection, "bob")
        self.alice, self.bob = alice.wallet, bob.wallet
        self.bought = alice.buys(100).id
        alice.gets(10, expires_at=START + 30 * DAY)
        self.welcome = alice.gets(10, expires_at=START + 30 * DAY).id
        ledger.transfer(connection, self.alice, self.bob, 40, key="g", now=LATE)
        debtor = alice.buys(20, priority=1)
        alice.spends(20)
        ledger.revoke(connection, debtor.id, 20, now=START, reason="refund")
        self.owing = debtor.id
        self.spent = alice.spends(15).id
        self.held = alice.holds(25).id
        alice.holds(5, expires_at=LATE + DAY)
        self.frozen = bob.buys(7).id
        ledger.freeze(connection, self.frozen, now=START)


def _spend(connection: Connection, setup: Setup) -> object:
    return ledger.spend(
        connection,
        setup.alice,
        ledger.NewCharge(
            amount_micro=12, key="k", digest="d", operation="image", low_micro=10**6, note="words"
        ),
        now=LATE,
    )


def _spend_by_request(connection: Connection, setup: Setup) -> object:
    assert idempotency.claim(connection, "alice", "spend", "k", "d", now=LATE) is None
    charge = _spend(connection, setup)
    idempotency.complete(connection, "alice", "spend", "k", "d", "{}")
    return charge


def _grant_that_pays_a_debt(connection: Connection, setup: Setup) -> object:
    return ledger.grant(
        connection,
        setup.alice,
        ledger.NewGrant(amount_micro=50, source="purchase", origin="p", note="words"),
        now=LATE,
    )


VERBS: dict[str, Verb] = {
    "ensure_wallet": lambda c, s: ledger.ensure_wallet(c, "team", "t", now=LATE),
    "grant": lambda c, s: ledger.grant(
        c, s.bob, ledger.NewGrant(amount_micro=5, source="gift", origin="o"), now=LATE
    ),
    "grant that pays a debt": _grant_that_pays_a_debt,
    "spend": _spend,
    "spend by request": _spend_by_request,
    "spend after an expiry": lambda c, s: ledger.spend(
        c,
        s.alice,
        ledger.NewCharge(amount_micro=5, key="k", digest="d", operation="image"),
        now=LATE + 15 * DAY,
    ),
    "hold": lambda c, s: ledger.hold(
        c,
        s.alice,
        ledger.NewCharge(amount_micro=12, key="k", digest="d", operation="image"),
        now=LATE,
        expires_at=LATE + DAY,
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
        setup = Setup(session.connection())
    kills = 0
    half = slice(None) if SOAK else slice(engine.dialect.name == "sqlite", None, 2)
    for name, verb in list(VERBS.items())[half]:
        before = rows(engine)
        step = 1
        while killed(engine, verb, setup, step):
            assert rows(engine) == before, f"{name}: killed before statement {step}"
            with engine.connect() as connection:
                prove(connection)
            step += 1
        assert step > 2, f"{name}: no child was killed"
        after = rows(engine)
        assert after != before, f"{name} has no effect"
        with engine.connect() as connection:
            prove(connection)
        kills += step - 1
        print(f"{engine.dialect.name}: {name}: killed before each of {step - 1} statements")
        restore(engine, before)
    print(f"{engine.dialect.name}: {kills} children killed")
    assert kills > (100 if SOAK else 50)
    engine.dispose()


def killed(engine: Engine, verb: Verb, setup: Setup, step: int) -> bool:
    """Run the verb in a child that is killed before its n-th statement; return whether it was."""
    engine.dispose()  # a connection must not be shared with a child
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run_until_killed(engine, verb, setup, step)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the child failed instead of being killed"
    return False


def run_until_killed(engine: Engine, verb: Verb, setup: Setup, step: int) -> None:
    statements = 0

    def count(*_: Any) -> None:
        nonlocal statements
        statements += 1
        if statements == step:
            os.kill(os.getpid(), signal.SIGKILL)

    if engine.dialect.name == "sqlite":
        # The driver's own trace, because some statements bypass SQLAlchemy; BEGIN and COMMIT too.
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.set_trace_callback(count)
    else:
        event.listen(engine, "begin", count)
        event.listen(engine, "before_cursor_execute", count)
        event.listen(engine, "commit", count)
    statements = 0
    with transaction(engine) as session:
        verb(session.connection(), setup)


def rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the ledger."""
    with engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(table.select())), key=repr)
            for table in TABLES
        }


def restore(engine: Engine, before: dict[str, list[tuple[Any, ...]]]) -> None:
    """Restore the ledger's rows, so that every verb begins with the same setup."""
    with transaction(engine) as session:
        connection = session.connection()
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for removal in REMOVE["sqlite"]:
                connection.exec_driver_sql(removal)
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
