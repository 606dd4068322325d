"""Plan checkouts in two windows at once: one stays open, and one plan is paid."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from creditapp.accounts import User
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import checkout as plan_checkout
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.changes import PlanUnchanged
from tests.flaky_gateway import cut, on_first_call
from tests.payments.plan_shop import PlanShop

CREATE = "create_plan_checkout"
GO_ON_THERE = "You chose a plan in another window just now. Go on there."
SUBSCRIBED = "You have just subscribed in another window."


def no_fault(_name: str) -> None:
    """Let every call to Stripe through."""


def choose(plans: PlanShop, buyer: User, plan: str, key: str) -> Purchase:
    """Choose a plan in a window and return the purchase whose checkout it then shows."""
    purchase = plans.choose(buyer, plan, key=key).purchase
    assert purchase is not None
    return purchase


def checkout_states(plans: PlanShop, buyer: User) -> dict[str, str]:
    """Return the checkout status of each chosen plan at Stripe."""
    return {
        purchase.pack_id: str(plans.shop_app.session(purchase)["status"])
        for purchase in purchases(plans, buyer)
    }


def purchases(plans: PlanShop, buyer: User) -> list[Purchase]:
    return sorted(plans.plan_purchases(buyer), key=lambda purchase: purchase.id)


def pay_every_checkout(plans: PlanShop, buyer: User) -> None:
    """Try to pay every checkout that was ever opened, then sync."""
    for purchase in purchases(plans, buyer):
        plans.shop_app.pay(purchase)
    for purchase in purchases(plans, buyer):
        plans.shop_app.sync(purchase)


def subscription_count(plans: PlanShop, buyer: User) -> int:
    return len({invoice.subscription_id for invoice in plans.invoices(buyer)})


def before_next_insert(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Call ``act`` when the next purchase has closed the others and is not stored yet."""
    pending, real_ensure_price = [act], plan_prices.ensure_price

    def ensure_price(*arguments: Any) -> Any:
        if pending:
            pending.pop()()
        return real_ensure_price(*arguments)

    monkeypatch.setattr(plan_checkout.plan_prices, "ensure_price", ensure_price)


@pytest.mark.parametrize("_run", range(3))
def test_two_windows_at_once_end_in_one_plan(plans: PlanShop, _run: int) -> None:
    alice = plans.shop_app.member()
    both = threading.Barrier(2, timeout=20)
    plans.shop_app.flaky_gateway.before = lambda name: both.wait() if name == CREATE else None  # type: ignore[assignment,return-value]
    answers = plans.shop_app.at_once(
        lambda: choose(plans, alice, "basic", "one"), lambda: choose(plans, alice, "premium", "two")
    )
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    assert [str(error) for error in errors] in ([], [GO_ON_THERE])
    assert sorted(checkout_states(plans, alice).values()) == ["expired", "open"]
    pay_every_checkout(plans, alice)
    assert subscription_count(plans, alice) == 1


