"""Lines of paid invoices that concern a plan: what each one charges or credits. Pure functions.

A line is judged by what it is. Lines that an operator added by hand are not among an invoice's
``lines``; those of other items of the subscription have a price that is not in ``plan_prices``. An
upgrade credits the unused time of the earlier price and charges the rest of the period at the new
one. Stripe writes such prorations after discounts, unless the subscription itemizes them, so with a
code of 100 % both are 0, and a credit for time that cost nothing may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from creditapp.payments.stripe.records import InvoiceLine, InvoiceState


class CreditTerms(Protocol):
    """The credits that a price includes: a row of ``plan_prices``."""

    cycle: str
    credits_micro: int
    lasting_months: int | None
    trial_credits_micro: int


@dataclass(frozen=True)
class PlanLine:
    """A line with a known price, and whether it credits unused time or charges a period."""

    line: InvoiceLine
    terms: CreditTerms
    credits_unused_time: bool = False

    @property
    def monthly_micro(self) -> int:
        """The credits of a whole month."""
        return self.terms.credits_micro * self.line.quantity


class UnknownPrice(Exception):
    """An invoice charges the plan's item at a price that is not in ``plan_prices``."""


def plan_lines(
    invoice: InvoiceState,
    prices: Mapping[str, CreditTerms],
    before: InvoiceLine | None = None,
    *,
    trial_end: datetime | None = None,
) -> list[PlanLine]:
    """Return the lines that change credits, those that credit unused time first.

    ``before`` is the line paid for before this invoice (``current_line``). Prorations within a
    trial are left out, because no month was granted that they could change, and those of no time.
    """
    unused_lines, charged_lines = _divide(invoice, before)
    charges = _with_terms(charged_lines, prices)
    unused = _with_terms(unused_lines, prices, credits_unused_time=True)
    if before is not None and not unused_lines:
        unused = _missing_credit(charges, before, prices)
    lines = [*unused, *charges]
    return [one for one in lines if not one.line.proration or _changes_time(one.line, trial_end)]


def unknown_prices(invoice: InvoiceState, prices: Mapping[str, CreditTerms]) -> set[str]:
    """Return the prices of an invoice that are not in ``plan_prices``."""
    return {line.price_id for line in invoice.lines} - set(prices)


def unknown_plan_lines(
    invoice: InvoiceState,
    prices: Mapping[str, CreditTerms],
    before: InvoiceLine | None,
    plan_item_id: str | None,
) -> list[InvoiceLine]:
    """Return the lines that charge the plan, if all charged prices are unknown; else none.

    ``plan_item_id`` is the subscription's item with a known price, if it has one: other items do
    not concern the plan.
    """
    _, charged_lines = _divide(invoice, before)
    if any(line.price_id in prices for line in charged_lines):
        return []
    return [line for line in charged_lines if plan_item_id in (None, line.item_id)]


def current_line(
    invoices: Iterable[InvoiceState], prices: Mapping[str, CreditTerms]
) -> InvoiceLine | None:
    """Return the paid line that ends last: its price is the one in force.

    Of two that end together, as after an upgrade, the later invoice's counts. Lines with an unknown
    price count only if there is no other.
    """
    current: InvoiceLine | None = None
    for invoice in invoices:
        if not invoice.paid:
            continue
        for line in _divide(invoice, current)[1]:
            if current is None or _rank(line, prices) >= _rank(current, prices):
                current = line
    return current


def is_in_trial(line: InvoiceLine, trial_end: datetime | None) -> bool:
    """Whether a line is of time that a trial gave for nothing."""
    return trial_end is not None and line.amount_minor == 0 and line.starts_at < trial_end


def _changes_time(line: InvoiceLine, trial_end: datetime | None) -> bool:
    return line.starts_at < line.ends_at and not is_in_trial(line, trial_end)


def _rank(line: InvoiceLine, prices: Mapping[str, CreditTerms]) -> tuple[bool, datetime]:
    return line.price_id in prices, line.ends_at


def _divide(
    invoice: InvoiceState, before: InvoiceLine | None
) -> tuple[list[InvoiceLine], list[InvoiceLine]]:
    """Return the lines that credit unused time, and those that charge a period."""
    names_credits = any(line.credits_earlier_lines for line in invoice.lines)
    unused: list[InvoiceLine] = []
    charged: list[InvoiceLine] = []
    for line in invoice.lines:
        is_credit = line.amount_minor < 0
        if line.proration and line.amount_minor == 0:
            is_credit = line.credits_earlier_lines or (
                not names_credits
                and before is not None
                and (line.price_id, line.quantity) == (before.price_id, before.quantity)
            )
        (unused if is_credit else charged).append(line)
    return unused, charged


def _with_terms(
    lines: Iterable[InvoiceLine],
    prices: Mapping[str, CreditTerms],
    *,
    credits_unused_time: bool = False,
) -> list[PlanLine]:
    return [
        PlanLine(line, prices[line.price_id], credits_unused_time)
        for line in lines
        if line.price_id in prices
    ]


def _missing_credit(
    charges: Sequence[PlanLine], before: InvoiceLine, prices: Mapping[str, CreditTerms]
) -> list[PlanLine]:
    """Return the credit of unused time that Stripe left out because nothing was paid for it."""
    rest = next((one.line for one in charges if one.line.proration), None)
    terms = prices.get(before.price_id)
    if rest is None or terms is None or not before.starts_at <= rest.starts_at < before.ends_at:
        return []
    line = InvoiceLine(
        price_id=before.price_id,
        item_id=before.item_id,
        amount_minor=0,
        quantity=before.quantity,
        starts_at=rest.starts_at,
        ends_at=before.ends_at,
        proration=True,
    )
    return [PlanLine(line, terms, credits_unused_time=True)]
