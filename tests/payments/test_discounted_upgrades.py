"""Upgrades paid in whole or in part with a code: the credits are those of the confirmed page.

Stripe writes prorations net of discounts unless the subscription itemizes them (its changelog of
2025-09-30, "Adds the ability to itemize proration discount amounts"), so with a code of 100 % both
lines of an upgrade are 0.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from creditapp.accounts import User
from creditapp.payments.subscriptions import plans as plan_actions
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.payments.subscriptions.models import Subscription
from creditapp.payments.subscriptions.months import add_months
from creditapp.stripe_sandbox.state import State
from tests.app_factory import SharedApps
from tests.payments.plan_shop import MICRO, PlanShop

pytestmark = pytest.mark.in_turn

BASIC, PREMIUM = 500, 1200
DISPLAYS = ["included", "itemized"]


@pytest.fixture
def app(database_kind: str, shared_apps: SharedApps) -> Flask:
    """The app with promotion codes."""
    return shared_apps.fresh(database_kind, {"CREDITAPP_PROMOTION_CODES": "1"})


def subscribe(
    plans: PlanShop, buyer: User, cycle: str, display: str = "included", **coupon: Any
) -> Subscription:
    """Subscribe to Basic with a code; ``display`` is how Stripe shows discounts of prorations."""
    v1 = plans.shop_app.gateway.v1
    made = v1.coupons.create({"duration": "forever", **coupon})  # type: ignore[typeddict-item]
    word = secrets.token_hex(4)
    v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": made.id}, "code": word})
    purchase = plans.choose(buyer, "basic", cycle).purchase
    assert purchase is not None
    checkout_id = plans.shop_app.row(purchase).checkout_id
    plans.shop_app.press(f"/pay/{checkout_id}/code", code=word)
    plans.shop_app.pay(purchase)
    assert plans.shop_app.sync(purchase).state == "paid"
    row = plans.current(buyer)
    assert row is not None
    mode = {"flexible": {"proration_discounts": display}, "type": "flexible", "updated_at": None}
    plans.change_at_stripe("subscription", row.id, billing_mode=mode)
    return row


def upgrade(plans: PlanShop, buyer: User, cycle: str) -> tuple[int, float]:
    """Upgrade to Premium; return the charge and the credits that its page shows."""
    with plans.app.app_context():
        offer = plan_actions.preview_upgrade(PlanOrder("premium", cycle), buyer)
    assert offer is not None
    assert plans.choose(buyer, "premium", cycle).outcome == "upgraded"
    return offer.quote.charged_minor, offer.quote.credits_micro / MICRO


def amounts(plans: PlanShop, row: Subscription) -> list[tuple[int, int]]:
    """Return amount and discount of each line of the newest invoice."""
    with State.of(plans.shop_app.gateway.sandbox).transaction() as books:
        where = {"parent.subscription_details.subscription": row.id}
        lines = books.find("invoice", dict[str, object](where), limit=1)[0]["lines"]["data"]
    return [(line["amount"], line["discount_amounts"][0]["amount"]) for line in lines]


@pytest.mark.parametrize("display", DISPLAYS)
def test_a_free_upgrade_grants_what_its_page_shows(plans: PlanShop, display: str) -> None:
    alice = plans.shop_app.member()
    row = subscribe(plans, alice, "month", display, percent_off=100)
    half = (row.period_end - row.period_start) / 2
    plans.advance_to(row.period_start + half)
    assert upgrade(plans, alice, "month") == (0, (PREMIUM - BASIC) / 2)
    assert plans.granted(alice) == [BASIC, (PREMIUM - BASIC) / 2]
    gross = [(-750, -750), (1450, 1450)]
    assert amounts(plans, row) == (gross if display == "itemized" else [(0, 0), (0, 0)])
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.granted(alice)[2:] == [PREMIUM]


@pytest.mark.parametrize("display", DISPLAYS)
def test_a_free_upgrade_of_a_year_keeps_its_months(plans: PlanShop, display: str) -> None:
    alice = plans.shop_app.member()
    row = subscribe(plans, alice, "year", display, percent_off=100)
    starts, ends = add_months(row.period_start, 0), add_months(row.period_start, 1)
    plans.advance_to(starts + (ends - starts) / 2)
    assert upgrade(plans, alice, "year") == (0, (PREMIUM - BASIC) / 2)
    plans.pass_months(row, 11)
    assert plans.granted(alice) == [BASIC, (PREMIUM - BASIC) / 2, *[PREMIUM] * 11]


@pytest.mark.parametrize("display", DISPLAYS)
def test_an_upgrade_with_half_a_discount_is_charged_by_half(plans: PlanShop, display: str) -> None:
    alice = plans.shop_app.member()
    row = subscribe(plans, alice, "month", display, percent_off=50)
    plans.advance_to(row.period_start + (row.period_end - row.period_start) / 2)
    assert upgrade(plans, alice, "month") == (350, 350)
    assert plans.granted(alice) == [BASIC, 350]
    net = [(-375, 0), (725, 0)]
    assert amounts(plans, row) == ([(-750, -375), (1450, 725)] if display == "itemized" else net)
    assert plans.invoices(alice)[1].paid_minor == 350


def test_an_upgrade_after_a_free_first_month_is_charged_in_full(plans: PlanShop) -> None:
    """The unused time cost nothing, so nothing is credited for it."""
    alice = plans.shop_app.member()
    row = subscribe(plans, alice, "month", percent_off=100, duration="once")
    plans.change_at_stripe("subscription", row.id, default_payment_method=_saved_card(plans, row))
    plans.advance_to(row.period_start + (row.period_end - row.period_start) / 2)
    assert upgrade(plans, alice, "month") == (1450, 350)
    assert plans.granted(alice) == [BASIC, 350]


def test_free_changes_back_and_forth_gain_nothing(plans: PlanShop) -> None:
    """The portal changes down at once too."""
    alice = plans.shop_app.member()
    row = subscribe(plans, alice, "month", percent_off=100)
    plans.advance_to(row.period_start + timedelta(days=7))
    with plans.app.app_context():
        basic, premium = (
            plan_prices.ensure_price(plan, "month").id for plan in plans.catalog.plans[1:3]
        )
    for _ in range(3):
        for price_id in (premium, basic):
            plans.switch_in_portal(row, price_id)
    net_micro = sum(
        month.credits_micro - plans.revoked_micro(month)
        for month in plans.months(alice)
        if month.grant_id
    )
    assert net_micro == BASIC * MICRO


def _saved_card(plans: PlanShop, row: Subscription) -> str:
    """Save a card in the portal and return its id."""
    with plans.app.app_context():
        buyer = plans.shop_app.gateway
        portal = buyer.create_portal(
            customer_id=row.customer_id, return_url="http://shop.test/", subscription_id=row.id
        ).rsplit("/", 1)[1]
    plans.shop_app.press(f"/portal/{portal}/card", card="succeeds")
    with State.of(plans.shop_app.gateway.sandbox).transaction() as books:
        return str(books.find("payment_method", {"customer": row.customer_id}, limit=1)[0]["id"])
