"""Subscription lifecycle by the sandbox's clock: start, renewal, decline, cancellation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from creditapp.stripe_sandbox import periods
from tests.stripe_sandbox.sandbox_kit import Sandbox

DAY = 86_400


def period(subscription: stripe.Subscription) -> tuple[int, int]:
    item = subscription["items"].data[0]
    return item.current_period_start, item.current_period_end


def again(sandbox: Sandbox, subscription: stripe.Subscription) -> stripe.Subscription:
    return sandbox.stripe.v1.subscriptions.retrieve(subscription.id)


def wait_for_period(sandbox: Sandbox, subscription: stripe.Subscription) -> stripe.Subscription:
    """Advance the clock past the current period."""
    sandbox.wait(until=period(again(sandbox, subscription))[1])
    return again(sandbox, subscription)


def test_a_paid_checkout_creates_a_subscription_with_its_first_invoice(sandbox: Sandbox) -> None:
    price = sandbox.price(1500)
    session = sandbox.open_subscription(price)
    assert (session.amount_total, session.payment_method_types) == (1500, ["card"])

    sandbox.pay(session.id)

    done: Any = sandbox.stripe.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["subscription.latest_invoice.payments", "invoice", "customer"]}
    )
    assert (done.status, done.payment_status, done.payment_intent) == ("complete", "paid", None)
    assert done.metadata.to_dict() == {"of": "the session"}
    subscription, invoice = done.subscription, done.invoice
    assert subscription.status == "active"
    assert subscription.metadata["plan"] == "pro"
    start, end = period(subscription)
    assert (start, end) == (subscription.created, periods.add_months(start, 1))
    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_create")
    assert (invoice.amount_due, invoice.amount_paid, invoice.amount_remaining) == (1500, 1500, 0)
    details = invoice.parent.subscription_details
    assert details.subscription == subscription.id
    assert details.metadata["plan"] == "pro"
    (line,) = invoice.lines.data
    assert (line.amount, line.pricing.price_details.price) == (1500, price)
    assert line.parent.subscription_item_details.proration is False
    assert (line.period.start, line.period.end) == (start, end)
    (payment,) = subscription.latest_invoice.payments.data
    assert (payment.status, payment.amount_paid) == ("paid", 1500)
    (method,) = sandbox.stripe.v1.customers.payment_methods.list(done.customer.id).data
    assert subscription.default_payment_method == method.id
    assert done.customer.email == "alice@x.test"
    assert sandbox.event_types() == [
        "payment_intent.created",
        "customer.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "payment_method.attached",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ]


def test_a_refund_is_traced_to_its_invoice(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price())
    (invoice,) = sandbox.invoices(subscription.id)
    listed = sandbox.stripe.v1.invoice_payments.list({"invoice": invoice.id}).data
    intent = str(listed[0].payment.payment_intent)
    refund = sandbox.stripe.v1.refunds.create({"payment_intent": intent, "amount": 500})
    found: Any = sandbox.stripe.v1.invoice_payments.list(
        {
            "payment": {"type": "payment_intent", "payment_intent": str(refund.payment_intent)},
            "status": "paid",
            "expand": ["data.invoice", "data.payment.payment_intent.latest_charge"],
        }
    ).data
    assert [each.invoice.id for each in found] == [invoice.id]
    assert found[0].payment.payment_intent.latest_charge.amount_refunded == 500


@pytest.mark.parametrize(("card", "first"), [("declined", "declined"), ("further-step", "step")])
def test_a_card_that_does_not_pay_starts_no_subscription(
    sandbox: Sandbox, card: str, first: str
) -> None:
    session = sandbox.open_subscription(sandbox.price())
    sandbox.pay(session.id, card)
    assert sandbox.stripe.v1.subscriptions.list().data == []
    if first == "step":
        sandbox.press(f"/pay/{session.id}/step", answer="complete")
    else:
        assert "Your card was declined." in sandbox.get(f"/pay/{session.id}").text
        sandbox.pay(session.id)
    (begun,) = sandbox.stripe.v1.subscriptions.list().data
    assert begun.status == "active"
    (charge, *_) = sandbox.stripe.v1.charges.list().data
    assert (charge.status, charge.customer) == ("succeeded", begun.customer)


def test_a_monthly_plan_renews_twelve_times_a_year_on_time(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(1500))
    start = subscription.created

    sandbox.wait(days=366)

    bills = sandbox.invoices(subscription.id)
    assert [bill.created for bill in bills] == [periods.add_months(start, n) for n in range(13)]
    assert [bill.billing_reason for bill in bills[1:]] == ["subscription_cycle"] * 12
    assert {bill.status for bill in bills} == {"paid"}
    for number, bill in enumerate(bills):
        line = bill.lines.data[0]
        bounds = periods.add_months(start, number), periods.add_months(start, number + 1)
        assert (line.period.start, line.period.end) == bounds
    assert period(again(sandbox, subscription))[0] == bills[-1].created
    paid = sandbox.stripe.v1.events.list({"type": "invoice.paid", "limit": 50}).data
    assert [event.created for event in paid[::-1]] == [bill.created for bill in bills]


def test_a_yearly_plan_renews_once_a_year(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(15000, "year"))
    sandbox.wait(days=367)
    first, second = sandbox.invoices(subscription.id)
    assert second.created == periods.add_months(first.created, 12)
    assert second.lines.data[0].amount == 15000


def test_months_from_the_31st_end_on_the_last_day_of_shorter_months() -> None:
    anchor = int(datetime(2027, 1, 31, 10, 30, tzinfo=UTC).timestamp())
    moment, days = anchor, []
    for _ in range(14):
        moment = periods.period_end_after(moment, anchor, "month", 1)
        days.append(datetime.fromtimestamp(moment, UTC).strftime("%d.%m"))
    assert days[:4] == ["28.02", "31.03", "30.04", "31.05"]
    assert days[-2:] == ["29.02", "31.03"], "and a leap year"
    leap = int(datetime(2028, 2, 29, tzinfo=UTC).timestamp())
    year = periods.period_end_after(leap, leap, "year", 1)
    assert datetime.fromtimestamp(year, UTC).strftime("%d.%m.%Y") == "28.02.2029"
    week = periods.period_end_after(leap, leap, "week", 2)
    assert week == leap + 14 * DAY


def test_a_subscription_from_the_31st_renews_on_the_last_day_of_the_month(sandbox: Sandbox) -> None:
    price = sandbox.price()
    now = datetime.now(UTC)
    january = datetime(now.year + 1, 1, 31, 12, tzinfo=UTC)
    sandbox.wait(until=int(january.timestamp()))
    subscription = sandbox.subscribe(price)
    sandbox.wait(days=95)
    bills = sandbox.invoices(subscription.id)
    days = [datetime.fromtimestamp(each.created, UTC).strftime("%d.%m") for each in bills]
    assert days == ["31.01", days[1], "31.03", "30.04"]
    assert days[1] in ("28.02", "29.02")


def test_a_trial_is_free_and_then_renews_as_a_paid_month(sandbox: Sandbox) -> None:
    session = sandbox.open_subscription(sandbox.price(), subscription_data={"trial_period_days": 7})
    assert session.amount_total == 0
    assert "7 days free, then $15.00 a month" in sandbox.get(f"/pay/{session.id}").text
    sandbox.pay(session.id, "declined")
    assert "Your card was declined." in sandbox.get(f"/pay/{session.id}").text
    sandbox.pay(session.id, "further-step")
    sandbox.press(f"/pay/{session.id}/step", answer="complete")
    done = sandbox.stripe.v1.checkout.sessions.retrieve(session.id)
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    (subscription,) = sandbox.stripe.v1.subscriptions.list({"status": "trialing"}).data
    assert subscription.trial_end == subscription.created + 7 * DAY
    (first,) = sandbox.invoices(subscription.id)
    assert (first.status, first.total) == ("paid", 0)
    assert sandbox.stripe.v1.charges.list().data == []

    sandbox.wait(days=4.5)
    assert sandbox.event_types()[-1] == "customer.subscription.trial_will_end"
    sandbox.wait(days=3)

    now = again(sandbox, subscription)
    assert (now.status, now.billing_cycle_anchor) == ("active", subscription.trial_end)
    assert period(now) == (
        subscription.trial_end,
        periods.add_months(subscription.trial_end or 0, 1),
    )
    second = sandbox.invoices(subscription.id)[1]
    assert (second.billing_reason, second.amount_paid) == ("subscription_cycle", 1500)
    assert sandbox.event_types().count("customer.subscription.trial_will_end") == 1


def test_a_trial_without_a_card_fails_at_its_first_payment(sandbox: Sandbox) -> None:
    session = sandbox.open_subscription(
        sandbox.price(),
        subscription_data={"trial_period_days": 2},
        payment_method_collection="if_required",
    )
    assert 'name="card"' not in sandbox.get(f"/pay/{session.id}").text
    sandbox.press(f"/pay/{session.id}", email="alice@x.test")
    (subscription,) = sandbox.stripe.v1.subscriptions.list().data
    assert subscription.default_payment_method is None
    sandbox.wait(days=3)
    assert again(sandbox, subscription).status == "past_due"


def test_a_declined_renewal_is_retried_three_times_and_then_ends(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(), "declined-later")
    start, end = period(subscription)
    assert subscription.status == "active"

    late = wait_for_period(sandbox, subscription)

    assert late.status == "past_due"
    bill = sandbox.invoices(subscription.id)[-1]
    assert (bill.status, bill.attempt_count) == ("open", 1)
    assert bill.next_payment_attempt == end + 3 * DAY
    assert sandbox.event_types()[-2:] == ["invoice.payment_failed", "customer.subscription.updated"]
    changed: Any = sandbox.stripe.v1.events.list({"limit": 1}).data[0].data
    assert changed.previous_attributes.to_dict() == {"status": "active"}
    attempts = []
    for days in (3, 5, 7):
        sandbox.wait(days=days)
        bill = sandbox.invoices(subscription.id)[-1]
        attempts.append((bill.attempt_count, bill.next_payment_attempt))
    assert attempts == [(2, end + 8 * DAY), (3, end + 15 * DAY), (4, None)]

    over = again(sandbox, subscription)
    assert (over.status, over.ended_at) == ("canceled", end + 15 * DAY)
    assert over.cancellation_details
    assert over.cancellation_details.reason == "payment_failed"
    assert bill.status == "uncollectible"
    assert sandbox.event_types()[-1] == "customer.subscription.deleted"
    assert sandbox.stripe.v1.subscriptions.list().data == []
    assert len(sandbox.stripe.v1.subscriptions.list({"status": "ended"}).data) == 1
    sandbox.wait(days=100)
    assert len(sandbox.invoices(subscription.id)) == 2
    assert start < end


def test_a_new_card_pays_at_the_next_retry(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(), "declined-later")
    other = sandbox.subscribe(sandbox.price(), customer=str(subscription.customer))
    wait_for_period(sandbox, subscription)
    assert again(sandbox, subscription).status == "past_due"

    sandbox.stripe.v1.subscriptions.update(
        subscription.id, {"default_payment_method": str(other.default_payment_method)}
    )
    sandbox.wait(days=3)

    assert again(sandbox, subscription).status == "active"
    bill = sandbox.invoices(subscription.id)[-1]
    assert (bill.status, bill.attempt_count, bill.next_payment_attempt) == ("paid", 2, None)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.stripe.v1.subscriptions.update(
            subscription.id, {"default_payment_method": "pm_nobody"}
        )
    assert refused.value.param == "default_payment_method"


def test_a_cancellation_takes_effect_at_period_end_and_can_be_undone(sandbox: Sandbox) -> None:
    subscriptions = sandbox.stripe.v1.subscriptions
    subscription = sandbox.subscribe(sandbox.price())
    end = period(subscription)[1]

    going = subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (going.status, going.cancel_at) == ("active", end)
    staying = subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (staying.cancel_at, staying.canceled_at) == (None, None)
    wait_for_period(sandbox, subscription)
    assert again(sandbox, subscription).status == "active"

    subscriptions.update(
        subscription.id,
        {"cancel_at_period_end": True, "cancellation_details": {"feedback": "unused"}},
    )
    over = wait_for_period(sandbox, subscription)

    assert (over.status, over.ended_at) == ("canceled", period(over)[1])
    assert over.cancellation_details
    assert over.cancellation_details.feedback == "unused"
    assert over.cancellation_details.reason == "cancellation_requested"
    assert len(sandbox.invoices(subscription.id)) == 2
    assert sandbox.event_types()[-1] == "customer.subscription.deleted"
    with pytest.raises(stripe.InvalidRequestError, match="canceled subscription can only"):
        subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    subscriptions.update(subscription.id, {"metadata": {"why": "unused"}})


def test_an_immediate_cancellation_ends_the_subscription(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(), "declined-later")
    wait_for_period(sandbox, subscription)
    gone = sandbox.stripe.v1.subscriptions.cancel(subscription.id)
    assert (gone.status, gone.ended_at is not None) == ("canceled", True)
    sandbox.wait(days=60)
    bill = sandbox.invoices(subscription.id)[-1]
    assert (bill.status, bill.attempt_count, bill.auto_advance) == ("open", 1, False)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.stripe.v1.subscriptions.cancel(subscription.id)
    assert refused.value.http_status == 404


def test_lists_are_filtered(sandbox: Sandbox) -> None:
    v1 = sandbox.stripe.v1
    price = sandbox.price(1500, lookup_key="pro-month")
    sandbox.price(2500, lookup_key="studio-month")
    alice = v1.customers.create({"email": "alice@x.test"})
    hers = sandbox.subscribe(price, customer=alice.id)
    other = sandbox.subscribe(price, customer_email="bob@x.test")
    keys = v1.prices.list({"lookup_keys": ["pro-month", "nobody"]}).data
    assert [each.id for each in keys] == [price]
    assert [each.id for each in v1.subscriptions.list({"customer": alice.id}).data] == [hers.id]
    page = v1.subscriptions.list({"limit": 1, "created": {"gte": hers.created}})
    assert (page.data[0].id, page.has_more) == (other.id, True)
    bills = v1.invoices.list({"customer": alice.id, "status": "paid"}).data
    assert [each.id for each in bills] == [hers.latest_invoice]
    assert v1.invoices.list({"subscription": other.id, "status": "open"}).data == []
    lines = v1.invoices.line_items.list(bills[0].id).data
    assert [each.amount for each in lines] == [1500]
    session = v1.checkout.sessions.list({"subscription": hers.id}).data[0]
    assert session.customer == alice.id


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"line_items": "once"}, "at least one recurring price"),
        ({"payment_intent_data": {"description": "x"}}, "payment_intent_data"),
        ({"customer_creation": "always"}, "customer_creation"),
        ({"subscription_data": {"trial_period_days": 0}}, "greater than or equal to 1"),
        ({"line_items": "mixed"}, "different billing intervals"),
        ({"mode": "payment"}, "subscription_data"),
    ],
)
def test_invalid_subscription_parameters_are_refused(
    sandbox: Sandbox, change: dict[str, Any], words: str
) -> None:
    price = sandbox.price()
    lists: dict[str, Any] = {
        "once": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": "usd",
                    "unit_amount": 1499,
                    "product_data": {"name": "Creator"},
                },
            }
        ],
        "mixed": [{"price": each, "quantity": 1} for each in (price, sandbox.price(9, "year"))],
    }
    if "line_items" in change:
        change = {"line_items": lists[change["line_items"]]}
    with pytest.raises(stripe.InvalidRequestError, match=words):
        sandbox.open_subscription(price, **change)
