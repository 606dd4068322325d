"""Pages that all visitors share: built once for a catalog, without anything of a visitor."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from creditapp.catalog import Catalog
from creditapp.http import shared_pages
from creditapp.services import get, provide
from tests.app_factory import member

PATHS = (
    "/api/openapi.json",
    "/api/docs",
    "/credits-demo",
    "/credits-demo/header/user",
    "/credits-demo/emails",
    "/credits-demo/emails/receipt/paid",
    "/credits-demo/emails/receipt/paid/html",
)


@pytest.fixture(autouse=True)
def nothing_is_built(app: Flask) -> None:
    """Forget what other tests of the shared app built."""
    shared_pages.init_app(app)


@pytest.mark.parametrize("path", PATHS)
def test_a_second_visitor_gets_the_same_page_and_a_known_one_costs_304(
    app: Flask, path: str
) -> None:
    dora = member(app, "dora")
    first = app.test_client().get(path)
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "no-cache"
    assert "Set-Cookie" not in first.headers
    other = dora.browser.get(path)
    assert other.data == first.data
    assert dora.email not in other.text
    known = {"If-None-Match": first.headers["ETag"]}
    unchanged = app.test_client().get(path, headers=known)
    assert (unchanged.status_code, unchanged.data) == (304, b"")


def test_a_page_is_built_once_whoever_asks_at_once(app: Flask) -> None:
    builds: list[str] = []

    def build() -> str:
        builds.append("built")
        return "page"

    def ask(_number: int) -> int:
        with app.test_request_context("/credits-demo"):
            return shared_pages.send_shared(build).status_code

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(16))) == [200] * 16
    assert builds == ["built"]


def test_another_catalog_builds_the_pages_again(app: Flask) -> None:
    browser = app.test_client()
    before = browser.get("/api/openapi.json")
    with app.app_context():
        provide(app, Catalog, get(Catalog).model_copy())
        builds: list[str] = []
        with app.test_request_context("/api/openapi.json"):
            shared_pages.send_shared(lambda: builds.append("built") or "new")
    assert builds == ["built"]
    assert before.status_code == 200


def test_an_unknown_path_is_not_kept(app: Flask) -> None:
    browser = app.test_client()
    for number in range(3):
        assert browser.get(f"/credits-demo/header/made-up-{number}").status_code == 404
    with app.app_context():
        assert get(shared_pages.SharedPages).built == {}
