"""Alembic's entry: the app's own engine, batch mode on SQLite, the jobs' tables left alone."""

from __future__ import annotations

from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy import text

from creditapp.db import Base
from creditapp.runtime import migrate

assert migrate.TABLES_IN, "importing the schema completes the metadata"

target_metadata = Base.metadata


def ours(_object: Any, name: str | None, kind: str, reflected: bool, _to: Any) -> bool:
    """Whether autogenerate may touch an object: what is only in the database is not ours."""
    return not (kind == "table" and reflected and name not in target_metadata.tables)


def run() -> None:
    """Migrate with the foreign keys off on SQLite, and check them afterwards.

    A batch migration copies a table and drops the old one; with the keys on, that would delete
    or refuse the rows that point to it.
    """
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.rollback()
        context.configure(
            connection=connection,
            target_metadata=target_metadata,
            render_as_batch=True,
            include_object=ours,
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
        if sqlite:
            broken = connection.execute(text("PRAGMA foreign_key_check")).all()
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")
            if broken:
                raise RuntimeError(f"the migration left {len(broken)} rows without their parents")


run()
