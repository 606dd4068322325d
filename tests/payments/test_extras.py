"""Promotion codes and tax: they change the price, not the credits."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from creditapp.clock import now
from creditapp.db import snapshot
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.refunds import policy as refund_policy
from tests.app_factory import SharedApps
from tests.payments.plan_shop import PlanShop
from tests.shop_app import CREATOR, ShopApp

pytestmark = pytest.mark.in_turn

ON = {"CREDITAPP_PROMOTION_CODES": "1", "CREDITAPP_AUTOMATIC_TAX": "1"}


@pytest.fixture
def app(database_kind: str, shared_apps: SharedApps) -> Flask:
    """The app with promotion codes and automatic tax."""
    return shared_apps.fresh(database_kind, ON)


def code(shop_app: ShopApp, word: str, **coupon: Any) -> str:
    """Create a promotion code in the sandbox."""
    client = shop_app.gateway
    made = client.v1.coupons.create({"duration": "once", **coupon})  # type: ignore[typeddict-item]
    client.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": made.id}, "code": word}
    )
    return word


def buy(shop_app: ShopApp, buyer: Any, word: str = "") -> Purchase:
    purchase = shop_app.start_checkout(buyer)
    if word:
        shop_app.press(f"/pay/{shop_app.row(purchase).checkout_id}/code", code=word)
    shop_app.pay(purchase)
    return shop_app.sync(purchase)


def test_tax_is_added_and_grants_nothing(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = buy(shop_app, alice)
    row = shop_app.row(purchase)
    assert (row.state, row.total_minor, row.tax_minor) == ("paid", 1619, 120)
    assert shop_app.credits(alice) == CREATOR
    shop_app.refund(purchase)
    shop_app.sync(purchase)
    assert shop_app.credits(alice) == 0


def test_a_code_reduces_the_price_and_not_the_credits(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = buy(shop_app, alice, code(shop_app, "HALF", percent_off=50))
    row = shop_app.row(purchase)
    assert (row.state, row.discount_minor) == ("paid", 750)
    assert shop_app.credits(alice) == CREATOR
    shop_app.refund(purchase, "1.00")
    shop_app.sync(purchase)
    assert CREATOR * 0.85 < shop_app.credits(alice) < CREATOR * 0.9


def test_the_refund_page_offers_the_paid_amount(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    half = shop_app.row(buy(shop_app, alice, code(shop_app, "HALF3", percent_off=50)))
    whole = shop_app.row(buy(shop_app, alice))
    with shop_app.app.app_context(), snapshot() as session:
        shown = refund_policy.list_refundable(session, alice.id, now=now())
    assert {payment.receipt.id: payment.refundable_minor for payment in shown} == {
        half.id: half.total_minor,
        whole.id: whole.total_minor,
    }
    assert (half.total_minor, whole.total_minor) == (809, 1619)


def test_a_code_of_the_whole_price_needs_no_payment(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = buy(shop_app, alice, code(shop_app, "WHOLE", percent_off=100))
    row = shop_app.row(purchase)
    assert (row.state, row.total_minor) == ("paid", 0)
    assert shop_app.credits(alice) == CREATOR


def test_an_unknown_code_changes_nothing(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = buy(shop_app, alice, "NOSUCH")
    assert shop_app.row(purchase).total_minor == 1619


def test_a_plan_with_a_code_grants_its_credits(shop_app: ShopApp) -> None:
    plans = PlanShop(shop_app)
    alice = shop_app.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase is not None
    shop_app.press(
        f"/pay/{shop_app.row(purchase).checkout_id}/code",
        code=code(shop_app, "TEN", percent_off=10),
    )
    shop_app.pay(purchase)
    assert shop_app.sync(purchase).state == "paid"
    assert plans.granted(alice) == [500]
    (invoice,) = plans.invoices(alice)
    assert (invoice.subtotal_minor, invoice.paid_minor) == (1500, 1458)
    row = plans.current(alice)
    assert row is not None
    plans.pass_months(row, 1)
    assert plans.granted(alice) == [500, 500]


def test_the_reconciliation_agrees(shop_app: ShopApp) -> None:
    with shop_app.app.app_context():
        report = reconciliation.reconcile(now() - reconciliation.NIGHTLY * 10)
    assert report.ok, report.as_text()
