"""Connections to PostgreSQL: settings, whatever its server, database and role have, and pings.

Left as they are: ``search_path``, which chooses the schema; timeouts and limits, which are the
operator's; ``default_transaction_read_only``, which says that nobody should write.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

IDLE_SECONDS: Final = 1.0
"""Connections idle longer than this are pinged on checkout."""

SESSION: Final = {
    # psycopg reads times and intervals in these styles alone.
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    # Locks and compare-and-set are written for it; a stricter level raises errors instead.
    "default_transaction_isolation": "read committed",
    # The proof compares the triggers with their text.
    "quote_all_identifiers": "off",
}

_SET: Final = ", ".join(
    f"set_config('{name}', '{value}', false)" for name, value in SESSION.items()
)
# Only "off" loses commits that were answered; the other values are the operator's choice.
_SET_DURABLE: Final = (
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    " WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)"
)


def set_session(engine: Engine, *, durable: bool = True) -> None:
    """Set the settings of each new connection, in one round trip.

    ``durable`` means that a commit waits for the disk, also where the server's default is not to.
    """
    statement = f"SELECT {_SET}, {_SET_DURABLE}" if durable else f"SELECT {_SET}"
    event.listen(engine, "connect", partial(_run, statement))


def _run(statement: str, connection: Any, _record: object) -> None:
    autocommit, connection.autocommit = connection.autocommit, True
    try:
        connection.execute(statement)
    finally:
        connection.autocommit = autocommit


def ping_idle_connections(engine: Engine) -> None:
    """Ping a connection on checkout if it was idle for ``IDLE_SECONDS``."""
    event.listen(engine, "checkin", _record_checkin)
    event.listen(engine, "checkout", partial(_ping_if_idle, engine.dialect))


def _record_checkin(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["idle_since"] = time.monotonic()


def _ping_if_idle(
    dialect: Dialect, connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object
) -> None:
    """Replace a connection that died in the pool.

    SQLAlchemy's ``pool_pre_ping`` pings at every checkout: a round trip for each transaction.
    """
    idle_since = record.info.get("idle_since")
    if idle_since is None or time.monotonic() - idle_since < IDLE_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise DisconnectionError("the connection died in the pool") from error
