"""The gallery and its viewer in a browser: keyboard, touch, no script, thousands of images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import create_engine, text

from bench.history import write_images
from tests.browser.conftest import Cast, Person, free_port, in_looks, start_server, stop_server
from tests.browser.test_access import assert_sound

pytestmark = pytest.mark.browser


def with_images(cast: Cast, name: str, count: int = 3, **looks: object) -> Person:
    """Return a member with a page of images, made together."""
    person = cast.person(**looks)  # type: ignore[arg-type]  # passed on as they are
    page = person.sign_up(
        f"{name}@example.com", f"/?prompt=A+harbour+at+dusk&model=nano-banana&n={count}"
    )
    page.locator("#generate").click()
    page.wait_for_load_state()
    expect(page.locator(".job-card-succeeded, .generation-images").first).to_be_visible()
    person.open("/gallery")
    expect(page.locator(".image-card")).to_have_count(count)
    return person


def viewed(page: Page) -> str:
    """Return the id of the image in the viewer."""
    return page.locator("#viewer").get_attribute("data-asset") or ""


def tiles(page: Page) -> list[str]:
    cards = page.locator(".image-card").all()
    return [card.get_attribute("data-asset") or "" for card in cards]


def test_the_viewer_opens_over_the_gallery_turns_by_keys_and_closes_by_back(cast: Cast) -> None:
    person = with_images(cast, "viewer")
    page, (first, second, third) = person.page, tiles(person.page)
    page.locator(".image-card-frame").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open] #viewer")).to_be_visible()
    assert viewed(page) == second
    expect(page).to_have_url(re.compile(f"/images/{second}"))
    page.keyboard.press("ArrowRight")
    expect(page.locator(f'#viewer[data-asset="{third}"]')).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(f'#viewer[data-asset="{second}"]')).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(f'#viewer[data-asset="{first}"]')).to_be_visible()
    page.go_back()
    expect(page.locator("#viewer")).to_have_count(0)
    expect(page).to_have_url(person.base + "/gallery")
    page.go_forward()
    expect(page.locator("dialog[open] #viewer")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_have_count(0)
    expect(page).to_have_url(person.base + "/gallery")
    page.go_forward()
    expect(page.locator("dialog[open] #viewer")).to_be_visible()
    page.reload()
    expect(page.locator("main #viewer")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator(f'#viewer[data-asset="{second}"]')).to_be_visible()


@pytest.mark.whole
def test_copy_prompt_says_that_it_copied(cast: Cast) -> None:
    person = with_images(cast, "copies", 1)
    page = person.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".image-card-frame").first.click()
    page.get_by_role("button", name="Copy prompt").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "A harbour at dusk"
    expect(page.get_by_role("button", name="Copy prompt")).to_be_visible()


@pytest.mark.whole
def test_a_star_in_the_viewer_shows_in_the_gallery_too(cast: Cast) -> None:
    person = with_images(cast, "star", 2)
    page, (first, _) = person.page, tiles(person.page)
    page.locator(".image-card-frame").first.click()
    star = page.locator(f"#viewer-favourite-{first}")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(star).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(f"#tile-favourite-{first}")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Favourites").check()
    expect(page.locator(".image-card")).to_have_count(1)
    expect(page).to_have_url(person.base + "/gallery?starred=1")


@pytest.mark.whole
def test_a_deletion_by_keyboard_is_undone(cast: Cast) -> None:
    person = with_images(cast, "undo")
    page, (first, second, third) = person.page, tiles(person.page)
    page.locator(f'[data-asset="{second}"] [commandfor]').focus()
    page.keyboard.press("Enter")
    ask = page.locator("dialog[open]")
    expect(ask).to_contain_text("Delete all 3")
    ask.get_by_role("button", name="Delete", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".image-card")).to_have_count(2)
    assert tiles(page) == [first, third]
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(page.locator(".image-card")).to_have_count(3)
    assert tiles(page) == [first, second, third]


@pytest.mark.whole
def test_a_deletion_in_the_viewer_closes_it_and_the_image_is_gone(cast: Cast) -> None:
    person = with_images(cast, "gone", 2)
    page, (_, second) = person.page, tiles(person.page)
    page.locator(".image-card-frame").first.click()
    page.locator("#viewer").get_by_role("button", name="Delete").first.click()
    page.locator("#viewer-delete").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#viewer")).to_have_count(0)
    expect(page).to_have_url(person.base + "/gallery")
    assert tiles(page) == [second]
    expect(page.locator("#toasts")).to_contain_text("Deleted.")


def test_the_selected_images_come_as_one_archive_and_are_deleted_together(
    cast: Cast, tmp_path: Path
) -> None:
    person = with_images(cast, "zip", 4)
    page, ids = person.page, tiles(person.page)
    boxes = page.locator(".image-card-select input")
    expect(page.locator("#selection")).to_be_hidden()
    boxes.nth(0).check(force=True)
    boxes.nth(2).click(modifiers=["Shift"], force=True)
    expect(page.locator("[data-selected]")).to_have_text("3")
    with page.expect_download() as download:
        page.locator("#selection").get_by_role("button", name="Download").click()
    file = tmp_path / "images.zip"
    download.value.save_as(file)
    with ZipFile(BytesIO(file.read_bytes())) as archive:
        files = sorted(archive.read(name) for name in archive.namelist())
    stored = [page.request.get(f"{person.base}/media/{each}").body() for each in ids[:3]]
    assert files == sorted(stored)
    page.get_by_role("button", name="Select all on this page").click()
    expect(page.locator("[data-selected]")).to_have_text("4")
    boxes.nth(3).uncheck(force=True)
    page.locator("#selection").get_by_role("button", name="Delete").click()
    page.locator("#delete-selected").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".image-card")).to_have_count(1)
    expect(page.locator("#toasts")).to_contain_text("3 images deleted.")
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(page.locator(".image-card")).to_have_count(4)


@pytest.mark.whole
def test_a_swipe_turns_to_the_next_image(cast: Cast) -> None:
    person = with_images(cast, "swipe", 2, width=390)
    page, (first, second) = person.page, tiles(person.page)
    page.locator(".image-card-frame").first.click()
    expect(page.locator(f'#viewer[data-asset="{first}"]')).to_be_visible()
    swipe = """across => {
      const stage = document.querySelector(".viewer-stage");
      const touch = (x) => new Touch({ identifier: 1, target: stage, clientX: x, clientY: 200 });
      const fire = (kind, list, x) => stage.dispatchEvent(new TouchEvent(kind, {
        bubbles: true, touches: list ? [touch(x)] : [], changedTouches: [touch(x)],
      }));
      fire("touchstart", true, 200);
      fire("touchend", false, 200 + across);
    }"""
    page.evaluate(swipe, -20)
    page.evaluate(swipe, -120)
    expect(page.locator(f'#viewer[data-asset="{second}"]')).to_be_visible()
    page.evaluate(swipe, 120)
    expect(page.locator(f'#viewer[data-asset="{first}"]')).to_be_visible()


def test_everything_works_without_a_script(cast: Cast, tmp_path: Path) -> None:
    person = with_images(cast, "plain", 2, script=False)
    page, (first, second) = person.page, tiles(person.page)
    page.locator(".image-card-frame").first.click()
    expect(page).to_have_url(re.compile(f"/images/{first}"))
    page.locator("#viewer-next").click()
    expect(page).to_have_url(re.compile(f"/images/{second}"))
    page.locator("#viewer-star-" + second).get_by_role("button").click()
    expect(page.locator("#viewer-favourite-" + second)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("link", name="Close").click()
    page.locator(".image-card-select input").first.check(force=True)
    with page.expect_download() as download:
        page.locator("#selection").get_by_role("button", name="Download").click()
    file = tmp_path / "one.zip"
    download.value.save_as(file)
    with ZipFile(file) as archive:
        (name,) = archive.namelist()
        content = archive.read(name)
    assert content == page.request.get(f"{person.base}/media/{first}").body()
    page.get_by_label("Shape").select_option("portrait")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nothing found")).to_be_visible()


@pytest.mark.whole
@in_looks(1)
def test_axe_finds_nothing_in_gallery_viewer_and_generation(
    cast: Cast, width: int, dark: bool
) -> None:
    person = with_images(
        cast, f"gallery{width}{dark}".lower(), 2, width=width, dark=dark, still=True
    )
    page = person.page
    assert_sound(page, "the gallery")
    page.locator(".image-card-select input").first.check(force=True)
    assert_sound(page, "a selection")
    page.locator(".image-card-frame").first.click()
    expect(page.locator("dialog[open] #viewer")).to_be_visible()
    assert_sound(page, "the viewer")
    page.reload()
    assert_sound(page, "the page of an image")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".viewer-text a[href^='/generations/']").click()
    expect(page.locator(".generation-images")).to_be_visible()
    assert_sound(page, "a generation")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def go_on(page: Page, step: str) -> None:
    """Take the newest image of the gallery further, and make what the studio then offers."""
    page.locator(".image-card-frame").first.click()
    page.locator("#viewer").get_by_role("link", name=step).click()
    expect(page.locator("[data-sources-chosen] [data-source]")).to_have_count(1)
    made = page.locator(".job-card-succeeded").count()
    page.locator("#generate").click()
    expect(page.locator(".job-card-succeeded")).to_have_count(made + 1)


@pytest.mark.whole
def test_an_image_is_varied_and_enlarged_from_the_viewer_and_compared_with_its_source(
    cast: Cast,
) -> None:
    person = with_images(cast, "goes-on", 1)
    page = person.page
    go_on(page, "Make variations")
    expect(page.get_by_label("What should change?")).to_have_value("A harbour at dusk")
    person.open("/gallery")
    go_on(page, "Upscale")
    page.locator(".job-card-succeeded").first.locator("figure a").first.click()
    shown = page.locator("dialog[open] #viewer")
    expect(shown.locator(".compare img")).to_have_count(2)
    expect(shown.locator(".image-facts")).to_contain_text("2048 × 2048")
    slider = shown.get_by_label("How much of the image before is shown")
    slider.focus()
    page.keyboard.press("Home")
    assert slider.evaluate("(e) => e.parentElement.style.getPropertyValue('--compare-at')") == "0%"
    page.keyboard.press("ArrowRight")
    expect(shown).to_be_visible()  # the slider's own key turns no page


@pytest.mark.whole
def test_the_gallery_is_filtered_by_model_and_day_and_its_tiles_change_size(cast: Cast) -> None:
    person = with_images(cast, "filters", 2)
    page = person.open("/?prompt=A+fox&model=flux-dev&n=1")
    page.locator("#generate").click()
    expect(page.locator(".job-card-succeeded")).to_have_count(2)
    person.open("/gallery")
    cards = page.locator(".image-card")
    expect(cards).to_have_count(3)
    page.get_by_label("Model").select_option("flux-dev")
    expect(cards).to_have_count(1)
    page.get_by_label("Model").select_option("")
    expect(cards).to_have_count(3)
    page.get_by_label("to", exact=True).fill("2020-01-01")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    width = cards.first.evaluate("(e) => e.clientWidth")
    page.get_by_role("link", name="Large").click()
    expect(page.locator(".image-grid-large")).to_be_visible()
    assert cards.first.evaluate("(e) => e.clientWidth") > width
    person.open("/gallery")
    expect(page.locator(".image-grid-large")).to_be_visible()


@pytest.mark.whole
def test_the_page_of_a_generation_has_facts_a_link_and_its_neighbours(cast: Cast) -> None:
    person = with_images(cast, "facts", 1)
    page = person.open("/?prompt=A+fox&model=flux-dev&n=1")
    page.locator("#generate").click()
    expect(page.locator(".job-card-succeeded")).to_have_count(2)
    person.open("/gallery")
    page.locator(".image-card-frame").first.click()
    page.locator(".viewer-text a[href^='/generations/']").click()
    facts = page.locator(".image-facts")
    for name in ("Model", "Shape", "Pixels", "Seed", "Price", "Took", "Made"):
        expect(facts.get_by_text(name, exact=True)).to_be_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").first.click()
    assert re.fullmatch(r"[a-z0-9-]*fox[a-z0-9-]*\.png", download.value.suggested_filename)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("#generation-prompt")).to_have_text("A harbour at dusk")
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("#generation-prompt")).to_have_text("A fox")


@pytest.mark.whole
def test_a_prompt_outlives_its_images_and_is_used_again_or_forgotten(cast: Cast) -> None:
    person = with_images(cast, "prompts", 1)
    page = person.page
    page.locator(".image-card [commandfor]").click()
    page.locator("dialog[open]").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".image-card")).to_have_count(0)
    person.open("/history")
    page.get_by_role("link", name="Use again").click()
    expect(page.get_by_label("What should it show?")).to_have_value("A harbour at dusk")
    person.open("/history")
    page.get_by_role("button", name="Forget “").click()
    expect(page.get_by_text("No prompts yet")).to_be_visible()


@pytest.fixture
def collector(chromium: Browser, tmp_path: Path) -> Iterator[Person]:
    """A member with 5,000 images on a server of their own."""
    url, port = f"sqlite:///{tmp_path / 'large.db'}", free_port()
    process = start_server(tmp_path, port, {"DATABASE_URL": url})
    cast = Cast(chromium, f"http://127.0.0.1:{port}")
    person = cast.person()
    person.sign_up("collector@example.com")
    engine = create_engine(url)
    with engine.begin() as connection:
        user_id = connection.execute(text("SELECT id FROM users")).scalar_one()
        write_images(connection, user_id, 5_000, datetime.now(UTC))
    engine.dispose()
    yield person
    stop_server(process)
    for context in cast.contexts:
        context.close()


@pytest.mark.whole
def test_five_thousand_images_are_paged_searched_and_turned_by_keyboard(collector: Person) -> None:
    page = collector.open("/gallery")
    cards = page.locator(".image-card")
    first_page = cards.count()
    assert 0 < first_page <= 48
    for number in range(2, 6):
        page.get_by_role("link", name="Show more").focus()
        page.keyboard.press("Enter")
        expect(cards).to_have_count(number * first_page)
    assert len(set(tiles(page))) == 5 * first_page

    cards.nth(4 * first_page).locator("a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open] #viewer")).to_be_visible()
    before = viewed(page)
    page.keyboard.press("ArrowRight")
    expect(page.locator(f'#viewer:not([data-asset="{before}"])')).to_be_visible()
    page.keyboard.press("Escape")
    expect(cards).to_have_count(5 * first_page)

    page.get_by_role("searchbox").fill("boat 4999")
    expect(cards).to_have_count(1)
    expect(page.get_by_role("status").first).to_contain_text("1 image for")
    page.get_by_role("link", name="Show all").click()
    expect(cards).to_have_count(first_page)
