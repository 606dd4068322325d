"""Plans: subscribe, a year of renewals, upgrade, downgrade, cancel, resume; on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions.changes import PaymentDeclined, PlanUnchanged
from creditapp.payments.subscriptions.proration import add_months
from tests.flaky_gateway import cut
from tests.payments.plan_shop import MICRO, PlanShop
from tests.shop_app import ShopApp, values

CREDITS = {"basic": 500, "premium": 1200}


@pytest.fixture
def plans(shop_app: ShopApp) -> PlanShop:
    """The till, with its clock at the bank's."""
    return PlanShop(shop_app)


def test_subscribing_gives_the_first_month_at_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    assert plans.given(alice) == [500]
    assert plans.shop_app.credits(alice) == 500
    mine = plans.standing(alice)
    assert (mine.plan_id, mine.cycle, mine.status) == ("basic", "month", "active")
    assert mine.price_minor == 1500


@pytest.mark.parametrize("plan", ["basic", "premium"])
def test_a_year_by_the_month_gives_what_the_catalog_says(plans: PlanShop, plan: str) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, plan)
    plans.live_through(row, 11)
    assert plans.given(alice) == [CREDITS[plan]] * 12
    assert [each.billing_reason for each in plans.invoices(alice)] == [
        "subscription_create",
        *["subscription_cycle"] * 11,
    ]
    # Unused credits last to the end of the next month: the last two are there.
    assert plans.shop_app.credits(alice) == 2 * CREDITS[plan]


@pytest.mark.parametrize("plan", ["basic", "premium"])
def test_a_year_paid_at_once_gives_a_month_each_month(plans: PlanShop, plan: str) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, plan, "year")
    assert plans.given(alice) == [CREDITS[plan]]
    plans.live_through(row, 11)
    assert plans.given(alice) == [CREDITS[plan]] * 12
    assert len(plans.invoices(alice)) == 1
    plans.live_through(row, 12)
    assert plans.given(alice) == [CREDITS[plan]] * 13
    assert len(plans.invoices(alice)) == 2
    starts = [each.starts_at for each in plans.months(alice)][:12]
    assert starts == [add_months(row.period_start, number) for number in range(12)]


def test_syncing_again_and_at_once_gives_nothing_more(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    for _ in range(3):
        plans.sync(row)
    values(plans.shop_app.at_once(*[lambda: plans.sync(row)] * 6))
    assert plans.given(alice) == [500]


def test_the_first_sync_may_come_from_everywhere_at_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "premium").purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    values(plans.shop_app.at_once(*[lambda: plans.shop_app.sync(purchase)] * 4))
    assert plans.given(alice) == [1200]


