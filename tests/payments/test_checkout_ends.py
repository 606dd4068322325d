"""Purchases that end unpaid, and payments that differ from the price."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from creditapp import accounts, clock
from creditapp.accounts import AccountRules
from creditapp.catalog import Catalog
from creditapp.clock import NEVER
from creditapp.db import transaction
from creditapp.payments.purchases.checkout import PurchaseEnded
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError
from creditapp.services import get, provide
from tests.flaky_gateway import cut
from tests.shop_app import COMPLETED, CREATOR, ShopApp

pytestmark = pytest.mark.in_turn

# --- purchases that end -----------------------------------------------------------------------


def test_an_expired_checkout_ends_the_purchase(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.press(f"/sessions/{purchase.checkout_id}/expire")
    shop_app.deliver(purchase, "checkout.session.expired")
    assert (shop_app.row(purchase).state, shop_app.row(purchase).next_sync_at) == ("expired", NEVER)
    assert shop_app.credits(alice) == 0


def test_expired_after_completed_changes_nothing(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    completed = shop_app.event(purchase, COMPLETED)
    late = {**completed, "id": "evt_late_expiry", "type": "checkout.session.expired"}
    assert shop_app.send(late).status_code == 200
    assert (shop_app.row(purchase).state, shop_app.credits(alice)) == ("paid", CREATOR)


def test_after_a_day_an_unpaid_purchase_is_closed_at_stripe_too(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice, key="a day")
    shop_app.sweep(after=timedelta(hours=24, minutes=1))
    assert shop_app.row(purchase).state == "expired"
    assert shop_app.session(purchase)["status"] == "expired"
    shop_app.pay(purchase)
    assert shop_app.sync(purchase).state == "expired"
    assert shop_app.credits(alice) == 0


def test_a_payment_in_the_last_minute_is_granted_a_day_later(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    shop_app.sweep(after=timedelta(hours=25))
    assert (shop_app.row(purchase).state, shop_app.credits(alice)) == ("paid", CREATOR)


def test_a_purchase_unknown_to_stripe_ends_after_a_day(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    shop_app.flaky_gateway.before = cut("create_checkout")
    with pytest.raises(GatewayError):
        shop_app.start_checkout(alice, key="never opened")
    (purchase,) = shop_app.purchases(alice)
    shop_app.sweep(after=timedelta(hours=1))
    assert shop_app.row(purchase).state == "open"
    shop_app.sweep(after=timedelta(hours=24))
    assert (shop_app.row(purchase).state, shop_app.row(purchase).next_sync_at) == ("expired", NEVER)
    with pytest.raises(PurchaseEnded):
        shop_app.start_checkout(alice, key="never opened")


def test_a_checkout_of_another_account_ends_after_a_day(shop_app: ShopApp) -> None:
    """The key now belongs to another account, which does not know the checkout."""
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    other = StripeGateway("sk_test_other", "whsec_x", shop_app.gateway.api_base())
    other.retrieve_checkout = lambda checkout_id: StripeGateway.retrieve_checkout(  # type: ignore[method-assign]
        shop_app.gateway, "cs_test_unknown"
    )
    provide(shop_app.app, StripeGateway, other)
    shop_app.sweep(after=timedelta(hours=1))
    assert shop_app.row(purchase).state == "open"
    shop_app.sweep(after=timedelta(hours=24))
    assert shop_app.row(purchase).state == "expired"


def test_a_checkout_left_open_closes_with_the_account(shop_app: ShopApp) -> None:
    """Otherwise the person would pay for credits that nobody can spend."""
    alice, bob = shop_app.member(), shop_app.member()
    purchase, other = shop_app.start_checkout(alice), shop_app.start_checkout(bob)
    with shop_app.app.app_context(), transaction() as session:
        accounts.delete_account(session, alice, get(AccountRules), now=clock.now())
    shop_app.sweep(after=timedelta(minutes=1))
    assert shop_app.row(purchase).state == "expired"
    assert shop_app.session(purchase)["status"] == "expired"
    assert (shop_app.row(other).state, shop_app.session(other)["status"]) == ("open", "open")


# --- what was paid is not what was priced -----------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount_subtotal": 1, "amount_total": 1}, "the subtotal is 1"),
        ({"amount_subtotal": 149900, "amount_total": 149900}, "the subtotal is 149900"),
        ({"currency": "eur"}, "paid in eur"),
        ({"livemode": True}, "live and test mode differ"),
        ({"metadata": {"purchase_id": "pur_of_somebody_else"}}, "belongs to another purchase"),
    ],
)
def test_a_payment_that_differs_from_the_price_needs_review(
    shop_app: ShopApp, fields: dict[str, object], reason: str
) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.change_session(
        purchase, **{name: fields[name] for name in fields if name != "metadata"}
    )
    shop_app.pay(purchase)
    if "metadata" in fields:
        shop_app.change_session(purchase, metadata=fields["metadata"])
    with capture_logs() as logs:
        assert shop_app.sync(purchase).state == "review"
    (alarm,) = [each for each in logs if each["log_level"] == "error"]
    assert alarm["event"] == "payment needs review"
    assert reason in alarm["reason"]
    assert reason in (shop_app.row(purchase).review_reason or "")
    assert (shop_app.credits(alice), shop_app.count_grants(purchase)) == (0, 0)


def test_tax_on_top_grants_the_credits_of_the_price(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.change_session(purchase, amount_total=1799)
    shop_app.pay(purchase)
    shop_app.deliver(purchase)
    assert shop_app.credits(alice) == CREATOR


def test_a_promotion_code_of_the_whole_price_grants_the_credits(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.change_session(purchase, amount_total=0, payment_status="no_payment_required")
    assert shop_app.sync(purchase).state == "open", (
        "a checkout over nothing is not bought by opening"
    )
    assert shop_app.credits(alice) == 0

    shop_app.pay(purchase)
    shop_app.deliver(purchase)
    assert shop_app.session(purchase)["payment_intent"] is None
    assert (shop_app.row(purchase).state, shop_app.credits(alice)) == ("paid", CREATOR)


def test_credits_come_from_the_purchase_and_not_from_a_later_catalog(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    with shop_app.app.app_context():
        catalog = get(Catalog)
    assert {pack.id: pack.credits_micro for pack in catalog.packs}["creator"] == 110_000_000
    provide(shop_app.app, Catalog, type("Later", (), {"packs": (), "digest": "other"})())
    try:
        shop_app.sync(purchase)
    finally:
        provide(shop_app.app, Catalog, catalog)
    assert shop_app.credits(alice) == CREATOR
