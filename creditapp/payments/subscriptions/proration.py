"""Which credits an invoice gives, and when: pure functions over its lines.

A month of a plan is counted from the day on which its period began, so that a plan begun on 31
January renews on 28 February and on 31 March. A yearly invoice gives twelve months, each on its
day. An upgrade in the middle gives the difference for the time that is left.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from creditapp.clock import NEVER
from creditapp.payments.stripe.records import InvoiceLine, InvoiceState

MONTHS = {"month": 1, "year": 12}
HUNDREDTH_MICRO = 10_000


class Gives(Protocol):
    """What a price gives: a row of ``plan_prices``."""

    cycle: str
    credits_micro: int
    lasting_months: int | None
    trial_credits_micro: int


class PriceUnknown(Exception):
    """An invoice charges a price of which nothing is written down here."""


@dataclass(frozen=True)
class Month:
    """The credits of one month: the whole month's bounds, what it gives, and until when."""

    starts_at: datetime
    ends_at: datetime
    credits_micro: int
    expires_at: datetime


@dataclass(frozen=True)
class Plan:
    """What an invoice changes: months to give, and from when earlier ones are given no more."""

    months: tuple[Month, ...]
    supersedes_from: datetime | None = None
    """Months of earlier invoices that begin after it are replaced by this invoice's."""
    returned_micro: int = 0
    """What the month under way had given too much: its time was given back for money, and this
    invoice gives less for it."""


def add_months(moment: datetime, count: int) -> datetime:
    """Return the same day ``count`` months later, or that month's last day if it has no such."""
    month = moment.month - 1 + count
    year, month = moment.year + month // 12, month % 12 + 1
    return moment.replace(
        year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1])
    )


def plan_of(
    invoice: InvoiceState,
    prices: Mapping[str, Gives],
    earlier: Sequence[tuple[datetime, datetime]] = (),
    *,
    trial_end: datetime | None = None,
) -> Plan:
    """Return what a paid invoice gives.

    ``prices`` holds every price that a line names, else ``PriceUnknown``. ``earlier`` are the
    bounds of the months that this subscription's earlier invoices gave: an upgrade divides them.
    Where more is given back than given, as by a smaller plan at once, the month gives nothing and
    the rest is ``returned_micro``; a trial's time, for which nobody paid, returns none.
    """
    given: dict[datetime, Month] = {}
    back = paid_back = 0
    supersedes_from: datetime | None = None
    for line in sorted(invoice.lines, key=lambda each: (each.starts_at, each.amount_minor)):
        gives = prices.get(line.price_id)
        if gives is None:
            raise PriceUnknown(line.price_id)
        if line.amount_minor < 0 or (line.proration and line.amount_minor == 0):
            unused = _unused(line, gives, earlier)
            back += unused
            paid_back += unused if line.amount_minor < 0 else 0
            supersedes_from = min(supersedes_from or line.starts_at, line.starts_at)
            continue
        for month in _months(line, gives, earlier, trial_end):
            known = given.get(month.starts_at)
            total = month.credits_micro + (known.credits_micro if known else 0)
            given[month.starts_at] = replace(month, credits_micro=total)
    months = [given[starts_at] for starts_at in sorted(given)]
    first_micro = months[0].credits_micro if months else 0
    if back and months:
        left = _up_to_a_hundredth(max(0, first_micro - back))
        months[0] = replace(months[0], credits_micro=left)
    return Plan(
        tuple(month for month in months if month.credits_micro > 0),
        supersedes_from,
        _down_to_a_hundredth(max(0, paid_back - first_micro)),
    )


def newest_price(invoices: Iterable[InvoiceState]) -> InvoiceLine | None:
    """Return the line whose price is in force: of the paid ones, the one that reaches farthest.

    Of two that end together, as after an upgrade, the later invoice's counts.
    """
    best: InvoiceLine | None = None
    for invoice in invoices:
        if not invoice.paid:
            continue
        for line in invoice.lines:
            if line.amount_minor < 0:
                continue
            if best is None or line.ends_at >= best.ends_at:
                best = line
    return best


def _months(
    line: InvoiceLine,
    gives: Gives,
    earlier: Sequence[tuple[datetime, datetime]],
    trial_end: datetime | None,
) -> list[Month]:
    if trial_end is not None and line.ends_at == trial_end and line.amount_minor == 0:
        # A trial's credits end with it, whatever the plan's own last for.
        trial = Month(line.starts_at, line.ends_at, gives.trial_credits_micro, line.ends_at)
        return [trial] if gives.trial_credits_micro else []
    each = gives.credits_micro * line.quantity
    if not line.proration:
        return [
            _month(
                add_months(line.starts_at, number),
                line.ends_at
                if number + 1 == MONTHS[gives.cycle]
                else add_months(line.starts_at, number + 1),
                each,
                gives,
            )
            for number in range(MONTHS[gives.cycle])
        ]
    return [
        _month(starts_at, ends_at, _part(each, line, starts_at, ends_at), gives)
        for starts_at, ends_at in _divided(line, earlier)
    ]


def _month(starts_at: datetime, ends_at: datetime, credits_micro: int, gives: Gives) -> Month:
    lasts = gives.lasting_months
    expires_at = NEVER if lasts is None else add_months(ends_at, lasts - 1)
    return Month(starts_at, ends_at, credits_micro, expires_at)


def _unused(line: InvoiceLine, gives: Gives, earlier: Sequence[tuple[datetime, datetime]]) -> int:
    """Return what the month under way had given for the time that is now given back."""
    for starts_at, ends_at in _divided(line, earlier):
        if starts_at <= line.starts_at < ends_at:
            return _part(gives.credits_micro * line.quantity, line, starts_at, ends_at)
    return 0


def _divided(
    line: InvoiceLine, earlier: Sequence[tuple[datetime, datetime]]
) -> list[tuple[datetime, datetime]]:
    """Return the whole months that a part of a period touches."""
    touched = sorted(
        {bounds for bounds in earlier if bounds[1] > line.starts_at and bounds[0] < line.ends_at}
    )
    if touched:
        return touched
    # Nothing is known of the months before: count them back from the period's end.
    months: list[tuple[datetime, datetime]] = []
    ends_at = line.ends_at
    while ends_at > line.starts_at:
        starts_at = add_months(line.ends_at, -(len(months) + 1))
        months.insert(0, (starts_at, ends_at))
        ends_at = starts_at
    return months


def _part(credits_micro: int, line: InvoiceLine, starts_at: datetime, ends_at: datetime) -> int:
    """Return the share of a month's credits for the seconds of it that the line covers."""
    whole = int((ends_at - starts_at).total_seconds())
    left = min(ends_at, line.ends_at) - max(starts_at, line.starts_at)
    return credits_micro * int(left.total_seconds()) // whole


def _up_to_a_hundredth(micro: int) -> int:
    """Round a part of a month up, in the buyer's favour, to what people can read."""
    return -(-micro // HUNDREDTH_MICRO) * HUNDREDTH_MICRO


def _down_to_a_hundredth(micro: int) -> int:
    """Round what is taken down, in the buyer's favour."""
    return micro // HUNDREDTH_MICRO * HUNDREDTH_MICRO
