"""Two windows in which one buyer subscribes at once: one checkout stays open, one plan is paid."""

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
from tests.flaky_gateway import cut, once
from tests.payments.plan_shop import PlanShop
from tests.shop_app import ShopApp

CREATE = "create_plan_checkout"
GO_ON_THERE = "You chose a plan in another window just now. Go on there."
SUBSCRIBED = "You have just subscribed in another window."


@pytest.fixture
def plans(shop_app: ShopApp) -> PlanShop:
    """The till, with its clock at the bank's."""
    return PlanShop(shop_app)


def nothing(_name: str) -> None:
    """Hear nothing more on the line."""


def bought(plans: PlanShop, buyer: User, plan: str, key: str) -> Purchase:
    """Choose a plan in a window and return the purchase whose page it then shows."""
    purchase = plans.choose(buyer, plan, key=key).purchase
    assert purchase is not None
    return purchase


def states(plans: PlanShop, buyer: User) -> dict[str, str]:
    """Return how each plan that was chosen stands at Stripe."""
    return {
        each.pack_id: str(plans.shop_app.session(each)["status"]) for each in rows(plans, buyer)
    }


def rows(plans: PlanShop, buyer: User) -> list[Purchase]:
    return sorted(plans.plan_purchases(buyer), key=lambda each: each.id)


def pay_every_page(plans: PlanShop, buyer: User) -> None:
    """Try to pay every page that was ever opened, and let the shop hear of it."""
    for each in rows(plans, buyer):
        plans.shop_app.pay(each)
    for each in rows(plans, buyer):
        plans.shop_app.sync(each)


def plans_paid(plans: PlanShop, buyer: User) -> int:
    return len({each.subscription_id for each in plans.invoices(buyer)})


