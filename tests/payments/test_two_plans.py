"""A buyer with two subscriptions: both grant credits, and an operator is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from creditapp.payments.stripe.records import CheckoutRequest
from creditapp.payments.subscriptions.models import Subscription
from creditapp.payments.subscriptions.sync import sync_subscription
from tests.payments.plan_shop import PlanShop

pytestmark = pytest.mark.in_turn


def subscribe_at_stripe(plans: PlanShop, row: Subscription) -> str:
    """Subscribe the customer of a plan once more, as an operator can; return the new id."""
    gateway = plans.shop_app.gateway
    request = CheckoutRequest("pur_none", "http://shop.test/paid", "http://shop.test/back")
    checkout = gateway.create_plan_checkout(
        request, customer_id=row.customer_id, price_id=row.price_id, quantity=1
    )
    plans.shop_app.press(f"/pay/{checkout.id}", card="succeeds", email="alice@example.com")
    return str(gateway.v1.checkout.sessions.retrieve(checkout.id).subscription)


def sync(plans: PlanShop, subscription_id: str) -> list[dict[str, Any]]:
    """Sync a subscription; return the errors about two plans."""
    with capture_logs() as logs, plans.app.app_context():
        sync_subscription(subscription_id)
    event = "user has two subscriptions"
    return [dict(log) for log in logs if log["event"] == event]


def test_a_second_plan_is_an_error_in_the_log_once(plans: PlanShop) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.subscribe(bob)
    second = subscribe_at_stripe(plans, row)
    (error,) = sync(plans, second)
    assert (error["log_level"], error["subscription"], error["other"]) == ("error", second, row.id)
    assert sync(plans, second) == sync(plans, row.id) == []
    assert plans.granted(alice) == [500, 500]


def test_a_plan_after_one_that_ended_is_no_error(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.choose(alice, "free")
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert sync(plans, subscribe_at_stripe(plans, row)) == []
