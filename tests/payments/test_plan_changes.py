"""Prorations of made-up invoices: discounted, out of balance, back and forth."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditapp.payments.stripe.records import InvoiceLine, InvoiceState
from creditapp.payments.subscriptions.plan_lines import UnknownPrice, current_line
from creditapp.payments.subscriptions.proration import (
    HUNDREDTH_MICRO,
    CreditSchedule,
    History,
    credit_schedule,
)
from tests.payments.test_proration import MICRO, Price, day, invoice, line

PRICES = {"basic": Price(), "premium": Price(credits_micro=1200 * MICRO)}
CREDITS = {"basic": 500, "premium": 1200}
STARTS, ENDS = day("2026-01-01"), day("2026-02-01")
JANUARY = invoice(line("basic", "2026-01-01", "2026-02-01"))
MIDDLE = "2026-01-16T12:00"


def schedule(paid: InvoiceState, *earlier: InvoiceState) -> CreditSchedule:
    return credit_schedule(
        paid, PRICES, History(invoices=earlier, months=[(STARTS, ENDS)], anchor=STARTS)
    )


def granted(result: CreditSchedule) -> list[float]:
    return [month.credits_micro / MICRO for month in result.months]


def free(price: str, *, is_credit: bool = False, quantity: int = 1) -> InvoiceLine:
    return InvoiceLine(
        price, 0, quantity, day(MIDDLE), ENDS, proration=True, credits_earlier_lines=is_credit
    )


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_of_two_free_lines_the_price_before_is_credited(reverse: bool, named: bool) -> None:
    lines = [free("basic", is_credit=named), free("premium")]
    paid = invoice(*reversed(lines)) if reverse else invoice(*lines)
    result = schedule(paid, JANUARY)
    assert granted(result) == [350]
    assert result.supersedes_from == day(MIDDLE)
    current = current_line([JANUARY, paid], PRICES)
    assert current is not None
    assert current.price_id == "premium"


def test_of_two_free_lines_of_one_price_the_earlier_seats_are_credited() -> None:
    team = invoice(line("basic", "2026-01-01", "2026-02-01", quantity=3))
    result = schedule(invoice(free("basic", quantity=5), free("basic", quantity=3)), team)
    assert granted(result) == [500]


def test_a_free_change_back_reverses_what_the_upgrade_granted() -> None:
    up = invoice(free("basic", is_credit=True), free("premium"))
    down = invoice(free("premium", is_credit=True), free("basic"))
    assert schedule(down, JANUARY, up).prorated_micro == 350 * MICRO


def test_time_that_cost_nothing_is_credited_even_if_stripe_leaves_it_out() -> None:
    """Flexible billing issues no credit where there was no debit (changelog of 2025-04-30)."""
    charged = line("premium", MIDDLE, "2026-02-01", 1450, proration=True)
    result = schedule(invoice(charged), JANUARY)
    assert granted(result) == [350]
    assert result.supersedes_from == day(MIDDLE)


def test_a_first_part_of_a_month_is_granted_as_a_part() -> None:
    charged = line("premium", MIDDLE, "2026-02-01", 1450, proration=True)
    assert granted(schedule(invoice(charged))) == [600]


def test_a_proration_of_no_time_changes_nothing() -> None:
    lines = [
        line("basic", "2026-02-01", "2026-02-01", 0, proration=True),
        line("premium", "2026-02-01", "2026-02-01", 0, proration=True),
    ]
    assert schedule(invoice(*lines), JANUARY) == CreditSchedule(())


def test_prorations_on_the_next_invoice_change_the_month_they_are_of() -> None:
    paid = invoice(
        line("basic", MIDDLE, "2026-02-01", -750, proration=True),
        line("premium", MIDDLE, "2026-02-01", 1450, proration=True),
        line("premium", "2026-02-01", "2026-03-01", 2900),
    )
    result = schedule(paid, JANUARY)
    assert [(month.starts_at, month.credits_micro) for month in result.months] == [
        (STARTS, 350 * MICRO),
        (ENDS, 1200 * MICRO),
    ]


def test_a_price_beside_the_plan_grants_nothing() -> None:
    other = line("support", "2026-01-01", "2026-02-01", 700)
    assert granted(schedule(invoice(other, *JANUARY.lines))) == [500]


def test_a_change_from_an_unknown_price_grants_the_rest_of_the_month() -> None:
    unknown = invoice(line("special", "2026-01-01", "2026-02-01"))
    paid = invoice(
        line("special", MIDDLE, "2026-02-01", -500, proration=True),
        line("premium", MIDDLE, "2026-02-01", 1450, proration=True),
    )
    assert granted(schedule(paid, unknown)) == [600]


def test_a_change_to_an_unknown_price_is_refused() -> None:
    paid = invoice(
        line("basic", MIDDLE, "2026-02-01", -750, proration=True),
        line("special", MIDDLE, "2026-02-01", 800, proration=True),
    )
    with pytest.raises(UnknownPrice):
        schedule(paid, JANUARY)


def test_an_upgrade_in_the_first_seconds_gives_the_whole_difference() -> None:
    for seconds in (1, 5, 18):
        at = STARTS + timedelta(seconds=seconds)
        assert granted(schedule(_change("basic", "premium", at), JANUARY)) == [700]


def test_a_year_begun_in_the_first_seconds_of_a_month_adds_no_hundredth() -> None:
    at = STARTS + timedelta(seconds=5)
    paid = invoice(
        InvoiceLine("basic", -1499, 1, at, ENDS, True),
        InvoiceLine("year", 29000, 1, at, at.replace(year=2027), False),
    )
    prices = PRICES | {"year": Price("year", 1200 * MICRO)}
    history = History(invoices=[JANUARY], months=[(STARTS, ENDS)], anchor=at)
    assert granted(credit_schedule(paid, prices, history)) == [700, *[1200] * 11]


@given(
    st.lists(st.integers(1, 31 * 86_400 - 1), min_size=1, max_size=8).map(sorted),
    st.sampled_from(["basic", "premium"]),
)
def test_any_changes_give_the_time_that_each_plan_had(seconds: list[int], first: str) -> None:
    """The sum is exact to half a hundredth, however often and whenever a plan is changed."""
    other = {"basic": "premium", "premium": "basic"}
    history = [invoice(line(first, "2026-01-01", "2026-02-01"))]
    plan, net_micro = first, CREDITS[first] * MICRO
    exact_micro = Fraction(0)
    since = STARTS
    for second in seconds:
        at = STARTS + timedelta(seconds=second)
        change = schedule(_change(plan, other[plan], at), *history)
        history.append(_change(plan, other[plan], at))
        net_micro += sum(month.credits_micro for month in change.months) - change.prorated_micro
        exact_micro += _exact(plan, since, at)
        plan, since = other[plan], at
    exact_micro += _exact(plan, since, ENDS)
    assert abs(net_micro - exact_micro) <= Fraction(HUNDREDTH_MICRO, 2)


@given(st.integers(0, 31 * 86_400 - 1), st.integers(1, 5), st.sampled_from(["basic", "premium"]))
def test_changes_back_and_forth_at_once_gain_nothing(second: int, times: int, first: str) -> None:
    other = {"basic": "premium", "premium": "basic"}
    history = [invoice(line(first, "2026-01-01", "2026-02-01"))]
    at = STARTS + timedelta(seconds=second)
    plan, net_micro = first, 0
    for _ in range(2 * times):
        change = schedule(_change(plan, other[plan], at), *history)
        history.append(_change(plan, other[plan], at))
        net_micro += sum(month.credits_micro for month in change.months) - change.prorated_micro
        plan = other[plan]
    assert net_micro == 0


def _change(old: str, new: str, at: datetime) -> InvoiceState:
    return invoice(InvoiceLine(old, -1, 1, at, ENDS, True), InvoiceLine(new, 2, 1, at, ENDS, True))


def _exact(plan: str, since: datetime, until: datetime) -> Fraction:
    seconds = int((until - since).total_seconds())
    return Fraction(CREDITS[plan] * MICRO * seconds, 31 * 86_400)
