"""Promotion codes and tax on checkouts and invoices."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from creditapp.stripe_sandbox import totals
from tests.stripe_sandbox.sandbox_kit import Sandbox


def put_on_offer(sandbox: Sandbox, code: str = "SPRING", **coupon: Any) -> stripe.PromotionCode:
    """Create a coupon and its code; options of the code begin with ``code_``."""
    options = {name[5:]: coupon.pop(name) for name in list(coupon) if name.startswith("code_")}
    terms: Any = coupon if "amount_off" in coupon else {"percent_off": 20, **coupon}
    made = sandbox.stripe.v1.coupons.create(terms)
    given: Any = {"promotion": {"type": "coupon", "coupon": made.id}, "code": code, **options}
    return sandbox.stripe.v1.promotion_codes.create(given)


def enter(sandbox: Sandbox, session: str, code: str) -> Any:
    return sandbox.press(f"/pay/{session}/code", code=code)


def shown(sandbox: Sandbox, session: str) -> Any:
    return sandbox.stripe.v1.checkout.sessions.retrieve(
        session, {"expand": ["line_items", "discounts.promotion_code"]}
    )


def test_a_code_lowers_the_total_and_is_counted_when_paid(sandbox: Sandbox) -> None:
    code = put_on_offer(sandbox)
    session = sandbox.open_checkout(allow_promotion_codes=True).id
    assert "Promotion code" in sandbox.get(f"/pay/{session}").text

    enter(sandbox, session, "spring")

    now = shown(sandbox, session)
    assert (now.amount_subtotal, now.amount_total) == (1499, 1199)
    assert now.total_details.amount_discount == 300
    assert now.discounts[0].promotion_code.id == code.id
    assert now.line_items.data[0].amount_discount == 300
    page = sandbox.get(f"/pay/{session}").text
    for words in ("The code SPRING is on this order.", "−$3.00", "Pay $11.99"):
        assert words in page
    enter(sandbox, session, "")
    assert shown(sandbox, session).amount_total == 1499
    enter(sandbox, session, "SPRING")
    sandbox.pay(session, "declined")
    sandbox.pay(session)
    (charge, *_) = sandbox.stripe.v1.charges.list().data
    assert (charge.amount, charge.paid) == (1199, True)
    used: Any = sandbox.stripe.v1.promotion_codes.retrieve(
        code.id, {"expand": ["promotion.coupon"]}
    )
    assert (used.times_redeemed, used.promotion.coupon.times_redeemed) == (1, 1)
    assert "promotion_code.updated" in sandbox.event_types()


@pytest.mark.parametrize(
    ("coupon", "word", "said"),
    [
        ({}, "nobody", "not valid"),
        ({"code_active": False}, "SPRING", "not valid"),
        ({"code_expires_at": 1}, "SPRING", "not valid"),
        ({"redeem_by": 1}, "SPRING", "not valid"),
        ({"amount_off": 300, "currency": "eur"}, "SPRING", "another currency"),
        ({"percent_off": 99}, "SPRING", "too small"),
    ],
)
def test_an_invalid_code_shows_an_error(
    sandbox: Sandbox, coupon: dict[str, Any], word: str, said: str
) -> None:
    put_on_offer(sandbox, **coupon)
    session = sandbox.open_checkout(allow_promotion_codes=True).id
    answer = enter(sandbox, session, word)
    assert (answer.status_code, said in answer.text) == (422, True)
    assert shown(sandbox, session).amount_total == 1499


def test_a_checkout_without_codes_has_no_code_field(sandbox: Sandbox) -> None:
    put_on_offer(sandbox)
    session = sandbox.open_checkout().id
    assert "Promotion code" not in sandbox.get(f"/pay/{session}").text
    assert enter(sandbox, session, "SPRING").status_code == 422


def test_a_code_used_up_before_payment_charges_nothing(sandbox: Sandbox) -> None:
    code = put_on_offer(sandbox, code_max_redemptions=1)
    first = sandbox.open_checkout(allow_promotion_codes=True).id
    second = sandbox.open_checkout(allow_promotion_codes=True).id
    for session in (first, second):
        enter(sandbox, session, "SPRING")
    sandbox.pay(first)
    assert sandbox.stripe.v1.promotion_codes.retrieve(code.id).active is False
    sandbox.pay(second)
    page = sandbox.get(f"/pay/{second}").text
    assert "not valid any more" in page
    assert "Pay $14.99" in page
    sandbox.pay(second)
    assert shown(sandbox, second).payment_status == "paid"


def test_a_code_of_100_percent_leaves_nothing_to_pay(sandbox: Sandbox) -> None:
    put_on_offer(sandbox, percent_off=100)
    session = sandbox.open_checkout(allow_promotion_codes=True).id
    enter(sandbox, session, "SPRING")
    sandbox.press(f"/pay/{session}", email="alice@x.test")
    done = shown(sandbox, session)
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    assert (done.amount_subtotal, done.amount_total, done.payment_intent) == (1499, 0, None)


def test_tax_is_added_to_the_discounted_amount(sandbox: Sandbox) -> None:
    put_on_offer(sandbox, amount_off=499, currency="usd")
    session = sandbox.open_checkout(allow_promotion_codes=True, automatic_tax={"enabled": True}).id
    assert shown(sandbox, session).amount_total == 1499 + 120
    enter(sandbox, session, "SPRING")
    now = shown(sandbox, session)
    details = now.total_details
    assert (now.amount_subtotal, details.amount_discount, details.amount_tax) == (1499, 499, 80)
    assert now.amount_total == 1080
    sandbox.pay(session)
    assert sandbox.stripe.v1.charges.list().data[0].amount == 1080


@pytest.mark.parametrize(
    ("coupon", "renewals"),
    [
        ({"duration": "once"}, [1620, 1620]),
        ({"duration": "forever"}, [1296, 1296]),
        ({"duration": "repeating", "duration_in_months": 2}, [1296, 1620]),
    ],
)
def test_a_plan_keeps_its_discount_for_its_duration_and_is_taxed(
    sandbox: Sandbox, coupon: dict[str, Any], renewals: list[int]
) -> None:
    put_on_offer(sandbox, **coupon)
    session = sandbox.open_subscription(
        sandbox.price(1500), allow_promotion_codes=True, automatic_tax={"enabled": True}
    ).id
    enter(sandbox, session, "SPRING")
    assert shown(sandbox, session).amount_total == 1296
    sandbox.pay(session)
    subscription = str(shown(sandbox, session).subscription)

    (first,) = sandbox.invoices(subscription)
    assert (first.subtotal, first.total_excluding_tax, first.total) == (1500, 1200, 1296)
    assert first.amount_paid == 1296
    assert first.total_discount_amounts
    assert first.total_discount_amounts[0].amount == 300
    assert first.total_taxes
    assert first.total_taxes[0].amount == 96
    assert "−$3.00" in sandbox.get(f"/invoices/{first.id}").text
    sandbox.wait(days=62)
    assert [bill.amount_paid for bill in sandbox.invoices(subscription)[1:]] == renewals


def test_a_discount_is_not_credited(sandbox: Sandbox) -> None:
    put_on_offer(sandbox, percent_off=100, duration="once")
    session = sandbox.open_subscription(sandbox.price(1500), allow_promotion_codes=True).id
    enter(sandbox, session, "SPRING")
    sandbox.pay(session)
    subscription = sandbox.stripe.v1.subscriptions.retrieve(
        str(shown(sandbox, session).subscription)
    )
    item = subscription["items"].data[0]
    given: Any = {
        "items": [{"id": item.id, "price": sandbox.price(4500)}],
        "proration_behavior": "always_invoice",
        "proration_date": item.current_period_start,
    }
    sandbox.stripe.v1.subscriptions.update(subscription.id, given)
    assert [line.amount for line in sandbox.invoices(subscription.id)[-1].lines.data] == [0, 4500]


def test_codes_are_listed_and_deactivated(sandbox: Sandbox) -> None:
    v1 = sandbox.stripe.v1
    code = put_on_offer(sandbox)
    other = put_on_offer(sandbox, "AUTUMN", percent_off=12.5)
    assert [each.id for each in v1.promotion_codes.list({"code": "SPRING"}).data] == [code.id]
    coupon = str(other.promotion.coupon)
    assert [each.id for each in v1.promotion_codes.list({"coupon": coupon}).data] == [other.id]
    assert v1.coupons.retrieve(coupon).percent_off == 12.5
    assert len(v1.coupons.list().data) == 2
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        put_on_offer(sandbox, "spring")
    v1.promotion_codes.update(code.id, {"active": False, "metadata": {"why": "over"}})
    assert [each.id for each in v1.promotion_codes.list({"active": True}).data] == [other.id]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, "percent_off"),
        ({"percent_off": 5, "amount_off": 5, "currency": "usd"}, "percent_off"),
        ({"amount_off": 5}, "currency"),
        ({"percent_off": 5, "duration": "repeating"}, "duration_in_months"),
        ({"percent_off": 500}, "percent_off"),
    ],
)
def test_a_coupon_with_conflicting_parameters_is_refused(
    sandbox: Sandbox, given: Any, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.stripe.v1.coupons.create(given)
    assert refused.value.param == param


def test_totals_are_allocated_to_the_last_cent() -> None:
    assert totals.allocate(67, [333, 333, 0]) == [34, 33, 0]
    assert totals.allocate(100, [1, 1, 1]) == [34, 33, 33]
    assert totals.allocate(-8, [-150, 50]) == [-12, 4]
    assert totals.allocate(0, []) == []
