"""Quotes of upgrades: what a confirmed page showed is charged and granted, to the microcredit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from creditapp.accounts import User
from creditapp.db import transaction
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import plans as plan_actions
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.payments.subscriptions.models import Subscription
from creditapp.payments.subscriptions.upgrades import (
    QUOTE_VALID,
    PaymentDeclined,
    QuoteChanged,
    UpgradeQuote,
)
from tests.payments.plan_shop import MICRO, PlanShop

pytestmark = pytest.mark.in_turn

ORDER = PlanOrder("premium")


def quote(plans: PlanShop, buyer: User, order: PlanOrder = ORDER) -> UpgradeQuote:
    """Open the page of an upgrade."""
    with plans.app.app_context():
        preview = plan_actions.preview_upgrade(order, buyer)
    assert preview is not None
    return preview.quote


def confirm(
    plans: PlanShop, buyer: User, confirmed: UpgradeQuote, order: PlanOrder = ORDER, key: str = "k"
) -> str:
    """Confirm it, which may be a while later."""
    with plans.app.app_context():
        order = replace(order, confirmed=confirmed)
        return plan_actions.choose_plan(order, buyer, key=f"{buyer.id}:{key}").outcome


def wait(plans: PlanShop, **by: int) -> None:
    plans.advance_to(plans.shop_app.clock.now() + timedelta(**by))


def subscribe_and_use(
    plans: PlanShop, cycle: str = "month", **used: int
) -> tuple[User, Subscription]:
    """Subscribe to Basic and let time pass."""
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", cycle)
    wait(plans, **used)
    return alice, row


def newest(plans: PlanShop, buyer: User) -> tuple[int, int]:
    """Return what the newest invoice charged and granted at once."""
    invoice = plans.invoices(buyer)[-1]
    granted = round(plans.granted(buyer)[-1] * MICRO)
    return invoice.paid_minor, granted


@pytest.mark.parametrize(
    ("used", "minutes"),
    [({"seconds": 3}, 1), ({"hours": 7}, 17), ({"days": 13, "seconds": 11}, 59)],
)
def test_a_confirmed_upgrade_gives_what_its_page_showed(
    plans: PlanShop, used: dict[str, int], minutes: int
) -> None:
    alice, _ = subscribe_and_use(plans, **used)
    shown = quote(plans, alice)
    wait(plans, minutes=minutes)
    assert confirm(plans, alice, shown) == "upgraded"
    assert newest(plans, alice) == (shown.charged_minor, shown.credits_micro)


def test_an_upgrade_just_after_subscribing_gives_the_whole_difference(plans: PlanShop) -> None:
    alice, _ = subscribe_and_use(plans, seconds=5)
    shown = quote(plans, alice)
    assert shown.credits_micro == 700 * MICRO
    wait(plans, minutes=3)
    confirm(plans, alice, shown)
    assert plans.granted(alice) == [500, 700]


@pytest.mark.parametrize(("plan", "adds"), [("basic", 0), ("premium", 700)])
def test_a_year_just_after_subscribing_adds_no_hundredth(
    plans: PlanShop, plan: str, adds: int
) -> None:
    alice, _ = subscribe_and_use(plans, seconds=5)
    order = PlanOrder(plan, "year")
    shown = quote(plans, alice, order)
    wait(plans, minutes=3)
    assert confirm(plans, alice, shown, order) == "upgraded"
    assert shown.credits_micro == adds * MICRO
    assert sum(plans.granted(alice)) == 500 + adds
    assert plans.invoices(alice)[-1].paid_minor == shown.charged_minor


def test_a_years_upgrade_gives_what_its_page_showed(plans: PlanShop) -> None:
    alice, row = subscribe_and_use(plans, "year", days=40)
    plans.sweep()
    order = PlanOrder("premium", "year")
    shown = quote(plans, alice, order)
    wait(plans, minutes=30)
    confirm(plans, alice, shown, order)
    assert newest(plans, alice) == (shown.charged_minor, shown.credits_micro)
    plans.pass_months(row, 11)
    assert plans.granted(alice)[3:] == [1200] * 10


@pytest.mark.parametrize("late", [QUOTE_VALID + timedelta(seconds=1), timedelta(seconds=-5)])
def test_a_quote_of_another_time_is_refused(plans: PlanShop, late: timedelta) -> None:
    alice, _ = subscribe_and_use(plans, days=3)
    shown = quote(plans, alice)
    with pytest.raises(QuoteChanged):
        confirm(plans, alice, replace(shown, prorate_at=plans.shop_app.clock.now() - late))
    assert plans.granted(alice) == [500]
    assert confirm(plans, alice, quote(plans, alice)) == "upgraded"


@pytest.mark.parametrize("change", [{"charged_minor": -1}, {"credits_micro": 1}])
def test_an_upgrade_that_cannot_keep_its_quote_charges_nothing(
    plans: PlanShop, change: dict[str, int]
) -> None:
    alice, _ = subscribe_and_use(plans, days=3)
    shown = quote(plans, alice)
    better = replace(
        shown,
        charged_minor=shown.charged_minor + change.get("charged_minor", 0),
        credits_micro=shown.credits_micro + change.get("credits_micro", 0),
    )
    with pytest.raises(QuoteChanged, match="Nothing was charged"):
        confirm(plans, alice, better)
    assert len(plans.invoices(alice)) == 1
    row = plans.current(alice)
    assert row is not None
    assert (row.upgrade_price_id, row.upgrade_key) == (None, None)


def test_a_quote_over_a_renewal_is_refused(plans: PlanShop) -> None:
    alice, row = subscribe_and_use(plans, days=3)
    plans.advance_to(row.period_end - timedelta(minutes=10))
    shown = quote(plans, alice)
    wait(plans, minutes=20)
    plans.sweep()
    with pytest.raises(QuoteChanged):
        confirm(plans, alice, shown)
    assert plans.granted(alice) == [500, 500]


def test_a_confirmed_page_can_be_sent_again_with_another_card(plans: PlanShop) -> None:
    """Stripe repeats a declined answer for the same idempotency key."""
    alice = plans.shop_app.member()
    plans.subscribe(alice, card="declined-later")
    wait(plans, days=3)
    shown = quote(plans, alice)
    with pytest.raises(PaymentDeclined):
        confirm(plans, alice, shown)
    with plans.app.app_context():
        portal = plan_actions.portal_url(alice, "card").rsplit("/", 1)[1]
    plans.shop_app.press(f"/portal/{portal}/card", card="succeeds")
    assert confirm(plans, alice, shown) == "upgraded"
    assert newest(plans, alice) == (shown.charged_minor, shown.credits_micro)


@pytest.mark.parametrize("is_made", [True, False])
def test_a_retry_gives_what_the_first_attempt_confirmed(plans: PlanShop, is_made: bool) -> None:
    alice, _ = subscribe_and_use(plans, days=3)
    shown = quote(plans, alice)

    def lose(name: str) -> None:
        if name == "change_subscription":
            raise GatewayError("Stripe: no answer", permanent=False)

    if is_made:
        plans.shop_app.flaky_gateway.after = lose
    else:
        plans.shop_app.flaky_gateway.before = lose
    if not is_made:
        with pytest.raises(GatewayError):
            confirm(plans, alice, shown)
    else:
        assert confirm(plans, alice, shown) == "upgraded"
    plans.shop_app.flaky_gateway.after = plans.shop_app.flaky_gateway.before = lambda name: None
    wait(plans, minutes=5)
    if not is_made:
        assert quote(plans, alice) == shown
    assert confirm(plans, alice, shown) == "upgraded"
    assert newest(plans, alice) == (shown.charged_minor, shown.credits_micro)
    assert len(plans.invoices(alice)) == 2


def test_a_balance_that_is_owed_is_in_the_price(plans: PlanShop) -> None:
    """An amount below the least charge is owed to the next invoice."""
    alice, row = subscribe_and_use(plans, days=3)
    before = quote(plans, alice)
    plans.change_at_stripe("customer", row.customer_id, balance=40)
    shown = quote(plans, alice)
    assert shown.charged_minor == before.charged_minor + 40
    confirm(plans, alice, shown)
    assert newest(plans, alice) == (shown.charged_minor, shown.credits_micro)


def test_the_kept_credits_are_granted_even_if_they_would_be_counted_otherwise(
    plans: PlanShop,
) -> None:
    alice, row = subscribe_and_use(plans, days=3)
    shown = quote(plans, alice)
    kept_micro = shown.credits_micro + 10 * MICRO

    def keep_more(name: str) -> None:
        if name == "change_subscription":
            more = update(Subscription).where(Subscription.id == row.id)
            with transaction() as session:
                session.execute(more.values(upgrade_credits_micro=kept_micro))

    plans.shop_app.flaky_gateway.before = keep_more
    with capture_logs() as logs:
        confirm(plans, alice, shown)
    assert newest(plans, alice) == (shown.charged_minor, kept_micro)
    (error,) = (log for log in logs if log["event"] == "upgrade was quoted otherwise")
    assert (error["log_level"], error["quoted_micro"]) == ("error", kept_micro)
    assert plans.sync(row).upgrade_credits_micro is None
