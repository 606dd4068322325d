"""Pages for everybody: no finding by axe, nothing wider than the window, no motion unasked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import LOOKS, SOAK, Cast, in_looks

pytestmark = pytest.mark.browser

GUEST_PAGES = ("/", "/credits", "/auth/signup", "/auth/login", "/auth/forgot", "/nowhere")
GUEST_PAGES += ("/credits/plans",)
MEMBER_PAGES = ("/", "/credits", "/dashboard", "/gallery", "/settings", "/dashboard?type=spent")
MEMBER_PAGES += ("/credits/plans", "/credits/refunds", "/history", "/history?q=nothing")
MEMBER_PAGES += ("/dashboard/tokens", "/settings/delete", "/credits/redeem")
MEMBER_PAGES += ("/settings/api-keys", "/settings/webhooks", "/example-ai", "/uploads")
ROOT = Path(__file__).resolve().parents[2]
DESIGNERS_PAGES = ["", "/tokens", "/type", "/space", "/icons", "/embed", "/emails"]
DESIGNERS_PAGES += ["/button/main/code", "?q=cost", "?q=nothing-has-this"]
DESIGNERS_PAGES += sorted(f"/{file.stem}" for file in (ROOT / "templates/components").glob("*"))

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Without what passes, which nobody reads: to describe its elements takes as long as to test them.
OPTIONS = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}


@in_looks(0)
def test_axe_finds_nothing_on_a_guests_pages(cast: Cast, width: int, dark: bool) -> None:
    guest = cast.person(width=width, dark=dark, still=True)
    for path in GUEST_PAGES:
        assert_sound(guest.open(path), path)


@in_looks(1)
def test_axe_finds_nothing_on_a_members_pages(cast: Cast, width: int, dark: bool) -> None:
    member = cast.person(width=width, dark=dark, still=True)
    member.sign_up(f"axe{width}{dark}@example.com".lower())
    page = member.page
    page.get_by_label("What should it show?").fill("A quiet lake")
    page.locator("#generate").click()
    expect(page.locator(".job-card-succeeded")).to_have_count(1)
    for path in MEMBER_PAGES:
        assert_sound(member.open(path), path)
    member.open("/")
    page.locator("header").get_by_role("link", name=re.compile("Add credits")).click()
    expect(page.locator("dialog[open]")).to_be_visible()
    assert_sound(page, "the pack modal")
    page.goto(member.base + "/gallery")
    page.locator("main .image-card-frame").first.click()
    assert_sound(page, "an image")


@pytest.mark.parametrize("part", [0, 1])
def test_axe_finds_nothing_on_any_page_of_the_designers(cast: Cast, part: int) -> None:
    # In the check every eighth page, in one of two looks; in the soak each page in every look.
    for width, dark in LOOKS if SOAK else LOOKS[part : part + 1]:
        designer = cast.person(width=width, dark=dark, still=True)
        for path in DESIGNERS_PAGES[part :: 2 if SOAK else 8]:
            assert_sound(designer.open(f"/credits-demo{path}"), path)


def test_every_page_fits_the_smallest_phone(cast: Cast) -> None:
    member = cast.person(width=320)
    member.sign_up("small@example.com")
    for path in ("/", "/credits", "/dashboard", "/gallery", "/history", "/settings"):
        page = member.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path


def test_a_refusal_in_the_studio_is_announced_and_sound(cast: Cast) -> None:
    member = cast.person(still=True)
    member.sign_up("refused@example.com")
    page = member.page
    page.evaluate("document.querySelector('textarea[name=prompt]').removeAttribute('required')")
    page.locator("#generate").click()
    expect(page.locator("#field-prompt-error")).to_contain_text("Describe what the image should")
    assert_sound(page, "a refusal")
    expect(page.locator("#balance")).to_contain_text("50")


def assert_sound(page: Page, where: str) -> None:
    """Assert that axe finds nothing and that nothing overflows the window."""
    found = Axe().run(page, options=OPTIONS)
    problems = [
        f"{where}: {violation['id']}: {node['html'][:160]}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]
    assert problems == []
    assert page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    ), f"{where} is wider than the window"
