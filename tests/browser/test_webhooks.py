"""Webhooks as a person uses them: an endpoint from its creation to its end, and every refusal."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Cast, in_looks
from tests.browser.test_access import assert_sound
from tests.webhooks_out import conftest as webhooks
from tests.webhooks_out.receiver import Receiver

receiver = webhooks.receiver

pytestmark = pytest.mark.browser


def create(page: Page, receiver: Receiver) -> None:
    """Create an endpoint at the receiver, which gets the secret of the page."""
    page.get_by_label("Address").fill(receiver.url)
    page.get_by_label("credits.low").check()
    page.get_by_role("button", name="Create endpoint").click()
    receiver.secret = page.locator("#new-secret").inner_text()
    assert receiver.secret.startswith("whsec_")


@in_looks(1)
def test_an_endpoint_is_created_tried_rotated_switched_off_and_deleted(
    cast: Cast, receiver: Receiver, width: int, dark: bool
) -> None:
    alice = cast.person(width=width, dark=dark, still=True)
    page = alice.sign_up(f"hooks{width}{dark}@example.com".lower(), "/settings")
    page.get_by_role("link", name="Manage webhooks").click()
    expect(page.get_by_text("You have none yet.")).to_be_visible()
    assert_sound(page, "no endpoint")
    page.get_by_label("Description").fill("Builder")
    create(page, receiver)
    expect(page.get_by_role("heading", level=1)).to_have_text("Builder")
    assert_sound(page, "a new endpoint")

    # HTMX: the log alone changes, and the secret stays until it is copied.
    page.get_by_role("button", name="Send a test event").click()
    delivery = page.locator(".webhook-delivery")
    expect(delivery).to_contain_text("Delivered")
    expect(delivery.locator("li")).to_have_count(1)
    expect(delivery.locator("li")).to_contain_text("204")
    expect(page.locator("#new-secret")).to_have_text(receiver.secret)
    assert receiver.types() == ["webhook.test"]
    assert_sound(page, "a delivery")
    page.get_by_role("button", name="Send again").click()
    expect(delivery.locator("li")).to_have_count(2)
    expect(delivery).to_contain_text("Delivered")
    assert receiver.ids[0] == receiver.ids[1]

    page.get_by_role("button", name="Make a new secret").click()
    expect(page.locator("#new-secret")).not_to_have_text(receiver.secret)
    new = page.locator("#new-secret").inner_text()
    expect(page.get_by_text("The old one ends")).to_be_visible()
    assert_sound(page, "two secrets")
    page.get_by_role("button", name="Send a test event").click()
    expect(page.locator(".webhook-delivery-delivered")).to_have_count(2)
    receiver.secret = new
    page.get_by_role("button", name="Send again").first.click()
    expect(delivery.first.locator("li")).to_have_count(2)
    assert len(receiver.ids) == 4, "with either secret"

    page.get_by_label("Send events").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#log")).to_contain_text("Off. Nothing is sent until you switch it on.")
    expect(page.get_by_role("button", name="Send")).to_have_count(0)
    assert_sound(page, "an endpoint that is off")

    page.get_by_role("button", name="Delete endpoint").click()
    expect(page.get_by_role("dialog")).to_contain_text("This cannot be undone.")
    assert_sound(page, "the question before it is deleted")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The endpoint is deleted.")).to_be_visible()
    expect(page.get_by_text("You have none yet.")).to_be_visible()


def test_a_refusal_stands_at_its_field_and_nothing_typed_is_lost(
    cast: Cast, receiver: Receiver
) -> None:
    alice = cast.person(width=390)
    page = alice.sign_up("refused-hooks@example.com", "/settings/webhooks")
    for _ in range(3):
        create(page, receiver)
        page = alice.open("/settings/webhooks")
    url, button = page.get_by_label("Address"), page.get_by_role("button", name="Create endpoint")
    page.get_by_label("Description").fill("Builder")
    page.get_by_label("credits.spent").check()
    for address, message in (
        ("hooks.example.com", "Enter an address such as https://example.com/path."),
        ("http://hooks.example.com/", "The address must begin with https://."),
        ("https://192.168.0.1/in", "The address is not public."),
        ("https://localhost/in", "The address must name a public host."),
    ):
        url.fill(address)
        button.click()
        expect(page.locator("#field-url-error")).to_have_text(message)
        expect(page.locator("#field-url-error")).to_be_in_viewport()
        expect(url).to_be_focused()
        expect(url).to_have_value(address)
        expect(page.get_by_label("Description")).to_have_value("Builder")
        expect(page.get_by_label("credits.spent")).to_be_checked()
    assert_sound(page, "a refused address")

    url.fill("https://hooks.example.com/in")
    for box in ("credits.spent", "generation.succeeded", "generation.failed"):
        page.get_by_label(box).uncheck()
    button.click()
    expect(page.get_by_role("alert")).to_have_text("Choose at least one event.")
    expect(page.get_by_role("alert")).to_be_in_viewport()
    expect(url).to_have_value("https://hooks.example.com/in")
    assert_sound(page, "no event chosen")


def test_a_second_test_is_refused_in_the_log_and_the_settings_keep_what_is_typed(
    cast: Cast, receiver: Receiver
) -> None:
    alice = cast.person(width=390)
    page = alice.sign_up("second-hooks@example.com", "/settings/webhooks")
    create(page, receiver)
    over = threading.Event()
    receiver.before = lambda: over.wait(15)
    page.get_by_label("Description").fill("Not saved yet")
    page.get_by_role("button", name="Send a test event").click()
    expect(page.locator(".webhook-delivery")).to_contain_text("Waiting")
    page.get_by_role("button", name="Send a test event").click()
    expect(page.get_by_text("A test event is on its way already.")).to_be_in_viewport()
    assert_sound(page, "a refused test")
    over.set()
    expect(page.locator(".webhook-delivery")).to_contain_text("Delivered")
    expect(page.locator("#problem .problem")).to_be_visible()  # the log renews itself beside it
    page.get_by_role("button", name="Send again").click()
    expect(page.locator("#problem .problem")).to_have_count(0)
    expect(page.get_by_label("Description")).to_have_value("Not saved yet")
    expect(page.locator("#new-secret")).to_have_text(receiver.secret)
