"""Proration and credit schedule: which credits an invoice includes, and when. Pure functions.

Months are anchored on the day on which the period began: a plan begun on 31 January renews on
28 February and on 31 March. A yearly invoice includes twelve months, each granted on its day. An
upgrade in mid-period includes the difference for the remaining time.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from creditapp.clock import NEVER
from creditapp.payments.stripe.records import InvoiceLine, InvoiceState

MONTHS_PER_CYCLE = {"month": 1, "year": 12}
HUNDREDTH_MICRO = 10_000

Period = tuple[datetime, datetime]


class CreditTerms(Protocol):
    """The credits that a price includes: a row of ``plan_prices``."""

    cycle: str
    credits_micro: int
    lasting_months: int | None
    trial_credits_micro: int


class UnknownPrice(Exception):
    """An invoice charges a price that is not in ``plan_prices``."""


@dataclass(frozen=True)
class MonthlyCredits:
    """The credits of one month: bounds of the whole month, amount and expiry."""

    starts_at: datetime
    ends_at: datetime
    credits_micro: int
    expires_at: datetime


@dataclass(frozen=True)
class CreditSchedule:
    """The months that an invoice grants, and those of earlier invoices that it replaces."""

    months: tuple[MonthlyCredits, ...]
    supersedes_from: datetime | None = None
    """Months of earlier invoices that begin after this are replaced by this invoice's."""
    prorated_micro: int = 0
    """Credits to reverse in the current month: the invoice credited more time than it charged."""


def add_months(moment: datetime, count: int) -> datetime:
    """Return the same day ``count`` months later, or that month's last day if it is shorter."""
    month = moment.month - 1 + count
    year, month = moment.year + month // 12, month % 12 + 1
    return moment.replace(
        year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1])
    )


def credit_schedule(
    invoice: InvoiceState,
    prices: Mapping[str, CreditTerms],
    earlier_months: Sequence[Period] = (),
    *,
    trial_end: datetime | None = None,
) -> CreditSchedule:
    """Return the credits that a paid invoice includes.

    ``earlier_months`` are bounds of the months scheduled by earlier invoices of this subscription;
    an upgrade is prorated over them. If more time is credited than charged, as by an immediate
    downgrade, the month grants nothing and the rest is ``prorated_micro``; unused trial time counts
    for nothing there, because it was not paid for. Raises ``UnknownPrice`` for a line whose price
    is not in ``prices``.
    """
    months_by_start: dict[datetime, MonthlyCredits] = {}
    unused_micro = paid_unused_micro = 0
    supersedes_from: datetime | None = None
    for line in sorted(invoice.lines, key=lambda line: (line.starts_at, line.amount_minor)):
        terms = prices.get(line.price_id)
        if terms is None:
            raise UnknownPrice(line.price_id)
        if line.amount_minor < 0 or (line.proration and line.amount_minor == 0):
            line_unused_micro = _unused_micro(line, terms, earlier_months)
            unused_micro += line_unused_micro
            paid_unused_micro += line_unused_micro if line.amount_minor < 0 else 0
            supersedes_from = min(supersedes_from or line.starts_at, line.starts_at)
            continue
        for month in _line_months(line, terms, earlier_months, trial_end):
            same_month = months_by_start.get(month.starts_at)
            total_micro = month.credits_micro + (same_month.credits_micro if same_month else 0)
            months_by_start[month.starts_at] = replace(month, credits_micro=total_micro)
    months = [months_by_start[starts_at] for starts_at in sorted(months_by_start)]
    first_micro = months[0].credits_micro if months else 0
    if unused_micro and months:
        difference_micro = _round_up(max(0, first_micro - unused_micro))
        months[0] = replace(months[0], credits_micro=difference_micro)
    return CreditSchedule(
        tuple(month for month in months if month.credits_micro > 0),
        supersedes_from,
        _round_down(max(0, paid_unused_micro - first_micro)),
    )


def current_line(invoices: Iterable[InvoiceState]) -> InvoiceLine | None:
    """Return the paid line that ends last: its price is the one in force.

    Of two that end together, as after an upgrade, the later invoice's counts.
    """
    charged_lines = [
        line
        for invoice in invoices
        if invoice.paid
        for line in invoice.lines
        if line.amount_minor >= 0
    ]
    return max(reversed(charged_lines), key=lambda line: line.ends_at, default=None)


def _line_months(
    line: InvoiceLine,
    terms: CreditTerms,
    earlier_months: Sequence[Period],
    trial_end: datetime | None,
) -> list[MonthlyCredits]:
    if trial_end is not None and line.ends_at == trial_end and line.amount_minor == 0:
        # Trial credits expire with the trial, however long the plan's own credits are valid.
        trial = MonthlyCredits(
            line.starts_at, line.ends_at, terms.trial_credits_micro, line.ends_at
        )
        return [trial] if terms.trial_credits_micro else []
    monthly_micro = terms.credits_micro * line.quantity
    if line.proration:
        return [
            _month(starts_at, ends_at, _prorate(monthly_micro, line, starts_at, ends_at), terms)
            for starts_at, ends_at in _touched_months(line, earlier_months)
        ]
    count = MONTHS_PER_CYCLE[terms.cycle]
    starts = [add_months(line.starts_at, number) for number in range(count)]
    ends = [*starts[1:], line.ends_at]
    return [
        _month(starts_at, ends_at, monthly_micro, terms)
        for starts_at, ends_at in zip(starts, ends, strict=True)
    ]


def _month(
    starts_at: datetime, ends_at: datetime, credits_micro: int, terms: CreditTerms
) -> MonthlyCredits:
    months = terms.lasting_months
    expires_at = NEVER if months is None else add_months(ends_at, months - 1)
    return MonthlyCredits(starts_at, ends_at, credits_micro, expires_at)


def _unused_micro(line: InvoiceLine, terms: CreditTerms, earlier_months: Sequence[Period]) -> int:
    """Return the current month's credits for the time that the line credits back."""
    for starts_at, ends_at in _touched_months(line, earlier_months):
        if starts_at <= line.starts_at < ends_at:
            return _prorate(terms.credits_micro * line.quantity, line, starts_at, ends_at)
    return 0


def _touched_months(line: InvoiceLine, earlier_months: Sequence[Period]) -> list[Period]:
    """Return the whole months that a partial period overlaps."""
    touched = sorted(
        {month for month in earlier_months if month[1] > line.starts_at and month[0] < line.ends_at}
    )
    if touched:
        return touched
    # Without earlier months, count back from the end of the period.
    months: list[Period] = []
    ends_at = line.ends_at
    while ends_at > line.starts_at:
        starts_at = add_months(line.ends_at, -(len(months) + 1))
        months.insert(0, (starts_at, ends_at))
        ends_at = starts_at
    return months


def _prorate(credits_micro: int, line: InvoiceLine, starts_at: datetime, ends_at: datetime) -> int:
    """Return the share of a month's credits for the seconds of it that the line covers."""
    month_seconds = int((ends_at - starts_at).total_seconds())
    covered = min(ends_at, line.ends_at) - max(starts_at, line.starts_at)
    return credits_micro * int(covered.total_seconds()) // month_seconds


def _round_up(micro: int) -> int:
    """Round granted credits up to a hundredth, in the buyer's favour."""
    return -(-micro // HUNDREDTH_MICRO) * HUNDREDTH_MICRO


def _round_down(micro: int) -> int:
    """Round reversed credits down to a hundredth, in the buyer's favour."""
    return micro // HUNDREDTH_MICRO * HUNDREDTH_MICRO
