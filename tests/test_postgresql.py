"""PostgreSQL servers, databases and roles with settings of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from creditapp import jobs
from creditapp.db import db
from creditapp.jobs.engine import JobStore
from creditapp.services import get
from tests.app_factory import close_app
from tests.databases import new_database, postgresql_server
from tests.processes import run_command
from tests.test_server import demo_on

pytestmark = pytest.mark.databases("postgresql")

UNUSUAL = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Kathmandu",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "default_transaction_isolation": "serializable",
    "quote_all_identifiers": "on",
    "synchronous_commit": "off",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "lc_messages": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "lc_monetary": "C",
    "xmloption": "document",
    "statement_timeout": "10min",
    "lock_timeout": "5min",
    "idle_in_transaction_session_timeout": "5min",
}


def unusual(url: str, **more: str) -> str:
    """Give a database unusual settings; return its URL."""
    name = make_url(url).database
    with postgresql_server().connect() as connection:
        for setting, value in {**UNUSUAL, **more}.items():
            connection.execute(text(f"ALTER DATABASE {name} SET {setting} = '{value}'"))
    return url


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., CompletedProcess[str]]:
    """Run a command on a database."""

    def call(url: str, *words: str) -> CompletedProcess[str]:
        environ = {"CREDITAPP_DATA": str(tmp_path / "data"), "CREDITAPP_LOG_LEVEL": "error"}
        ended = run_command(*words, environ={**environ, "DATABASE_URL": url})
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended

    return call


def test_the_app_works_on_a_database_with_other_settings(
    database_url: str, tmp_path: Path, run: Callable[..., CompletedProcess[str]]
) -> None:
    url = unusual(database_url)
    run(url, "seed")
    grant = ("grant", "alice@example.com", "2.5", "--reason", "灯台 \\ 🚢")
    assert json.loads(run(url, *grant, "--json").stdout)["balance"]
    run(url, "proof", "--seals")
    run(url, "reconcile")
    run(url, "backup", str(tmp_path / "backup"))
    app = demo_on(url, tmp_path / "served")
    with app.app_context():
        store, before = get(JobStore), jobs.health().waiting
        store.enqueue("email", "email_1")
        assert jobs.health().waiting == before + 1
        store.workers.register("here")
        assert [worker.executor for worker in store.workers.live_workers()] == ["here"]
        store.workers.unregister()
        shown = {
            name: db.session.scalar(text(f"SHOW {name}")) for name in ("DateStyle", "TimeZone")
        }
        assert shown == {"DateStyle": "ISO, MDY", "TimeZone": "UTC"}
    close_app(app)


def test_a_commit_waits_for_the_disk(database_url: str, tmp_path: Path) -> None:
    for value, kept in (("off", "on"), ("local", "local"), ("on", "on")):
        app = demo_on(unusual(database_url, synchronous_commit=value), tmp_path / value)
        with app.app_context():
            assert db.session.scalar(text("SHOW synchronous_commit")) == kept
        close_app(app)


def refusal(url: str, folder: Path) -> str:
    """Return the one line with which the start refuses a database."""
    environ = {"CREDITAPP_DATA": str(folder), "DATABASE_URL": url, "PORT": "0"}
    ended = run_command("serve", environ={**environ, "CREDITAPP_LOG_LEVEL": "error"})
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.stderr


def test_a_database_that_cannot_be_used_is_named_in_one_line(
    database_url: str, tmp_path: Path
) -> None:
    unusual(database_url, default_transaction_read_only="on")
    assert "read-only transaction" in refusal(database_url, tmp_path)
    unusual(database_url, default_transaction_read_only="off", search_path="nowhere")
    assert "no schema has been selected" in refusal(database_url, tmp_path)
    nothing = make_url(database_url).set(port=1, password="a secret of mine")
    line = refusal(nothing.render_as_string(hide_password=False), tmp_path)
    assert line.startswith("DATABASE_URL: connection failed")
    assert "secret" not in line
    with postgresql_server().connect() as connection:
        name = f"{make_url(database_url).database}_latin"
        options = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        connection.execute(text(f"CREATE DATABASE {name} {options}"))
        try:
            url = make_url(database_url).set(database=name).render_as_string(hide_password=False)
            assert "encoding is LATIN1: create it with ENCODING 'UTF8'" in refusal(url, tmp_path)
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_the_search_path_chooses_the_schema(
    database_url: str, tmp_path: Path, run: Callable[..., CompletedProcess[str]]
) -> None:
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE SCHEMA shop"))
        unusual(database_url, search_path="shop")
    run(database_url, "seed")
    run(database_url, "proof")
    run(database_url, "backup", str(tmp_path / "backup"))
    with engine.connect() as connection:
        count = text("SELECT COUNT(*) FROM pg_tables WHERE schemaname = :name")
        assert connection.scalar(count, {"name": "public"}) == 0
        assert connection.scalar(count, {"name": "shop"}) > 20
    engine.dispose()
    with new_database("postgresql", tmp_path) as other:
        unusual(other, search_path="shop")
        environ = {"CREDITAPP_DATA": str(tmp_path / "other"), "DATABASE_URL": other}
        ended = run_command("restore", str(tmp_path / "backup"), environ=environ)
        assert ended.returncode == 0, ended.stderr
