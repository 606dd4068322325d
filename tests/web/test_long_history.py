"""A long history makes no page slower: as many queries as for a newcomer, each by an index."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask

from bench.history import write_history, write_images
from creditapp.accounts import find_by_email
from creditapp.clock import now
from creditapp.db import db, transaction
from tests.app_factory import build_app, close_app, member
from tests.databases import new_database
from tests.web.steps import analyze, noted, queries

ENTRIES, IMAGES = 20_000, 1_500
FEW = 30
TABLES = ("entries", "generations", "assets", "prompts")

PAGES = {
    "/": "ix_generations_owner",
    "/gallery": "ix_assets_owner",
    "/gallery?cursor=99999999999999999.ast_0{19}": "ix_assets_owner",
    "/history": "ix_prompts_owner",
    "/history?cursor=9999999999999999.prm_0{19}": "ix_prompts_owner",
    "/api/generations": "ix_generations_owner",
    "/dashboard": "ix_generations_usage",
    "/dashboard?type=bought": "ix_entries_kind",
    "/dashboard?type=back": "ix_entries_kind",
    "/dashboard?type=spent": "ix_entries_kind",
    "/api/credits/transactions?type=PURCHASE": "ix_entries_kind",
    "/dashboard?cursor=10000": "entries",
    "/api/credits": "entries",
}
"""Each page, and the index that its longest list is read by."""


class People:
    """A member with a long history and one with a page of everything."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.veteran, self.newcomer = member(app, "veteran"), member(app, "newcomer")
        for person, entries, images in ((self.veteran, ENTRIES, IMAGES), (self.newcomer, FEW, FEW)):
            with app.app_context(), transaction() as writing:
                user = find_by_email(writing, person.email)
                assert user is not None
                write_history(
                    writing.connection(), user.id, entries=entries, images=images, now=now()
                )
        with app.app_context(), transaction() as writing:
            for number in range(10):
                write_images(writing.connection(), f"usr_other{number}", 500, now())
        analyze(app)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def people(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[People]:
    folder = tmp_path_factory.mktemp("history")
    with new_database(request.param, folder) as url:
        app = build_app(url, folder)
        yield People(app)
        close_app(app)


@pytest.mark.parametrize(("path", "index"), PAGES.items(), ids=list(PAGES))
def test_a_long_history_is_read_by_an_index(people: People, path: str, index: str) -> None:
    path = path.replace("0{19}", "0" * 26)
    with executed(people.app) as statements:
        assert people.veteran.browser.get(path).status_code == 200
    plans = "\n".join(plan(people.app, *statement) for statement in statements)
    assert index in plans
    for table in TABLES:
        assert f"Seq Scan on {table}" not in plans
        assert f"SCAN {table}" not in plans


@pytest.mark.parametrize("path", PAGES)
def test_a_long_history_takes_no_further_query(people: People, path: str) -> None:
    path = path.replace("0{19}", "0" * 26)
    counts = []
    for person in (people.veteran, people.newcomer):
        with queries(people.app) as statements:
            assert person.browser.get(path).status_code == 200
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_the_sheet_of_a_long_history_is_never_whole_in_memory(people: People) -> None:
    assert people.veteran.browser.get("/dashboard/history.csv?type=expired").text  # imports, caches
    tracemalloc.start()
    lines = size = 0
    answer = people.veteran.browser.get("/dashboard/history.csv", buffered=False)
    for piece in answer.response:
        lines, size = lines + piece.count(b"\n"), size + len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == ENTRIES + 2  # the head, and the welcome credits
    assert peak < 3 * 2**20 < 3 * size


def test_a_member_gets_one_sheet_at_a_time(people: People) -> None:
    browser = people.veteran.browser
    first = browser.get("/dashboard/history.csv", buffered=False)
    next(iter(first.response))
    second = browser.get("/dashboard/history.csv")
    assert second.status_code == 429
    assert second.headers["Retry-After"] == "30"
    assert people.newcomer.browser.get("/dashboard/history.csv").status_code == 200
    first.close()  # its reader went away in the middle
    for _ in range(2):
        assert browser.get("/dashboard/history.csv").status_code == 200


@contextmanager
def executed(app: Flask) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements of the block with their values."""
    statements: list[tuple[str, Any]] = []

    def note(sql: str, values: Any) -> None:
        if sql.startswith(("SELECT", "WITH")):
            statements.append((sql, values))

    with noted(app, note):
        yield statements


def plan(app: Flask, sql: str, values: Any, *, own: bool = False) -> str:
    """Return the database's plan of a statement.

    ``own``: as where the member owns a small part of the table. PostgreSQL rightly scans a table
    of which a statement wants the most.
    """
    with app.app_context(), db.engine.connect() as connection:
        is_postgresql = connection.dialect.name == "postgresql"
        explain = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
        if own and is_postgresql:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        rows = connection.exec_driver_sql(f"{explain} {sql}", values)
        return "\n".join(str(row[-1]) for row in rows)
