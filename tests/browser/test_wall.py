"""The wall of the studio in a browser: images one by one, focus, the tab's title, "Use again"."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Cast, free_port, in_looks, start_server, stop_server
from tests.browser.test_access import assert_sound
from tests.processes import Pictures

pytestmark = pytest.mark.browser

PROMPT = "What should it show?"


def generate(page: Page, prompt: str, count: int = 1) -> None:
    """Fill in the form and press the button, once the page's scripts have run."""
    page.wait_for_load_state("load")
    page.get_by_label(PROMPT).fill(prompt)
    number = page.locator(f"input[name=n][value='{count}']")
    if not number.is_checked():
        shown = page.locator("input[name=shown_micro]")
        before = shown.input_value()
        page.locator("label", has=number).click()
        expect(shown).not_to_have_value(before)
    page.locator("#generate").click()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server of this module."""
    return tmp_path_factory.mktemp("wall")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The address of a demo whose pictures a test can hold back."""
    port = free_port()
    process = start_server(folder, port, {Pictures.FOLDER: str(folder)})
    yield f"http://127.0.0.1:{port}"
    stop_server(process)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pictures(folder: Path) -> Iterator[Pictures]:
    """The pictures of the server, of which none is drawn yet."""
    pictures = Pictures(folder)
    pictures.hold()
    yield pictures
    pictures.release()


def test_images_appear_one_by_one_and_stay_while_the_card_changes(
    cast: Cast, pictures: Pictures
) -> None:
    alice = cast.person()
    alice.sign_up("onebyone@example.com")
    page = alice.page
    generate(page, "A harbour at dusk", 4)
    figures = page.locator("#jobs > :first-child figure")
    for count in (1, 2, 3):
        pictures.let_one_be_drawn()
        expect(figures).to_have_count(count)
        if count == 1:
            page.evaluate("window.firstFigure = document.querySelector('#jobs figure')")
        expect(page.locator(".job-card-succeeded")).to_have_count(0)
    pictures.let_one_be_drawn()
    expect(page.locator(".job-card-succeeded figure img")).to_have_count(4)
    assert page.evaluate("window.firstFigure.isConnected"), "its image was loaded once"


@pytest.mark.whole
def test_the_percentage_only_rises_between_two_answers(cast: Cast, pictures: Pictures) -> None:
    alice = cast.person()
    alice.sign_up("percent@example.com")
    page = alice.page
    page.evaluate(
        """window.percents = [];
        setInterval(() => {
          const bar = document.querySelector("#jobs progress");
          if (bar) percents.push(bar.value);
          document.body.dataset.different = new Set(percents).size;
        }, 60);"""
    )
    generate(page, "A canyon of cut paper", 4)
    pictures.let_one_be_drawn()
    expect(page.locator("#jobs figure")).to_have_count(1)
    expect(page.locator("body")).to_have_attribute(
        "data-different", re.compile("^([5-9]|[0-9]{2})$")
    )
    pictures.release()
    expect(page.locator(".job-card-succeeded")).to_have_count(1)
    percents = page.evaluate("window.percents")
    assert percents == sorted(percents)


def test_a_focused_cancel_hands_the_focus_on_when_the_job_ends(
    cast: Cast, pictures: Pictures
) -> None:
    alice = cast.person()
    alice.sign_up("focus@example.com")
    page = alice.page
    generate(page, "A lighthouse", 2)
    page.locator(".job-card .acts button", has_text="Cancel").focus()
    pictures.release()
    expect(page.locator(".job-card-succeeded")).to_have_count(1)
    expect(page.locator(".job-card [data-use-again]")).to_be_focused()


@pytest.mark.whole
def test_the_tabs_title_tells_that_an_image_is_ready_until_one_looks(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("title@example.com")
    page = alice.page
    title = page.title()
    page.evaluate("document.hasFocus = () => false")
    generate(page, "A fox in the snow")
    expect(page).to_have_title(f"(1) Ready · {title}")
    expect(page.locator("#live")).to_contain_text("Your image is ready.")
    page.evaluate("document.hasFocus = () => true; dispatchEvent(new Event('focus'))")
    expect(page).to_have_title(title)


@pytest.mark.whole
def test_a_running_job_is_there_again_after_a_visit_elsewhere(
    cast: Cast, pictures: Pictures
) -> None:
    alice = cast.person()
    alice.sign_up("elsewhere@example.com")
    page = alice.page
    generate(page, "A quiet lake", 4)
    expect(page.locator(".job-card")).to_have_count(1)
    alice.open("/credits")
    page = alice.open("/")
    expect(page.locator(".job-card[data-job]")).to_have_count(1)
    pictures.release()
    expect(page.locator(".job-card-succeeded figure img")).to_have_count(4)


@pytest.mark.whole
@in_looks(0)
def test_axe_finds_nothing_on_a_full_wall(cast: Cast, width: int, dark: bool) -> None:
    alice = cast.person(width=width, dark=dark, still=True)
    alice.sign_up(f"wall{width}{dark}@example.com".lower())
    page = alice.page
    assert_sound(page, "an empty wall")
    for number, count in enumerate((1, 2, 3)):
        generate(page, f"A lighthouse, print {number}", count)
        expect(page.locator(".job-card-succeeded")).to_have_count(number + 1)
    assert_sound(page, "a full wall")
    newest = page.locator("#jobs > :first-child").bounding_box()
    older = page.locator("#jobs > :nth-child(2)").bounding_box()
    wall = page.locator("#jobs").bounding_box()
    assert newest
    assert older
    assert wall
    assert newest["width"] == pytest.approx(wall["width"], abs=1)
    assert older["width"] < wall["width"] * 0.6


@pytest.mark.whole
def test_nothing_moves_while_one_waits_if_the_system_asks_for_stillness(
    cast: Cast, pictures: Pictures
) -> None:
    alice = cast.person(still=True)
    alice.sign_up("still@example.com")
    page = alice.page
    page.evaluate(
        """window.moving = 0;
        const wall = document.getElementById("jobs");
        setInterval(() => { moving += wall.getAnimations({subtree: true}).length }, 40);"""
    )
    generate(page, "A quiet lake", 2)
    pictures.let_one_be_drawn()
    expect(page.locator("#jobs figure")).to_have_count(1)
    pictures.let_one_be_drawn()
    expect(page.locator(".job-card-succeeded")).to_have_count(1)
    assert page.evaluate("window.moving") == 0
