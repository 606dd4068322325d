"""Long invoices: ten included lines, and pages of the others, as with Stripe."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.stripe_sandbox.sandbox_kit import Sandbox


def long_session(sandbox: Sandbox, count: int) -> str:
    """Open a checkout of a plan with a number of lines; all but the first are single sales."""
    sales = [
        {
            "quantity": 1,
            "price_data": {
                "currency": "usd",
                "unit_amount": 100 + number,
                "product_data": {"name": f"Extra {number}"},
            },
        }
        for number in range(1, count)
    ]
    plan = {"price": sandbox.price(), "quantity": 1}
    return sandbox.open_subscription(plan["price"], line_items=[plan, *sales]).id


def subscribed(sandbox: Sandbox, count: int) -> stripe.Invoice:
    """Return the paid first invoice of a plan, with a number of lines."""
    session_id = long_session(sandbox, count)
    sandbox.pay(session_id)
    done = sandbox.stripe.v1.checkout.sessions.retrieve(session_id)
    return sandbox.stripe.v1.invoices.retrieve(str(done.invoice))


def amounts(count: int) -> list[int]:
    return [1500, *range(101, 100 + count)]


def test_an_invoice_includes_ten_lines(sandbox: Sandbox) -> None:
    invoice = subscribed(sandbox, 10)
    assert [line.amount for line in invoice.lines.data] == amounts(10)
    assert invoice.lines.has_more is False


def test_a_longer_invoice_includes_its_first_ten_lines_everywhere(sandbox: Sandbox) -> None:
    invoice = subscribed(sandbox, 12)
    assert invoice.total == sum(amounts(12))
    details = invoice.parent and invoice.parent.subscription_details
    assert details
    v1 = sandbox.stripe.v1
    whole: Any = v1.subscriptions.retrieve(
        str(details.subscription), {"expand": ["latest_invoice.lines"]}
    )
    (told,) = v1.events.list({"type": "invoice.paid"}).data
    shown: list[Any] = [
        invoice.lines,
        v1.invoices.list().data[0].lines,
        whole.latest_invoice.lines,
        told.data.object["lines"],
    ]
    for lines in shown:
        assert [line["amount"] for line in lines.data] == amounts(12)[:10]
        assert lines.has_more is True
    assert "Extra 11" in sandbox.get(f"/invoices/{invoice.id}").text, "people see them all"


def test_the_other_lines_are_paged_in_the_invoices_order(sandbox: Sandbox) -> None:
    invoice = subscribed(sandbox, 12)
    lines = sandbox.stripe.v1.invoices.line_items
    everything = list(lines.list(invoice.id, {"limit": 5}).auto_paging_iter())
    assert [each.amount for each in everything] == amounts(12)
    assert {each.invoice for each in everything} == {invoice.id}
    first = lines.list(invoice.id)
    assert (len(first.data), first.has_more, first.url) == (
        10,
        True,
        f"/v1/invoices/{invoice.id}/lines",
    )
    rest = lines.list(invoice.id, {"starting_after": everything[9].id})
    assert ([each.amount for each in rest.data], rest.has_more) == (amounts(12)[10:], False)
    before = lines.list(invoice.id, {"ending_before": everything[4].id, "limit": 3})
    assert ([each.amount for each in before.data], before.has_more) == (amounts(12)[1:4], True)
    last: Any = lines.list(
        invoice.id,
        {"starting_after": everything[10].id, "expand": ["data.pricing.price_details.price"]},
    ).data
    assert [each.pricing.price_details.price.unit_amount for each in last] == [111]


@pytest.mark.parametrize("cursor", ["starting_after", "ending_before"])
def test_a_cursor_must_be_a_line_of_this_invoice(sandbox: Sandbox, cursor: str) -> None:
    invoice, other = subscribed(sandbox, 2), subscribed(sandbox, 2)
    for line_id in ("il_nobody", other.lines.data[0].id):
        given: Any = {cursor: line_id}
        with pytest.raises(stripe.InvalidRequestError) as refused:
            sandbox.stripe.v1.invoices.line_items.list(invoice.id, given)
        error = refused.value
        assert (error.http_status, error.code, error.param) == (400, "resource_missing", cursor)
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        sandbox.stripe.v1.invoices.line_items.list("in_nobody")
    assert (unknown.value.http_status, unknown.value.code) == (404, "resource_missing")


def test_a_checkouts_line_items_are_paged(sandbox: Sandbox) -> None:
    session_id = long_session(sandbox, 12)
    page = sandbox.stripe.v1.checkout.sessions.line_items.list(session_id, {"limit": 5})
    found = [each.amount_total for each in page.auto_paging_iter()]
    assert found == amounts(12)


def test_the_lines_of_a_long_preview_are_paged(sandbox: Sandbox) -> None:
    prices = [sandbox.price(1000 + number) for number in range(12)]
    items = [{"price": each, "quantity": 1} for each in prices]
    subscription = sandbox.subscribe(prices[0], line_items=items)
    v1 = sandbox.stripe.v1
    shown = v1.invoices.create_preview({"subscription": subscription.id})
    assert shown.id.startswith("upcoming_in_1")
    assert (len(shown.lines.data), shown.lines.has_more) == (10, True)
    every = list(v1.invoices.line_items.list(shown.id, {"limit": 100}).auto_paging_iter())
    assert [each.amount for each in every] == [1000 + number for number in range(12)]
    assert {each.invoice for each in every} == {shown.id}
    assert [each.id for each in shown.lines.auto_paging_iter()] == [each.id for each in every]
    assert len(v1.invoices.list({"subscription": subscription.id}).data) == 1, "nothing was billed"
