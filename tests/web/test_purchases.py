"""The page after a payment: what it brought, the way back, and payments on their way."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.app_factory import Person
from tests.flaky_gateway import cut
from tests.payments.plan_shop import PlanShop
from tests.shop_app import COMPLETED, ShopApp
from tests.web.checkout import (
    HTMX,
    checkout_form,
    find_purchase,
    paid_page,
    return_from_checkout,
    submit_checkout,
)
from tests.web.steps import queries

pytestmark = pytest.mark.databases("sqlite", "postgresql")


@pytest.fixture
def alice(shop_app: ShopApp) -> Person:
    return shop_app.person()


def test_after_paying_nothing_is_sold(shop_app: ShopApp, alice: Person) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    shop_app.pay(purchase)
    page = alice.page(str(return_from_checkout(alice, purchase).location))
    main = page.one("main")
    assert not main.has("form")
    assert not main.has(".pack-list")
    assert "Pay " not in main.text
    assert main.one('a[href="/credits"]').text == "Buy more"
    assert [button.text for button in main.all(".button-main")] == ["Generate an image"]
    assert main.one(".payment-state-sum").text == "+110"
    assert "hx-get" not in main.html


@pytest.mark.parametrize(
    ("next_path", "studio", "back"),
    [
        ("/?prompt=a+fox&n=2", "/?prompt=a+fox&n=2", None),
        ("/generations/gen_1", "/", "Back to your image"),
        ("/dashboard", "/", "Back to the dashboard"),
        ("/credits", "/", None),
    ],
)
def test_the_way_back_leads_to_what_the_buyer_was_doing(
    shop_app: ShopApp, alice: Person, next_path: str, studio: str, back: str | None
) -> None:
    fields = checkout_form(alice, next=next_path)
    purchase = find_purchase(shop_app, str(submit_checkout(alice, fields).location))
    shop_app.pay(purchase)
    main = alice.page(str(return_from_checkout(alice, purchase).location)).one("main")
    assert main.one(".button-main")["href"] == studio
    assert main.has(f'a[href="{next_path}"]') == (
        back is not None or next_path in (studio, "/credits")
    )
    if back:
        assert main.one(f'a[href="{next_path}"]').text == back


def test_a_plan_shows_its_credits_and_the_receipt_of_its_invoice(
    shop_app: ShopApp, alice: Person
) -> None:
    plans = PlanShop(shop_app)
    buyer = shop_app.user_of(alice)
    purchase = plans.choose(buyer, "basic").purchase
    assert purchase is not None
    shop_app.pay(purchase)
    page = alice.page(str(return_from_checkout(alice, purchase).location))
    assert page.one("h1").text == "You are on Basic"
    assert "500 credits added; you get as many every month" in page.one("main").text
    (invoice,) = plans.invoices(buyer)
    assert page.has(f'a[href="/receipts/{invoice.id}"]')


@pytest.mark.parametrize(("outcome", "word"), [("succeeds", "success"), ("fails", "cancelled")])
def test_a_payment_on_its_way_is_said_on_every_page_until_it_ends(
    shop_app: ShopApp, alice: Person, outcome: str, word: str
) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    shop_app.pay(purchase, "pays-later")
    home = return_from_checkout(alice, purchase)
    assert home.location == paid_page(purchase)
    page = alice.page(str(home.location))
    assert page.one("h1").text == "Payment on its way"
    poll = f"/credits/purchases/{purchase.id}"
    assert page.one(".payment-state")["hx-get"] == poll
    for path in ("/", "/credits", "/dashboard", "/gallery", "/settings", poll):
        header = alice.page(path).one("header")
        assert header.one(f'a[href="{poll}"]').text == "Payment on its way, $14.99", path
    assert (
        "Payment on its way, $14.99. Creator follows" in alice.page("/dashboard").one("main").text
    )
    block = alice.browser.get(poll, headers=HTMX)
    assert f'hx-get="{poll}"' in block.text
    assert "HX-Trigger" not in block.headers

    shop_app.press(f"/payments/{shop_app.payment_intent_id(purchase)}/settle", outcome=outcome)
    shop_app.deliver(purchase)
    block = alice.browser.get(poll, headers=HTMX)
    assert "hx-get" not in block.text
    assert block.headers["HX-Trigger"] == "balance-changed"
    balance = alice.browser.get("/credits/balance", headers=HTMX).text
    assert 'id="pending-payment" hx-swap-oob="true"></span>' in balance
    assert "on its way" not in alice.browser.get("/dashboard").text
    assert ("110 credits added" if outcome == "succeeds" else "did not go through") in block.text
    assert str(return_from_checkout(alice, purchase).location).endswith(f"purchase={word}")


def test_a_payment_on_its_way_is_seen_by_its_buyer_alone(shop_app: ShopApp, alice: Person) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    shop_app.pay(purchase, "pays-later")
    shop_app.sync(purchase)
    charlie = shop_app.person()
    assert "on its way" in alice.browser.get("/").text
    assert "on its way" not in charlie.browser.get("/").text
    assert charlie.browser.get(f"/credits/purchases/{purchase.id}").status_code == 404
    assert charlie.browser.get(f"/credits/purchases/{purchase.id}", headers=HTMX).status_code == 404
    guest = Person(shop_app.app).browser.get(f"/credits/purchases/{purchase.id}")
    assert (guest.status_code, "/auth/login" in str(guest.location)) == (303, True)


def test_many_payments_on_their_way_cost_no_further_query(shop_app: ShopApp, alice: Person) -> None:
    with queries(shop_app.app) as before:
        alice.browser.get("/dashboard")
    for _ in range(4):
        purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
        shop_app.pay(purchase, "pays-later")
        shop_app.sync(purchase)
    with queries(shop_app.app) as after:
        alice.browser.get("/dashboard")
    assert len(after) == len(before)


def test_the_page_does_not_ask_for_ever(shop_app: ShopApp, alice: Person) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    shop_app.pay(purchase, "pays-later")
    shop_app.sync(purchase)
    shop_app.clock.advance(timedelta(hours=2))
    block = alice.browser.get(f"/credits/purchases/{purchase.id}", headers=HTMX)
    assert "Payment on its way" in block.text
    assert "hx-get" not in block.text


def test_back_from_paying_while_stripe_cannot_be_asked_waits_for_the_webhook(
    shop_app: ShopApp, alice: Person
) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    shop_app.pay(purchase)
    shop_app.flaky_gateway.before = cut("retrieve_checkout")
    home = return_from_checkout(alice, purchase)
    assert home.location == paid_page(purchase)
    assert "If you have paid, it appears here" in alice.browser.get(str(home.location)).text
    shop_app.flaky_gateway.before = lambda name: None
    shop_app.deliver(purchase, COMPLETED)
    block = alice.browser.get(f"/credits/purchases/{purchase.id}", headers=HTMX)
    assert "110 credits added" in block.text


def test_a_payment_that_differs_is_looked_at_by_a_person(shop_app: ShopApp, alice: Person) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    shop_app.change_session(purchase, amount_subtotal=1)
    shop_app.pay(purchase)
    home = return_from_checkout(alice, purchase)
    assert "under review" in alice.browser.get(str(home.location)).text
    assert alice.balance() == 50


def test_leaving_the_checkout_leads_back_and_the_page_still_offers_it(
    shop_app: ShopApp, alice: Person
) -> None:
    answer = submit_checkout(alice, checkout_form(alice, next="/gallery"))
    purchase = find_purchase(shop_app, str(answer.location))
    home = return_from_checkout(alice, purchase, "?cancelled=1")
    assert home.location == "/gallery?purchase=cancelled"
    page = alice.page(f"/credits/purchases/{purchase.id}")
    assert page.one("h1").text == "No payment yet"
    assert page.one(".button-main")["href"] == str(answer.location)
