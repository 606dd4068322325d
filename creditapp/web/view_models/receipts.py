"""A receipt, as page and PDF show it."""

from __future__ import annotations

from creditapp.accounts import User
from creditapp.config import Settings
from creditapp.payments.purchases.receipts import Receipt
from creditapp.services import get
from creditapp.web.view_models.credit import credits_words
from creditapp.web.view_models.view_model import ViewModel


def receipt(found: Receipt, buyer: User) -> ViewModel:
    """Return a payment in words and amounts; ``rows`` are label, minor units and weight."""
    paid = found.amounts
    rows = [_row("Price", paid.price_minor)]
    if paid.discount_minor:
        rows.append(_row("Discount", -paid.discount_minor))
    if paid.tax_minor:
        rows.append(_row("Tax", paid.tax_minor))
    rows.append(_row("Total paid", paid.total_minor, strong=True))
    if paid.refunded_minor:
        rows.append(_row("Refunded", -paid.refunded_minor))
        rows.append(_row("Left after refunds", paid.total_minor - paid.refunded_minor, strong=True))
    return {
        "number": found.number,
        "paid_at": found.paid_at,
        "seller": _seller(get(Settings)),
        "buyer": [line for line in (buyer.name, buyer.email) if line],
        "item": found.item,
        "detail": credits_words(found.credits_micro),
        "currency": found.currency,
        "rows": rows,
        "sandbox": found.sandbox,
    }


def _seller(settings: Settings) -> list[str]:
    address = [part.strip() for part in settings.seller_address.split(";")]
    lines = [
        settings.seller_name or settings.site_name,
        *address,
        settings.seller_tax_id,
        settings.support_email,
    ]
    return [line for line in lines if line]


def _row(label: str, minor: int, *, strong: bool = False) -> ViewModel:
    return {"label": label, "minor": minor, "strong": strong}
