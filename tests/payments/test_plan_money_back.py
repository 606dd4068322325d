"""Money that goes back around a change of plan: what is left is what is still paid for.

An upgrade takes over the months of the year that it replaces, with the money that paid for them.
Whatever is refunded or contested then, before or after it, credits and money must fit together.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from creditapp.accounts import User
from creditapp.db import snapshot
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.refunds import policy as refund_policy
from creditapp.payments.stripe.records import InvoiceState
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions.changes import PlanUnchanged
from creditapp.payments.subscriptions.models import Subscription
from creditapp.payments.subscriptions.proration import add_months
from tests.payments.plan_shop import MICRO, PlanShop
from tests.shop_app import ShopApp

BASIC, PREMIUM = 500, 1200


@pytest.fixture
def plans(shop_app: ShopApp) -> PlanShop:
    """The till, with its clock at the bank's."""
    return PlanShop(shop_app)


def upgraded_in_the_sixth_month(plans: PlanShop) -> tuple[User, Subscription]:
    """Let a Basic year become a Premium one in the middle of its sixth month."""
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    plans.live_through(row, 5)
    plans.pass_to(add_months(row.period_start, 5) + timedelta(days=15))
    assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    return alice, row


def premium_year(plans: PlanShop) -> str:
    """Return the price of a Premium year at the bank."""
    with plans.app.app_context():
        plan = plans.catalog.plan("premium")
        assert plan is not None
        return plan_prices.ensure_price(plan, "year").id


def kept(plans: PlanShop, buyer: User) -> float:
    """Return what was given of plans and not taken back, in credits."""
    granted = [each for each in plans.months(buyer) if each.grant_id is not None]
    revoked = sum(plans.taken_of_granted(each) for each in granted)
    return sum(plans.given(buyer)) - revoked / MICRO


def surplus(plans: PlanShop, buyer: User) -> float:
    """Return what an upgrade of the sixth month gives beyond the Basic year."""
    first = plans.given(buyer)[6]
    return first + 6 * (PREMIUM - BASIC)


# --- refunds after an upgrade ---


def test_a_refund_of_the_year_takes_what_it_paid_for_in_the_upgraded_one(plans: PlanShop) -> None:
    alice, row = upgraded_in_the_sixth_month(plans)
    extra = surplus(plans, alice)
    first = plans.invoices(alice)[0]
    plans.refund(first.payment_intent_id)
    plans.sync(row, invoice_id=first.id)
    plans.live_through(row, 11)
    assert kept(plans, alice) == pytest.approx(extra, abs=0.01)


def test_a_refund_of_the_upgrade_leaves_the_year_that_was_paid(plans: PlanShop) -> None:
    alice, row = upgraded_in_the_sixth_month(plans)
    second = plans.invoices(alice)[1]
    plans.refund(second.payment_intent_id)
    plans.sync(row, invoice_id=second.id)
    plans.live_through(row, 11)
    assert kept(plans, alice) == pytest.approx(12 * BASIC, abs=0.01)


def test_half_of_each_refunded_leaves_half_of_each(plans: PlanShop) -> None:
    alice, row = upgraded_in_the_sixth_month(plans)
    extra = surplus(plans, alice)
    for invoice in plans.invoices(alice):
        plans.refund(invoice.payment_intent_id, f"{invoice.paid_minor / 200:.2f}")
        plans.sync(row, invoice_id=invoice.id)
    plans.live_through(row, 11)
    assert kept(plans, alice) == pytest.approx((12 * BASIC + extra) / 2, rel=0.001)


