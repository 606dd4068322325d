"""Fixtures: a ledger on both databases, and people with wallets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine

from creditapp import ledger
from creditapp.db import transaction
from tests.ledger.cast import DAY, START, Person, prove


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A write transaction on a fresh ledger; at its end every invariant must hold."""
    with transaction(engine) as session:
        yield session.connection()
        prove(session.connection())


@pytest.fixture
def alice(connection: Connection) -> Person:
    return Person(connection, "alice")


@pytest.fixture
def bob(connection: Connection) -> Person:
    return Person(connection, "bob")


@pytest.fixture
def revoke(connection: Connection) -> Callable[..., ledger.Reversal]:
    """Revoke a total amount of a grant."""

    def revoke(grant: ledger.Grant, total: int, at: datetime = START) -> ledger.Reversal:
        return ledger.revoke(connection, grant.id, total, now=at, reason="refund")

    return revoke


@pytest.fixture
def history(engine: Engine) -> Engine:
    """Alice and Bob with some of everything in their history."""
    with transaction(engine) as session:
        connection = session.connection()
        for name in ("alice", "bob"):
            person = Person(connection, name)
            person.buys(50, expires_at=START + 90 * DAY)
            person.gets(10)
            person.gets(7, "promotion")
            person.spends(10)
            person.holds(3)
            held = person.holds(5)
            ledger.capture(connection, held.id, 4, now=START)
            ledger.release(connection, person.holds(2).id, now=START)
            person.spends(2)
    return engine
