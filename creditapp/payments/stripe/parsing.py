"""Stripe's objects turned into records: no calls, and no import of its SDK."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from creditapp.payments.stripe.records import (
    InvoiceLine,
    InvoiceState,
    PriceState,
    SubscriptionState,
)

if TYPE_CHECKING:
    from stripe import Invoice, InvoiceLineItem, Price, Subscription


def read_subscription(found: Subscription) -> SubscriptionState:
    """Return a subscription; this shop's have one item each."""
    item = found["items"].data[0]  # ``items`` is also the name of a method
    return SubscriptionState(
        id=found.id,
        status=found.status,
        customer_id=id_of(found.customer) or "",
        item_id=item.id,
        price_id=item.price.id,
        quantity=item.quantity or 1,
        period_start=_moment(item.current_period_start),
        period_end=_moment(item.current_period_end),
        cancel_at_period_end=found.cancel_at_period_end or found.cancel_at is not None,
        trial_end=_moment(found.trial_end) if found.trial_end else None,
        created=_moment(found.created),
        ended_at=_moment(found.ended_at) if found.ended_at else None,
        metadata=found.metadata.to_dict() if found.metadata else {},
        livemode=found.livemode,
    )


def read_invoice(found: Invoice, lines: Iterable[InvoiceLineItem]) -> InvoiceState:
    """Return an invoice with its lines, of which Stripe puts only the first ten into it."""
    paid_at = found.status_transitions.paid_at
    about_prices = (_line(each) for each in lines)
    return InvoiceState(
        id=found.id,
        number=found.number,
        status=found.status or "draft",
        billing_reason=found.billing_reason or "manual",
        subscription_id=subscription_of(found),
        currency=found.currency,
        subtotal_minor=found.subtotal,
        total_minor=found.total,
        tax_minor=sum(each.amount for each in found.total_taxes or ()),
        paid_minor=found.amount_paid,
        created=_moment(found.created),
        paid_at=_moment(paid_at) if paid_at else None,
        next_try_at=_moment(found.next_payment_attempt) if found.next_payment_attempt else None,
        page_url=found.hosted_invoice_url,
        lines=tuple(each for each in about_prices if each is not None),
        livemode=found.livemode,
    )


def subscription_of(found: Invoice) -> str | None:
    """Return the id of the subscription that an invoice bills, or None for another invoice."""
    details = found.parent.subscription_details if found.parent else None
    return id_of(details.subscription) if details else None


def _line(line: InvoiceLineItem) -> InvoiceLine | None:
    """Return a line that is about a price, or None for an adjustment made by hand."""
    details = line.pricing.price_details if line.pricing else None
    if details is None:
        return None
    item = line.parent.subscription_item_details if line.parent else None
    return InvoiceLine(
        price_id=id_of(details.price) or "",
        amount_minor=line.amount,
        quantity=line.quantity or 1,
        starts_at=_moment(line.period.start),
        ends_at=_moment(line.period.end),
        proration=bool(item and item.proration),
    )


def read_price(found: Price) -> PriceState:
    """Return a price with its product, which must be expanded."""
    product: Any = found.product
    carried = product.metadata.to_dict() if getattr(product, "metadata", None) else {}
    carried |= found.metadata.to_dict() if found.metadata else {}
    cycle = None
    if found.recurring:
        single = found.recurring.interval_count == 1
        cycle = found.recurring.interval if single else "other"
        cycle = cycle if cycle in ("month", "year") else "other"
    return PriceState(
        id=found.id,
        active=bool(found.active and getattr(product, "active", True)),
        product_name=str(getattr(product, "name", "")),
        price_minor=found.unit_amount,
        currency=found.currency,
        cycle=cycle,
        metadata=carried,
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def id_of(reference: object) -> str | None:
    """Return the id of what Stripe gives as an id or, when it was expanded, as the object."""
    if reference is None or isinstance(reference, str):
        return reference
    return str(getattr(reference, "id", "")) or None
