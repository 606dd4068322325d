"""The same flows with other servers at the far end: only addresses and keys differ."""

from __future__ import annotations

import re
import secrets
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Cast, choose_model, free_port, start_server, stop_server
from tests.fakes.openai_server import FakeOpenAI
from tests.processes import start_command

pytestmark = pytest.mark.browser


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[str, FakeOpenAI]]:
    """The app with a payment sandbox and an OpenAI stand-in in processes of their own."""
    app_port, bank_port = free_port(), free_port()
    folder = tmp_path / "app"
    folder.mkdir()
    secret = f"whsec_{secrets.token_hex(16)}"
    bank = start_command(
        "sandbox",
        "--port",
        str(bank_port),
        environ={
            "CREDITAPP_DATA": str(tmp_path / "bank"),
            "PORT": str(app_port),
            "STRIPE_WEBHOOK_SECRET": secret,
        },
        folder=tmp_path,
    )
    with FakeOpenAI() as vendor:
        environ = {
            "STRIPE_API_BASE": f"http://127.0.0.1:{bank_port}",
            "STRIPE_SECRET_KEY": "sk_test_elsewhere",
            "STRIPE_WEBHOOK_SECRET": secret,
            "OPENAI_BASE_URL": vendor.base_url,
            "OPENAI_API_KEY": vendor.key,
        }
        _wait_for(f"http://127.0.0.1:{bank_port}/")
        app = start_server(folder, app_port, environ)
        yield f"http://127.0.0.1:{app_port}", vendor
        stop_server(app)
    stop_server(bank)


def test_an_image_is_made_by_the_vendor_and_a_pack_is_paid_at_the_other_server(
    chromium: Browser, elsewhere: tuple[str, FakeOpenAI]
) -> None:
    base, vendor = elsewhere
    cast = Cast(chromium, base)
    alice = cast.person()
    alice.sign_up("alice@example.com")
    page = alice.page
    page.get_by_label("What should it show?").fill("A red boat")
    choose_model(page, "gpt-image")
    expect(page.locator("#generate")).to_contain_text("2")
    page.locator("#generate").click()
    expect(page.locator(".job-card-succeeded")).to_have_count(1)
    expect(page.locator(".job-card-succeeded .flag-preview")).to_have_count(0)
    expect(page.locator("#balance")).to_contain_text("48")
    assert vendor.count == 1

    page.goto(base + "/credits")
    page.locator("main button:visible", has_text="Pay").click()
    expect(page).not_to_have_url(re.compile(re.escape(base)))
    page.get_by_role("button", name=re.compile("^Pay")).click()
    expect(page).to_have_url(re.compile(re.escape(base) + ".*purchase=success"))
    expect(page.locator("#balance")).to_contain_text("158")
    for context in cast.contexts:
        context.close()
    assert alice.complaints == []


def _wait_for(url: str) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"nobody answers at {url}")