def before_it_is_stored(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something when the next purchase has closed the others and is not stored yet."""
    waiting, real = [act], plan_prices.ensure_price

    def ensure(*given: Any) -> Any:
        if waiting:
            waiting.pop()()
        return real(*given)

    monkeypatch.setattr(plan_checkout.plan_prices, "ensure_price", ensure)


@pytest.mark.parametrize("_time", range(3))
def test_two_windows_at_once_end_in_one_plan(plans: PlanShop, _time: int) -> None:
    alice = plans.shop_app.member()
    both = threading.Barrier(2, timeout=20)
    plans.shop_app.line.before = lambda name: both.wait() if name == CREATE else None  # type: ignore[assignment,return-value]
    answers = plans.shop_app.at_once(
        lambda: bought(plans, alice, "basic", "one"),
        lambda: bought(plans, alice, "premium", "two"),
    )
    told = [each for each in answers if isinstance(each, Exception)]
    assert [str(each) for each in told] in ([], [GO_ON_THERE])
    assert sorted(states(plans, alice).values()) == ["expired", "open"]
    pay_every_page(plans, alice)
    assert plans_paid(plans, alice) == 1


def test_the_window_that_chose_first_and_opens_last_gives_way(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.shop_app.line.before = once(CREATE, lambda: bought(plans, alice, "premium", "two"))
    with pytest.raises(PlanUnchanged, match=GO_ON_THERE):
        plans.choose(alice, "basic", key="one")
    assert states(plans, alice) == {"basic": "expired", "premium": "open"}
    pay_every_page(plans, alice)
    assert (plans_paid(plans, alice), plans.standing(alice).plan_id) == (1, "premium")


def test_who_gave_way_and_presses_again_goes_on_in_that_window(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.shop_app.line.before = once(CREATE, lambda: bought(plans, alice, "premium", "two"))
    with pytest.raises(PlanUnchanged):
        plans.choose(alice, "basic", key="one")
    plans.shop_app.clock.advance(timedelta(seconds=5))
    again = plans.choose(alice, "basic", key="one")
    assert again.purchase is not None
    assert (again.purchase.state, again.replayed) == ("open", False)
    pay_every_page(plans, alice)
    assert (plans_paid(plans, alice), plans.standing(alice).plan_id) == (1, "basic")


def test_the_window_that_chose_last_closes_the_page_of_the_first(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = plans.shop_app.member()
    before_it_is_stored(monkeypatch, lambda: bought(plans, alice, "premium", "two"))
    bought(plans, alice, "basic", "one")
    assert states(plans, alice) == {"basic": "open", "premium": "expired"}
    pay_every_page(plans, alice)
    assert (plans_paid(plans, alice), plans.standing(alice).plan_id) == (1, "basic")


@pytest.mark.parametrize("heard", [False, True])
def test_a_page_that_was_paid_meanwhile_is_the_plan(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    alice = plans.shop_app.member()

    def pay_in_the_other_window() -> None:
        purchase = bought(plans, alice, "premium", "two")
        plans.shop_app.pay(purchase)
        if heard:
            plans.shop_app.sync(purchase)

    before_it_is_stored(monkeypatch, pay_in_the_other_window)
    with pytest.raises(PlanUnchanged, match=SUBSCRIBED):
        plans.choose(alice, "basic", key="one")
    assert states(plans, alice) == {"basic": "expired", "premium": "complete"}
    assert (plans_paid(plans, alice), plans.standing(alice).plan_id) == (1, "premium")


def test_a_page_that_could_not_be_closed_was_told_to_nobody(plans: PlanShop) -> None:
    alice = plans.shop_app.member()

    def choose_another_and_cut_the_line() -> None:
        bought(plans, alice, "premium", "two")
        plans.shop_app.line.before = cut("expire_checkout")

    plans.shop_app.line.before = once(CREATE, choose_another_and_cut_the_line)
    for _ in range(2):
        with pytest.raises(GatewayError):
            plans.choose(alice, "basic", key="one")
    plans.shop_app.line.before = nothing
    with pytest.raises(PlanUnchanged, match=GO_ON_THERE):
        plans.choose(alice, "basic", key="one")
    assert states(plans, alice) == {"basic": "expired", "premium": "open"}


def test_two_windows_that_both_end_in_an_error_hinder_no_third_try(plans: PlanShop) -> None:
    alice = plans.shop_app.member()

    def fail_in_another() -> None:
        plans.shop_app.line.before = cut(CREATE)
        with pytest.raises(GatewayError):
            plans.choose(alice, "premium", key="two")
        plans.shop_app.line.before = nothing

    plans.shop_app.line.before = once(CREATE, fail_in_another)
    with pytest.raises(PlanUnchanged, match=GO_ON_THERE):
        plans.choose(alice, "basic", key="one")
    plans.shop_app.clock.advance(timedelta(seconds=5))
    bought(plans, alice, "premium", "two")
    assert states(plans, alice) == {"basic": "expired", "premium": "open"}
    pay_every_page(plans, alice)
    assert (plans_paid(plans, alice), plans.standing(alice).plan_id) == (1, "premium")


def test_a_page_of_another_window_that_could_not_be_closed_is_the_only_one_told(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = plans.shop_app.member()
    before_it_is_stored(monkeypatch, lambda: bought(plans, alice, "premium", "two"))
    plans.shop_app.line.before = cut("expire_checkout")
    with pytest.raises(GatewayError):
        plans.choose(alice, "basic", key="one")
    plans.shop_app.line.before = nothing
    again = plans.choose(alice, "basic", key="one").purchase
    assert again is not None
    assert states(plans, alice) == {"basic": "open", "premium": "expired"}


def test_a_page_whose_address_was_lost_is_closed_by_the_next_window(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.shop_app.line.after = cut(CREATE)
    with pytest.raises(GatewayError):
        plans.choose(alice, "basic", key="one")
    plans.shop_app.line.after = nothing
    plans.shop_app.clock.advance(timedelta(seconds=5))
    bought(plans, alice, "premium", "two")
    assert states(plans, alice) == {"basic": "expired", "premium": "open"}


def test_a_key_whose_page_never_opened_opens_none_beside_a_plan(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.shop_app.line.before = cut(CREATE)
    with pytest.raises(GatewayError):
        plans.choose(alice, "basic", key="one")
    plans.shop_app.line.before = nothing
    plans.subscribe(alice, "premium")
    with pytest.raises(PlanUnchanged, match=SUBSCRIBED):
        plans.choose(alice, "basic", key="one")
    pay_every_page(plans, alice)
    assert (plans_paid(plans, alice), plans.standing(alice).plan_id) == (1, "premium")


def test_an_old_key_closes_no_page_of_another_window(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    first = bought(plans, alice, "basic", "one")
    plans.shop_app.clock.advance(timedelta(seconds=5))
    bought(plans, alice, "premium", "two")
    assert bought(plans, alice, "basic", "one").id == first.id
    assert states(plans, alice) == {"basic": "expired", "premium": "open"}


def test_a_paid_page_is_found_by_its_key_before_the_purchase_hears_of_it(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = bought(plans, alice, "basic", "one")
    plans.shop_app.pay(purchase)
    with plans.app.app_context():
        subscription_sync.sync_subscription(plans.shop_app.session(purchase)["subscription"])
    again = plans.choose(alice, "basic", key="one")
    assert again.purchase is not None
    assert (again.purchase.id, again.purchase.state) == (purchase.id, "paid")
    assert again.replayed
