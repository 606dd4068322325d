"""A plan in the browser: subscribe, upgrade, cancel, resume, a failed card, a code, a refund."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import (
    Cast,
    Person,
    free_port,
    reload_until_seen,
    start_server,
    stop_server,
)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a fresh demo that takes promotion codes."""
    folder, port = tmp_path_factory.mktemp("plans"), free_port()
    process = start_server(folder, port, {"CREDITAPP_PROMOTION_CODES": "1"})
    yield f"http://127.0.0.1:{port}"
    stop_server(process)


@pytest.fixture
def alice(chromium: Browser, shop: str, request: pytest.FixtureRequest) -> Iterator[Person]:
    """A user who has just signed up; fails on any console or policy error."""
    cast = Cast(chromium, shop)
    person = cast.person(width=getattr(request, "param", 1280))
    person.sign_up(f"{request.node.name.replace('[', '-').strip(']')[-40:]}@example.com")
    yield person
    for context in cast.contexts:
        context.close()
    assert person.complaints == []


def subscribe(page: Page, plan: str, card: str = "4242 4242 4242 4242") -> None:
    """Choose a plan on its page, pay, see what came, and go back to the dashboard."""
    row = page.locator("main li.plan", has_text=re.compile(rf"^\s*{plan}"))
    row.get_by_role("button", name="Subscribe").locator("visible=true").click()
    page.wait_for_url("**/pay/**")
    if not page.get_by_text(card).is_visible():
        page.locator("summary").first.click()
    page.get_by_text(card).click()
    page.get_by_role("button", name=re.compile("^Pay")).click()
    page.wait_for_url("**/credits/purchases/**")
    expect(page.get_by_role("status").first).to_contain_text(f"You are on {plan}")
    page.goto(urljoin(page.url, "/dashboard"))


def card_of_plan(page: Page) -> str:
    return page.locator("section", has=page.locator("#plan-title")).inner_text()


@pytest.mark.parametrize("alice", [pytest.param(1280, marks=pytest.mark.whole), 390], indirect=True)
def test_subscribe_upgrade_cancel_resume(alice: Person) -> None:
    page = alice.page
    alice.open("/credits/plans?next=/dashboard")
    subscribe(page, "Basic")
    expect(page.locator("#balance")).to_contain_text("550")
    assert "500 credits a month" in card_of_plan(page)
    assert "$15.00 on " in card_of_plan(page)
    expect(page.locator("#history")).to_contain_text("Basic plan, monthly")

    page.get_by_role("link", name="Change plan").click()
    dialog = page.locator("dialog[open]")
    premium = dialog.locator("li.plan", has_text="Premium")
    premium.get_by_role("link", name="Upgrade").locator("visible=true").click()
    expect(page.get_by_role("heading", name="Upgrade to Premium")).to_be_visible()
    expect(page.locator(".slip")).to_contain_text("700 credits")
    page.get_by_role("button", name="Pay $14.00 and upgrade").click()
    page.wait_for_url("**/dashboard**")
    expect(page.locator(".toast")).to_contain_text("You are on Premium. 700 credits added.")
    expect(page.locator("#balance")).to_contain_text("1,250")
    assert "1,200 credits a month" in card_of_plan(page)

    page.get_by_role("button", name="Cancel plan").click()
    page.locator("dialog[open]").get_by_role("button", name="Cancel plan").click()
    expect(page.get_by_text(re.compile(r"^\s*Your plan ends on "))).to_be_visible()
    assert "Ends" in card_of_plan(page)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text(re.compile(r"^\s*Your plan continues\."))).to_be_visible()
    assert "Next payment" in card_of_plan(page)


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.whole), 390])
def test_the_labels_of_packs_and_plans_take_one_line(
    chromium: Browser, shop: str, width: int
) -> None:
    cast = Cast(chromium, shop)
    page = cast.person(width=width).open("/credits")
    labels = page.locator("main .flag-quiet").locator("visible=true")
    expect(labels).to_have_text(
        ["Lowest price per credit in a pack", "Lowest monthly price per credit"]
    )
    heights_px = labels.evaluate_all("labels => labels.map(label => label.offsetHeight)")
    cast.contexts[0].close()
    assert max(heights_px) < 30


def test_the_portal_is_where_the_subscription_is_managed(alice: Person) -> None:
    page = alice.page
    alice.open("/credits/plans?next=/dashboard")
    subscribe(page, "Premium")
    page.get_by_role("button", name="Manage subscription").click()
    page.wait_for_url("**/portal/**")
    expect(page.locator("body")).to_contain_text("Premium")
    page.get_by_role("link", name=re.compile("Back to", re.I)).first.click()
    page.wait_for_url("**/dashboard**")


def test_a_card_that_fails_at_the_renewal_is_told_and_can_be_changed(alice: Person) -> None:
    page = alice.page
    alice.open("/credits/plans?next=/dashboard")
    subscribe(page, "Basic", "4000 0000 0000 0341")
    alice.open("/sandbox/")
    page.get_by_role("button", name="A month on").click()
    alice.open("/dashboard")
    reload_until_seen(page, "text=Your last payment failed.")
    expect(page.locator("#balance")).to_contain_text("550")
    page.get_by_role("button", name="Change card").click()
    page.wait_for_url("**/portal/**")


def test_a_pack_with_a_code_and_its_refund(alice: Person, shop: str, tmp_path: Path) -> None:
    """The code halves the price and no credit; the refund takes the credits with the money."""
    page = alice.page
    alice.open("/credits")
    page.locator("main button:visible", has_text="Pay").click()
    page.wait_for_url("**/pay/**")
    expect(page.get_by_label(re.compile("code", re.I))).to_be_visible()
    page.get_by_role("button", name=re.compile("^Pay")).click()
    page.wait_for_url("**purchase=success**")
    expect(page.locator("#balance")).to_contain_text("160")
    alice.open("/credits/refunds")
    expect(page.locator("main")).to_contain_text("110 of 110 credits")
    expect(page.locator("main")).to_contain_text("$14.99")
    alice.open("/sandbox/")
    payment = page.locator("#payments li, #payments article").filter(has_text="Creator").first
    payment.get_by_role("button", name="Refund").click()
    alice.open("/dashboard")
    reload_until_seen(page, "text=Refunded purchase")
    expect(page.locator("#history")).to_contain_text("Refunded purchase")
    expect(page.locator("#balance")).to_contain_text("50")
