"""People and tables for the ledger's tests; child processes use them too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, create_engine

from creditapp import ledger
from creditapp.db import db, prepare_engine, transaction
from creditapp.ledger import models

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = {getattr(value, "__tablename__", None) for value in vars(models).values()}
TABLES = [table for table in db.metadata.sorted_tables if table.name in NAMES]


def open_engine(url: str) -> Engine:
    """Return an engine as the app makes it; also used by child processes."""
    options = {"connect_args": {"timeout": 0}} if url.startswith("sqlite") else {}
    engine = create_engine(url, **options)
    prepare_engine(engine)
    return engine


def create_ledger(engine: Engine) -> None:
    """Create the ledger's tables and triggers."""
    with transaction(engine) as session:
        connection = session.connection()
        db.metadata.create_all(connection, tables=TABLES)
        ledger.install_triggers(connection)


class Person:
    """A person with a wallet; amounts are microcredits."""

    def __init__(self, connection: Connection, name: str, at: datetime = START) -> None:
        self.connection = connection
        self.wallet = ledger.ensure_wallet(connection, "user", name, now=at)
        self.name = name
        self._number = 0

    def _key(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}:{self.name}:{self._number}"

    def buys(self, amount: int, at: datetime = START, **options: object) -> ledger.Grant:
        return self.gets(amount, "purchase", at, paid_minor=amount, currency="USD", **options)

    def gets(
        self, amount: int, source: str = "welcome", at: datetime = START, **options: object
    ) -> ledger.Grant:
        grant = ledger.grant(
            self.connection,
            self.wallet,
            ledger.NewGrant(
                amount_micro=amount,
                source=source,
                origin=self._key(source),
                **options,  # type: ignore[arg-type]
            ),
            now=at,
        )
        assert grant is not None
        return grant

    def spends(
        self, amount: int, operation: str = "image", at: datetime = START, **options: object
    ) -> ledger.Charge:
        charge = self._charge(amount, operation, options)
        return ledger.spend(self.connection, self.wallet, charge, now=at)

    def holds(
        self,
        amount: int,
        operation: str = "image",
        at: datetime = START,
        expires_at: datetime | None = None,
        **options: object,
    ) -> ledger.Charge:
        charge = self._charge(amount, operation, options)
        return ledger.hold(self.connection, self.wallet, charge, now=at, expires_at=expires_at)

    def _charge(self, amount: int, operation: str, options: dict[str, object]) -> ledger.NewCharge:
        options = {"key": self._key("generation"), "digest": "d", **options}
        return ledger.NewCharge(
            amount_micro=amount,
            operation=operation,
            **options,  # type: ignore[arg-type]
        )

    def balance(self, at: datetime = START) -> ledger.Balance:
        return ledger.balance(self.connection, self.wallet, now=at)

    def available(self, at: datetime = START) -> int:
        return self.balance(at).available_micro

    def lines(self, type_: str | None = None) -> list[ledger.StatementLine]:
        return ledger.statement(self.connection, self.wallet, limit=1000, type_=type_)

    def grant(self, grant_id: int) -> ledger.Grant:
        return ledger.grant_by_id(self.connection, grant_id)


def prove(connection: Connection) -> None:
    """Fail with the report if an invariant is broken."""
    report = ledger.proof.check(connection)
    assert report.ok, report.as_text()