def test_a_refund_that_fails_after_an_upgrade_gives_no_month_twice(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    first = plans.invoices(alice)[0]
    refund = plans.refund(first.payment_intent_id, "105.00")
    plans.sync(row)
    plans.live_through(row, 1)
    plans.pass_to(add_months(row.period_start, 1) + timedelta(days=10))
    assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    plans.shop_app.press(f"/refunds/{refund}/fail")
    plans.sync(row, invoice_id=first.id)
    plans.live_through(row, 11)
    given = plans.given(alice)
    assert given[:2] == [BASIC] * 2
    assert 400 < given[2] < 700  # for what was left of the second month
    assert given[3:] == [PREMIUM] * 10


def test_a_refund_that_fails_gives_the_part_of_a_month_that_it_took(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    first = plans.invoices(alice)[0]
    refund = plans.refund(first.payment_intent_id, "8.75")  # half a month
    plans.sync(row)
    plans.live_through(row, 11)
    assert plans.given(alice) == [*[BASIC] * 11, BASIC / 2]
    plans.shop_app.press(f"/refunds/{refund}/fail")
    plans.sync(row, invoice_id=first.id)
    plans.sync(row, invoice_id=first.id)
    assert plans.given(alice) == [*[BASIC] * 11, BASIC / 2, BASIC / 2]
    plans.refund(first.payment_intent_id)
    plans.sync(row, invoice_id=first.id)
    assert kept(plans, alice) == 0


def test_the_refund_page_counts_each_payments_own_credits(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, "basic", "year")
    assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    with plans.app.app_context(), snapshot() as session:
        shown = refund_policy.list_refundable(session, alice.id)
    # Nothing is spent: all of both goes back, whichever credits the second invoice now gives.
    assert sorted(each.refundable_minor for each in shown) == [8000, 21000]


# --- upgrades on money that went back before ---


@pytest.mark.parametrize("went", ["refunded", "lost"])
def test_an_upgrade_on_a_year_that_went_back_gives_only_its_surplus(
    plans: PlanShop, went: str
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    payment = plans.invoices(alice)[0].payment_intent_id
    if went == "refunded":
        plans.refund(payment)
    else:
        plans.decide(plans.dispute(payment), "lost")
    plans.sync(row)
    with pytest.raises(PlanUnchanged, match="refunded or disputed"):
        plans.choose(alice, "premium", "year")
    # Stripe's portal asks nobody; there a payment that went back counts against the price.
    plans.switch_in_portal(row, premium_year(plans))
    plans.live_through(row, 11)
    assert kept(plans, alice) == pytest.approx(12 * (PREMIUM - BASIC), abs=0.01)


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_contested_months_wait_in_the_upgraded_year_too(plans: PlanShop, outcome: str) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    dispute = plans.dispute(plans.invoices(alice)[0].payment_intent_id)
    plans.sync(row)
    with pytest.raises(PlanUnchanged, match="refunded or disputed"):
        plans.choose(alice, "premium", "year")
    plans.switch_in_portal(row, premium_year(plans))
    plans.live_through(row, 11)
    # The last months wait, as many credits of them as the contested money is for.
    assert sum(plans.given(alice)) == pytest.approx(BASIC + 12 * (PREMIUM - BASIC), abs=0.01)
    plans.decide(dispute, outcome)
    plans.sync(row, invoice_id=plans.invoices(alice)[0].id)
    whole = 12 * PREMIUM if outcome == "won" else 12 * (PREMIUM - BASIC)
    assert kept(plans, alice) == pytest.approx(whole, abs=0.01)


# --- invoices in another order ---


def test_an_upgrade_while_the_renewal_is_a_draft_gives_one_year(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    plans.live_through(row, 11)
    before = len(plans.given(alice))
    plans.pass_to(row.period_end + timedelta(minutes=5))
    gateway: Any = type(plans.shop_app.gateway)
    whole = gateway.list_invoices

    def without_the_draft(self: Any, subscription_id: str) -> tuple[InvoiceState, ...]:
        found = whole(self, subscription_id)
        return tuple(each for each in found if each.billing_reason != "subscription_cycle")

    with monkeypatch.context() as patched:
        patched.setattr(gateway, "list_invoices", without_the_draft)
        plans.sync(row)
        assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    plans.sync(row)
    year = add_months(row.period_start, 12)
    for number in range(1, 12):
        plans.pass_to(add_months(year, number) + timedelta(hours=1))
        plans.sweep()
    assert sum(plans.given(alice)[before:]) == pytest.approx(12 * PREMIUM, abs=0.2)


def test_an_upgrade_in_the_second_in_which_a_month_begins(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    plans.live_through(row, 4)
    plans.pass_to(add_months(row.period_start, 5))
    assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    plans.live_through(row, 11)
    given = sorted(plans.given(alice))
    assert given[:6] == [BASIC] * 6
    assert given[6] == pytest.approx(PREMIUM - BASIC, abs=0.01)
    assert given[7:] == [PREMIUM] * 6


def test_down_and_up_again_in_the_portal_gives_nothing_for_nothing(plans: PlanShop) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    basic = plans.subscribe(bob, "basic").price_id
    row = plans.subscribe(alice, "premium")
    premium = row.price_id
    for _ in range(3):
        plans.switch_in_portal(row, basic)
        assert plans.shop_app.credits(alice) == pytest.approx(BASIC, abs=0.1)
        plans.switch_in_portal(row, premium)
        assert plans.shop_app.credits(alice) == pytest.approx(PREMIUM, abs=0.1)
    assert sum(each.paid_minor for each in plans.invoices(alice)) == 2900
    plans.sync(row)
    assert plans.shop_app.credits(alice) == pytest.approx(PREMIUM, abs=0.1)


def test_a_smaller_year_in_the_portal_gives_its_own_months(plans: PlanShop) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    basic = plans.subscribe(bob, "basic", "year").price_id
    row = plans.subscribe(alice, "premium", "year")
    plans.shop_app.spend(alice, PREMIUM - 100)
    plans.switch_in_portal(row, basic)
    balance = plans.shop_app.balance(alice)
    # Of the month under way 700 go back: the hundred that are left, and what was spent is owed.
    assert plans.shop_app.credits(alice) == 0
    assert balance.owed_micro == pytest.approx(600 * MICRO, abs=9e4)
    plans.live_through(row, 11)
    assert plans.given(alice) == [PREMIUM, *[BASIC] * 11]


# --- months that were kept back ---


def test_months_that_a_won_dispute_kept_back_can_be_spent(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    dispute = plans.dispute(plans.invoices(alice)[0].payment_intent_id)
    plans.sync(row)
    plans.live_through(row, 4)
    plans.decide(dispute, "won")
    plans.sync(row)
    assert plans.given(alice) == [BASIC] * 5
    # The first month has its frozen time back; no other one is shorter than a month.
    assert plans.shop_app.credits(alice) == 5 * BASIC


def test_a_dispute_that_ends_after_the_plan_is_heard_of(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    dispute = plans.dispute(plans.invoices(alice)[0].payment_intent_id)
    plans.choose(alice, "free")
    plans.pass_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.standing(alice).free
    plans.decide(dispute, "won")
    plans.pass_to(plans.shop_app.clock.now() + timedelta(days=2))
    plans.sweep()
    assert plans.shop_app.balance(alice).frozen_micro == 0


def test_a_month_paid_late_lasts_a_month(plans: PlanShop, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    gateway: Any = type(plans.shop_app.gateway)
    whole = gateway.list_invoices

    def unpaid(self: Any, subscription_id: str) -> tuple[InvoiceState, ...]:
        first, *others = whole(self, subscription_id)
        return (first, *(replace(each, status="open", paid_minor=0) for each in others))

    with monkeypatch.context() as patched:
        patched.setattr(gateway, "list_invoices", unpaid)
        plans.pass_to(row.period_end + timedelta(hours=1))
        plans.sweep()
        plans.pass_to(add_months(row.period_end, 2) - timedelta(hours=1))
    with plans.app.app_context():
        reconciliation.reconcile(plans.shop_app.clock.now() - timedelta(days=70))
    assert plans.shop_app.credits(alice) >= BASIC
    plans.pass_to(plans.shop_app.clock.now() + timedelta(days=20))
    assert plans.shop_app.credits(alice) >= BASIC
