"""Alembic entry point: the app's engine, batch mode on SQLite, and only the app's own tables."""

from __future__ import annotations

from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

from creditapp.db import WRITES, db
from creditapp.runtime import migrate

assert migrate.TABLES_IN, "importing migrate completes the metadata"

target_metadata = db.metadata


def is_ours(_object: Any, name: str | None, kind: str, reflected: bool, _to: Any) -> bool:
    """Whether autogenerate may touch an object: not a table without a model, such as the jobs'."""
    return not (kind == "table" and reflected and name not in target_metadata.tables)


def run() -> None:
    """Migrate; on SQLite with foreign keys off, and check them afterwards.

    A batch migration copies a table and drops the old one. With foreign keys on, that would delete
    or refuse the rows that reference it.
    """
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect().execution_options(**{WRITES: True}) as connection:
        enforce_foreign_keys(connection, "OFF")
        context.configure(
            connection=connection,
            target_metadata=target_metadata,
            render_as_batch=True,
            include_object=is_ours,
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
        enforce_foreign_keys(connection, "ON")
        if connection.dialect.name == "sqlite":
            orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
            if orphans:
                raise RuntimeError(
                    f"the migration left {len(orphans)} rows without their parent row"
                )


def enforce_foreign_keys(connection: Connection, state: str) -> None:
    """Turn SQLite's check of foreign keys on or off; within a transaction it would not obey."""
    if connection.dialect.name == "sqlite":
        connection.connection.cursor().execute(f"PRAGMA foreign_keys={state}")


run()
