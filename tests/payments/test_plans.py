"""Plans: subscribe, a year of renewals, upgrade, downgrade, cancel and resume."""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditapp.accounts import User
from creditapp.db import snapshot
from creditapp.payments import customers
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import status as plan_status
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.months import add_months
from creditapp.payments.subscriptions.upgrades import PaymentDeclined, PlanUnchanged
from tests.flaky_gateway import cut
from tests.payments.plan_shop import MICRO, PlanShop
from tests.shop_app import values

CREDITS = {"basic": 500, "premium": 1200}


def upgrade_count(plans: PlanShop, buyer: User) -> int:
    """Return how many upgrades a buyer was charged for."""
    reasons = [invoice.billing_reason for invoice in plans.invoices(buyer)]
    return reasons.count("subscription_update")


def test_subscribing_grants_the_first_month_at_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    assert plans.granted(alice) == [500]
    assert plans.shop_app.credits(alice) == 500
    status = plans.status(alice)
    assert (status.plan_id, status.cycle, status.status) == ("basic", "month", "active")
    assert status.price_minor == 1500


@pytest.mark.parametrize("plan", ["basic", "premium"])
def test_a_year_of_monthly_payments_grants_each_month(plans: PlanShop, plan: str) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, plan)
    plans.pass_months(row, 11)
    assert plans.granted(alice) == [CREDITS[plan]] * 12
    assert [invoice.billing_reason for invoice in plans.invoices(alice)] == [
        "subscription_create",
        *["subscription_cycle"] * 11,
    ]
    # Unused credits expire at the end of the next month, so the last two months are left.
    assert plans.shop_app.credits(alice) == 2 * CREDITS[plan]


@pytest.mark.parametrize("plan", ["basic", "premium"])
def test_a_year_paid_at_once_grants_one_month_each_month(plans: PlanShop, plan: str) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, plan, "year")
    assert plans.granted(alice) == [CREDITS[plan]]
    plans.pass_months(row, 11)
    assert plans.granted(alice) == [CREDITS[plan]] * 12
    assert len(plans.invoices(alice)) == 1
    plans.pass_months(row, 12)
    assert plans.granted(alice) == [CREDITS[plan]] * 13
    assert len(plans.invoices(alice)) == 2
    starts = [month.starts_at for month in plans.months(alice)][:12]
    assert starts == [add_months(row.period_start, number) for number in range(12)]


def test_repeated_and_concurrent_syncs_grant_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    for _ in range(3):
        plans.sync(row)
    values(plans.shop_app.at_once(*[lambda: plans.sync(row)] * 6))
    assert plans.granted(alice) == [500]


def test_concurrent_first_syncs_grant_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "premium").purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    values(plans.shop_app.at_once(*[lambda: plans.shop_app.sync(purchase)] * 4))
    assert plans.granted(alice) == [1200]


