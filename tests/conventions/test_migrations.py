"""Migrations create the schema of the models and remove it again, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection, create_engine, event, inspect, text

from creditapp import create_app
from creditapp.config import SettingsInvalid, load_settings
from creditapp.db import db, transaction
from creditapp.runtime import migrate
from tests.app_factory import build_app, close_app
from tests.processes import run_command

pytestmark = pytest.mark.databases("sqlite", "postgresql")

ROOT = migrate.MIGRATIONS.parent
Schema = dict[str, Any]


@pytest.fixture
def empty_app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """The app on an empty database."""
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
def schema_of_models(empty_app: Flask, request: pytest.FixtureRequest, tmp_path: Path) -> Schema:
    """The schema that the models create in a database of the same kind."""
    kind = db.engine.dialect.name
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'models.sqlite'}"
    else:
        # The same database, emptied below before the test migrates it.
        url = db.engine.url.render_as_string(hide_password=False)
    app = build_app(url, tmp_path)
    with app.app_context(), db.engine.begin() as connection:
        schema = describe(connection)
        if kind != "sqlite":
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    close_app(app)
    return schema


def schema_of_database() -> Schema:
    with db.engine.connect() as connection:
        return describe(connection)


def test_an_empty_database_gets_the_schema_of_the_models(
    empty_app: Flask, schema_of_models: Schema
) -> None:
    migrate.upgrade()
    with db.engine.connect() as connection:
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True}), db.metadata
        )
        migrated = describe(connection)
    assert differences == []
    for kind in ("tables", "triggers", "functions"):
        assert migrated[kind] == schema_of_models[kind]
    assert migrated["triggers"], "the ledger's entries have triggers"


@pytest.mark.databases("sqlite")
def test_sqlite_migrates_without_foreign_keys_and_enforces_them_afterwards(
    empty_app: Flask,
) -> None:
    enforced = []

    @event.listens_for(db.engine, "before_cursor_execute")
    def record_pragma(_connection: Connection, cursor: Any, statement: str, *_: object) -> None:
        if statement.lstrip().startswith("CREATE TABLE"):
            enforced.append(cursor.connection.execute("PRAGMA foreign_keys").fetchone()[0])

    migrate.upgrade()
    assert set(enforced) == {0}
    with db.engine.connect() as connection:
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


def test_a_second_upgrade_does_nothing(empty_app: Flask) -> None:
    migrate.upgrade()
    before = schema_of_database()
    migrate.upgrade()
    assert schema_of_database() == before


def test_down_to_nothing_and_up_again(empty_app: Flask) -> None:
    migrate.upgrade()
    whole = schema_of_database()
    migrate.downgrade()
    left = schema_of_database()
    assert set(left["tables"]) == set()
    assert left["triggers"] == left["functions"] == {}
    migrate.upgrade()
    assert schema_of_database() == whole


def test_the_newest_revision_is_the_one_head(empty_app: Flask) -> None:
    script = ScriptDirectory(str(migrate.MIGRATIONS))
    assert script.get_heads() == [migrate.newest()]
    revisions = sorted(revision.revision for revision in script.walk_revisions())
    numbers = [revision.split("_")[0] for revision in revisions]
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    assert all(len(revision) <= 32 for revision in revisions), "alembic_version holds 32 characters"
    migrate.upgrade()
    with db.engine.connect() as connection:
        current = connection.scalar(text("SELECT version_num FROM alembic_version"))
    assert current == migrate.newest()


UNRELEASED_SCHEMAS = {
    "an old revision": (
        "CREATE TABLE wallets (id INTEGER)",
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('0001')",
    ),
    "the last old revision": (
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('0006')",
    ),
    "tables without a revision": ("CREATE TABLE wallets (id INTEGER)",),
}


@pytest.mark.parametrize("schema", UNRELEASED_SCHEMAS)
def test_a_database_of_an_unreleased_version_is_refused_and_left_alone(
    empty_app: Flask, schema: str
) -> None:
    with transaction() as session:
        connection = session.connection()
        for statement in UNRELEASED_SCHEMAS[schema]:
            connection.exec_driver_sql(statement)
    before = schema_of_database()
    with pytest.raises(SettingsInvalid, match="made by an unreleased version"):
        migrate.upgrade()
    assert schema_of_database() == before


def test_a_table_of_another_application_is_no_obstacle(empty_app: Flask) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE somebody_elses (id INTEGER)")
    migrate.upgrade()
    assert "wallets" in schema_of_database()["tables"]


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "proof"])
def test_a_command_on_an_unreleased_version_stops_with_one_line(
    command: str, tmp_path: Path
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'creditapp.sqlite'}")
    with engine.begin() as connection:
        for statement in UNRELEASED_SCHEMAS["an old revision"]:
            connection.exec_driver_sql(statement)
    ended = run_command(command, environ={"CREDITAPP_DATA": str(tmp_path), "PORT": "0"})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        f"{tmp_path} was made by an unreleased version of CreditApp:"
        " move it away or set CREDITAPP_DATA."
    ]


def test_a_command_on_an_unreleased_database_names_its_setting(
    database_url: str, tmp_path: Path
) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE wallets (id INTEGER)")
    engine.dispose()
    environ = {"CREDITAPP_DATA": str(tmp_path / "data"), "DATABASE_URL": database_url, "PORT": "0"}
    ended = run_command("serve", environ=environ)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "The database in DATABASE_URL was made by an unreleased version of CreditApp:"
        " move it away or set DATABASE_URL."
    ]


def test_every_constraint_has_a_name_that_a_migration_can_use() -> None:
    for table in db.metadata.tables.values():
        for constraint in table.constraints:
            assert constraint.name, f"{table.name}: {constraint!r}"


def describe(connection: Connection) -> Schema:
    """Return tables, constraints, indexes, triggers and functions as the database reports them."""
    inspector = inspect(connection)
    tables = {
        name: {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(name)
            ],
            "key": inspector.get_pk_constraint(name)["constrained_columns"],
            "unique": sorted(
                (str(unique["name"]), tuple(unique["column_names"]))
                for unique in inspector.get_unique_constraints(name)
            ),
            "checks": sorted(
                (str(check["name"]), " ".join(str(check["sqltext"]).split()))
                for check in inspector.get_check_constraints(name)
            ),
            "foreign": sorted(
                (str(key["name"]), str(key["referred_table"]), tuple(key["constrained_columns"]))
                for key in inspector.get_foreign_keys(name)
            ),
            "indexes": sorted(
                (str(index["name"]), tuple(map(str, index["column_names"])), bool(index["unique"]))
                for index in inspector.get_indexes(name)
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
