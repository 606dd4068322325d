"""Credit schedules of invoices with made-up lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditapp.clock import NEVER
from creditapp.payments.stripe.records import InvoiceLine, InvoiceState
from creditapp.payments.subscriptions import proration
from creditapp.payments.subscriptions.months import Period, add_months
from creditapp.payments.subscriptions.plan_lines import UnknownPrice, current_line
from creditapp.payments.subscriptions.proration import CreditSchedule, History

MICRO = 1_000_000


@dataclass
class Price:
    """Credit terms of a price."""

    cycle: str = "month"
    credits_micro: int = 500 * MICRO
    lasting_months: int | None = 2
    trial_credits_micro: int = 0


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def line(price: str, starts: str, ends: str, amount: int = 1500, **more: object) -> InvoiceLine:
    return InvoiceLine(price, amount, int(str(more.get("quantity", 1))), day(starts), day(ends),
                       bool(more.get("proration", False)))  # fmt: skip


def invoice(*lines: InvoiceLine, status: str = "paid") -> InvoiceState:
    total = sum(line.amount_minor for line in lines)
    return InvoiceState(
        "in_1", None, status, "subscription_cycle", "sub_1", "usd", total, total, 0, total, total,
        day("2026-01-31"), None, lines, False,
    )  # fmt: skip


def credit_schedule(
    paid: InvoiceState, prices: dict[str, Price], months: Sequence[Period] = (), **more: Any
) -> CreditSchedule:
    return proration.credit_schedule(paid, prices, History(months=months, **more))


def test_a_month_grants_its_credits_until_the_end_of_the_next() -> None:
    (month,) = credit_schedule(
        invoice(line("basic", "2026-01-31", "2026-02-28")), {"basic": Price()}
    ).months
    assert (month.credits_micro, month.expires_at) == (500 * MICRO, day("2026-03-31"))


@pytest.mark.parametrize(("lasts", "until"), [(1, day("2026-02-28")), (None, NEVER)])
def test_credits_expire_as_the_price_says(lasts: int | None, until: datetime) -> None:
    schedule = credit_schedule(
        invoice(line("basic", "2026-01-31", "2026-02-28")), {"basic": Price(lasting_months=lasts)}
    )
    assert schedule.months[0].expires_at == until


def test_a_year_grants_twelve_months_each_on_its_day() -> None:
    schedule = credit_schedule(
        invoice(line("year", "2026-01-31", "2027-01-31", 21000)), {"year": Price(cycle="year")}
    )
    assert [month.credits_micro for month in schedule.months] == [500 * MICRO] * 12
    starts = [month.starts_at for month in schedule.months]
    assert starts[:3] == [day("2026-01-31"), day("2026-02-28"), day("2026-03-31")]
    assert schedule.months[-1].ends_at == day("2027-01-31")
    assert [month.ends_at for month in schedule.months[:-1]] == starts[1:]


def test_credits_are_per_seat() -> None:
    schedule = credit_schedule(
        invoice(line("team", "2026-01-01", "2026-02-01", quantity=3)), {"team": Price()}
    )
    assert schedule.months[0].credits_micro == 1500 * MICRO


def test_two_charged_lines_of_one_month_grant_their_sum() -> None:
    schedule = credit_schedule(
        invoice(
            line("basic", "2026-01-01", "2026-02-01"), line("extra", "2026-01-01", "2026-02-01")
        ),
        {"basic": Price(), "extra": Price(credits_micro=70 * MICRO)},
    )
    assert [month.credits_micro for month in schedule.months] == [570 * MICRO]


def test_a_month_paid_after_a_trial_grants_its_own_credits() -> None:
    prices = {"basic": Price(trial_credits_micro=20 * MICRO)}
    paid = invoice(line("basic", "2026-01-08", "2026-02-08"))
    free = invoice(line("basic", "2026-01-08", "2026-02-08", 0))
    for trial_end, after in ((day("2026-01-08"), paid), (day("2026-02-08"), paid),
                             (day("2026-01-08"), free), (None, free)):  # fmt: skip
        (month,) = credit_schedule(after, prices, trial_end=trial_end).months
        assert month.credits_micro == 500 * MICRO


def test_a_trial_grants_trial_credits_until_its_end_or_nothing() -> None:
    trial = invoice(line("basic", "2026-01-01", "2026-01-08", 0))
    end = day("2026-01-08")
    assert credit_schedule(trial, {"basic": Price()}, trial_end=end).months == ()
    (month,) = credit_schedule(
        trial, {"basic": Price(trial_credits_micro=20 * MICRO)}, trial_end=end
    ).months
    assert (month.credits_micro, month.expires_at) == (20 * MICRO, end)


def test_an_upgrade_grants_the_difference_and_supersedes_later_months() -> None:
    prices = {"basic": Price(cycle="year"), "premium": Price("year", 1200 * MICRO)}
    months = [(add_months(day("2026-01-01"), n), add_months(day("2026-01-01"), n + 1))
              for n in range(12)]  # fmt: skip
    schedule = credit_schedule(
        invoice(
            line("basic", "2026-11-16", "2027-01-01", -2000, proration=True),
            line("premium", "2026-11-16", "2027-01-01", 3000, proration=True),
        ),
        prices,
        months,
    )
    assert [month.credits_micro for month in schedule.months] == [350 * MICRO, 1200 * MICRO]
    assert schedule.supersedes_from == day("2026-11-16")


def test_an_upgrade_without_earlier_months_counts_them_back_from_the_periods_end() -> None:
    schedule = credit_schedule(
        invoice(line("year", "2027-02-14", "2027-05-31", 3000, proration=True)),
        {"year": Price(cycle="year")},
    )
    assert [(month.starts_at, month.ends_at) for month in schedule.months] == [
        (day("2027-01-31"), day("2027-02-28")),
        (day("2027-02-28"), day("2027-03-31")),
        (day("2027-03-31"), day("2027-04-30")),
        (day("2027-04-30"), day("2027-05-31")),
    ]
    assert [month.credits_micro for month in schedule.months] == [
        250 * MICRO, *[500 * MICRO] * 3
    ]  # fmt: skip


def test_a_credited_month_without_earlier_months_is_the_periods_last() -> None:
    schedule = credit_schedule(
        invoice(line("basic", "2026-01-16T12:00", "2026-02-01", -750, proration=True)),
        {"basic": Price()},
    )
    assert (schedule.months, schedule.prorated_micro) == ((), 250 * MICRO)


def test_more_seats_grant_the_difference_rounded_to_a_hundredth() -> None:
    schedule = credit_schedule(
        invoice(
            line("team", "2026-01-11", "2026-02-01", -100, proration=True, quantity=3),
            line("team", "2026-01-11", "2026-02-01", 200, proration=True, quantity=5),
        ),
        {"team": Price()},
        [(day("2026-01-01"), day("2026-02-01"))],
    )
    # 1000 credits for 21 of 31 days are 677.419...
    assert [month.credits_micro for month in schedule.months] == [677_420_000]


def test_an_upgrade_as_a_month_begins_replaces_the_whole_month() -> None:
    december = (day("2026-12-01"), day("2027-01-01"))
    schedule = credit_schedule(
        invoice(
            line("basic", "2026-12-01", "2027-01-01", -1000, proration=True),
            line("premium", "2026-12-01", "2027-01-01", 2000, proration=True),
        ),
        {"basic": Price(), "premium": Price(credits_micro=1200 * MICRO)},
        [(day("2026-11-01"), december[0]), december, (december[1], day("2027-02-01"))],
    )
    (month,) = schedule.months
    assert (month.starts_at, month.credits_micro) == (december[0], 700 * MICRO)


def test_time_credited_in_no_known_month_takes_nothing_from_the_next() -> None:
    february = (day("2026-02-01"), day("2026-03-01"))
    schedule = credit_schedule(
        invoice(
            line("basic", "2026-01-16", "2026-03-01", -2000, proration=True),
            line("premium", "2026-02-01", "2026-03-01", 3000, proration=True),
        ),
        {"basic": Price(), "premium": Price(credits_micro=1200 * MICRO)},
        [february],
    )
    assert [month.credits_micro for month in schedule.months] == [1200 * MICRO]


def test_of_two_credited_lines_the_earlier_one_supersedes() -> None:
    month = (day("2026-01-01"), day("2026-02-01"))
    for starts in (("2026-01-11", "2026-01-21"), ("2026-01-21", "2026-01-11")):
        lines = [line("basic", at, "2026-02-01", -100, proration=True) for at in starts]
        schedule = credit_schedule(invoice(*lines), {"basic": Price()}, [month])
        assert schedule.supersedes_from == day("2026-01-11")


def test_an_immediate_downgrade_reverses_the_difference() -> None:
    prices = {"basic": Price(), "premium": Price(credits_micro=1200 * MICRO)}
    schedule = credit_schedule(
        invoice(
            line("premium", "2026-01-11", "2026-02-01", -1900, proration=True),
            line("basic", "2026-01-11", "2026-02-01", 1000, proration=True),
        ),
        prices,
        [(day("2026-01-01"), day("2026-02-01"))],
    )
    assert schedule.months == ()
    # 700 credits for 21 of 31 days.
    assert schedule.prorated_micro == 474_190_000


def test_unused_trial_time_reverses_nothing() -> None:
    prices = {"basic": Price(), "premium": Price(credits_micro=1200 * MICRO)}
    schedule = credit_schedule(
        invoice(
            line("premium", "2026-01-11", "2026-02-01", 0, proration=True),
            line("basic", "2026-01-11", "2026-02-01", 0, proration=True),
        ),
        prices,
        [(day("2026-01-01"), day("2026-02-01"))],
        trial_end=day("2026-02-01"),
    )
    assert (schedule.months, schedule.prorated_micro) == ((), 0)


def test_an_immediate_cancellation_reverses_the_rest_of_the_month() -> None:
    schedule = credit_schedule(
        invoice(line("basic", "2026-01-16T12:00", "2026-02-01", -750, proration=True)),
        {"basic": Price()},
        [(day("2026-01-01"), day("2026-02-01"))],
    )
    assert (schedule.months, schedule.prorated_micro) == ((), 250 * MICRO)


@given(st.integers(1, 31 * 86400 - 1), st.integers(1, 10**6), st.integers(1, 10**6))
def test_no_upgrade_grants_more_than_the_whole_difference(seconds: int, old: int, new: int) -> None:
    starts, ends = day("2026-01-01"), day("2026-02-01")
    at = starts + timedelta(seconds=seconds)
    prices = {"old": Price(credits_micro=old * MICRO), "new": Price(credits_micro=new * MICRO)}
    schedule = credit_schedule(
        invoice(
            InvoiceLine("old", -1, 1, at, ends, True), InvoiceLine("new", 2, 1, at, ends, True)
        ),
        prices,
        [(starts, ends)],
    )
    granted_micro = sum(month.credits_micro for month in schedule.months)
    assert 0 <= granted_micro <= max(0, new - old) * MICRO + 10_000


def test_an_unknown_price_is_refused() -> None:
    with pytest.raises(UnknownPrice):
        credit_schedule(invoice(line("else", "2026-01-01", "2026-02-01")), {})


def test_the_current_line_is_the_paid_one_that_ends_last() -> None:
    basic = invoice(line("basic", "2026-01-01", "2026-02-01"))
    upgrade = invoice(
        line("basic", "2026-01-11", "2026-02-01", -1000, proration=True),
        line("premium", "2026-01-11", "2026-02-01", 1900, proration=True),
    )
    unpaid = invoice(line("other", "2026-02-01", "2026-03-01"), status="open")
    current = current_line([basic, upgrade, unpaid], {})
    assert current is not None
    assert current.price_id == "premium"
    assert current_line([unpaid], {}) is None
    trial = current_line([invoice(line("tried", "2026-01-01", "2026-01-08", 0)), unpaid], {})
    assert trial is not None
    assert trial.price_id == "tried"
