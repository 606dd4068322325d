"""The migrations make the schema that the models describe, and unmake it, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection, inspect, text

from creditapp import create_app
from creditapp.config import load_settings
from creditapp.db import Base, db
from creditapp.runtime import migrate
from tests.app_factory import build_app, close_app

Facts = dict[str, Any]


@pytest.fixture
def bare(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """The app on a database in which there is nothing yet."""
    app = create_app(
        load_settings(
            {
                "CREDITAPP_ENV": "testing",
                "CREDITAPP_DATA": str(tmp_path / "data"),
                "DATABASE_URL": database_url,
                "CREDITAPP_LOG_LEVEL": "warning",
            }
        )
    )
    with app.app_context():
        yield app
        close_app(app)


@pytest.fixture
def made_at_once(bare: Flask, request: pytest.FixtureRequest, tmp_path: Path) -> Facts:
    """What a second database of the same kind holds when the models make it at once."""
    kind = db.engine.dialect.name
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'at_once.sqlite'}"
    else:
        # The migrated one is empty again by then: the test unmakes it first.
        url = db.engine.url.render_as_string(hide_password=False)
    app = build_app(url, tmp_path)
    with app.app_context(), db.engine.begin() as connection:
        facts = described(connection)
        if kind != "sqlite":
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    close_app(app)
    return facts


def test_an_empty_database_becomes_what_the_models_describe(
    bare: Flask, made_at_once: Facts
) -> None:
    migrate.upgrade()
    with db.engine.connect() as connection:
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata
        )
        migrated = described(connection)
    assert differences == []
    for kind in ("tables", "triggers", "functions"):
        assert migrated[kind] == made_at_once[kind]
    assert migrated["triggers"], "the ledger is guarded"


def test_a_second_upgrade_does_nothing(bare: Flask) -> None:
    migrate.upgrade()
    with db.engine.connect() as connection:
        before = described(connection)
    migrate.upgrade()
    with db.engine.connect() as connection:
        assert described(connection) == before


def test_down_to_nothing_and_up_again(bare: Flask) -> None:
    migrate.upgrade()
    with db.engine.connect() as connection:
        whole = described(connection)
    migrate.downgrade()
    with db.engine.connect() as connection:
        left = described(connection)
    assert set(left["tables"]) == set()
    assert left["triggers"] == left["functions"] == {}
    migrate.upgrade()
    with db.engine.connect() as connection:
        assert described(connection) == whole


def test_the_newest_revision_is_the_one_head(bare: Flask) -> None:
    script = ScriptDirectory(str(migrate.MIGRATIONS))
    assert script.get_heads() == [migrate.newest()]
    numbers = sorted(revision.revision for revision in script.walk_revisions())
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    migrate.upgrade()
    with db.engine.connect() as connection:
        current = connection.scalar(text("SELECT version_num FROM alembic_version"))
    assert current == migrate.newest()


def test_every_constraint_has_a_name_by_which_a_migration_can_find_it() -> None:
    for table in Base.metadata.tables.values():
        for constraint in table.constraints:
            assert constraint.name, f"{table.name}: {constraint!r}"


def described(connection: Connection) -> Facts:
    """Return tables, constraints, indexes and triggers, as the database itself tells them."""
    inspector = inspect(connection)
    tables = {
        name: {
            "columns": [
                (each["name"], str(each["type"]), each["nullable"], each["default"])
                for each in inspector.get_columns(name)
            ],
            "key": inspector.get_pk_constraint(name)["constrained_columns"],
            "unique": sorted(
                (str(each["name"]), tuple(each["column_names"]))
                for each in inspector.get_unique_constraints(name)
            ),
            "checks": sorted(
                (str(each["name"]), " ".join(str(each["sqltext"]).split()))
                for each in inspector.get_check_constraints(name)
            ),
            "foreign": sorted(
                (str(each["name"]), str(each["referred_table"]), tuple(each["constrained_columns"]))
                for each in inspector.get_foreign_keys(name)
            ),
            "indexes": sorted(
                (str(each["name"]), tuple(map(str, each["column_names"])), bool(each["unique"]))
                for each in inspector.get_indexes(name)
            ),
        }
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }
    for table in tables.values():
        table["columns"].sort()
    return {
        "tables": tables,
        "triggers": _triggers(connection),
        "functions": _functions(connection),
    }


def _triggers(connection: Connection) -> dict[str, str]:
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = (
            "SELECT tgname || ' on ' || tgrelid::regclass,"
            " pg_get_triggerdef(oid) || tgenabled::text"
            " FROM pg_trigger WHERE NOT tgisinternal"
        )
    return dict(connection.execute(text(query)).all())  # type: ignore[arg-type]  # pairs of text


def _functions(connection: Connection) -> dict[str, str]:
    if connection.dialect.name == "sqlite":
        return {}
    query = "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    return dict(connection.execute(text(query)).all())  # type: ignore[arg-type]  # pairs of text
