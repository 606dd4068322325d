"""Budgets of the pages: twelve queries, 40 KB, and no more with a thousand rows than with one."""

from __future__ import annotations

import gzip

import pytest
from flask import Flask
from flask.testing import FlaskClient

from creditapp.catalog import Catalog
from creditapp.services import get, provide
from tests.app_factory import Person, Queue
from tests.pages import parse_html
from tests.web.steps import HTMX, make, queries
from tests.web.test_dashboard import give, spend
from tests.web.test_gallery import hang

pytestmark = pytest.mark.databases("sqlite", "postgresql")

QUERIES_MAX = 12
KILOBYTES_MAX = 40

MEMBERS_PAGES = [
    "/",
    "/credits",
    "/dashboard",
    "/gallery",
    "/history",
    "/settings",
    "/settings/delete",
    "/credits-demo",
]
MEMBERS_PAGES += ["/?operation=image-to-image", "/?operation=lipsync"]
MEMBERS_PAGES += [
    "/credits/plans",
    "/credits/redeem",
    "/credits/refunds",
    "/credits-demo/emails",
    "/chat",
    "/dashboard/tokens",
    "/settings/webhooks",
]
GUESTS_PAGES = ["/", "/credits", "/auth/signup", "/auth/login", "/credits-demo", "/nothing-here"]
FRAGMENTS = ["/credits/balance", "/credits", "/dashboard", "/gallery", "/history"]
GUESTS_PAGES += ["/credits/plans", "/credits/refunds"]
API = [
    "/api/plans",
    "/api/me/entitlements",
    "/api/credits",
    "/api/credits/balance",
    "/api/credits/transactions",
    "/api/generations",
]


def test_no_page_asks_more_than_twelve_times(app: Flask, queue_of: Queue) -> None:
    alice = lived_in(app, queue_of)
    made = make(alice, queue_of)
    for path in [*MEMBERS_PAGES, made, f"{made}/card", *API]:
        assert asked(alice, path) <= QUERIES_MAX, path
    for path in FRAGMENTS:
        assert asked(alice, path, **HTMX) <= QUERIES_MAX, path
    guest = Person(app)
    for path in [*GUESTS_PAGES, "/api/credits"]:
        assert asked(guest, path) <= QUERIES_MAX, path


def test_a_price_is_one_write_when_a_choice_changes_and_none_when_it_does_not(app: Flask) -> None:
    alice, choice = Person(app).sign_up("alice@example.com"), {"model": "gpt-image", "n": "2"}
    assert [writes(alice, choice), writes(alice, choice)] == [1, 0]
    assert writes(alice, {**choice, "n": "1"}) == 1
    assert writes(Person(app), choice) == 0


def writes(person: Person, choice: dict[str, str]) -> int:
    """Return how many rows a price request writes, of at most as many queries as a page."""
    with queries(person.app) as seen:
        answer = person.post("/studio/price", choice, headers=HTMX)
    assert answer.status_code == 200
    assert len(seen) <= QUERIES_MAX
    return sum(not statement.startswith("SELECT") for statement in seen)


def test_no_page_asks_more_when_there_is_more_to_show(app: Flask) -> None:
    few, many = (Person(app).sign_up(f"{name}@example.com") for name in ("few", "many"))
    hang(app, few, 2)
    spend(app, "few@example.com", 1, "test:0")
    hang(app, many, 60)
    for number in range(40):
        spend(app, "many@example.com", 1, f"test:{number}")
        give(app, "many@example.com", 1, source="promotion", note=str(number))
    for path in [*MEMBERS_PAGES, *API]:
        # One may ask how many there are in all once a page is full, and never one for each.
        assert asked(many, path) <= asked(few, path) + 1, path


@pytest.mark.databases("sqlite")
def test_no_page_is_larger_than_its_budget(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    hang(app, alice, 60, "a rather long wish, " * 20)
    for number in range(30):
        spend(app, "alice@example.com", 1, f"test:{number}", note="what it was for " * 5)
    guest = Person(app)
    pages = [(alice, path) for path in MEMBERS_PAGES] + [(guest, path) for path in GUESTS_PAGES]
    for person, path in pages:
        sent = person.browser.get(path, headers={"Accept-Encoding": "gzip"})
        assert len(sent.data) <= KILOBYTES_MAX * 1024, f"{path}: {len(sent.data)} bytes"
        if sent.status_code == 200:
            assert b"<html" in gzip.decompress(sent.data)
            assert "Accept-Encoding" in sent.headers["Vary"]


@pytest.mark.databases("sqlite")
def test_the_files_that_every_page_loads_are_small(client: FlaskClient) -> None:
    page = parse_html(client.get("/").text)
    files = {element["src"] for element in page.all('[src^="/static/"]')}
    files |= {element["href"] for element in page.all('[href^="/static/"]')}
    sizes = {file: len(client.get(file, headers={"Accept-Encoding": "br"}).data) for file in files}
    # The images, of examples and models, are loaded when they come into view.
    images = {file: size for file, size in sizes.items() if "/img/" in file}
    assert sum(images.values()) <= 24 * 1024, images
    assert sum(sizes.values()) - sum(images.values()) <= 60 * 1024, sizes


def test_a_static_file_is_compressed_for_every_client_and_kept_for_a_year(
    client: FlaskClient,
) -> None:
    page = parse_html(client.get("/").text)
    files = {element["src"] for element in page.all('[src^="/static/"]')}
    files |= {element["href"] for element in page.all('[href^="/static/"]')}
    assert len(files) > 4
    for file in files:
        plain = client.get(file)
        small = client.get(file, headers={"Accept-Encoding": "gzip"})
        assert small.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        if len(plain.data) > 500 and plain.mimetype != "image/webp":  # which is compressed
            assert gzip.decompress(small.data) == plain.data, file
        known = {"If-None-Match": small.headers["ETag"], "Accept-Encoding": "gzip"}
        assert client.get(file, headers=known).status_code == 304, file
    assert client.get("/static/js/app.js").headers["Cache-Control"] == "no-cache"


def test_a_catalog_with_many_models_costs_no_further_query(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    before = asked(alice, "/")
    with app.app_context():
        catalog = get(Catalog)
        more = tuple(
            catalog.models[0].model_copy(
                update={"id": f"model-{number}", "name": f"Model {number}"}
            )
            for number in range(20)
        )
        provide(app, Catalog, catalog.model_copy(update={"models": catalog.models + more}))
    assert asked(alice, "/") == before


@pytest.fixture
def queue_of(app: Flask) -> Queue:
    from creditapp.jobs.engine import JobStore

    with app.app_context():
        store = get(JobStore)
    assert isinstance(store, Queue)
    return store


def lived_in(app: Flask, queue: Queue) -> Person:
    """Return a user with a history of every kind."""
    alice = Person(app).sign_up("alice@example.com")
    make(alice, queue, "a fox")
    make(alice, queue, "two boats", n="2")
    give(app, "alice@example.com", 25, source="purchase", paid_minor=499, currency="usd")
    spend(app, "alice@example.com", 1, "test:1")
    return alice


def asked(person: Person, path: str, **headers: str) -> int:
    """Return how many queries a page costs, the session's own among them."""
    with queries(person.app) as seen:
        answer = person.browser.get(path, headers=headers)
    assert answer.status_code in (200, 404), path
    return len(seen)
