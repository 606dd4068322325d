"""A change of plan whose request comes again with its key: one change, and the first answer."""

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
from creditapp.payments.subscriptions import plans as shop
from creditapp.payments.subscriptions.changes import PaymentDeclined, PlanUnchanged
from tests.flaky_gateway import cut, once
from tests.payments.plan_shop import PlanShop
from tests.shop_app import ShopApp, values

LAPSED = idempotency.CLAIM_LASTS + timedelta(seconds=1)


class Died(BaseException):
    """The process ended here."""


@pytest.fixture
def plans(shop_app: ShopApp) -> PlanShop:
    """The till, with its clock at the bank's."""
    return PlanShop(shop_app)


def upgrades(plans: PlanShop, buyer: User) -> int:
    """Return how many upgrades a buyer was charged for."""
    reasons = [each.billing_reason for each in plans.invoices(buyer)]
    return reasons.count("subscription_update")


def keys(plans: PlanShop, buyer: User) -> list[RequestKey]:
    """Return the keys that are stored for a buyer."""
    query = select(RequestKey).where(RequestKey.caller == f"user:{buyer.id}")
    with plans.app.app_context(), snapshot() as session:
        return list(session.scalars(query))


def die() -> None:
    raise Died


def test_a_change_that_comes_again_has_the_same_outcome_and_is_made_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    asked = (
        ("premium", "upgraded"),
        ("basic", "will_change"),
        ("premium", "kept"),
        ("free", "will_end"),
        ("premium", "resumed"),
    )
    for plan, outcome in asked:
        first = plans.choose(alice, plan, key=outcome)
        calls = plans.shop_app.line.calls.total()
        again = plans.choose(alice, plan, key=outcome)
        assert (first.outcome, first.replayed) == (outcome, False)
        assert (again.outcome, again.replayed) == (outcome, True)
        assert again.subscription is not None
        assert again.subscription.id == row.id
        assert plans.shop_app.line.calls.total() == calls, "Stripe is not asked again"
    assert plans.choose(alice, "basic", key="will_change").replayed
    assert plans.standing(alice).next_name is None, "an old key changes nothing more"
    assert upgrades(plans, alice) == 1


def test_an_answer_says_what_was_done_also_after_the_plan_has_ended(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.choose(alice, "free", key="leave")
    plans.pass_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.live(alice) is None
    again = plans.choose(alice, "free", key="leave")
    assert (again.outcome, again.replayed) == ("will_end", True)
    assert again.subscription is not None
    assert again.subscription.period_end == row.period_end
    with pytest.raises(IdempotencyKeyReused):
        plans.choose(alice, "basic", key="leave")


def test_what_is_stored_is_the_outcome_and_no_price(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.choose(alice, "premium", key="up")
    (stored,) = keys(plans, alice)
    assert stored.answer == f'{{"outcome": "upgraded", "subscription": "{row.id}"}}'


def test_another_order_with_the_key_of_a_change_is_refused(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    plans.choose(alice, "premium", key="up")
    for plan, cycle in (("basic", "month"), ("premium", "year"), ("free", "month")):
        with pytest.raises(IdempotencyKeyReused):
            plans.choose(alice, plan, cycle, key="up")
    assert plans.standing(alice).plan_id == "premium"
    assert plans.standing(alice).next_name is None


def test_a_key_belongs_to_its_caller(plans: PlanShop) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    for buyer in (alice, bob):
        plans.subscribe(buyer)
        assert not plans.choose(buyer, "premium", key="up").replayed
        assert plans.standing(buyer).plan_id == "premium"


def test_a_key_that_bought_a_plan_changes_nothing_once_it_is_paid(plans: PlanShop) -> None:
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
    assert plans.given(alice) == [500]
    assert plans.standing(alice).ends_at is None


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
        portal = shop.portal_url(alice, "card").rsplit("/", 1)[1]
    plans.shop_app.press(f"/portal/{portal}/card", card="succeeds")
    plans.shop_app.clock.advance(timedelta(minutes=2))
    tried_again = plans.choose(alice, "premium", key="up")
    assert (tried_again.outcome, tried_again.replayed) == ("upgraded", False)


def test_without_an_answer_from_stripe_the_key_tries_again(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    plans.shop_app.line.before = cut("change_subscription")
    with pytest.raises(GatewayError):
        plans.choose(alice, "premium", key="up")
    plans.shop_app.line.before = lambda name: None
    assert plans.choose(alice, "premium", key="up").outcome == "upgraded"
    assert upgrades(plans, alice) == 1


@pytest.mark.parametrize(
    ("plan", "wanted", "outcome"),
    [
        ("basic", "premium", "upgraded"),
        ("premium", "basic", "will_change"),
        ("basic", "free", "will_end"),
    ],
)
def test_two_at_once_with_one_key_change_once_and_are_told_the_same(
    plans: PlanShop, plan: str, wanted: str, outcome: str
) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, plan)
    asked = [lambda: plans.choose(alice, wanted, key="twice")] * 3
    answers = values(plans.shop_app.at_once(*asked))
    assert {each.outcome for each in answers} == {outcome}
    assert sorted(each.replayed for each in answers) == [False, True, True]
    calls = plans.shop_app.line.calls
    assert calls["change_subscription"] + calls["cancel_at_period_end"] == 1
    assert upgrades(plans, alice) == (outcome == "upgraded")


def test_a_change_that_is_still_being_made_is_not_made_twice(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.1)
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    refused: list[str] = []

    def come_again() -> None:
        with pytest.raises(IdempotencyInProgress) as refusal:
            plans.choose(alice, "premium", key="up")
        refused.append(refusal.value.code)

    plans.shop_app.line.before = once("change_subscription", come_again)
    assert plans.choose(alice, "premium", key="up").outcome == "upgraded"
    assert refused == ["idempotency_in_progress"]
    assert plans.choose(alice, "premium", key="up").replayed


@pytest.mark.parametrize("method", ["retrieve_subscription", "change_subscription"])
def test_a_key_whose_process_died_can_be_used_again_after_a_minute(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.1)
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    plans.shop_app.line.after = once(method, die)
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


def test_one_that_took_too_long_and_the_one_that_took_over_change_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)

    def take_over() -> None:
        plans.shop_app.clock.advance(LAPSED)
        assert plans.choose(alice, "premium", key="up").outcome == "upgraded"

    plans.shop_app.line.before = once("change_subscription", take_over)
    assert plans.choose(alice, "premium", key="up").outcome == "upgraded"
    assert plans.choose(alice, "premium", key="up").replayed
    assert upgrades(plans, alice) == 1
