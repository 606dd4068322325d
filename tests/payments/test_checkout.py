"""Pack checkouts: from the click to the credits, with every failure in between."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from sqlalchemy import select

from creditapp.catalog import Catalog
from creditapp.clock import NEVER
from creditapp.config import Settings
from creditapp.db import db, snapshot
from creditapp.errors import IdempotencyKeyReused, NotFound, RateLimited
from creditapp.payments.purchases import checkout, packs
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.packs import Order, PackChanged
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError
from creditapp.rate_limits import OPEN_CHECKOUTS
from creditapp.services import get, provide
from tests.flaky_gateway import cut
from tests.shop_app import COMPLETED, CREATOR, ShopApp, values

# --- paying and coming back -------------------------------------------------------------------


def test_paying_and_returning_grants_the_credits(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    assert (purchase.state, shop_app.credits(alice)) == ("open", 0)
    assert purchase.price_minor == 1499
    assert purchase.sandbox
    assert not purchase.livemode

    shop_app.pay(purchase)
    shop_app.sync(purchase)

    paid = shop_app.row(purchase)
    assert (paid.state, paid.next_sync_at, shop_app.credits(alice)) == ("paid", NEVER, CREATOR)
    assert paid.grant_id
    assert paid.payment_intent_id == shop_app.payment_intent_id(purchase)


def test_the_webhook_alone_grants_the_credits(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    assert shop_app.send(shop_app.event(purchase, COMPLETED)).json == {"received": True}
    assert (shop_app.row(purchase).state, shop_app.credits(alice)) == ("paid", CREATOR)


def test_stripe_gets_an_address_that_it_accepts(shop_app: ShopApp) -> None:
    alice = shop_app.member("Alice@\uff22\u00fccher\u3002example")  # full width, a dot of Japan
    purchase = shop_app.start_checkout(alice)
    session = shop_app.gateway.v1.checkout.sessions.retrieve(str(purchase.checkout_id))
    customer = shop_app.gateway.v1.customers.retrieve(str(session.customer))
    assert customer.email == "Alice@xn--bcher-kva.example"


@pytest.mark.parametrize("first", ["webhook", "return"])
def test_webhook_and_return_in_either_order_grant_once(shop_app: ShopApp, first: str) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    if first == "return":
        shop_app.sync(purchase)
    shop_app.deliver(purchase)
    shop_app.sync(purchase)
    assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (1, CREATOR)


def test_concurrent_webhooks_returns_and_sweeps_grant_once(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    completed = shop_app.event(purchase, COMPLETED)
    shop_app.clock.advance(timedelta(minutes=2))

    def return_page() -> object:
        return checkout.sync_purchase(purchase.id)

    def webhook() -> object:
        return shop_app.send(completed).status_code

    sweep = checkout.sweep_purchases
    acts = [return_page, webhook, sweep, webhook, return_page, sweep]
    assert [each for each in values(shop_app.at_once(*acts)) if isinstance(each, int)] == [200, 200]
    assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (1, CREATOR)


def test_the_sweep_grants_within_two_minutes_after_a_closed_window(shop_app: ShopApp) -> None:
    """Neither the webhook nor the buyer returns, whatever the purchase's age."""
    alice = shop_app.member()
    early, late = shop_app.start_checkout(alice), shop_app.start_checkout(alice)
    shop_app.pay(early)
    shop_app.sweep(after=timedelta(minutes=1))
    assert shop_app.row(early).state == "paid"

    for _ in range(6):
        shop_app.sweep(after=timedelta(hours=1))
    assert shop_app.row(late).state == "open"
    shop_app.pay(late)
    shop_app.sweep(after=timedelta(minutes=2))
    assert shop_app.credits(alice) == 2 * CREATOR


def test_a_declined_card_grants_nothing_and_the_next_one_pays(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase, "declined")
    assert shop_app.sync(purchase).state == "open"
    shop_app.deliver(purchase)
    assert (shop_app.row(purchase).state, shop_app.credits(alice)) == ("open", 0)

    shop_app.pay(purchase)
    shop_app.deliver(purchase)
    assert shop_app.credits(alice) == CREATOR


@pytest.mark.parametrize(("answer", "state"), [("complete", "paid"), ("fail", "open")])
def test_the_banks_authentication_step_decides(shop_app: ShopApp, answer: str, state: str) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase, "further-step")
    assert shop_app.sync(purchase).state == "open"
    shop_app.press(f"/pay/{purchase.checkout_id}/step", answer=answer)
    assert shop_app.sync(purchase).state == state
    assert shop_app.credits(alice) == (CREATOR if state == "paid" else 0)


def test_a_debit_grants_credits_when_the_money_arrives(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase, "pays-later")
    shop_app.deliver(purchase)
    assert (shop_app.row(purchase).state, shop_app.credits(alice)) == ("pending", 0)

    shop_app.press(f"/payments/{shop_app.payment_intent_id(purchase)}/settle", outcome="succeeds")
    shop_app.deliver(purchase, "checkout.session.async_payment_succeeded")
    assert (shop_app.row(purchase).state, shop_app.credits(alice)) == ("paid", CREATOR)


