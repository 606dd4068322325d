"""Errors beside their field, a notice that closes, a quiet console: seen in a browser alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Cast, choose_model

pytestmark = pytest.mark.browser


def test_an_empty_field_says_so_in_its_place_and_has_the_focus(cast: Cast) -> None:
    guest = cast.person(width=390)
    page = guest.open("/auth/login")
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    email = page.get_by_label("Email")
    expect(email).to_be_focused()
    expect(page.locator("#field-email-error")).to_have_text("Fill in this field.")
    expect(email).to_have_attribute("aria-invalid", "true")
    label = page.locator('label[for="field-email"]').bounding_box()
    header = page.locator("header").first.bounding_box()
    assert label
    assert header
    assert label["y"] >= header["y"] + header["height"], "the label is below the header"
    email.fill("no address")
    expect(page.locator("#field-email-error")).to_have_count(0)
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.locator("#field-email-error")).to_have_text(re.compile("you@example.com"))


def test_an_empty_prompt_says_so_beside_the_prompt(cast: Cast) -> None:
    page = cast.person().open("/")
    page.locator("#generate").click()
    expect(page.locator("#field-prompt-error")).to_have_text("Fill in this field.")
    expect(page.locator("#field-prompt")).to_be_focused()


def test_the_welcome_closes_and_never_moves_the_form(cast: Cast) -> None:
    person = cast.person(width=390)
    person.sign_up("welcome@example.com")
    page = person.page
    notice = page.locator(".toast")
    expect(notice).to_be_visible()
    before = page.locator("#studio-form").bounding_box()
    notice.get_by_role("button", name="Close").click()
    expect(notice).to_have_count(0)
    assert page.locator("#studio-form").bounding_box() == before


@pytest.mark.parametrize(("width", "left"), [(390, 0), (1280, 1)])
def test_the_welcome_leaves_the_header_when_one_begins_to_type(
    cast: Cast, width: int, left: int
) -> None:
    person = cast.person(width=width)
    person.sign_up(f"types{width}@example.com")
    page = person.page
    expect(page.locator(".toast")).to_be_visible()
    page.get_by_label("What should it show?").press_sequentially("A fox")
    expect(page.locator(".toast")).to_have_count(left)


def test_changing_the_form_quickly_leaves_the_console_quiet(cast: Cast) -> None:
    page = cast.person().open("/")
    for model in ("nano-banana", "flux-dev", "lora-normal", "gemini-flash"):
        choose_model(page, model)
    expect(page.locator(".cost-indicator")).to_be_visible()
    page.wait_for_load_state("networkidle")