def test_events_alone_are_enough(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    (event,) = plans.shop_app.events(purchase, "checkout.session.completed")
    assert plans.shop_app.send(event).status_code == 200
    assert plans.given(alice) == [500]
    row = plans.live(alice)
    assert row is not None
    plans.pass_to(row.period_end + timedelta(hours=1))
    (paid,) = plans.events(row, "invoice.paid")[1:]
    for _ in range(2):
        assert plans.shop_app.send(paid).status_code == 200
    assert plans.given(alice) == [500, 500]


def test_an_invoice_of_a_subscription_not_yet_known_names_its_owner(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    subscription_id = plans.shop_app.session(purchase)["subscription"]
    with plans.app.app_context():
        from creditapp.payments.subscriptions import sync as subscription_sync

        subscription_sync.sync_subscription(subscription_id)
    assert plans.given(alice) == [500]
    assert plans.shop_app.sync(purchase).state == "paid"
    assert plans.given(alice) == [500]


def test_an_upgrade_in_the_middle_gives_the_difference_for_the_time_left(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    half = row.period_start + (row.period_end - row.period_start) / 2
    plans.pass_to(half)
    chosen = plans.choose(alice, "premium")
    assert chosen.outcome == "upgraded"
    first, second = plans.given(alice)
    assert first == 500
    assert 349 < second <= 350
    assert plans.standing(alice).plan_id == "premium"
    plans.pass_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.given(alice)[2:] == [1200]


def test_an_upgrade_of_a_year_gives_the_difference_of_each_month_left(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    plans.live_through(row, 2)
    third = add_months(row.period_start, 2), add_months(row.period_start, 3)
    plans.pass_to(third[0] + (third[1] - third[0]) / 2)
    assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    given = plans.given(alice)
    assert given[:3] == [500] * 3
    assert 348 < given[3] <= 350
    plans.live_through(row, 11)
    assert plans.given(alice)[4:] == [1200] * 9


def test_from_month_to_year_a_new_year_begins(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    half = row.period_start + (row.period_end - row.period_start) / 2
    plans.pass_to(half)
    assert plans.choose(alice, "basic", "year").outcome == "upgraded"
    first, second = plans.given(alice)
    assert (first, 250 <= second < 252) == (500, True)
    assert len([each for each in plans.months(alice) if each.state == "due"]) == 11


def test_an_upgrade_asked_for_twice_is_charged_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    answers = plans.shop_app.at_once(*[lambda: plans.choose(alice, "premium").outcome] * 3)
    assert "upgraded" in answers
    upgrades = [e for e in plans.invoices(alice) if e.billing_reason == "subscription_update"]
    assert len(upgrades) == 1


def test_an_upgrade_whose_answer_was_lost_is_the_same_one_again(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    lost = False

    def lose(name: str) -> None:
        nonlocal lost
        lost = lost or name == "change_subscription"
        if lost:
            raise GatewayError("Stripe: no answer", permanent=False)

    plans.shop_app.line.after = lose
    with pytest.raises(GatewayError):
        plans.choose(alice, "premium")
    plans.shop_app.line.after = lambda name: None
    plans.shop_app.clock.advance(timedelta(minutes=5))
    assert plans.standing(alice).plan_id == "basic"  # nobody heard of it yet
    assert plans.choose(alice, "premium").outcome == "upgraded"
    upgrades = [e for e in plans.invoices(alice) if e.billing_reason == "subscription_update"]
    assert len(upgrades) == 1
    assert plans.standing(alice).plan_id == "premium"


def test_an_upgrade_of_which_only_the_answer_was_lost_is_made(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    plans.shop_app.line.after = cut("change_subscription")
    assert plans.choose(alice, "premium").outcome == "upgraded"
    plans.shop_app.line.after = lambda name: None
    assert plans.standing(alice).plan_id == "premium"


@pytest.mark.parametrize("before", ["the end", "a smaller plan"])
def test_a_declined_upgrade_leaves_what_was_to_come(plans: PlanShop, before: str) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "premium", card="declined-later")
    plans.choose(alice, "free" if before == "the end" else "basic")
    with pytest.raises(PaymentDeclined):
        plans.choose(alice, "premium", "year")
    mine = plans.standing(alice)
    assert (mine.ends_at is not None, mine.next_name) == (
        (True, None) if before == "the end" else (False, "Basic")
    )
    plans.pass_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    # The card still declines; what counts is what it was asked for.
    asked = [each.total_minor for each in plans.invoices(alice)]
    assert asked == ([2900] if before == "the end" else [2900, 1500])


def test_an_upgrade_that_stripe_refuses_for_another_reason_is_not_called_declined(
    plans: PlanShop,
) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)

    def refuse(name: str) -> None:
        if name == "change_subscription":
            raise GatewayError("Stripe: no such price", permanent=True, code="resource_missing")

    plans.shop_app.line.before = refuse
    with pytest.raises(GatewayError, match="no such price"):
        plans.choose(alice, "premium")
    plans.shop_app.line.before = lambda name: None
    assert plans.choose(alice, "premium").outcome == "upgraded"


@pytest.mark.parametrize("wanted", ["basic", "premium"])
def test_who_chooses_a_plan_after_leaving_has_it(plans: PlanShop, wanted: str) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "premium")
    if wanted == "premium":
        plans.choose(alice, "basic")
    plans.choose(alice, "free")
    plans.choose(alice, wanted)
    mine = plans.standing(alice)
    assert (mine.ends_at, mine.next_name) == (None, None if wanted == "premium" else "Basic")
    plans.pass_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.standing(alice).plan_id == wanted


def test_a_declined_upgrade_changes_nothing(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, card="declined-later")
    with pytest.raises(PaymentDeclined):
        plans.choose(alice, "premium")
    assert plans.standing(alice).plan_id == "basic"
    assert plans.given(alice) == [500]


def test_a_downgrade_waits_for_the_end_of_what_is_paid(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "premium")
    assert plans.choose(alice, "basic").outcome == "will_change"
    mine = plans.standing(alice)
    assert (mine.plan_id, mine.next_name, mine.next_price_minor) == ("premium", "Basic", 1500)
    plans.pass_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.given(alice) == [1200, 500]
    assert plans.standing(alice).plan_id == "basic"


def test_a_downgrade_can_be_taken_back(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "premium")
    plans.choose(alice, "basic")
    assert plans.choose(alice, "premium").outcome == "kept"
    assert plans.standing(alice).next_name is None
    plans.pass_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.given(alice) == [1200, 1200]


def test_a_paid_year_is_not_taken_apart(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, "premium", "year")
    with pytest.raises(PlanUnchanged, match="Your year is paid until"):
        plans.choose(alice, "basic", "month")


def test_cancelled_ends_with_what_is_paid_and_resumed_goes_on(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    assert plans.choose(alice, "free").outcome == "will_end"
    assert plans.standing(alice).ends_at == row.period_end
    assert plans.choose(alice, "basic").outcome == "resumed"
    assert plans.standing(alice).ends_at is None
    plans.choose(alice, "free")
    plans.pass_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.standing(alice).free
    assert plans.given(alice) == [500]
    assert plans.shop_app.credits(alice) == 500  # they last one more month


def test_a_failed_renewal_is_told_and_gives_nothing_until_it_is_paid(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, card="declined-later")
    plans.pass_to(row.period_end + timedelta(hours=2))
    plans.sweep()
    mine = plans.standing(alice)
    assert mine.status == "past_due"
    assert mine.next_try_at is not None
    assert plans.given(alice) == [500]
    with pytest.raises(PlanUnchanged, match="Change your card first"):
        plans.choose(alice, "premium")
    plans.pass_to(row.period_end + timedelta(days=30))
    plans.sync(row)
    assert plans.standing(alice).free
    assert plans.given(alice) == [500]


def test_two_windows_do_not_end_in_two_plans(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    first = plans.choose(alice, "basic", key="one window").purchase
    second = plans.choose(alice, "premium", key="another").purchase
    assert first is not None
    assert second is not None
    assert plans.shop_app.row(first).state == "expired"
    plans.shop_app.pay(first)
    plans.shop_app.pay(second)
    plans.shop_app.sync(second)
    assert plans.given(alice) == [1200]
    with pytest.raises(PlanUnchanged, match="already"):
        plans.choose(alice, "premium")


def test_a_paid_first_window_is_found_by_the_second(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    first = plans.choose(alice, "basic").purchase
    assert first is not None
    plans.shop_app.pay(first)
    with pytest.raises(PlanUnchanged, match="another window"):
        plans.choose(alice, "premium")
    assert plans.given(alice) == [500]


def test_a_customer_is_made_once(plans: PlanShop) -> None:
    from creditapp.payments import customers

    alice = plans.shop_app.member()
    made = values(plans.shop_app.at_once(*[lambda: customers.ensure(alice)] * 5))
    assert len(set(made)) == 1


def test_without_an_answer_nothing_is_bought_and_the_key_tries_again(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.shop_app.line.before = cut("create_plan_checkout")
    with pytest.raises(GatewayError):
        plans.choose(alice, "basic", key="again")
    plans.shop_app.line.before = lambda name: None
    purchase = plans.choose(alice, "basic", key="again").purchase
    assert purchase is not None
    assert purchase.checkout_url
    assert len(plans.plan_purchases(alice)) == 1


def test_a_paid_plan_that_nobody_heard_of_is_found_by_the_sweep(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    plans.shop_app.sweep(timedelta(minutes=2))
    assert plans.given(alice) == [500]
    assert plans.shop_app.row(purchase).state == "paid"
    assert plans.months(alice)[0].credits_micro == 500 * MICRO
