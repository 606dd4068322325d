"""The pages in a real browser: by keyboard, without JavaScript, in every width and theme."""

from __future__ import annotations

import os
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has none
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.stripe_sandbox.sandbox_kit import Sandbox, Shop

pytestmark = pytest.mark.browser

LOOKS: list[tuple[int, str]] = [(390, "dark")]
if os.environ.get("CREDITAPP_SOAK") == "1":
    LOOKS += [(1280, "light"), (390, "light"), (1280, "dark")]


def open_page(browser: Browser, said: list[str], **options: Any) -> Page:
    """Return a page whose console is written to ``said``."""
    page = browser.new_context(**options).new_page()

    def note(message: ConsoleMessage) -> None:
        said.append(message.text)

    page.on("console", note)
    return page


def test_paying_by_keyboard_without_javascript_redirects_to_the_shop(
    chromium: Browser, sandbox: Sandbox, shop: Shop
) -> None:
    said: list[str] = []
    page = open_page(chromium, said, java_script_enabled=False)
    session = sandbox.open_checkout(
        success_url=f"{shop.origin}/thanks?id={{CHECKOUT_SESSION_ID}}",
        cancel_url=f"{shop.origin}/credits",
    )
    page.goto(str(session.url))
    keys = page.keyboard
    keys.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to content"
    keys.press("Enter")
    page.focus("#email")
    keys.type("alice@x.test")
    keys.press("Tab")
    keys.press("ArrowDown")  # the declined card
    keys.press("Enter")
    page.wait_for_selector("text=Your card was declined. Nothing was charged.")
    assert page.input_value("#email") == "alice@x.test"
    assert page.locator("#card-declined").is_checked()
    page.locator("summary").focus()
    keys.press("Enter")
    page.focus("#card-declined")
    keys.press("ArrowDown")  # the further step
    keys.press("Tab")
    keys.press("Enter")
    page.wait_for_selector("text=Is this you?")
    page.get_by_role("button", name="Confirm the payment").focus()
    keys.press("Enter")
    page.wait_for_url(f"{shop.origin}/thanks?id={session.id}")
    assert sandbox.stripe.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    page.go_back()
    page.reload()
    assert said == [], "the content security policy lets the form end at the shop"


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_button_to_pay_is_in_sight_before_and_after_a_decline(
    chromium: Browser, sandbox: Sandbox, width: int, height: int
) -> None:
    page = open_page(chromium, [], viewport={"width": width, "height": height})
    session = sandbox.open_checkout()
    page.goto(str(session.url))

    def assert_in_sight() -> None:
        box = page.get_by_role("button", name="Pay").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= height

    assert_in_sight()
    page.fill("#email", "alice@x.test")
    page.locator("summary").click()
    page.locator("#card-asks-each-time").check()
    assert_in_sight()
    page.locator("#card-declined").check()
    page.get_by_role("button", name="Pay").click()
    page.wait_for_selector("text=Your card was declined.")
    assert page.locator("#card-declined").is_checked()
    assert_in_sight()


def test_the_overview_actions_work_without_javascript(
    chromium: Browser, sandbox: Sandbox, shop: Shop
) -> None:
    said: list[str] = []
    page = open_page(chromium, said, java_script_enabled=False)
    session = sandbox.open_checkout()
    sandbox.pay(session.id, "pays-later")
    sandbox.deliver()
    page.goto(sandbox.server.url)
    page.get_by_role("button", name="Money arrives: Creator").click()
    assert page.get_by_role("status").inner_text() == "The bank has answered."
    shop.wait_for("checkout.session.async_payment_succeeded")
    page.get_by_label("Amount to refund: Creator").fill("4.99")
    page.get_by_role("button", name="Refund: Creator", exact=True).click()
    page.wait_for_selector("text=Refund of $4.99: succeeded.")
    page.get_by_label("Amount to refund: Creator").fill("99")
    page.get_by_role("button", name="Refund: Creator", exact=True).click()
    assert "Nothing was done" in page.get_by_role("status").inner_text()
    page.get_by_label("Never").check()
    page.get_by_role("button", name="Set", exact=True).click()
    page.get_by_role("button", name="Fail the refund: Creator").click()
    page.wait_for_selector("text=failed, the money")
    page.get_by_role("button", name="Send refund.failed again").first.click()
    shop.wait_for("refund.failed")
    assert said == []


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_nothing_and_nothing_overflows(
    chromium: Browser, sandbox: Sandbox, width: int, scheme: Literal["light", "dark"]
) -> None:
    paths = ["/", *_every_page(sandbox)]
    said: list[str] = []
    page = open_page(
        chromium,
        said,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        bypass_csp=True,  # axe is injected; the policy itself is tested above
    )
    for path in paths:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(sandbox.server.url + path)
        found = Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == [], path
        for narrow in (width, 320):
            page.set_viewport_size({"width": narrow, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
            assert not wide, f"{path} is wider than {narrow}"
    assert said == []


def _every_page(sandbox: Sandbox) -> list[str]:
    """Return a page in each of its states."""
    price = sandbox.price()
    subscribed = sandbox.subscribe(price)
    sandbox.press(f"/subscriptions/{subscribed.id}/decline")
    sandbox.press("/clock", by="month")
    portal = sandbox.stripe.v1.billing_portal.sessions.create(
        {"customer": str(subscribed.customer), "return_url": "http://shop.test/account"}
    ).id
    invoice = sandbox.invoices(subscribed.id)[0].id
    checkouts = {}
    for card in ("succeeds", "declined", "further-step", "pays-later"):
        checkouts[card] = sandbox.open_checkout().id
        sandbox.pay(checkouts[card], card)
    fresh, expired = sandbox.open_checkout().id, sandbox.open_checkout().id
    sandbox.stripe.v1.checkout.sessions.expire(expired)
    paid = sandbox.stripe.v1.checkout.sessions.retrieve(checkouts["succeeds"])
    sandbox.press(f"/payments/{paid.payment_intent}/refund", amount="1")
    sandbox.press(f"/payments/{paid.payment_intent}/dispute")
    plan = sandbox.open_subscription(price, subscription_data={"trial_period_days": 7}).id
    coded = sandbox.open_checkout(allow_promotion_codes=True, automatic_tax={"enabled": True}).id
    event = sandbox.stripe.v1.events.list().data[0]
    plans = [f"/portal/{portal}", f"/invoices/{invoice}"]
    pays = [f"/pay/{each}" for each in (plan, coded, fresh, expired, *checkouts.values())]
    return [*plans, *pays, f"/pay/{checkouts['further-step']}/step", f"/events/{event.id}"]
