"""Proration and credit schedule: which credits an invoice includes, and when. Pure functions.

A yearly invoice includes twelve months, each granted on its day. An upgrade in mid-period includes
the difference for the remaining time. The credits of a month are rounded once, as the total of all
lines that concern it, and each change grants or reverses the difference of two totals. So changes
add up: changing back and forth gains nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

from creditapp.clock import NEVER
from creditapp.payments.stripe.records import InvoiceState
from creditapp.payments.subscriptions.months import (
    Period,
    end_of_validity,
    months_of_period,
    months_touched,
)
from creditapp.payments.subscriptions.plan_lines import (
    CreditTerms,
    PlanLine,
    UnknownPrice,
    current_line,
    is_in_trial,
    plan_lines,
    unknown_plan_lines,
)

MONTHS_PER_CYCLE = {"month": 1, "year": 12}
HUNDREDTH_MICRO = 10_000


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
    first_micro: int = 0
    """Credits of its first month, which are granted at once; there may be none."""


@dataclass(frozen=True)
class History:
    """A subscription before one of its invoices: earlier invoices and months, and its anchor."""

    invoices: Sequence[InvoiceState] = ()
    """Its earlier invoices, the oldest first."""
    months: Sequence[Period] = ()
    """Bounds of the months scheduled by earlier invoices; an upgrade is prorated over them."""
    anchor: datetime | None = None
    """The anchor from which its months are counted now."""
    trial_end: datetime | None = None
    plan_item_id: str | None = None
    """The subscription's item with a known price, if it has one."""


def credit_schedule(
    invoice: InvoiceState, prices: Mapping[str, CreditTerms], history: History
) -> CreditSchedule:
    """Return the credits that a paid invoice includes.

    Lines with a price that is not in ``prices`` include none. If more time is credited than
    charged, as by an immediate downgrade, the month grants nothing and the rest is
    ``prorated_micro``. Raises ``UnknownPrice`` if the plan is charged at an unknown price alone.
    """
    before = current_line(history.invoices, prices)
    unknown = unknown_plan_lines(invoice, prices, before, history.plan_item_id)
    if unknown:
        raise UnknownPrice(unknown[0].price_id)
    lines = plan_lines(invoice, prices, before, trial_end=history.trial_end)
    months_by_start: dict[datetime, MonthlyCredits] = {}
    for charge in sorted(_charges(lines), key=lambda one: one.line.starts_at):
        for month in _months_of_charge(charge, history):
            same_month = months_by_start.get(month.starts_at)
            total_micro = month.credits_micro + (same_month.credits_micro if same_month else 0)
            months_by_start[month.starts_at] = replace(month, credits_micro=total_micro)
    months = [months_by_start[starts_at] for starts_at in sorted(months_by_start)]
    changes = _changes_of_current_months(lines, history, prices)
    for number, month in enumerate(months):
        micro = month.credits_micro + changes.pop(month.starts_at, 0)
        months[number] = replace(month, credits_micro=micro)
    unused_micro = sum(changes.values())  # of a month in which this invoice charges nothing
    if months:
        unused_micro += months[0].credits_micro
        months[0] = replace(months[0], credits_micro=unused_micro)
    starts = [one.line.starts_at for one in lines if one.credits_unused_time]
    return CreditSchedule(
        tuple(month for month in months if month.credits_micro > 0),
        min(starts, default=None),
        prorated_micro=max(0, -unused_micro),
        first_micro=max(0, months[0].credits_micro) if months else 0,
    )


def _charges(lines: Iterable[PlanLine]) -> list[PlanLine]:
    return [one for one in lines if not one.credits_unused_time]


def _months_of_charge(charge: PlanLine, history: History) -> list[MonthlyCredits]:
    """Return the months of a charged line; the first month of a proration is counted apart."""
    line, terms = charge.line, charge.terms
    if is_in_trial(line, history.trial_end):
        # Trial credits expire with the trial, however long the plan's own credits are valid.
        trial = MonthlyCredits(
            line.starts_at, line.ends_at, terms.trial_credits_micro, line.ends_at
        )
        return [trial] if terms.trial_credits_micro else []
    period = (line.starts_at, line.ends_at)
    if line.proration:
        first, *later = months_touched(period, history.months, history.anchor)
        return [
            _month(first, 0, terms, history),
            *(_month(month, _share_micro(charge, month), terms, history) for month in later),
        ]
    months = months_of_period(period, MONTHS_PER_CYCLE[terms.cycle], history.anchor)
    return [_month(month, charge.monthly_micro, terms, history) for month in months]


def _month(
    month: Period, credits_micro: int, terms: CreditTerms, history: History
) -> MonthlyCredits:
    lasting = terms.lasting_months
    expires_at = NEVER if lasting is None else end_of_validity(month, lasting, history.anchor)
    return MonthlyCredits(*month, credits_micro, expires_at)


def _changes_of_current_months(
    lines: Sequence[PlanLine], history: History, prices: Mapping[str, CreditTerms]
) -> dict[datetime, int]:
    """Return what prorations change in the months in which they begin, by the months' starts.

    Later months are scheduled anew, and those of earlier invoices are superseded.
    """
    lines_by_month: defaultdict[Period, list[PlanLine]] = defaultdict(list)
    for one in lines:
        if one.line.proration:
            period = (one.line.starts_at, one.line.ends_at)
            first = months_touched(period, history.months, history.anchor)[0]
            if first[0] <= one.line.starts_at or not one.credits_unused_time:
                lines_by_month[first].append(one)
    earlier = _earlier_lines(history, prices) if lines_by_month else []
    changes: dict[datetime, int] = {}
    for month, month_lines in lines_by_month.items():
        before = _total(month, earlier)
        after = before + _total(month, month_lines)
        changes[month[0]] = _rounded(after) - _rounded(before)
    return changes


def _earlier_lines(history: History, prices: Mapping[str, CreditTerms]) -> list[PlanLine]:
    """Return the plan's lines of all earlier invoices that were paid."""
    lines: list[PlanLine] = []
    for number, invoice in enumerate(history.invoices):
        if invoice.paid:
            before = current_line(history.invoices[:number], prices)
            lines += plan_lines(invoice, prices, before, trial_end=history.trial_end)
    return [one for one in lines if not is_in_trial(one.line, history.trial_end)]


def _total(month: Period, lines: Iterable[PlanLine]) -> Fraction:
    """Return the exact credits of a month that the lines charge, less those they credit."""
    return sum(
        (-_share(one, month) if one.credits_unused_time else _share(one, month) for one in lines),
        Fraction(0),
    )


def _share(one: PlanLine, month: Period) -> Fraction:
    """Return the exact share of a month's credits for the seconds of it that a line covers."""
    starts_at, ends_at = max(month[0], one.line.starts_at), min(month[1], one.line.ends_at)
    covered_seconds = max(0, int((ends_at - starts_at).total_seconds()))
    return Fraction(one.monthly_micro * covered_seconds, int((month[1] - month[0]).total_seconds()))


def _share_micro(one: PlanLine, month: Period) -> int:
    return _rounded(_share(one, month))


def _rounded(micro: Fraction) -> int:
    """Return a month's total in whole microcredits, or else to the nearest hundredth."""
    if micro.denominator == 1:
        return micro.numerator
    return round(micro / HUNDREDTH_MICRO) * HUNDREDTH_MICRO
