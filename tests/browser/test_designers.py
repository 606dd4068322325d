"""A designer changes a token, a component and a page, and sees each after a reload."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

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


PIXEL = """(color) => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""
"""The three channels of any CSS color, a mixed one too."""


def contrast(one: list[int], other: list[int]) -> float:
    """Return the contrast of two colors as WCAG defines it, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: list[int]) -> float:
    parts = (channel / 255 for channel in color)
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def colors_of_the_studio(page: Page) -> dict[str, list[int]]:
    """Return the colors of the main button, its hover, its focus ring and the selected model."""
    button, row = page.locator("#generate"), page.locator(".row:has(> input:checked)").first

    def read(locator: Locator, name: str) -> list[int]:
        css = locator.evaluate(f"(element) => getComputedStyle(element)['{name}']")
        channels: list[int] = page.evaluate(PIXEL, css)
        return channels

    page.mouse.move(0, 0)
    found = {"button": read(button, "backgroundColor"), "text": read(button, "color")}
    button.hover()
    found |= {"hover": read(button, "backgroundColor"), "hover text": read(button, "color")}
    page.locator("textarea[name=prompt]").focus()
    found["focus"] = read(page.locator("textarea[name=prompt]"), "outlineColor")
    found |= {"wash": read(row, "backgroundColor"), "ink": read(row, "color")}
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_what_follows_from_the_accent_follows_a_changed_one(cast: Cast, dark: bool) -> None:
    page = cast.person(dark=dark, still=True).open("/")
    before = colors_of_the_studio(page)
    page.evaluate(
        "document.documentElement.style.setProperty('--accent', 'light-dark(#1d4e89, #8ab8f0)')"
    )
    after = colors_of_the_studio(page)

    assert after["button"] == ([138, 184, 240] if dark else [29, 78, 137])
    assert after["focus"] == after["button"]
    for name in ("button", "hover", "focus", "wash"):
        assert after[name] != before[name], name
        # Blue instead of green: the hue moves with the accent.
        assert after[name][2] > after[name][1], name
    for colors in (before, after):
        assert contrast(colors["text"], colors["button"]) >= 4.5
        assert contrast(colors["hover text"], colors["hover"]) >= 4.5
        assert contrast(colors["ink"], colors["wash"]) >= 4.5
        assert contrast(colors["focus"], colors["wash"]) >= 3


def test_a_plain_button_has_no_frame(cast: Cast) -> None:
    designer = cast.person()
    drawn = {}
    for kind in ("plain", "quiet"):
        button = designer.open(f"/credits-demo/button/{kind}").locator("main .button")
        drawn[kind] = [
            button.evaluate(f"(element) => getComputedStyle(element)['{name}']")
            for name in ("backgroundColor", "borderTopColor")
        ]
    assert drawn["plain"] == ["rgba(0, 0, 0, 0)", "rgba(0, 0, 0, 0)"]
    assert "rgba(0, 0, 0, 0)" not in drawn["quiet"]