def test_events_alone_are_enough(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    (event,) = plans.shop_app.events(purchase, "checkout.session.completed")
    assert plans.shop_app.send(event).status_code == 200
    assert plans.granted(alice) == [500]
    row = plans.current(alice)
    assert row is not None
    plans.advance_to(row.period_end + timedelta(hours=1))
    (paid,) = plans.events(row, "invoice.paid")[1:]
    for _ in range(2):
        assert plans.shop_app.send(paid).status_code == 200
    assert plans.granted(alice) == [500, 500]


def test_an_unknown_subscription_is_synced_for_its_owner(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    subscription_id = plans.shop_app.session(purchase)["subscription"]
    with plans.app.app_context():
        subscription_sync.sync_subscription(subscription_id)
    assert plans.granted(alice) == [500]
    assert plans.shop_app.sync(purchase).state == "paid"
    assert plans.granted(alice) == [500]


def test_an_upgrade_in_mid_period_grants_the_prorated_difference(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    half = row.period_start + (row.period_end - row.period_start) / 2
    plans.advance_to(half)
    choice = plans.choose(alice, "premium")
    assert choice.outcome == "upgraded"
    first, second = plans.granted(alice)
    assert first == 500
    assert 349 < second <= 350
    assert plans.status(alice).plan_id == "premium"
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.granted(alice)[2:] == [1200]


def test_an_upgrade_of_a_year_grants_the_difference_of_each_remaining_month(
    plans: PlanShop,
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    plans.pass_months(row, 2)
    starts, ends = add_months(row.period_start, 2), add_months(row.period_start, 3)
    plans.advance_to(starts + (ends - starts) / 2)
    assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    granted = plans.granted(alice)
    assert granted[:3] == [500] * 3
    assert 348 < granted[3] <= 350
    plans.pass_months(row, 11)
    assert plans.granted(alice)[4:] == [1200] * 9


def test_a_change_from_month_to_year_begins_a_new_year(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    half = row.period_start + (row.period_end - row.period_start) / 2
    plans.advance_to(half)
    assert plans.choose(alice, "basic", "year").outcome == "upgraded"
    first, second = plans.granted(alice)
    assert (first, 250 <= second < 252) == (500, True)
    assert len([month for month in plans.months(alice) if month.state == "due"]) == 11


def test_concurrent_requests_for_an_upgrade_are_charged_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    answers = plans.shop_app.at_once(*[lambda: plans.choose(alice, "premium").outcome] * 3)
    assert "upgraded" in answers
    assert upgrade_count(plans, alice) == 1


def test_an_upgrade_retried_after_a_lost_response_is_charged_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    lost = False

    def lose(name: str) -> None:
        nonlocal lost
        lost = lost or name == "change_subscription"
        if lost:
            raise GatewayError("Stripe: no answer", permanent=False)

    plans.shop_app.flaky_gateway.after = lose
    with pytest.raises(GatewayError):
        plans.choose(alice, "premium")
    plans.shop_app.flaky_gateway.after = lambda name: None
    plans.shop_app.clock.advance(timedelta(minutes=5))
    assert plans.status(alice).plan_id == "basic"  # not synced yet
    assert plans.choose(alice, "premium").outcome == "upgraded"
    assert upgrade_count(plans, alice) == 1
    assert plans.status(alice).plan_id == "premium"


def test_an_upgrade_succeeds_if_only_its_response_was_lost(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    plans.shop_app.flaky_gateway.after = cut("change_subscription")
    assert plans.choose(alice, "premium").outcome == "upgraded"
    plans.shop_app.flaky_gateway.after = lambda name: None
    assert plans.status(alice).plan_id == "premium"


@pytest.mark.parametrize("scheduled", ["cancellation", "downgrade"])
def test_a_declined_upgrade_keeps_what_was_scheduled(plans: PlanShop, scheduled: str) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "premium", card="declined-later")
    plans.choose(alice, "free" if scheduled == "cancellation" else "basic")
    with pytest.raises(PaymentDeclined):
        plans.choose(alice, "premium", "year")
    status = plans.status(alice)
    assert (status.ends_at is not None, status.next_name) == (
        (True, None) if scheduled == "cancellation" else (False, "Basic")
    )
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    # The card still declines; the invoices show what would be charged.
    totals = [invoice.total_minor for invoice in plans.invoices(alice)]
    assert totals == ([2900] if scheduled == "cancellation" else [2900, 1500])


def test_an_upgrade_refused_for_another_reason_is_not_called_declined(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)

    def refuse(name: str) -> None:
        if name == "change_subscription":
            raise GatewayError("Stripe: no such price", permanent=True, code="resource_missing")

    plans.shop_app.flaky_gateway.before = refuse
    with pytest.raises(GatewayError, match="no such price"):
        plans.choose(alice, "premium")
    plans.shop_app.flaky_gateway.before = lambda name: None
    assert plans.choose(alice, "premium").outcome == "upgraded"


@pytest.mark.parametrize("chosen", ["basic", "premium"])
def test_choosing_a_plan_after_cancelling_takes_the_cancellation_back(
    plans: PlanShop, chosen: str
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "premium")
    if chosen == "premium":
        plans.choose(alice, "basic")
    plans.choose(alice, "free")
    plans.choose(alice, chosen)
    status = plans.status(alice)
    assert (status.ends_at, status.next_name) == (None, None if chosen == "premium" else "Basic")
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.status(alice).plan_id == chosen


def test_a_declined_upgrade_changes_nothing(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, card="declined-later")
    with pytest.raises(PaymentDeclined):
        plans.choose(alice, "premium")
    assert plans.status(alice).plan_id == "basic"
    assert plans.granted(alice) == [500]


def test_a_downgrade_waits_for_the_end_of_the_paid_period(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "premium")
    assert plans.choose(alice, "basic").outcome == "will_change"
    status = plans.status(alice)
    assert (status.plan_id, status.next_name, status.next_price_minor) == ("premium", "Basic", 1500)
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.granted(alice) == [1200, 500]
    assert plans.status(alice).plan_id == "basic"


def test_a_downgrade_can_be_taken_back(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "premium")
    plans.choose(alice, "basic")
    assert plans.choose(alice, "premium").outcome == "kept"
    assert plans.status(alice).next_name is None
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.granted(alice) == [1200, 1200]


def test_a_paid_year_is_never_split(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, "premium", "year")
    with pytest.raises(PlanUnchanged, match="Your year is paid until"):
        plans.choose(alice, "basic", "month")


def test_a_cancelled_plan_ends_with_the_paid_period_and_a_resumed_one_goes_on(
    plans: PlanShop,
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    assert plans.choose(alice, "free").outcome == "will_end"
    assert plans.status(alice).ends_at == row.period_end
    assert plans.choose(alice, "basic").outcome == "resumed"
    assert plans.status(alice).ends_at is None
    plans.choose(alice, "free")
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.status(alice).free
    assert plans.granted(alice) == [500]
    assert plans.shop_app.credits(alice) == 500  # they last one more month


def test_a_failed_renewal_is_shown_and_grants_nothing(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, card="declined-later")
    plans.advance_to(row.period_end + timedelta(hours=2))
    plans.sweep()
    status = plans.status(alice)
    assert status.status == "past_due"
    assert status.next_try_at is not None
    assert plans.granted(alice) == [500]
    with pytest.raises(PlanUnchanged, match="Change your card first"):
        plans.choose(alice, "premium")
    plans.advance_to(row.period_end + timedelta(days=30))
    plans.sync(row)
    assert plans.status(alice).free
    assert plans.granted(alice) == [500]


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
    assert plans.granted(alice) == [1200]
    with pytest.raises(PlanUnchanged, match="already"):
        plans.choose(alice, "premium")


def test_a_checkout_paid_in_the_first_window_is_found_by_the_second(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    first = plans.choose(alice, "basic").purchase
    assert first is not None
    plans.shop_app.pay(first)
    with pytest.raises(PlanUnchanged, match="another window"):
        plans.choose(alice, "premium")
    assert plans.granted(alice) == [500]


def test_concurrent_requests_create_one_customer(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    customer_ids = values(plans.shop_app.at_once(*[lambda: customers.ensure(alice)] * 5))
    assert len(set(customer_ids)) == 1


def test_without_a_response_nothing_is_bought_and_the_key_tries_again(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.shop_app.flaky_gateway.before = cut("create_plan_checkout")
    with pytest.raises(GatewayError):
        plans.choose(alice, "basic", key="again")
    plans.shop_app.flaky_gateway.before = lambda name: None
    purchase = plans.choose(alice, "basic", key="again").purchase
    assert purchase is not None
    assert purchase.checkout_url
    assert len(plans.plan_purchases(alice)) == 1


def test_a_paid_plan_without_an_event_is_found_by_the_sweep(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    plans.shop_app.sweep(timedelta(minutes=2))
    assert plans.granted(alice) == [500]
    assert plans.shop_app.row(purchase).state == "paid"
    assert plans.months(alice)[0].credits_micro == 500 * MICRO


def test_a_subscription_that_was_never_paid_grants_nothing_until_it_is(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    session = plans.shop_app.session(purchase)
    subscription_id, invoice_id = str(session["subscription"]), str(session["invoice"])
    plans.change_at_stripe("subscription", subscription_id, status="incomplete")
    plans.change_at_stripe("invoice", invoice_id, status="open", amount_paid=0)
    with plans.app.app_context():
        row = subscription_sync.sync_subscription(subscription_id)
    assert (row.status, plans.granted(alice)) == ("incomplete", [])
    assert row.next_sync_at == plans.shop_app.clock.now() + timedelta(minutes=10)
    with plans.app.app_context(), snapshot() as reading:
        described = plan_status.describe(reading, row)
    assert (described.name, described.cycle, described.price_minor) == ("Basic", "month", 1500)

    plans.change_at_stripe("subscription", subscription_id, status="active")
    plans.change_at_stripe("invoice", invoice_id, status="paid", amount_paid=1500)
    assert plans.sync(row).status == "active"
    assert plans.granted(alice) == [500]
