"""The chat in a browser: ask by keyboard, read while it is written, stop half-way, edit."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Cast, in_looks
from tests.browser.test_access import assert_sound
from tests.generation.files import png

pytestmark = pytest.mark.browser


def test_a_question_by_keyboard_is_answered_stopped_and_edited(cast: Cast) -> None:
    alice = cast.person()
    page = alice.sign_up("chats@example.com", "/chat")
    field = page.get_by_label("Your message")
    field.fill("What is a lighthouse?")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/chat/cnv_"))
    answers = page.locator(".chat-message-answer")
    expect(answers).to_have_attribute("aria-busy", "false")
    expect(answers).to_contain_text("no language model is set up")
    expect(page.locator("#balance")).to_contain_text("49.99")

    field.focus()
    page.keyboard.type("One line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.insert_text("word " * 200)
    page.keyboard.press("Enter")
    expect(answers).to_have_count(2)
    expect(field).to_be_focused()
    expect(field).to_have_value("")
    expect(answers.last).to_contain_text("so far")
    answers.last.get_by_role("button", name="Stop").click()
    expect(answers.last).to_contain_text("Stopped. You only pay for what came.")
    expect(page.locator("#balance")).not_to_contain_text("held")
    spent = re.search(r"cost ([\d.]+\d)", page.locator("#chat-spent").inner_text())
    assert spent
    left = str(50 - Decimal(spent[1]))
    expect(page.locator("#balance .amount-figure")).to_have_attribute("title", left)
    expect(page.get_by_role("button", name="Answer again")).to_have_count(1)

    page.get_by_role("link", name="Edit", exact=True).first.click()
    field.fill("What is a pier?")
    page.locator("#send").click()
    expect(page.locator(".chat-message-question")).to_have_count(1)
    expect(answers).to_contain_text("What is a pier?")


def test_an_image_that_is_attached_is_sent_and_stays_after_a_reload(cast: Cast) -> None:
    alice = cast.person()
    page = alice.sign_up("shows@example.com", "/chat")
    page.get_by_text("Add images").click()
    file = {"name": "pier.png", "mimeType": "image/png", "buffer": png(300, 200)}
    page.locator("#field-images-file").set_input_files(file)
    expect(page.locator("[data-sources-chosen] img")).to_have_count(1)
    page.get_by_label("Your message").fill("What is this?")
    page.locator("#send").click()
    answers = page.locator(".chat-message-answer")
    expect(answers).to_contain_text("It came with 1 image.")
    expect(answers).to_have_attribute("aria-busy", "false")
    assert_sound(page, "a message with an image")
    page.reload()
    image = page.get_by_role("img", name="Image 1")
    expect(image).to_have_js_property("naturalWidth", 300)
    expect(page.locator("[data-sources-chosen] img")).to_have_count(0)


@in_looks(1)
def test_axe_finds_nothing_in_a_chat(cast: Cast, width: int, dark: bool) -> None:
    alice = cast.person(width=width, dark=dark, still=True)
    alice.sign_up(f"sound{width}{dark}@example.com".lower())
    assert_sound(alice.open("/chat"), "a new chat")
    page = alice.page
    page.get_by_label("Your message").fill("Hello")
    page.locator("#send").click()
    expect(page.locator(".chat-message-answer")).to_have_attribute("aria-busy", "false")
    assert_sound(page, "a conversation")
