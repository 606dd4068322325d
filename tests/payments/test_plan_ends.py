"""Ends of plans: set by the page, the portal or the dashboard, and taken back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from creditapp.accounts import User
from creditapp.db import snapshot
from creditapp.emails import Email
from creditapp.payments.subscriptions import plans as plan_actions
from creditapp.payments.subscriptions.models import Subscription
from tests.app_factory import Person
from tests.flaky_gateway import on_first_call
from tests.payments.plan_shop import PlanShop

pytestmark = pytest.mark.in_turn


def at_stripe(plans: PlanShop, subscription: Subscription, **params: Any) -> None:
    """Change a subscription in Stripe's dashboard."""
    plans.shop_app.gateway.v1.subscriptions.update(subscription.id, params)  # type: ignore[arg-type]


def cancel_in_portal(plans: PlanShop, subscription: Subscription, buyer: User) -> None:
    with plans.app.app_context():
        portal = plan_actions.portal_url(buyer).rsplit("/", 1)[1]
    plans.shop_app.press(f"/portal/{portal}/cancel", subscription=subscription.id)
    plans.sync(subscription)


def goes_on(plans: PlanShop, buyer: User) -> bool:
    """Return whether the plan goes on, here and at Stripe."""
    status = plans.status(buyer)
    found = plans.shop_app.gateway.v1.subscriptions.retrieve(status.subscription_id or "")
    ends_there = found.cancel_at is not None or found.cancel_at_period_end
    assert (status.ends_at is not None) == ends_there
    return not ends_there


def changes_emailed(plans: PlanShop, buyer: User) -> list[tuple[str, str]]:
    query = select(Email.context).where(Email.user_id == buyer.id, Email.event == "plan_changed")
    with plans.app.app_context(), snapshot() as session:
        contexts = session.scalars(query.order_by(Email.created_at, Email.id)).all()
    return [(context["change"], context["at"][:10]) for context in contexts]


def test_a_plan_canceled_in_the_portal_is_resumed(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    subscription = plans.subscribe(alice)
    cancel_in_portal(plans, subscription, alice)
    found = plans.shop_app.gateway.v1.subscriptions.retrieve(subscription.id)
    assert (found.cancel_at_period_end, found.cancel_at is not None) == (False, True)
    assert plans.status(alice).ends_at == subscription.period_end
    with plans.app.app_context():
        row = plan_actions.resume(alice)
    assert row.cancel_at is None
    assert goes_on(plans, alice)
    plans.pass_months(subscription, 1)
    assert plans.status(alice).plan_id == "basic"


@pytest.mark.parametrize(
    ("plan", "chosen", "outcome"),
    [
        ("basic", "basic", "resumed"),
        ("basic", "premium", "upgraded"),
        ("premium", "basic", "will_change"),
    ],
)
@pytest.mark.parametrize("by_date", [True, False])
def test_choosing_a_plan_takes_back_a_cancellation(
    plans: PlanShop, plan: str, chosen: str, outcome: str, by_date: bool
) -> None:
    alice = plans.shop_app.member()
    subscription = plans.subscribe(alice, plan)
    if by_date:
        cancel_in_portal(plans, subscription, alice)
    else:
        at_stripe(plans, subscription, cancel_at_period_end=True)
        plans.sync(subscription)
    assert not goes_on(plans, alice)
    assert plans.choose(alice, chosen).outcome == outcome
    assert goes_on(plans, alice)


def test_a_plan_ends_on_its_own_day(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    subscription = plans.subscribe(alice)
    ends_at = moment(subscription.period_end - timedelta(days=10))
    at_stripe(plans, subscription, cancel_at=int(ends_at.timestamp()))
    plans.sync(subscription)
    status = plans.status(alice)
    assert (status.ends_at, status.renews_at) == (ends_at, None)
    assert changes_emailed(plans, alice) == [("will_end", f"{ends_at:%Y-%m-%d}")]
    with plans.app.app_context():
        assert plan_actions.cancel(alice).cancel_at == ends_at, "it ends before its period does"
    plans.advance_to(ends_at + timedelta(minutes=10))
    plans.sweep()
    assert plans.status(alice).free


def test_a_plan_that_ends_in_a_later_period_is_renewed_until_then(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    subscription = plans.subscribe(alice)
    ends_at = moment(subscription.period_end + timedelta(days=10))
    at_stripe(plans, subscription, cancel_at=int(ends_at.timestamp()))
    plans.sync(subscription)
    status = plans.status(alice)
    assert (status.ends_at, status.renews_at) == (ends_at, subscription.period_end)
    plans.advance_to(subscription.period_end + timedelta(hours=1))
    plans.sweep()
    assert (plans.status(alice).renews_at, plans.granted(alice)) == (None, [500, 500])
    plans.advance_to(ends_at + timedelta(minutes=10))
    plans.sweep()
    assert plans.status(alice).free


def moment(at: datetime) -> datetime:
    return at.replace(microsecond=0)


@pytest.mark.parametrize(
    ("action", "words"), [("cancel", "Your plan continues."), ("resume", "Your plan ends on")]
)
def test_the_answer_says_what_is_and_not_what_was_asked_for(
    plans: PlanShop, alice: Person, action: str, words: str
) -> None:
    """Another window, or the portal, undoes the change before it is read again."""
    subscription = plans.subscribe(plans.shop_app.user_of(alice))
    cancels = action == "cancel"
    if not cancels:
        at_stripe(plans, subscription, cancel_at_period_end=True)
        plans.sync(subscription)
    plans.shop_app.flaky_gateway.after = on_first_call(
        "cancel_at_period_end" if cancels else "resume",
        lambda: at_stripe(plans, subscription, cancel_at_period_end=not cancels),
    )
    assert alice.post(f"/credits/plan/{action}").status_code == 303
    assert words in alice.page("/dashboard").text


@pytest.mark.parametrize(
    ("chosen", "call", "cancels", "outcome"),
    [
        ("basic", "change_subscription", True, "will_end"),
        ("free", "cancel_at_period_end", False, "resumed"),
    ],
)
def test_an_outcome_says_what_is_and_not_what_was_asked_for(
    plans: PlanShop, chosen: str, call: str, cancels: bool, outcome: str
) -> None:
    alice = plans.shop_app.member()
    subscription = plans.subscribe(alice, "premium")
    plans.shop_app.flaky_gateway.after = on_first_call(
        call, lambda: at_stripe(plans, subscription, cancel_at_period_end=cancels)
    )
    assert plans.choose(alice, chosen).outcome == outcome
