"""The page of the API in a browser: found, read, and calls tried from it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Cast, in_looks
from tests.browser.test_access import assert_sound

pytestmark = pytest.mark.browser

IMAGE = "#post-api-generate-image"


@in_looks(1)
def test_the_page_is_sound_with_a_call_open_and_with_the_dialog(
    cast: Cast, width: int, dark: bool
) -> None:
    page = cast.person(width=width, dark=dark, still=True).open(f"/api/docs{IMAGE}")
    expect(page.locator(IMAGE)).to_have_attribute("open", "")
    assert_sound(page, "the API with a call open")
    page.locator(f"{IMAGE} [data-try]").click()
    expect(page.locator("#try-body")).to_be_visible()
    assert_sound(page, "a call to try")


def test_a_phone_of_320_pixels_shows_all_of_it(cast: Cast) -> None:
    page = cast.person(width=320, still=True).open("/api/docs")
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_a_reader_chooses_a_language_and_searches_by_keyboard(cast: Cast) -> None:
    page = cast.person(still=True).open("/api/docs")
    expect(page.locator("#start-quote-curl")).to_be_visible()
    expect(page.locator("#in-curl")).not_to_have_css("accent-color", "auto")
    page.locator("#in-curl").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#start-quote-python")).to_be_visible()
    expect(page.locator("#start-quote-curl")).to_be_hidden()
    page.locator("#api-search").focus()
    page.keyboard.type("holds/{hold_id}/capture")
    expect(page.locator("#api-found")).to_have_text(re.compile(r"^1 of \d+ calls$"))
    expect(page.locator(".api-call:visible summary")).to_have_text(re.compile("holds"))
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    expect(page.locator(IMAGE)).to_be_visible()


def test_without_scripts_it_is_read_and_nothing_pretends_to_work(cast: Cast) -> None:
    page = cast.person(script=False).open("/api/docs")
    expect(page.locator("#start-quote-curl")).to_be_visible()
    page.locator("label", has_text="JavaScript").first.click()
    expect(page.locator("#start-quote-javascript")).to_be_visible()
    page.locator(f"{IMAGE} > summary").click()
    expect(page.locator(f"{IMAGE}-javascript")).to_be_visible()
    for absent in ("#api-search", f"{IMAGE} [data-try]", "#try"):
        expect(page.locator(absent)).to_be_hidden()


def test_a_member_tries_a_read_at_once_and_a_purchase_after_a_second_press(cast: Cast) -> None:
    member = cast.person(still=True)
    page = member.sign_up("tries@example.com", "/api/docs")
    _try(page, "get-api-credits-balance")
    page.locator("#try-send").click()
    expect(page.locator("#try-answer")).to_contain_text('"balance": 50')
    page.keyboard.press("Escape")
    _try(page, "post-api-generate-nano-banana")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    page.locator("#try-send").click()
    expect(page.locator("#try-confirm")).to_be_visible()
    assert sent == [], "not before it is confirmed"
    page.locator("#try-body").fill('{"prompt": "a quay"}')
    expect(page.locator("#try-send")).to_have_text("Send"), "another call is confirmed anew"
    page.locator("#try-send").click()
    page.locator("#try-send").click()
    expect(page.locator("#try-status")).to_have_text(re.compile("^20[02]"))
    expect(page.locator("#try-answer")).to_contain_text("x-credits-cost: 0.5")
    assert len(sent) == 1


def test_a_pasted_key_counts_instead_of_the_login_and_is_kept_nowhere(cast: Cast) -> None:
    member = cast.person(still=True)
    page = member.sign_up("pastes@example.com", "/api/docs")
    headers = {"Origin": member.base}
    body = {"name": "Reader", "scopes": ["read"]}
    made = page.request.post(f"{member.base}/api/keys", data=body, headers=headers).json()
    _try(page, "post-api-generate-nano-banana")
    page.locator("#try-key").fill(made["key"])
    page.locator("#try-send").click()
    page.locator("#try-send").click()
    expect(page.locator("#try-status")).to_have_text(re.compile("^403"))
    expect(page.locator("#try-answer")).to_contain_text("lacks the scope generate")
    page.keyboard.press("Escape")
    expect(page.locator("#try")).to_be_hidden()
    _try(page, "get-api-keys")
    expect(page.locator("#try-key")).to_have_value("")
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert made["key"] not in stored + page.content() + page.url


def _try(page: Page, call: str) -> None:
    page.locator(f"#{call} > summary").click()
    page.locator(f"#{call} [data-try]").click()
    expect(page.locator("#try-send")).to_be_visible()
