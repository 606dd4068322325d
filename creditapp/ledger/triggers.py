"""Triggers that keep the entries append-only, as data for the migration and the proof."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

REFUSAL: Final = "entries are append-only"

SQLITE: Final = {
    "entries_refuse_update": (
        "CREATE TRIGGER entries_refuse_update BEFORE UPDATE ON entries"
        f" BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    ),
    "entries_refuse_delete": (
        "CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries"
        f" BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    ),
    # INSERT OR REPLACE deletes the row in its way without firing the trigger for deletes.
    "entries_refuse_replace": (
        "CREATE TRIGGER entries_refuse_replace BEFORE INSERT ON entries"  # noqa: S608  # no input
        " WHEN EXISTS (SELECT 1 FROM entries WHERE wallet_id = NEW.wallet_id AND seq = NEW.seq)"
        " OR EXISTS (SELECT 1 FROM entries WHERE rowid = NEW.rowid)"
        f" BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    ),
}

POSTGRESQL_FUNCTION: Final = "entries_refuse_change"
POSTGRESQL_BODY: Final = f"BEGIN RAISE EXCEPTION '{REFUSAL}'; END"
POSTGRESQL: Final = {
    "entries_refuse_change": (
        "CREATE TRIGGER entries_refuse_change BEFORE DELETE OR UPDATE ON entries"
        f" FOR EACH ROW EXECUTE FUNCTION {POSTGRESQL_FUNCTION}()"
    ),
    "entries_refuse_truncate": (
        "CREATE TRIGGER entries_refuse_truncate BEFORE TRUNCATE ON entries"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {POSTGRESQL_FUNCTION}()"
    ),
}

INSTALL: Final = {
    "sqlite": tuple(SQLITE.values()),
    "postgresql": (
        f"CREATE FUNCTION {POSTGRESQL_FUNCTION}() RETURNS trigger LANGUAGE plpgsql"
        f" AS $$ {POSTGRESQL_BODY} $$",
        *POSTGRESQL.values(),
    ),
}
"""Statements that create the triggers, by dialect; the migration runs them."""

REMOVE: Final = {
    "sqlite": tuple(f"DROP TRIGGER {name}" for name in SQLITE),
    "postgresql": (
        *(f"DROP TRIGGER {name} ON entries" for name in POSTGRESQL),
        f"DROP FUNCTION {POSTGRESQL_FUNCTION}()",
    ),
}
"""Statements that drop the triggers, by dialect; the downgrade runs them."""

_ON_SQLITE: Final = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
_ON_POSTGRESQL: Final = text(
    "SELECT tgname, pg_get_triggerdef(oid, true) FROM pg_trigger"
    " WHERE tgrelid = 'entries'::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A')"
)
_FUNCTION: Final = text(
    "SELECT prosrc FROM pg_proc WHERE proname = :name"
    " AND pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'entries'::regclass)"
)


def install_triggers(connection: Connection) -> None:
    """Create the triggers on existing tables. A batch migration of SQLite drops them."""
    for statement in INSTALL[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def expected(dialect: str) -> dict[str, str]:
    """Return each trigger and their function as the database stores their text."""
    if dialect == "sqlite":
        return dict(SQLITE)
    return {**POSTGRESQL, POSTGRESQL_FUNCTION + "()": POSTGRESQL_BODY}


def installed(connection: Connection) -> dict[str, str]:
    """Return the triggers and function in the database; a disabled trigger is left out."""
    if connection.dialect.name == "sqlite":
        return {row[0]: row[1] for row in connection.execute(_ON_SQLITE)}
    definitions = {row[0]: row[1] for row in connection.execute(_ON_POSTGRESQL)}
    bodies = connection.execute(_FUNCTION, {"name": POSTGRESQL_FUNCTION}).scalars().all()
    return {**definitions, **{f"{POSTGRESQL_FUNCTION}()": body.strip() for body in bodies}}
