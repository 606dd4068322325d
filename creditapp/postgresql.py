"""Settings of the connections to PostgreSQL, whatever its server, database and role have.

Left as they are: ``search_path``, which chooses the schema; timeouts and limits, which are the
operator's; ``default_transaction_read_only``, which says that nobody should write.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from sqlalchemy import Engine, event

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