def test_a_failed_debit_grants_nothing_and_fails_the_purchase(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase, "pays-later")
    shop_app.press(f"/payments/{shop_app.payment_intent_id(purchase)}/settle", outcome="fails")
    shop_app.deliver(purchase)
    assert (shop_app.row(purchase).state, shop_app.row(purchase).next_sync_at) == ("failed", NEVER)
    assert (shop_app.sync(purchase).state, shop_app.credits(alice)) == ("failed", 0)


def test_the_sweep_syncs_a_debit_for_days(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    kept, lost = shop_app.start_checkout(alice), shop_app.start_checkout(alice)
    for purchase in (kept, lost):
        shop_app.pay(purchase, "pays-later")
        shop_app.sync(purchase)
    shop_app.sweep(after=timedelta(days=5))
    assert shop_app.row(kept).state == "pending"
    shop_app.press(f"/payments/{shop_app.payment_intent_id(kept)}/settle", outcome="succeeds")
    shop_app.sweep(after=timedelta(minutes=30))
    assert shop_app.row(kept).state == "paid"
    shop_app.sweep(after=timedelta(days=26))
    assert (shop_app.row(lost).state, shop_app.row(lost).next_sync_at) == ("failed", NEVER)


# --- one click, two clicks, two tabs ----------------------------------------------------------


def test_a_double_click_buys_once(shop_app: ShopApp) -> None:
    alice, key = shop_app.member(), secrets.token_hex(8)
    bought = values(shop_app.at_once(*[lambda: shop_app.start_checkout(alice, key=key)] * 4))
    assert len({each.id for each in bought}) == 1
    assert len({each.checkout_url for each in bought}) == 1
    assert len(shop_app.purchases(alice)) == 1
    assert len(shop_app.sessions(bought[0])) == 1
    assert [each.replayed for each in bought].count(False) == 1


def test_two_tabs_are_two_purchases(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    for purchase in (shop_app.start_checkout(alice), shop_app.start_checkout(alice)):
        shop_app.pay(purchase)
        shop_app.deliver(purchase)
    assert (len(shop_app.purchases(alice)), shop_app.credits(alice)) == (2, 2 * CREATOR)


def test_too_many_unpaid_checkouts_are_refused_until_one_is_paid_or_old(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchases = [shop_app.start_checkout(alice) for _ in range(OPEN_CHECKOUTS.limit)]
    with pytest.raises(RateLimited):
        shop_app.start_checkout(alice)
    shop_app.start_checkout(shop_app.member())  # another buyer is not held up
    shop_app.pay(purchases[0])
    shop_app.deliver(purchases[0])
    shop_app.start_checkout(alice)
    assert shop_app.credits(alice) == CREATOR


def test_parallel_requests_open_no_more_unpaid_checkouts(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    results = shop_app.at_once(*[lambda: shop_app.start_checkout(alice)] * 30)
    opened = [result for result in results if isinstance(result, Purchase)]
    refused = [result for result in results if isinstance(result, RateLimited)]
    assert (len(opened), len(refused)) == (OPEN_CHECKOUTS.limit, 30 - OPEN_CHECKOUTS.limit)


def test_the_same_key_for_another_pack_is_refused(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    shop_app.start_checkout(alice, key="same key")
    with pytest.raises(IdempotencyKeyReused):
        shop_app.start_checkout(alice, "pro", key="same key")
    shop_app.start_checkout(
        shop_app.member(), "pro", key="same key"
    )  # another buyer's key is another key


def test_an_unknown_pack_is_not_found(shop_app: ShopApp) -> None:
    with pytest.raises(NotFound):
        shop_app.start_checkout(shop_app.member(), "no-such-pack")


def test_prices_that_changed_since_the_page_was_opened_are_not_charged(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    with shop_app.app.app_context(), pytest.raises(PackChanged):
        packs.start_checkout(Order("creator", "the digest of yesterday"), alice, key="changed")
    assert shop_app.purchases(alice) == []


def test_a_key_repeated_after_paying_opens_no_other_checkout(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice, key="back button")
    shop_app.pay(purchase)
    shop_app.sync(purchase)
    again = shop_app.start_checkout(alice, key="back button")
    assert (again.id, again.ended) == (purchase.id, True)
    assert len(shop_app.sessions(purchase)) == 1


def test_with_a_key_of_stripe_a_pack_is_sold_at_its_own_price_there(shop_app: ShopApp) -> None:
    alice, app = shop_app.member(), shop_app.app
    stripe = shop_app.gateway
    terms = {"currency": "usd", "unit_amount": 1499, "product_data": {"name": "Creator"}}
    price = stripe.v1.prices.create(terms).id
    with app.app_context():
        catalog = get(Catalog)
    packs = tuple(pack.model_copy(update={"stripe_price_id": price}) for pack in catalog.packs)
    provide(app, Catalog, catalog.model_copy(update={"packs": packs}))
    try:
        in_sandbox = shop_app.start_checkout(alice)
        live = shop_app.settings.model_copy(update={"stripe_secret_key": "sk_live_key"})
        provide(app, Settings, live)
        at_stripe = shop_app.start_checkout(alice)
    finally:
        provide(app, Settings, shop_app.settings)
        provide(app, Catalog, catalog)
    assert (in_sandbox.stripe_price_id, in_sandbox.sandbox) == (None, True)
    assert (at_stripe.stripe_price_id, at_stripe.sandbox) == (price, False)
    sold = [shop_app.session(each)["_line_items"][0]["price"] for each in (in_sandbox, at_stripe)]
    assert [each["id"] == price for each in sold] == [False, True]


# --- Stripe cannot be asked, or its answer is lost --------------------------------------------


def test_the_same_key_tries_again_after_stripe_was_down(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    nowhere = StripeGateway("sk_test_x", "whsec_x", "http://127.0.0.1:9", max_network_retries=0)
    provide(shop_app.app, StripeGateway, nowhere)
    for _ in range(2):
        with pytest.raises(GatewayError):
            shop_app.start_checkout(alice, key="down")
    (purchase,) = shop_app.purchases(alice)
    assert (purchase.state, purchase.checkout_id, purchase.attempt) == ("open", None, 3)

    provide(shop_app.app, StripeGateway, shop_app.flaky_gateway)
    purchase = shop_app.start_checkout(alice, key="down")
    assert len(shop_app.sessions(purchase)) == 1
    shop_app.pay(purchase)
    assert shop_app.sync(purchase).state == "paid"


def test_a_checkout_with_a_lost_answer_is_found_and_not_created_twice(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    shop_app.flaky_gateway.after = cut("create_checkout")
    with pytest.raises(GatewayError):
        shop_app.start_checkout(alice, key="lost answer")
    shop_app.flaky_gateway.after = lambda name: None

    purchase = shop_app.start_checkout(alice, key="lost answer")
    assert purchase.checkout_id == shop_app.session(purchase)["id"]
    assert shop_app.flaky_gateway.calls["create_checkout"] == 1


def test_a_checkout_without_a_stored_id_is_found_by_its_metadata(shop_app: ShopApp) -> None:
    """The process died between Stripe's answer and the write."""
    alice = shop_app.member()

    def die(name: str) -> None:
        if name == "create_checkout":
            raise KeyboardInterrupt

    shop_app.flaky_gateway.after = die
    with pytest.raises(KeyboardInterrupt):
        shop_app.start_checkout(alice)
    shop_app.flaky_gateway.after = lambda name: None
    (purchase,) = shop_app.purchases(alice)
    assert purchase.checkout_id is None

    shop_app.press(
        f"/pay/{shop_app.session(purchase)['id']}", card="succeeds", email="a@example.com"
    )
    shop_app.sweep(after=timedelta(minutes=1))
    assert shop_app.credits(alice) == CREATOR


def test_one_failing_sync_does_not_delay_the_others(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    first = shop_app.start_checkout(alice)
    shop_app.clock.advance(timedelta(seconds=1))
    second = shop_app.start_checkout(alice)
    shop_app.pay(second)
    calls: list[str] = []

    def fail_first(name: str) -> None:
        calls.append(name)
        if len(calls) == 1:
            raise RuntimeError("not even a GatewayError")

    shop_app.flaky_gateway.before = fail_first
    shop_app.sweep(after=timedelta(minutes=1))
    assert (shop_app.row(first).state, shop_app.row(second).state) == ("open", "paid")
    shop_app.flaky_gateway.before = lambda name: None
    shop_app.pay(first)
    shop_app.sweep(after=timedelta(minutes=1))
    assert shop_app.row(first).state == "paid"


def test_two_concurrent_sweeps_sync_a_purchase_once(shop_app: ShopApp) -> None:
    shop_app.start_checkout(shop_app.member())
    shop_app.clock.advance(timedelta(minutes=1))
    values(shop_app.at_once(*[checkout.sweep_purchases] * 3))
    assert shop_app.flaky_gateway.calls["retrieve_checkout"] == 1


def test_no_read_is_open_while_stripe_is_asked(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    begun = alice.call("POST", "/api/billing/checkout-session", {"packId": "creator"})
    assert begun.status_code == 200
    asked: list[bool] = []
    shop_app.flaky_gateway.before = lambda name: asked.append(db.session().in_transaction())
    with shop_app.app.app_context(), snapshot() as session:
        purchase = session.scalars(
            select(Purchase).where(Purchase.checkout_id == begun.json["id"])
        ).one()
    assert alice.browser.get(f"/credits/purchases/{purchase.id}/back").status_code == 303
    assert asked
    assert not any(asked)
