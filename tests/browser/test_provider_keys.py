"""Own keys as a person uses them: enter one, make an image with it, remove it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Cast, choose_model, free_port, start_server, stop_server
from tests.browser.test_access import assert_sound
from tests.fakes.openai_server import FakeOpenAI

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as openai:
        yield openai


@pytest.fixture(scope="module")
def server(openai: FakeOpenAI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A demo whose OpenAI is the stand-in, of which the server itself has no key."""
    folder, port = tmp_path_factory.mktemp("keys"), free_port()
    process = start_server(folder, port, {"OPENAI_BASE_URL": openai.base_url})
    yield f"http://127.0.0.1:{port}"
    stop_server(process)
    shutil.rmtree(folder, ignore_errors=True)


def test_an_image_is_made_with_an_own_key_that_is_entered_and_removed(
    cast: Cast, openai: FakeOpenAI
) -> None:
    alice = cast.person(still=True)
    page = alice.sign_up("alice@example.com", "/settings")
    page.locator("label", has_text="Use My Own API Keys").click()
    page.get_by_role("button", name="Save choice").click()
    expect(page.locator("#balance")).to_contain_text("Own keys")
    assert_sound(page, "the settings without a key")

    page.get_by_label("OpenAI key", exact=True).fill(openai.key)
    page.get_by_role("button", name="Save OpenAI key").click()
    expect(page.locator("#provider-keys")).to_contain_text("Key ending in cdef")
    assert_sound(page, "the settings with a key")

    alice.open("/")
    page.get_by_label("What should it show?").fill("A harbour at dusk")
    expect(page.locator("#price-panel")).to_contain_text("needs your")
    choose_model(page, "gpt-image")
    expect(page.locator("#generate")).to_contain_text("own key")
    assert_sound(page, "the studio on an own key")
    page.locator("#generate").click()
    expect(page.locator(".job-card-succeeded")).to_contain_text("own key")
    assert openai.count == 1
    alice.open("/dashboard")
    expect(page.locator(".balance-figure")).to_contain_text("50")

    alice.open("/settings")
    page.get_by_role("button", name="Remove OpenAI key").click()
    expect(page.locator("#provider-keys")).not_to_contain_text("Key ending in")
    alice.open("/?model=gpt-image")
    expect(page.locator("#price-panel")).to_contain_text("This model needs your OpenAI key.")
    assert openai.count == 1


def test_a_key_is_entered_without_javascript(cast: Cast, openai: FakeOpenAI) -> None:
    bob = cast.person(width=320, dark=True, script=False)
    page = bob.sign_up("bob@example.com", "/settings")
    page.locator("label", has_text="Use My Own API Keys").click()
    page.get_by_role("button", name="Save choice").click()
    page.get_by_label("OpenAI key", exact=True).fill(openai.key[:-1])
    page.get_by_role("button", name="Save OpenAI key").click()
    expect(page.locator("#field-openai_key-error")).to_contain_text("does not accept this key")
    expect(page.get_by_label("OpenAI key", exact=True)).to_have_value("")
    page.get_by_label("OpenAI key", exact=True).fill(openai.key)
    page.get_by_role("button", name="Save OpenAI key").click()
    expect(page.locator("#provider-keys")).to_contain_text("Key ending in cdef")
