"""A shop that counts in dollars: chat on an own key, then on credits that are bought on the way."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Cast, Person, free_port, start_server, stop_server
from tests.fakes.openai_chat_server import FakeOpenAIChat

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def vendor() -> Iterator[FakeOpenAIChat]:
    with FakeOpenAIChat() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def server(vendor: FakeOpenAIChat, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A demo in dollars, whose OpenAI is the stand-in."""
    folder, port = tmp_path_factory.mktemp("dollars"), free_port()
    environ = {
        "CREDITAPP_CATALOG": "dollars",
        "OPENAI_API_KEY": vendor.key,
        "OPENAI_BASE_URL": vendor.base_url,
    }
    process = start_server(folder, port, environ)
    yield f"http://127.0.0.1:{port}"
    stop_server(process)
    shutil.rmtree(folder, ignore_errors=True)


def test_own_key_and_then_a_pack_pay_for_answers(cast: Cast, vendor: FakeOpenAIChat) -> None:
    alice = cast.person(still=True)
    page = alice.sign_up("dollars@example.com", "/chat")
    page.get_by_role("link", name="Enter a key or switch to credits").click()
    page.get_by_label("OpenAI key", exact=True).fill(vendor.key)
    page.get_by_role("button", name="Save OpenAI key").click()
    keys = page.locator("#provider-keys")
    expect(keys).to_contain_text("Key ending in 6789")
    expect(ask(alice)).to_contain_text("own key")

    alice.open("/settings")
    page.get_by_role("button", name="Remove OpenAI key").click()
    expect(keys).not_to_contain_text("Key ending in")
    keys.locator("label", has_text="Buy Credits").click()
    page.get_by_role("button", name="Save choice").click()
    expect(page.locator("#balance")).to_contain_text("$0.00")

    alice.open("/chat")
    page.get_by_label("Your message").fill("What is a harbour?")
    page.locator("#send").click()
    refusal = page.locator(".problem")
    expect(refusal).to_contain_text("Not enough credits")
    refusal.get_by_role("link", name=re.compile("Small")).click()
    page.locator("dialog[open] button:visible", has_text="Pay $10.00").click()
    page.get_by_role("button", name=re.compile("^Pay")).click()
    expect(page).to_have_url(re.compile("purchase=success"))
    expect(page.locator("#balance")).to_contain_text("$10.00")

    expect(ask(alice)).to_contain_text("$0.000073")
    balance = page.locator("#balance .amount-figure")
    expect(balance).to_have_text("$9.99")
    expect(balance).to_have_attribute("title", "$9.999927")
    assert vendor.count == 2


def ask(person: Person) -> Locator:
    """Ask in a new chat; return the answer, once it has ended."""
    page = person.open("/chat")
    page.get_by_label("Your message").fill("What is a harbour?")
    page.locator("#send").click()
    answer = page.locator(".chat-message-answer")
    expect(answer).to_have_attribute("aria-busy", "false")
    return answer
