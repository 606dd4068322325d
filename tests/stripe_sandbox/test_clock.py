"""Admin actions of the overview: clock, subscriptions, and refunds of invoice payments."""

from __future__ import annotations

import pytest

from creditapp.stripe_sandbox import periods
from creditapp.stripe_sandbox.state import State
from tests.stripe_sandbox.sandbox_kit import Sandbox


def now(sandbox: Sandbox) -> int:
    with State.of(sandbox.app).transaction() as store:
        return store.now


@pytest.mark.parametrize(("by", "renewals"), [("day", 0), ("month", 1), ("year", 12)])
def test_advancing_the_clock_renews_plans(sandbox: Sandbox, by: str, renewals: int) -> None:
    subscription = sandbox.subscribe(sandbox.price())
    before = now(sandbox)
    answer = sandbox.press("/clock", by=by)
    assert "said=clock-moved" in answer.location
    moved = {"day": before + periods.DAY_SECONDS}.get(
        by, periods.add_months(before, 12 if by == "year" else 1)
    )
    assert 0 <= now(sandbox) - moved <= 60
    assert len(sandbox.invoices(subscription.id)) == 1 + renewals
    assert "ahead of the real time" in sandbox.get("/").text


def test_the_clock_refuses_other_values(sandbox: Sandbox) -> None:
    before = now(sandbox)
    assert "said=refused" in sandbox.press("/clock", by="century").location
    assert sandbox.app.test_client().post("/clock", data={"by": "day"}).status_code == 403
    assert now(sandbox) - before < 60


def test_the_admin_actions_renew_decline_and_end_a_subscription(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price())
    page = sandbox.get("/").text
    for words in ("Plan of 1500, $15.00 a month", "Active", "card ending in 4242", "Renew now"):
        assert words in page
    path = f"/subscriptions/{subscription.id}"

    sandbox.press(f"{path}/renew")
    assert [bill.status for bill in sandbox.invoices(subscription.id)] == ["paid", "paid"]

    sandbox.press(f"{path}/decline")
    assert "The next renewal will be declined." in sandbox.get("/").text
    sandbox.press(f"{path}/renew")
    assert sandbox.stripe.v1.subscriptions.retrieve(subscription.id).status == "past_due"
    assert "Not paid" in sandbox.get("/").text
    sandbox.wait(days=3)
    assert sandbox.stripe.v1.subscriptions.retrieve(subscription.id).status == "active"

    sandbox.press(f"{path}/cancel")
    assert sandbox.stripe.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    for action in ("cancel", "renew", "decline"):
        assert "said=refused" in sandbox.press(f"{path}/{action}").location


def test_an_invoice_is_refunded_and_disputed_like_a_checkout(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price())
    sandbox.press("/clock", by="month")
    renewal = sandbox.invoices(subscription.id)[-1]
    payments = sandbox.stripe.v1.invoice_payments.list({"invoice": renewal.id}).data
    intent = str(payments[0].payment.payment_intent)
    assert f"/payments/{intent}/refund" in sandbox.get("/").text
    sandbox.press(f"/payments/{intent}/refund", amount="5")
    assert "Refunded in part" in sandbox.get("/").text
    sandbox.press(f"/payments/{intent}/dispute")
    (dispute,) = sandbox.stripe.v1.disputes.list({"payment_intent": intent}).data
    assert dispute.amount == 1500
