"""Price changes within a period: credits, charges and their time."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from creditapp.stripe_sandbox import periods
from tests.stripe_sandbox.sandbox_kit import Sandbox


def change(sandbox: Sandbox, subscription: stripe.Subscription, price: str, **more: Any) -> Any:
    """Change the price of a subscription in the middle of its period."""
    item = subscription["items"].data[0]
    middle = (item.current_period_start + item.current_period_end) // 2
    sandbox.wait(until=middle)
    given: Any = {
        "items": [{"id": item.id, "price": price}],
        "proration_behavior": "always_invoice",
        "proration_date": middle,
        "payment_behavior": "error_if_incomplete",
        **more,
    }
    return sandbox.stripe.v1.subscriptions.update(subscription.id, given)


def amounts(invoice: stripe.Invoice) -> list[int]:
    return [line.amount for line in invoice.lines.data]


def balance(sandbox: Sandbox, subscription: stripe.Subscription) -> int:
    customer = sandbox.stripe.v1.customers.retrieve(str(subscription.customer))
    return customer.balance or 0


def test_an_upgrade_within_a_period_is_prorated_by_the_second(sandbox: Sandbox) -> None:
    small, large = sandbox.price(1500), sandbox.price(4500)
    subscription = sandbox.subscribe(small)
    item = subscription["items"].data[0]

    changed = change(sandbox, subscription, large)

    assert changed["items"].data[0].id == item.id
    assert changed["items"].data[0].price.id == large
    assert changed["items"].data[0].current_period_end == item.current_period_end
    bill = sandbox.invoices(subscription.id)[-1]
    assert changed.latest_invoice == bill.id
    assert (bill.billing_reason, bill.status) == ("subscription_update", "paid")
    assert amounts(bill) == [-750, 2250]
    assert (bill.total, bill.amount_paid) == (1500, 1500)
    lines: Any = bill.lines.data
    assert [each.pricing.price_details.price for each in lines] == [small, large]
    assert all(each.parent.subscription_item_details.proration for each in lines)
    middle = (item.current_period_start + item.current_period_end) // 2
    for line in lines:
        assert (line.period.start, line.period.end) == (middle, item.current_period_end)
    parent: Any = bill.parent
    assert parent.subscription_details.subscription_proration_date == middle
    (told,) = [
        event.data
        for event in sandbox.stripe.v1.events.list({"type": "customer.subscription.updated"}).data
        if "items" in (event.data.previous_attributes or {})
    ]
    previous: Any = told.previous_attributes
    assert previous["items"]["data"][0]["price"]["id"] == small

    sandbox.wait(until=item.current_period_end)
    assert amounts(sandbox.invoices(subscription.id)[-1]) == [4500]


def test_a_change_from_month_to_year_starts_a_new_period(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(1500))

    changed = change(sandbox, subscription, sandbox.price(15000, "year"))

    item = changed["items"].data[0]
    bill = sandbox.invoices(subscription.id)[-1]
    assert changed.billing_cycle_anchor == item.current_period_start == bill.created
    assert item.current_period_end == periods.add_months(bill.created, 12)
    assert amounts(bill) == [-750, 15000]
    lines: Any = bill.lines.data
    assert [each.parent.subscription_item_details.proration for each in lines] == [True, False]
    assert lines[1].period.end == item.current_period_end
    assert bill.amount_paid == 14250
    sandbox.wait(until=item.current_period_end)
    assert amounts(sandbox.invoices(subscription.id)[-1]) == [15000]


def test_an_upgrade_that_the_card_declines_changes_nothing(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(1500), "declined-later")
    before = len(sandbox.event_types())

    with pytest.raises(stripe.CardError) as refused:
        change(sandbox, subscription, sandbox.price(4500))

    assert (refused.value.http_status, refused.value.code) == (402, "card_declined")
    now = sandbox.stripe.v1.subscriptions.retrieve(subscription.id)
    assert now.to_dict() == subscription.to_dict()
    assert len(sandbox.invoices(subscription.id)) == 1
    assert len(sandbox.event_types()) == before


def test_an_upgrade_may_stay_unpaid(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(1500), "declined-later")
    large = sandbox.price(4500)
    changed = change(sandbox, subscription, large, payment_behavior="allow_incomplete")
    assert (changed.status, changed["items"].data[0].price.id) == ("past_due", large)
    assert sandbox.invoices(subscription.id)[-1].status == "open"


def test_a_price_change_without_proration_applies_from_the_next_period(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(4500))
    small = sandbox.price(1500)
    more: dict[str, Any] = {"proration_behavior": "none"}
    changed = change(sandbox, subscription, small, **more)
    item = changed["items"].data[0]
    assert item.price.id == small
    assert len(sandbox.invoices(subscription.id)) == 1
    # Upgrading again credits the amount paid, which was the larger price throughout.
    change(sandbox, subscription, sandbox.price(9000))
    assert amounts(sandbox.invoices(subscription.id)[-1]) == [-2250, 4500]
    change(sandbox, subscription, small, **more)
    sandbox.wait(until=item.current_period_end)
    assert amounts(sandbox.invoices(subscription.id)[-1]) == [1500]


def test_the_credit_of_a_downgrade_pays_later_invoices(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(9000))

    changed = change(sandbox, subscription, sandbox.price(1500))

    bill = sandbox.invoices(subscription.id)[-1]
    assert (bill.total, bill.amount_due, bill.status) == (-3750, 0, "paid")
    assert (bill.starting_balance, bill.ending_balance) == (0, -3750)
    assert balance(sandbox, subscription) == -3750
    sandbox.wait(until=changed["items"].data[0].current_period_end)
    bill = sandbox.invoices(subscription.id)[-1]
    assert (bill.total, bill.amount_due, bill.status) == (1500, 0, "paid")
    assert (bill.starting_balance, bill.ending_balance) == (-3750, -2250)
    sandbox.wait(days=62)
    bill = sandbox.invoices(subscription.id)[-1]
    assert (bill.starting_balance, bill.amount_due, bill.amount_paid) == (-750, 750, 750)
    assert balance(sandbox, subscription) == 0


def test_prorations_may_wait_for_the_next_invoice(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(1500))
    changed = change(
        sandbox, subscription, sandbox.price(4500), proration_behavior="create_prorations"
    )
    assert len(sandbox.invoices(subscription.id)) == 1
    sandbox.wait(until=changed["items"].data[0].current_period_end)
    assert amounts(sandbox.invoices(subscription.id)[-1]) == [-750, 2250, 4500]


def test_a_quantity_change_is_prorated(sandbox: Sandbox) -> None:
    price = sandbox.price(1000)
    subscription = sandbox.subscribe(price)
    item = subscription["items"].data[0].id
    changed = change(sandbox, subscription, price, items=[{"id": item, "quantity": 3}])
    assert changed["items"].data[0].quantity == 3
    assert amounts(sandbox.invoices(subscription.id)[-1]) == [-500, 1500]


def test_a_price_change_in_a_trial_costs_nothing(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(
        sandbox.price(1500), subscription_data={"trial_period_days": 10}
    )
    changed = change(sandbox, subscription, sandbox.price(15000, "year"))
    assert (changed.status, changed.trial_end) == ("trialing", subscription.trial_end)
    assert len(sandbox.invoices(subscription.id)) == 1
    sandbox.wait(days=10)
    assert amounts(sandbox.invoices(subscription.id)[-1]) == [15000]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"items": [{"price": "price_no"}]}, "items[0][id]"),
        ({"items": [{"id": "si_nobody", "price": "price_no"}]}, "items[0][id]"),
        ({"price": "price_no"}, "items[0][price]"),
        ({"price": "once"}, "items[0][price]"),
        ({"proration_date": 1}, "proration_date"),
    ],
)
def test_an_invalid_change_is_refused(sandbox: Sandbox, given: dict[str, Any], param: str) -> None:
    subscription = sandbox.subscribe(sandbox.price(1500))
    once = sandbox.stripe.v1.prices.create(
        {"currency": "usd", "unit_amount": 900, "product_data": {"name": "Once"}}
    )
    price = given.pop("price", sandbox.price(4500))
    with pytest.raises(stripe.InvalidRequestError) as refused:
        change(sandbox, subscription, once.id if price == "once" else price, **given)
    assert refused.value.param == param
