"""The whole story, as a stranger lives it: guest, account, credits, and credits again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Cast, choose_model, reload_until_seen

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [1280, pytest.param(390, marks=pytest.mark.whole)])
def test_a_stranger_makes_images_signs_up_buys_a_pack_and_makes_more(
    cast: Cast, width: int
) -> None:
    stranger = cast.person(width=width)
    page = stranger.open("/")
    for number in range(3):
        page.get_by_label("What should it show?").fill(f"A harbour at dusk, print {number}")
        page.locator("#generate").click()
        expect(page.locator(".job-card-succeeded")).to_have_count(number + 1)
        expect(page.locator("#balance")).to_contain_text(f"{2 - number} of 3")
    expect(page.locator("#price-panel")).to_contain_text(re.compile(r"available again\s+in 23 h"))
    invitation = page.locator("#price-panel").get_by_role("link", name=re.compile("Sign up"))
    expect(invitation).to_contain_text("50")
    invitation.click()
    page.get_by_label("Email").fill(f"stranger{width}@example.com")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("main").get_by_role("button", name="Sign up").click()
    expect(page.locator("#balance")).to_contain_text("50")
    expect(page.locator(".job-card-succeeded")).to_have_count(3)

    page.get_by_label("What should it show?").fill("A lighthouse over a cut paper sea")
    choose_model(page, "gpt-image")
    expect(page.locator("#generate")).to_contain_text("2")
    page.locator("#options label", has_text="High").click()
    expect(page.locator("#generate")).to_contain_text("8")
    page.locator("#generate").click()
    expect(page.locator("#balance")).to_contain_text("42")
    expect(page.locator(".job-card-succeeded").first).to_contain_text("A lighthouse")

    buy_the_best_pack(page)
    expect(page).to_have_url(re.compile(r"purchase=success"))
    expect(page.locator("#balance")).to_contain_text("152")

    page.goto(stranger.base + "/dashboard")
    history = page.locator("#history")
    expect(history).to_contain_text("Creator")
    expect(history).to_contain_text("+110")
    expect(history).to_contain_text("−8")
    expect(history).to_contain_text("+50")


def test_the_story_holds_without_javascript(cast: Cast) -> None:
    alice = cast.person(script=False)
    alice.sign_up("noscript@example.com")
    page = alice.page
    page.get_by_label("What should it show?").fill("A fox in the snow")
    choose_model(page, "nano-banana")
    page.get_by_role("button", name="Update price").click()
    expect(page.locator("#generate")).to_contain_text("0.5")
    expect(page.get_by_label("What should it show?")).to_have_value("A fox in the snow")
    page.locator("#generate").click()
    expect(page).to_have_url(re.compile("/generations/gen_"))
    reload_until_seen(page, ".generation-images")
    page.goto(alice.base + "/")
    expect(page.locator("#balance")).to_contain_text("49.5")

    page.goto(alice.base + "/credits")
    page.locator("main button:visible", has_text="Pay").click()
    page.get_by_role("button", name=re.compile("^Pay")).click()
    expect(page).to_have_url(re.compile("purchase=success"))
    expect(page.locator("#balance")).to_contain_text("159.5")


def test_the_keyboard_alone_is_enough(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("keys@example.com")
    page = alice.page
    press_until(page, "textarea[name=prompt]")
    page.keyboard.type("A mountain in three colours")
    press_until(page, ".model-menu > summary")
    page.keyboard.press("Enter")
    expect(page.locator("#model-flux-dev")).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    press_until(page, "#generate")
    page.keyboard.press("Enter")
    expect(page.locator(".job-card-succeeded")).to_have_count(1)

    page.locator("body").press("Home")
    page.goto(alice.base + "/")
    press_until(page, "header a[href^='/credits?']")
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert page.evaluate("document.activeElement.closest('header') !== null")


def test_a_double_click_makes_one_image(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("double@example.com")
    page = alice.page
    page.get_by_label("What should it show?").fill("One boat")
    choose_model(page, "flux-dev")
    expect(page.locator("#generate")).to_contain_text("1")
    page.locator("#generate").dblclick()
    expect(page.locator(".job-card-succeeded")).to_have_count(1)
    page.reload()
    expect(page.locator(".job-card")).to_have_count(1)
    expect(page.locator("#balance")).to_contain_text("49")


def test_a_declined_card_costs_nothing_and_another_one_pays(cast: Cast) -> None:
    alice = cast.person()
    alice.sign_up("declined@example.com")
    page = alice.page
    page.goto(alice.base + "/credits")
    page.locator("main button:visible", has_text="Pay").click()
    page.locator("label", has_text="4000 0000 0000 0002").click()
    page.get_by_role("button", name=re.compile("^Pay")).click()
    expect(page.get_by_text("declined").first).to_be_visible()
    page.locator("label", has_text="4242 4242 4242 4242").click()
    page.get_by_role("button", name=re.compile("^Pay")).click()
    expect(page).to_have_url(re.compile("purchase=success"))
    expect(page.locator("#balance")).to_contain_text("160")


def test_logging_out_leaves_nothing_in_the_tab(cast: Cast) -> None:
    person = cast.person()
    person.sign_up("leaves@example.com")
    page = person.page
    prompt = page.get_by_role("textbox", name="What should it show?")
    prompt.fill("what only I may know")
    person.open("/gallery")
    page.get_by_role("searchbox").fill("only I")
    page.wait_for_url("**/gallery?*")
    page.locator("#menu summary").click()
    page.get_by_role("button", name="Log out", exact=True).click()
    expect(page.get_by_text("You are logged out.")).to_be_visible()
    expect(prompt).to_have_value("")
    kept = page.evaluate("JSON.stringify(sessionStorage)")
    assert "only I" not in kept
    assert "leaves@example.com" not in kept


def buy_the_best_pack(page: Page) -> None:
    """Open the pack modal over this page, take what it has chosen, and pay."""
    page.locator("header").get_by_role("link", name=re.compile("Add credits")).click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("Best value")
    dialog.locator("button:visible", has_text="Pay").click()
    page.get_by_role("button", name=re.compile("^Pay")).click()


def press_until(page: Page, selector: str, limit: int = 60) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"the Tab key does not reach {selector}")
