"""When the sweeps sync a purchase or a subscription if no event arrives."""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditapp.clock import NEVER
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.records import GatewayError
from tests.flaky_gateway import cut
from tests.payments.plan_shop import PlanShop
from tests.shop_app import ShopApp

pytestmark = pytest.mark.in_turn


def next_sync_in(shop_app: ShopApp, purchase: Purchase) -> timedelta:
    """Return after how long the sweep syncs the purchase."""
    return shop_app.row(purchase).next_sync_at - shop_app.clock.now()


def sync_at_age(shop_app: ShopApp, purchase: Purchase, age: timedelta) -> timedelta:
    """Sync a purchase at an age; return after how long the sweep syncs it again."""
    shop_app.clock.advance(purchase.created_at + age - shop_app.clock.now())
    shop_app.sync(purchase)
    return next_sync_in(shop_app, purchase)


def test_an_open_checkout_is_synced_each_minute_and_after_an_hour_every_two(
    shop_app: ShopApp,
) -> None:
    purchase = shop_app.start_checkout(shop_app.member())
    assert next_sync_in(shop_app, purchase) == timedelta(minutes=1)
    assert sync_at_age(shop_app, purchase, timedelta(minutes=59)) == timedelta(minutes=1)
    assert sync_at_age(shop_app, purchase, timedelta(hours=1)) == timedelta(minutes=2)
    assert sync_at_age(shop_app, purchase, timedelta(hours=24)) == timedelta(minutes=2)


def test_a_checkout_that_was_never_opened_is_looked_for_every_ten_minutes(
    shop_app: ShopApp,
) -> None:
    alice = shop_app.member()
    shop_app.flaky_gateway.before = cut("create_checkout")
    with pytest.raises(GatewayError):
        shop_app.start_checkout(alice)
    (purchase,) = shop_app.purchases(alice)
    assert sync_at_age(shop_app, purchase, timedelta(minutes=1)) == timedelta(minutes=10)
    assert sync_at_age(shop_app, purchase, timedelta(hours=24)) == timedelta(minutes=10)


def test_a_debit_is_synced_every_two_minutes_and_after_an_hour_every_thirty(
    shop_app: ShopApp,
) -> None:
    purchase = shop_app.start_checkout(shop_app.member())
    shop_app.pay(purchase, "pays-later")
    assert sync_at_age(shop_app, purchase, timedelta(minutes=59)) == timedelta(minutes=2)
    assert sync_at_age(shop_app, purchase, timedelta(hours=1)) == timedelta(minutes=30)
    assert sync_at_age(shop_app, purchase, timedelta(days=30)) == timedelta(minutes=30)
    assert shop_app.row(purchase).state == "pending"
    shop_app.clock.advance(timedelta(seconds=1))
    assert shop_app.sync(purchase).state == "failed"


def test_a_disputed_purchase_is_synced_daily_until_it_is_decided(shop_app: ShopApp) -> None:
    purchase = shop_app.buy_and_pay(shop_app.member())
    assert shop_app.row(purchase).next_sync_at == NEVER
    dispute = shop_app.dispute(purchase)
    shop_app.sync(purchase)
    assert next_sync_in(shop_app, purchase) == timedelta(days=1)
    shop_app.press(f"/disputes/{dispute}/close", outcome="won")
    shop_app.sync(purchase)
    assert shop_app.row(purchase).next_sync_at == NEVER


def test_a_sync_that_fails_is_tried_again_a_minute_later(shop_app: ShopApp) -> None:
    purchase = shop_app.start_checkout(shop_app.member())
    shop_app.flaky_gateway.before = cut("retrieve_checkout")
    shop_app.sweep(after=timedelta(minutes=1))
    assert next_sync_in(shop_app, purchase) == timedelta(minutes=1)


def test_a_plan_is_synced_daily_and_five_minutes_after_its_renewal(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)

    def next_sync_at_age(age: timedelta) -> timedelta:
        plans.shop_app.clock.advance(row.period_end + age - plans.shop_app.clock.now())
        return plans.sync(row).next_sync_at - row.period_end

    soon, later = timedelta(minutes=5), timedelta(minutes=10)
    assert next_sync_at_age(-timedelta(days=3)) == -timedelta(days=2)
    assert next_sync_at_age(soon - timedelta(days=1)) == soon
    assert next_sync_at_age(-timedelta(hours=1)) == soon
    assert next_sync_at_age(-later) == soon
    assert next_sync_at_age(-timedelta(minutes=1)) == timedelta(minutes=9)
    plans.shop_app.flaky_gateway.before = cut("retrieve_subscription")
    plans.shop_app.clock.advance(later)
    plans.sweep()
    row = plans.current(alice) or row
    assert row.next_sync_at - plans.shop_app.clock.now() == timedelta(minutes=5)
