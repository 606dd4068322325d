"""Reference model of plans and packs: the credits that payments and reversals must result in.

It shares no code with the app: it counts months itself and knows only the sandbox's invoices. If an
amount depends on seconds, or on the order in which months were reversed, it returns bounds.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime

from creditapp.stripe_sandbox.store import Json, Store

MICRO = 1_000_000
HUNDREDTH = 10_000
CREDITS = {"basic": 500 * MICRO, "premium": 1200 * MICRO}
PACK = 110 * MICRO


@dataclass(frozen=True)
class Bounds:
    """The least and the most microcredits that may be granted and not reversed."""

    least: int
    most: int


@dataclass(frozen=True)
class Paid:
    """A paid invoice: plan and cycle, the plan before an upgrade, and the reversed amount."""

    id: str
    reason: str
    plan: str
    cycle: str
    starts_at: datetime
    ends_at: datetime
    before: tuple[str, str] | None
    """Plan and cycle before an upgrade."""
    paid_minor: int
    reversed_minor: int
    disputed: bool
    """Whether it ever was; its months may have become due meanwhile."""


def paid_of(books: Store, subscription_id: str, names: dict[str, tuple[str, str]]) -> list[Paid]:
    """Return a subscription's paid invoices, the oldest first; ``names`` are by price id."""
    invoices = [
        invoice
        for invoice in books.find("invoice", limit=1000)
        if invoice["parent"]["subscription_details"]["subscription"] == subscription_id
        and invoice["status"] == "paid"
    ]
    return [_paid(books, invoice, names) for invoice in reversed(invoices)]


def granted(invoices: list[Paid], now: datetime) -> dict[str, Bounds]:
    """Return what each invoice of a subscription must have granted by now."""
    bounds_by_invoice = {}
    for number, invoice in enumerate(invoices):
        upgrades = [later for later in invoices[number + 1 :] if later.before]
        replaced_at = min((upgrade.starts_at for upgrade in upgrades), default=invoice.ends_at)
        bounds = _granted(invoice, replaced_at, now)
        if invoice.before and any(_is_reversed(earlier) for earlier in invoices[:number]):
            # It also grants months paid by an earlier invoice, unless that one is reversed.
            bounds = Bounds(0, bounds.most)
        bounds_by_invoice[invoice.id] = bounds
    return bounds_by_invoice


def _is_reversed(invoice: Paid) -> bool:
    return invoice.cycle == "year" and (invoice.reversed_minor > 0 or invoice.disputed)


def share(paid_minor: int, reversed_minor: int, micro: int) -> int:
    """Return the part of the credits that is reversed with a part of the money."""
    return micro * min(reversed_minor, paid_minor) // paid_minor


def _granted(invoice: Paid, replaced_at: datetime, now: datetime) -> Bounds:
    monthly = CREDITS[invoice.plan]
    if invoice.before is not None:
        first = _first_of_upgrade(invoice, monthly)
        count = _months_begun(invoice, min(now, replaced_at)) - 1
        bounds = Bounds(first.least + count * monthly, first.most + count * monthly)
    else:
        count = 1 if invoice.cycle == "month" else _months_begun(invoice, min(now, replaced_at))
        bounds = Bounds(count * monthly, count * monthly)
    if not invoice.reversed_minor and not invoice.disputed:
        return bounds
    if invoice.cycle == "month" and invoice.before is None:
        # One whole month: the share is exact, whenever it was synced.
        left = monthly - share(invoice.paid_minor, invoice.reversed_minor, monthly)
        return Bounds(0 if invoice.disputed else left, left)
    if invoice.reversed_minor >= invoice.paid_minor and invoice.before is None:
        return Bounds(0, 0)
    return Bounds(0, bounds.most)


def _first_of_upgrade(invoice: Paid, monthly: int) -> Bounds:
    assert invoice.before is not None
    old_plan, old_cycle = invoice.before
    if old_cycle == invoice.cycle:
        return Bounds(0, monthly - CREDITS[old_plan] + HUNDREDTH)
    # A new year begins: its first month, less at most all of the month that it ends early.
    return Bounds(monthly - CREDITS[old_plan], monthly)


def _months_begun(invoice: Paid, until: datetime) -> int:
    """Return how many of the months that an invoice covers have begun by a moment.

    A yearly upgrade continues the months of the year that it replaces.
    """
    if invoice.cycle == "month":
        return 1
    begun = 0
    for month in range(12):
        starts_at = _months_before(invoice.ends_at, 12 - month)
        ends_at = _months_before(invoice.ends_at, 11 - month)
        if ends_at > invoice.starts_at and starts_at <= until:
            begun += 1
    return max(1, begun)


def _months_before(moment: datetime, count: int) -> datetime:
    total = moment.year * 12 + moment.month - 1 - count
    year, month = divmod(total, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _paid(books: Store, invoice: Json, names: dict[str, tuple[str, str]]) -> Paid:
    lines = sorted(invoice["lines"]["data"], key=lambda line: int(line["amount"]))
    named = [names[line["pricing"]["price_details"]["price"]] for line in lines]
    changed = invoice["billing_reason"] == "subscription_update"
    reversed_amount, disputed = _invoice_reversed_minor(books, invoice)
    period = lines[-1]["period"]
    return Paid(
        invoice["id"],
        invoice["billing_reason"],
        *named[-1],
        datetime.fromtimestamp(period["start"], UTC),
        datetime.fromtimestamp(period["end"], UTC),
        named[0] if changed else None,
        invoice["amount_paid"],
        reversed_amount,
        disputed,
    )


def _invoice_reversed_minor(books: Store, invoice: Json) -> tuple[int, bool]:
    payments = books.find("invoice_payment", {"invoice": invoice["id"]})
    intents = [payment["payment"]["payment_intent"] for payment in payments]
    return reversed_minor(books, intents[0]) if intents else (0, False)


def reversed_minor(books: Store, intent: str) -> tuple[int, bool]:
    """Return the refunded and lost amount of a payment, and whether it was ever disputed."""
    where: dict[str, object] = {"payment_intent": intent}
    refunds, disputes = books.find("refund", where), books.find("dispute", where)
    refunded = sum(refund["amount"] for refund in refunds if refund["status"] == "succeeded")
    lost = sum(dispute["amount"] for dispute in disputes if dispute["status"] == "lost")
    return refunded + lost, bool(disputes)
