"""A designer changes a token, a component and a page, and sees each after a reload."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import ROOT, Cast, free_port, start_server, stop_server

pytestmark = pytest.mark.browser


@pytest.fixture
def studio_of_a_designer(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A copy of the project under CREDITAPP_DEBUG=1, whose files the test may change."""
    tree, port = tmp_path / "tree", free_port()
    for name in ("creditapp", "templates", "static", "migrations"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    data = tmp_path / "data"
    data.mkdir()
    process = start_server(data, port, {"CREDITAPP_DEBUG": "1"}, root=tree)
    yield f"http://127.0.0.1:{port}", tree
    stop_server(process)


def test_a_changed_token_component_and_page_show_on_reload(
    chromium: Browser, studio_of_a_designer: tuple[str, Path]
) -> None:
    base, tree = studio_of_a_designer
    cast = Cast(chromium, base)
    designer = cast.person()
    page = designer.open("/")
    expect(page.locator("h1")).to_have_text("Make an image")

    tokens = tree / "static/css/tokens.css"
    tokens.write_text(tokens.read_text() + "\n@layer tokens { :root { --wall: rgb(1, 2, 3); } }\n")
    page.reload()
    wall = "getComputedStyle(document.documentElement).getPropertyValue('--wall')"
    assert page.evaluate(wall) == "rgb(1, 2, 3)"

    component = tree / "templates/components/coin.html"
    component.write_text(component.read_text().replace("<svg", '<svg data-changed="yes"', 1))
    page.reload()
    expect(page.locator("svg[data-changed=yes]").first).to_be_attached()

    studio = tree / "templates/pages/studio/index.html"
    studio.write_text(studio.read_text().replace("Make an image", "Draw a picture"))
    page.reload()
    expect(page.locator("h1")).to_have_text("Draw a picture")
    for context in cast.contexts:
        context.close()