def test_the_window_that_chose_first_and_opens_last_is_refused(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.shop_app.flaky_gateway.before = on_first_call(
        CREATE, lambda: choose(plans, alice, "premium", "two")
    )
    with pytest.raises(PlanUnchanged, match=GO_ON_THERE):
        plans.choose(alice, "basic", key="one")
    assert checkout_states(plans, alice) == {"basic": "expired", "premium": "open"}
    pay_every_checkout(plans, alice)
    assert (subscription_count(plans, alice), plans.status(alice).plan_id) == (1, "premium")


def test_the_refused_window_can_try_again_with_its_key(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.shop_app.flaky_gateway.before = on_first_call(
        CREATE, lambda: choose(plans, alice, "premium", "two")
    )
    with pytest.raises(PlanUnchanged):
        plans.choose(alice, "basic", key="one")
    plans.shop_app.clock.advance(timedelta(seconds=5))
    again = plans.choose(alice, "basic", key="one")
    assert again.purchase is not None
    assert (again.purchase.state, again.replayed) == ("open", False)
    pay_every_checkout(plans, alice)
    assert (subscription_count(plans, alice), plans.status(alice).plan_id) == (1, "basic")


def test_the_window_that_chose_last_closes_the_checkout_of_the_first(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = plans.shop_app.member()
    before_next_insert(monkeypatch, lambda: choose(plans, alice, "premium", "two"))
    choose(plans, alice, "basic", "one")
    assert checkout_states(plans, alice) == {"basic": "open", "premium": "expired"}
    pay_every_checkout(plans, alice)
    assert (subscription_count(plans, alice), plans.status(alice).plan_id) == (1, "basic")


@pytest.mark.parametrize("synced", [False, True])
def test_a_checkout_paid_meanwhile_is_the_plan(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch, synced: bool
) -> None:
    alice = plans.shop_app.member()

    def pay_in_the_other_window() -> None:
        purchase = choose(plans, alice, "premium", "two")
        plans.shop_app.pay(purchase)
        if synced:
            plans.shop_app.sync(purchase)

    before_next_insert(monkeypatch, pay_in_the_other_window)
    with pytest.raises(PlanUnchanged, match=SUBSCRIBED):
        plans.choose(alice, "basic", key="one")
    assert checkout_states(plans, alice) == {"basic": "expired", "premium": "complete"}
    assert (subscription_count(plans, alice), plans.status(alice).plan_id) == (1, "premium")


def test_no_url_is_returned_while_the_checkout_cannot_be_closed(plans: PlanShop) -> None:
    alice = plans.shop_app.member()

    def choose_another_and_cut_the_connection() -> None:
        choose(plans, alice, "premium", "two")
        plans.shop_app.flaky_gateway.before = cut("expire_checkout")

    plans.shop_app.flaky_gateway.before = on_first_call(
        CREATE, choose_another_and_cut_the_connection
    )
    for _ in range(2):
        with pytest.raises(GatewayError):
            plans.choose(alice, "basic", key="one")
    plans.shop_app.flaky_gateway.before = no_fault
    with pytest.raises(PlanUnchanged, match=GO_ON_THERE):
        plans.choose(alice, "basic", key="one")
    assert checkout_states(plans, alice) == {"basic": "expired", "premium": "open"}


def test_after_errors_in_both_windows_a_third_try_works(plans: PlanShop) -> None:
    alice = plans.shop_app.member()

    def fail_in_another() -> None:
        plans.shop_app.flaky_gateway.before = cut(CREATE)
        with pytest.raises(GatewayError):
            plans.choose(alice, "premium", key="two")
        plans.shop_app.flaky_gateway.before = no_fault

    plans.shop_app.flaky_gateway.before = on_first_call(CREATE, fail_in_another)
    with pytest.raises(PlanUnchanged, match=GO_ON_THERE):
        plans.choose(alice, "basic", key="one")
    plans.shop_app.clock.advance(timedelta(seconds=5))
    choose(plans, alice, "premium", "two")
    assert checkout_states(plans, alice) == {"basic": "expired", "premium": "open"}
    pay_every_checkout(plans, alice)
    assert (subscription_count(plans, alice), plans.status(alice).plan_id) == (1, "premium")


def test_while_the_other_checkout_cannot_be_closed_no_second_url_is_returned(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = plans.shop_app.member()
    before_next_insert(monkeypatch, lambda: choose(plans, alice, "premium", "two"))
    plans.shop_app.flaky_gateway.before = cut("expire_checkout")
    with pytest.raises(GatewayError):
        plans.choose(alice, "basic", key="one")
    plans.shop_app.flaky_gateway.before = no_fault
    again = plans.choose(alice, "basic", key="one").purchase
    assert again is not None
    assert checkout_states(plans, alice) == {"basic": "open", "premium": "expired"}


def test_a_checkout_whose_url_was_lost_is_closed_by_the_next_window(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.shop_app.flaky_gateway.after = cut(CREATE)
    with pytest.raises(GatewayError):
        plans.choose(alice, "basic", key="one")
    plans.shop_app.flaky_gateway.after = no_fault
    plans.shop_app.clock.advance(timedelta(seconds=5))
    choose(plans, alice, "premium", "two")
    assert checkout_states(plans, alice) == {"basic": "expired", "premium": "open"}


def test_a_key_whose_checkout_never_opened_opens_none_beside_a_plan(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.shop_app.flaky_gateway.before = cut(CREATE)
    with pytest.raises(GatewayError):
        plans.choose(alice, "basic", key="one")
    plans.shop_app.flaky_gateway.before = no_fault
    plans.subscribe(alice, "premium")
    with pytest.raises(PlanUnchanged, match=SUBSCRIBED):
        plans.choose(alice, "basic", key="one")
    pay_every_checkout(plans, alice)
    assert (subscription_count(plans, alice), plans.status(alice).plan_id) == (1, "premium")


def test_an_old_key_closes_no_checkout_of_another_window(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    first = choose(plans, alice, "basic", "one")
    plans.shop_app.clock.advance(timedelta(seconds=5))
    choose(plans, alice, "premium", "two")
    assert choose(plans, alice, "basic", "one").id == first.id
    assert checkout_states(plans, alice) == {"basic": "expired", "premium": "open"}


def test_a_paid_checkout_is_found_by_its_key_before_its_purchase_is_synced(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = choose(plans, alice, "basic", "one")
    plans.shop_app.pay(purchase)
    with plans.app.app_context():
        subscription_sync.sync_subscription(plans.shop_app.session(purchase)["subscription"])
    again = plans.choose(alice, "basic", key="one")
    assert again.purchase is not None
    assert (again.purchase.id, again.purchase.state) == (purchase.id, "paid")
    assert again.replayed
