"""What plans and packs must have given, from what the bank was paid and gave back alone.

It shares no code with the shop: its months are counted here, and it knows of an invoice only what
stands on it. Where a sum depends on seconds or on the order in which months were taken back, it
says between which bounds the sum lies.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime

from creditapp.stripe_sandbox.store import Books, Json

MICRO = 1_000_000
HUNDREDTH = 10_000
CREDITS = {"basic": 500 * MICRO, "premium": 1200 * MICRO}
PACK = 110 * MICRO


@dataclass(frozen=True)
class Bounds:
    """The least and the most that may have been given and not taken back."""

    least: int
    most: int


@dataclass(frozen=True)
class Paid:
    """One paid invoice: its plan and cycle, what it replaced, and what went back of the money."""

    id: str
    reason: str
    plan: str
    cycle: str
    starts_at: datetime
    ends_at: datetime
    before: tuple[str, str] | None
    """Plan and cycle that an upgrade gave up."""
    paid_minor: int
    back_minor: int
    disputed: bool
    """Whether it ever was; its months may have passed meanwhile."""


def paid_of(books: Books, subscription_id: str, names: dict[str, tuple[str, str]]) -> list[Paid]:
    """Return the paid invoices of a subscription, the oldest first; ``names`` are the prices'."""
    found = [
        each
        for each in books.find("invoice", limit=1000)
        if each["parent"]["subscription_details"]["subscription"] == subscription_id
        and each["status"] == "paid"
    ]
    return [_paid(books, each, names) for each in reversed(found)]


def given(invoices: list[Paid], now: datetime) -> dict[str, Bounds]:
    """Return what each invoice of a subscription must have given by now."""
    found = {}
    for number, invoice in enumerate(invoices):
        later = [each for each in invoices[number + 1 :] if each.before]
        replaced_at = min((each.starts_at for each in later), default=invoice.ends_at)
        bounds = _given(invoice, replaced_at, now)
        if invoice.before and any(_went_back(each) for each in invoices[:number]):
            # It gives months that older money pays for, as long as that is there.
            bounds = Bounds(0, bounds.most)
        found[invoice.id] = bounds
    return found


def _went_back(invoice: Paid) -> bool:
    return invoice.cycle == "year" and (invoice.back_minor > 0 or invoice.disputed)


def back_of(paid_minor: int, back_minor: int, micro: int) -> int:
    """Return how much of so many credits goes back with a part of the money."""
    return micro * min(back_minor, paid_minor) // paid_minor


def _given(invoice: Paid, replaced_at: datetime, now: datetime) -> Bounds:
    each = CREDITS[invoice.plan]
    if invoice.before is not None:
        first = _first_of_upgrade(invoice, each)
        count = _months_begun(invoice, min(now, replaced_at)) - 1
        bounds = Bounds(first.least + count * each, first.most + count * each)
    else:
        count = 1 if invoice.cycle == "month" else _months_begun(invoice, min(now, replaced_at))
        bounds = Bounds(count * each, count * each)
    if not invoice.back_minor and not invoice.disputed:
        return bounds
    if invoice.cycle == "month" and invoice.before is None:
        # One month, all of which was given: the share is exact, whenever it was heard of.
        left = each - back_of(invoice.paid_minor, invoice.back_minor, each)
        return Bounds(0 if invoice.disputed else left, left)
    if invoice.back_minor >= invoice.paid_minor and invoice.before is None:
        return Bounds(0, 0)
    return Bounds(0, bounds.most)


def _first_of_upgrade(invoice: Paid, each: int) -> Bounds:
    assert invoice.before is not None
    old_plan, old_cycle = invoice.before
    if old_cycle == invoice.cycle:
        return Bounds(0, each - CREDITS[old_plan] + HUNDREDTH)
    # A new year begins: its first month, less at most all of the month that it cuts short.
    return Bounds(each - CREDITS[old_plan], each)


def _months_begun(invoice: Paid, until: datetime) -> int:
    """Return how many months have begun by a moment, of those that an invoice reaches into.

    A yearly upgrade goes on in the months of the year that it replaces: they end with it.
    """
    if invoice.cycle == "month":
        return 1
    month = 0
    begun = 0
    while month < 12:
        starts_at = _months_before(invoice.ends_at, 12 - month)
        ends_at = _months_before(invoice.ends_at, 11 - month)
        if ends_at > invoice.starts_at and starts_at <= until:
            begun += 1
        month += 1
    return max(1, begun)


def _months_before(moment: datetime, count: int) -> datetime:
    total = moment.year * 12 + moment.month - 1 - count
    year, month = divmod(total, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _paid(books: Books, invoice: Json, names: dict[str, tuple[str, str]]) -> Paid:
    lines = sorted(invoice["lines"]["data"], key=lambda line: int(line["amount"]))
    named = [names[line["pricing"]["price_details"]["price"]] for line in lines]
    changed = invoice["billing_reason"] == "subscription_update"
    back, disputed = _back(books, invoice)
    period = lines[-1]["period"]
    return Paid(
        invoice["id"],
        invoice["billing_reason"],
        *named[-1],
        datetime.fromtimestamp(period["start"], UTC),
        datetime.fromtimestamp(period["end"], UTC),
        named[0] if changed else None,
        invoice["amount_paid"],
        back,
        disputed,
    )


def _back(books: Books, invoice: Json) -> tuple[int, bool]:
    payments = books.find("invoice_payment", {"invoice": invoice["id"]})
    intents = [each["payment"]["payment_intent"] for each in payments]
    return went_back(books, intents[0]) if intents else (0, False)


def went_back(books: Books, intent: str) -> tuple[int, bool]:
    """Return how much of a payment went back, and whether it was ever disputed."""
    where: dict[str, object] = {"payment_intent": intent}
    refunds, disputes = books.find("refund", where), books.find("dispute", where)
    back = sum(each["amount"] for each in refunds if each["status"] == "succeeded")
    back += sum(each["amount"] for each in disputes if each["status"] == "lost")
    return back, bool(disputes)
