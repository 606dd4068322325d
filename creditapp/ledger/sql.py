"""SQL statements of the ledger: one text for both databases, with the types that they need.

SQLAlchemy's ORM is six times as slow (measured), so the verbs run Core text. A statement is a
constant, which SQLAlchemy compiles once for each dialect.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Boolean, Connection, TextClause, bindparam, text
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.selectable import TextualSelect

from creditapp.db import UtcDateTime, require_transaction

_PARAMETER: Final = re.compile(r"(?<![:\w]):(\w+)")
_TIMES: Final = frozenset(
    "now expires_at frozen_at next_expiry_at created_at settled_at effective_at recorded_at"
    " claimed_at done_at sealed_at at before since until least_at".split()
)


def write(sql: str) -> TextClause:
    """Return a statement that stores its time parameters in UTC."""
    names = dict.fromkeys(_PARAMETER.findall(sql))
    return text(sql).bindparams(
        *(bindparam(name, type_=UtcDateTime()) for name in names if name in _TIMES),
        *(bindparam(name, type_=Boolean()) for name in names if name == "livemode"),
    )


def read(sql: str, *moments: str) -> TextualSelect:
    """Return a statement with rows, whose columns named in ``moments`` are times in UTC."""
    return write(sql).columns(**dict.fromkeys(moments, UtcDateTime()))


class Direct:
    """A statement of the hot path, given to the driver without compilation.

    Its parameters are written ``:name``, which SQLite's driver reads itself; psycopg's form is made
    here, once. Values must be as the driver stores them (see ``stored``). On SQLite it goes
    straight to the driver's cursor, because SQLAlchemy costs as much as the statement (measured: a
    spend rises from 0.49 to 0.57 of the raw driver's speed). The engine's events do not see it
    there, so the check for a transaction is made here. PostgreSQL's connections can break, which
    SQLAlchemy must notice, and its round trips cost more than the code around them.
    """

    def __init__(self, sql: str) -> None:
        self._sqlite = sql
        self._postgresql = _PARAMETER.sub(r"%(\1)s", sql)

    def run(self, connection: Connection, values: dict[str, object]) -> int:
        """Run it and return the number of rows it wrote."""
        if connection.dialect.name == "sqlite":
            return self._execute(connection, values).rowcount
        return connection.exec_driver_sql(self._postgresql, values).rowcount

    def row(self, connection: Connection, values: dict[str, object]) -> tuple[Any, ...] | None:
        """Run it and return its only row, or None."""
        if connection.dialect.name == "sqlite":
            # All rows, because SQLite ends the statement only then.
            rows = self._execute(connection, values).fetchall()
            return rows[0] if rows else None
        row = connection.exec_driver_sql(self._postgresql, values).one_or_none()
        return None if row is None else tuple(row)

    def _execute(self, connection: Connection, values: dict[str, object]) -> DBAPICursor:
        require_transaction(connection)
        cursor = connection.connection.cursor()
        cursor.execute(self._sqlite, values)
        return cursor


def stored(connection: Connection, moment: datetime | None) -> object:
    """Return a time as ``UtcDateTime`` passes it to the driver of this connection."""
    if moment is None or connection.dialect.name != "sqlite":
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def loaded(value: Any) -> datetime | None:
    """Return a time that the driver returned, in UTC; the inverse of ``stored``."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    moment: datetime | None = value
    return None if moment is None else moment.astimezone(UTC)
