"""Plan changes repeated with their idempotency key: one change, and the first response again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from creditapp.accounts import User
from creditapp.db import snapshot
from creditapp.errors import IdempotencyInProgress, IdempotencyKeyReused
from creditapp.ledger.models import RequestKey
from creditapp.payments import idempotency
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import plans as plan_actions
from creditapp.payments.subscriptions.upgrades import PaymentDeclined, PlanUnchanged
from tests.flaky_gateway import cut, on_first_call
from tests.payments.plan_shop import PlanShop
from tests.shop_app import values

LAPSED = idempotency.CLAIM_LASTS + timedelta(seconds=1)


class Died(BaseException):
    """Stands for the end of the process."""


def upgrades(plans: PlanShop, buyer: User) -> int:
    """Return how many upgrades a buyer was charged for."""
    reasons = [invoice.billing_reason for invoice in plans.invoices(buyer)]
    return reasons.count("subscription_update")


def keys(plans: PlanShop, buyer: User) -> list[RequestKey]:
    """Return the keys stored for a buyer."""
    query = select(RequestKey).where(RequestKey.caller == f"user:{buyer.id}")
    with plans.app.app_context(), snapshot() as session:
        return list(session.scalars(query))


def die() -> None:
    raise Died


def test_a_repeated_change_returns_the_same_outcome_and_is_made_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    choices = (
        ("premium", "upgraded"),
        ("basic", "will_change"),
        ("premium", "kept"),
        ("free", "will_end"),
        ("premium", "resumed"),
    )
    for plan, outcome in choices:
        first = plans.choose(alice, plan, key=outcome)
        calls = plans.shop_app.flaky_gateway.calls.total()
        again = plans.choose(alice, plan, key=outcome)
        assert (first.outcome, first.replayed) == (outcome, False)
        assert (again.outcome, again.replayed) == (outcome, True)
        assert again.subscription is not None
        assert again.subscription.id == row.id
        assert plans.shop_app.flaky_gateway.calls.total() == calls, "Stripe is not called again"
    assert plans.choose(alice, "basic", key="will_change").replayed
    assert plans.status(alice).next_name is None, "an old key changes nothing"
    assert upgrades(plans, alice) == 1


def test_a_repeated_change_returns_its_outcome_after_the_plan_has_ended(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.choose(alice, "free", key="leave")
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.current(alice) is None
    again = plans.choose(alice, "free", key="leave")
    assert (again.outcome, again.replayed) == ("will_end", True)
    assert again.subscription is not None
    assert again.subscription.period_end == row.period_end
    with pytest.raises(IdempotencyKeyReused):
        plans.choose(alice, "basic", key="leave")


def test_only_the_outcome_is_stored_and_no_price(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.choose(alice, "premium", key="up")
    (stored,) = keys(plans, alice)
    assert stored.response == f'{{"outcome": "upgraded", "subscription": "{row.id}"}}'


def test_another_order_with_the_key_of_a_change_is_refused(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    plans.choose(alice, "premium", key="up")
    for plan, cycle in (("basic", "month"), ("premium", "year"), ("free", "month")):
        with pytest.raises(IdempotencyKeyReused):
            plans.choose(alice, plan, cycle, key="up")
    assert plans.status(alice).plan_id == "premium"
    assert plans.status(alice).next_name is None


def test_a_key_belongs_to_its_caller(plans: PlanShop) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    for buyer in (alice, bob):
        plans.subscribe(buyer)
        assert not plans.choose(buyer, "premium", key="up").replayed
        assert plans.status(buyer).plan_id == "premium"


def test_a_key_that_bought_a_plan_never_changes_it(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "basic", key="buy").purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    plans.shop_app.sync(purchase)
    again = plans.choose(alice, "basic", key="buy")
    assert (again.outcome, again.replayed) == ("checkout", True)
    assert again.purchase is not None
    assert (again.purchase.id, again.purchase.state) == (purchase.id, "paid")
    for plan, cycle in (("premium", "month"), ("basic", "year"), ("free", "month")):
        with pytest.raises(IdempotencyKeyReused):
            plans.choose(alice, plan, cycle, key="buy")
    assert plans.granted(alice) == [500]
    assert plans.status(alice).ends_at is None


def test_a_declined_change_leaves_its_key_free(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, card="declined-later")
    for _ in range(2):
        with pytest.raises(PaymentDeclined):
            plans.choose(alice, "premium", key="up")
    with pytest.raises(PlanUnchanged, match="on this plan already"):
        plans.choose(alice, "basic", key="stay")
    assert keys(plans, alice) == []
    with plans.app.app_context():
        portal = plan_actions.portal_url(alice, "card").rsplit("/", 1)[1]
    plans.shop_app.press(f"/portal/{portal}/card", card="succeeds")
    plans.shop_app.clock.advance(timedelta(minutes=2))
    tried_again = plans.choose(alice, "premium", key="up")
    assert (tried_again.outcome, tried_again.replayed) == ("upgraded", False)


def test_after_a_lost_response_the_same_key_tries_again(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    plans.shop_app.flaky_gateway.before = cut("change_subscription")
    with pytest.raises(GatewayError):
        plans.choose(alice, "premium", key="up")
    plans.shop_app.flaky_gateway.before = lambda name: None
    assert plans.choose(alice, "premium", key="up").outcome == "upgraded"
    assert upgrades(plans, alice) == 1


@pytest.mark.parametrize(
    ("plan", "chosen", "outcome"),
    [
        ("basic", "premium", "upgraded"),
        ("premium", "basic", "will_change"),
        ("basic", "free", "will_end"),
    ],
)
def test_concurrent_requests_with_one_key_change_once_and_return_the_same(
    plans: PlanShop, plan: str, chosen: str, outcome: str
) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, plan)
    requests = [lambda: plans.choose(alice, chosen, key="twice")] * 3
    choices = values(plans.shop_app.at_once(*requests))
    assert {choice.outcome for choice in choices} == {outcome}
    assert sorted(choice.replayed for choice in choices) == [False, True, True]
    calls = plans.shop_app.flaky_gateway.calls
    assert calls["change_subscription"] + calls["cancel_at_period_end"] == 1
    assert upgrades(plans, alice) == (outcome == "upgraded")


def test_a_request_repeated_during_the_change_is_refused(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.1)
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    refused: list[str] = []

    def repeat() -> None:
        with pytest.raises(IdempotencyInProgress) as refusal:
            plans.choose(alice, "premium", key="up")
        refused.append(refusal.value.code)

    plans.shop_app.flaky_gateway.before = on_first_call("change_subscription", repeat)
    assert plans.choose(alice, "premium", key="up").outcome == "upgraded"
    assert refused == ["idempotency_in_progress"]
    assert plans.choose(alice, "premium", key="up").replayed


@pytest.mark.parametrize("method", ["retrieve_subscription", "change_subscription"])
def test_a_key_whose_process_died_works_again_after_a_minute(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.1)
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    plans.shop_app.flaky_gateway.after = on_first_call(method, die)
    with pytest.raises(Died):
        plans.choose(alice, "premium", key="up")
    with pytest.raises(IdempotencyInProgress):
        plans.choose(alice, "premium", key="up")
    with pytest.raises(IdempotencyKeyReused):
        plans.choose(alice, "free", key="up")
    plans.shop_app.clock.advance(LAPSED)
    assert plans.choose(alice, "premium", key="up").outcome == "upgraded"
    assert plans.choose(alice, "premium", key="up").replayed
    assert upgrades(plans, alice) == 1


def test_a_slow_request_and_the_one_that_took_over_change_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)

    def take_over() -> None:
        plans.shop_app.clock.advance(LAPSED)
        assert plans.choose(alice, "premium", key="up").outcome == "upgraded"

    plans.shop_app.flaky_gateway.before = on_first_call("change_subscription", take_over)
    assert plans.choose(alice, "premium", key="up").outcome == "upgraded"
    assert plans.choose(alice, "premium", key="up").replayed
    assert upgrades(plans, alice) == 1
