"""A gallery of thousands of images: an index reads each page and filter, in a few queries.

Five thousand images in the check; a hundred thousand in the soak.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import text

from bench.history import write_images
from creditapp.accounts import find_by_email
from creditapp.clock import now
from creditapp.db import db, transaction
from tests.app_factory import Person, build_app, close_app, member
from tests.databases import new_database
from tests.web.steps import analyze, queries
from tests.web.test_long_history import executed, plan

SOAK = os.environ.get("CREDITAPP_SOAK") == "1"
IMAGES = 100_000 if SOAK else 5_000
OTHERS_IMAGES = IMAGES if SOAK else 1_000
"""As many in the soak, or PostgreSQL would read a member's many rows by no index of owners."""
SECONDS_MAX = 3.0
"""Of one page, while other tests use the cores; a search of every prompt is the slowest."""

_NUMBER = "CAST(substr(id, 15, 10) AS BIGINT)"
VARIED = (
    f"UPDATE assets SET model = 'flux-dev' WHERE {_NUMBER} % 400 = 0",
    f"UPDATE assets SET operation = 'upscale' WHERE {_NUMBER} % 500 = 1",
    f"UPDATE assets SET mime_type = 'video/mp4' WHERE {_NUMBER} % 300 = 2",
    f"UPDATE assets SET width = 1536 WHERE {_NUMBER} % 200 = 3",
    f"UPDATE assets SET starred_at = created_at WHERE {_NUMBER} % 250 = 4",
)
FILTERS = {
    "": "ix_assets_owner",
    "model=flux-dev": "ix_assets_model",
    "operation=upscale": "ix_assets_operation",
    "starred=1": "ix_assets_",  # SQLite takes the favourites' or the owner's
    "since=2026-01-01&until=2026-12-31": "ix_assets_owner",
    "until=2020-01-01": "ix_assets_owner",
    "kind=video": "ix_assets",
    "shape=landscape": "ix_assets",
    "q=boat+17": "_owner",
    "q=nothing+has+this": "_owner",
    "model=flux-dev&shape=square&kind=image&q=boat": "ix_assets",
}
"""Each filter, and the index that its list is read by."""


class Large:
    """A member with very many images, and one with a page of them."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.collector, self.newcomer = member(app, "collector"), member(app, "newcomer")
        for person, images in ((self.collector, IMAGES), (self.newcomer, 30)):
            with app.app_context(), transaction() as writing:
                user = find_by_email(writing, person.email)
                assert user is not None
                write_images(writing.connection(), user.id, images, now())
        with app.app_context(), transaction() as writing:
            write_images(writing.connection(), "usr_someoneelse", OTHERS_IMAGES, now())
            for statement in VARIED:
                writing.execute(text(statement))
        analyze(app)

    def last_page(self) -> str:
        """Return the address of the page in the middle of the oldest images."""
        with self.app.app_context(), db.engine.connect() as connection:
            row = connection.execute(
                text(
                    "SELECT id FROM assets WHERE owner_id = (SELECT id FROM users WHERE email ="
                    " :email) ORDER BY created_at LIMIT 1 OFFSET 50"
                ),
                {"email": self.collector.email},
            ).scalar_one()
        return f"/images/{row}"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def large(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Large]:
    folder = tmp_path_factory.mktemp("gallery")
    with new_database(request.param, folder) as url:
        app = build_app(url, folder)
        yield Large(app)
        close_app(app)


def open_page(person: Person, path: str) -> float:
    """Open a page; return the seconds that it took."""
    began = time.monotonic()
    assert person.browser.get(path).status_code == 200
    return time.monotonic() - began


@pytest.mark.parametrize(("query", "index"), FILTERS.items(), ids=list(FILTERS))
def test_each_filter_is_read_by_an_index(large: Large, query: str, index: str) -> None:
    with executed(large.app) as statements:
        assert open_page(large.collector, f"/gallery?{query}") < SECONDS_MAX
    lists = [each for each in statements if "FROM generations JOIN assets" in each[0]]
    assert lists
    for sql, values in statements:
        read = plan(large.app, sql, values, own=True)
        for table in ("assets", "generations"):
            assert f"Seq Scan on {table}" not in read, read
            assert f"SCAN {table}" not in read, read
    assert index in plan(large.app, *lists[0], own=True)


@pytest.mark.parametrize("query", FILTERS, ids=list(FILTERS))
def test_a_filter_asks_as_often_as_for_a_few_images(large: Large, query: str) -> None:
    counts = []
    for person in (large.collector, large.newcomer):
        with queries(large.app) as statements:
            open_page(person, f"/gallery?{query}")
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 7


def test_the_oldest_page_costs_what_the_first_does(large: Large) -> None:
    first = large.collector.page("/gallery")
    assert first.has('a[href*="cursor="]')
    oldest = large.last_page()
    with executed(large.app) as statements:
        assert open_page(large.collector, oldest) < SECONDS_MAX
    read = "\n".join(plan(large.app, *statement) for statement in statements)
    assert "ix_assets_owner" in read
    assert "Seq Scan on assets" not in read
    assert "SCAN assets" not in read


def test_every_image_is_on_exactly_one_page(large: Large) -> None:
    seen, path, pages = set[str](), "/gallery?model=flux-dev", 0
    while path:
        page = large.collector.page(path)
        shown = [card["data-asset"] for card in page.all(".image-card")]
        assert not seen & set(shown)
        seen |= set(shown)
        pages += 1
        more = page.all('a[href*="cursor="]')
        path = more[0]["href"] if more and pages < 12 else ""
    assert len(seen) == min(IMAGES // 400 + 1, 24 * 12) or len(seen) == IMAGES // 400
