"""Parsing of Stripe's objects into records: no requests, and no import of the SDK."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from creditapp.payments.stripe import records
from creditapp.payments.stripe.records import (
    InvoiceLine,
    InvoiceState,
    PriceState,
    SubscriptionState,
)

if TYPE_CHECKING:
    from stripe import Invoice, InvoiceLineItem, Price, Subscription, SubscriptionItem


def read_subscription(subscription: Subscription) -> SubscriptionState:
    """Return a subscription; the item created with it is taken for the plan's."""
    items = sorted(
        subscription["items"].data,  # ``items`` is also the name of a method
        key=lambda item: item.created,
    )
    item, *other_items = map(_item, items)
    return SubscriptionState(
        id=subscription.id,
        status=subscription.status,
        customer_id=id_of(subscription.customer) or "",
        item=item,
        other_items=tuple(other_items),
        anchor=_moment(subscription.billing_cycle_anchor),
        cancel_at=_cancel_at(subscription, item),
        cancel_at_period_end=subscription.cancel_at_period_end,
        trial_end=_moment(subscription.trial_end) if subscription.trial_end else None,
        created=_moment(subscription.created),
        ended_at=_moment(subscription.ended_at) if subscription.ended_at else None,
        metadata=metadata_of(subscription),
        livemode=subscription.livemode,
    )


def _cancel_at(subscription: Subscription, item: records.SubscriptionItem) -> datetime | None:
    if subscription.cancel_at is not None:
        return _moment(subscription.cancel_at)
    return item.period_end if subscription.cancel_at_period_end else None


def _item(item: SubscriptionItem) -> records.SubscriptionItem:
    return records.SubscriptionItem(
        id=item.id,
        price_id=item.price.id,
        quantity=item.quantity or 1,
        period_start=_moment(item.current_period_start),
        period_end=_moment(item.current_period_end),
    )


def read_invoice(invoice: Invoice, lines: Iterable[InvoiceLineItem]) -> InvoiceState:
    """Return an invoice with all its ``lines``, of which Stripe includes only the first ten."""
    parsed_lines = (_line(line) for line in lines)
    return InvoiceState(
        id=invoice.id,
        number=invoice.number,
        status=invoice.status or "draft",
        billing_reason=invoice.billing_reason or "manual",
        subscription_id=subscription_of(invoice),
        currency=invoice.currency,
        subtotal_minor=invoice.subtotal,
        total_minor=invoice.total,
        tax_minor=sum(tax.amount for tax in invoice.total_taxes or ()),
        due_minor=invoice.amount_due,
        paid_minor=invoice.amount_paid,
        created=_moment(invoice.created),
        next_try_at=_moment(invoice.next_payment_attempt) if invoice.next_payment_attempt else None,
        lines=tuple(line for line in parsed_lines if line is not None),
        livemode=invoice.livemode,
    )


def subscription_of(invoice: Invoice) -> str | None:
    """Return the id of the subscription that an invoice bills, or None for another invoice."""
    details = invoice.parent.subscription_details if invoice.parent else None
    return id_of(details.subscription) if details else None


def _line(line: InvoiceLineItem) -> InvoiceLine | None:
    """Return a line of a subscription's item, or None for one that was added by hand.

    A line added by hand has a price too, which Stripe makes for it. Only its parent tells; that of
    a proration may be either.
    """
    parent = line.parent
    item = parent.subscription_item_details if parent else None
    by_hand = parent.invoice_item_details if parent else None
    details = item or by_hand
    if details is None or not (item or details.proration):
        return None
    priced = line.pricing.price_details if line.pricing else None
    credited = details.proration_details and details.proration_details.credited_items
    return InvoiceLine(
        price_id=(id_of(priced.price) if priced else None) or "",
        amount_minor=line.amount,
        quantity=line.quantity or 1,
        starts_at=_moment(line.period.start),
        ends_at=_moment(line.period.end),
        proration=details.proration,
        item_id=item.subscription_item if item else None,
        credits_earlier_lines=credited is not None,
    )


def read_price(price: Price) -> PriceState:
    """Return a price with its product, which must be expanded."""
    product: Any = price.product
    cycle = None
    if price.recurring:
        single = price.recurring.interval_count == 1
        cycle = price.recurring.interval if single else "other"
        cycle = cycle if cycle in ("month", "year") else "other"
    return PriceState(
        id=price.id,
        active=bool(price.active and getattr(product, "active", True)),
        product_name=str(getattr(product, "name", "")),
        price_minor=price.unit_amount,
        currency=price.currency,
        cycle=cycle,
        metadata=metadata_of(product) | metadata_of(price),
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def metadata_of(row: Any) -> dict[str, str]:
    """Return the metadata of one of Stripe's objects; empty where it has none."""
    metadata = getattr(row, "metadata", None)
    return dict(metadata.to_dict()) if metadata else {}


def created_since(moment: datetime) -> Any:
    """Return the parameters of a list of what was created since.

    The SDK has a type of its own for the parameters of each list.
    """
    return {"limit": 100, "created": {"gte": int(moment.timestamp())}}


def id_of(reference: object) -> str | None:
    """Return the id of a reference, which Stripe expands to the object on request."""
    if reference is None or isinstance(reference, str):
        return reference
    if isinstance(reference, dict):
        return reference.get("id")
    return str(getattr(reference, "id", "")) or None
