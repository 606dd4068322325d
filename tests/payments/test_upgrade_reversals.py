"""Reversals around an upgrade: the credits left are those still paid for.

An upgrade supersedes months of the year that it replaces, and the year's payment still pays for its
part of them. Refunds and disputes, before or after the upgrade, must leave credits that match the
money.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditapp.accounts import User
from creditapp.clock import now
from creditapp.db import snapshot
from creditapp.payments.refunds import policy as refund_policy
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions.changes import PlanUnchanged
from creditapp.payments.subscriptions.models import Subscription
from creditapp.payments.subscriptions.months import add_months
from tests.payments.plan_shop import MICRO, PlanShop

pytestmark = pytest.mark.in_turn

BASIC, PREMIUM = 500, 1200


def upgrade_in_sixth_month(plans: PlanShop) -> tuple[User, Subscription]:
    """Upgrade a Basic year to Premium in the middle of its sixth month."""
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    plans.pass_months(row, 5)
    plans.advance_to(add_months(row.period_start, 5) + timedelta(days=15))
    assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    return alice, row


def premium_year_price(plans: PlanShop) -> str:
    """Return the price id of a Premium year."""
    with plans.app.app_context():
        plan = plans.catalog.plan("premium")
        assert plan is not None
        return plan_prices.ensure_price(plan, "year").id


def net_granted(plans: PlanShop, buyer: User) -> float:
    """Return the credits granted by plans and not revoked."""
    months = [month for month in plans.months(buyer) if month.grant_id is not None]
    revoked_micro = sum(plans.revoked_micro(month) for month in months)
    return sum(plans.granted(buyer)) - revoked_micro / MICRO


def upgrade_credits(plans: PlanShop, buyer: User) -> float:
    """Return what an upgrade in the sixth month grants beyond the Basic year."""
    first = plans.granted(buyer)[6]
    return first + 6 * (PREMIUM - BASIC)


# --- refunds after an upgrade ---


def test_a_refund_of_the_year_reverses_its_part_of_the_upgraded_year(plans: PlanShop) -> None:
    alice, row = upgrade_in_sixth_month(plans)
    extra = upgrade_credits(plans, alice)
    first = plans.invoices(alice)[0]
    plans.refund(first.payment_intent_id)
    plans.sync(row, invoice_id=first.id)
    plans.pass_months(row, 11)
    assert net_granted(plans, alice) == pytest.approx(extra, abs=0.01)


def test_a_refund_of_the_upgrade_leaves_the_credits_of_the_year(plans: PlanShop) -> None:
    alice, row = upgrade_in_sixth_month(plans)
    second = plans.invoices(alice)[1]
    plans.refund(second.payment_intent_id)
    plans.sync(row, invoice_id=second.id)
    plans.pass_months(row, 11)
    assert net_granted(plans, alice) == pytest.approx(12 * BASIC, abs=0.01)


def test_half_of_each_payment_refunded_leaves_half_of_the_credits(plans: PlanShop) -> None:
    alice, row = upgrade_in_sixth_month(plans)
    extra = upgrade_credits(plans, alice)
    for invoice in plans.invoices(alice):
        plans.refund(invoice.payment_intent_id, f"{invoice.paid_minor / 200:.2f}")
        plans.sync(row, invoice_id=invoice.id)
    plans.pass_months(row, 11)
    assert net_granted(plans, alice) == pytest.approx((12 * BASIC + extra) / 2, rel=0.001)


def test_a_refund_that_fails_after_an_upgrade_grants_no_month_twice(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    first = plans.invoices(alice)[0]
    refund = plans.refund(first.payment_intent_id, "105.00")
    plans.sync(row)
    plans.pass_months(row, 1)
    plans.advance_to(add_months(row.period_start, 1) + timedelta(days=10))
    assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    plans.shop_app.press(f"/refunds/{refund}/fail")
    plans.sync(row, invoice_id=first.id)
    plans.pass_months(row, 11)
    granted = plans.granted(alice)
    assert granted[:2] == [BASIC] * 2
    assert 400 < granted[2] < 700  # the rest of the second month
    assert granted[3:] == [PREMIUM] * 10


def test_a_failed_refund_grants_the_reversed_part_of_a_month(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    first = plans.invoices(alice)[0]
    refund = plans.refund(first.payment_intent_id, "8.75")  # half a month
    plans.sync(row)
    plans.pass_months(row, 11)
    assert plans.granted(alice) == [*[BASIC] * 11, BASIC / 2]
    plans.shop_app.press(f"/refunds/{refund}/fail")
    plans.sync(row, invoice_id=first.id)
    plans.sync(row, invoice_id=first.id)
    assert plans.granted(alice) == [*[BASIC] * 11, BASIC / 2, BASIC / 2]
    plans.refund(first.payment_intent_id)
    plans.sync(row, invoice_id=first.id)
    assert net_granted(plans, alice) == 0


def test_each_payment_is_refundable_for_its_own_credits(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, "basic", "year")
    assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    with plans.app.app_context(), snapshot() as session:
        payments = refund_policy.list_refundable(session, alice.id, now=now())
    # Nothing is spent: both can be refunded in full, although the second invoice grants the rest.
    assert sorted(payment.refundable_minor for payment in payments) == [8000, 21000]


# --- upgrades after the payment was reversed ---


@pytest.mark.parametrize("reversal", ["refunded", "lost"])
def test_an_upgrade_of_a_reversed_year_grants_only_the_difference(
    plans: PlanShop, reversal: str
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    payment = plans.invoices(alice)[0].payment_intent_id
    if reversal == "refunded":
        plans.refund(payment)
    else:
        plans.decide(plans.dispute(payment), "lost")
    plans.sync(row)
    with pytest.raises(PlanUnchanged, match="refunded or disputed"):
        plans.choose(alice, "premium", "year")
    # Stripe's portal allows it, and credits the reversed payment against the new price.
    plans.switch_in_portal(row, premium_year_price(plans))
    plans.pass_months(row, 11)
    assert net_granted(plans, alice) == pytest.approx(12 * (PREMIUM - BASIC), abs=0.01)


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_disputed_months_wait_in_the_upgraded_year_too(plans: PlanShop, outcome: str) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    dispute = plans.dispute(plans.invoices(alice)[0].payment_intent_id)
    plans.sync(row)
    with pytest.raises(PlanUnchanged, match="refunded or disputed"):
        plans.choose(alice, "premium", "year")
    plans.switch_in_portal(row, premium_year_price(plans))
    plans.pass_months(row, 11)
    # Credits worth the disputed money wait, those of the last months.
    assert sum(plans.granted(alice)) == pytest.approx(BASIC + 12 * (PREMIUM - BASIC), abs=0.01)
    plans.decide(dispute, outcome)
    plans.sync(row, invoice_id=plans.invoices(alice)[0].id)
    whole = 12 * PREMIUM if outcome == "won" else 12 * (PREMIUM - BASIC)
    assert net_granted(plans, alice) == pytest.approx(whole, abs=0.01)


def test_repeated_downgrades_and_upgrades_in_the_portal_grant_nothing_extra(
    plans: PlanShop,
) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    basic = plans.subscribe(bob, "basic").price_id
    row = plans.subscribe(alice, "premium")
    premium = row.price_id
    for _ in range(3):
        plans.switch_in_portal(row, basic)
        assert plans.shop_app.credits(alice) == pytest.approx(BASIC, abs=0.1)
        plans.switch_in_portal(row, premium)
        assert plans.shop_app.credits(alice) == pytest.approx(PREMIUM, abs=0.1)
    assert sum(invoice.paid_minor for invoice in plans.invoices(alice)) == 2900
    plans.sync(row)
    assert plans.shop_app.credits(alice) == pytest.approx(PREMIUM, abs=0.1)


def test_a_downgrade_of_a_year_in_the_portal_grants_its_own_months(plans: PlanShop) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    basic = plans.subscribe(bob, "basic", "year").price_id
    row = plans.subscribe(alice, "premium", "year")
    plans.shop_app.spend(alice, PREMIUM - 100)
    plans.switch_in_portal(row, basic)
    balance = plans.shop_app.balance(alice)
    # 700 of the current month are reversed: the 100 that are left, and 600 are owed.
    assert plans.shop_app.credits(alice) == 0
    assert balance.owed_micro == pytest.approx(600 * MICRO, abs=9e4)
    plans.pass_months(row, 11)
    assert plans.granted(alice) == [PREMIUM, *[BASIC] * 11]


def test_unused_time_is_reversed_of_the_newest_invoice_of_its_month(plans: PlanShop) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    row = plans.subscribe(alice, "basic")
    plans.pass_months(row, 1)
    half = (row.period_end - row.period_start) / 2
    plans.advance_to(row.period_end + half)
    assert plans.choose(alice, "premium").outcome == "upgraded"
    plans.subscribe(bob, "premium")
    with plans.app.app_context():
        basic = plan_prices.ensure_price(plans.catalog.plans[1], "month").id
    plans.switch_in_portal(row, basic)
    first, second, upgrade = plans.months(alice)
    assert (first.prorated_micro, second.prorated_micro) == (0, 0)
    assert upgrade.prorated_micro == upgrade.credits_micro > 340 * MICRO
    assert [month.prorated_micro for month in plans.months(bob)] == [0]
    assert net_granted(plans, alice) == 2 * BASIC
