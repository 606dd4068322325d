"""Receipt, for the page and the PDF."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from creditapp.accounts import User
from creditapp.config import Settings
from creditapp.payments.purchases.receipts import Receipt
from creditapp.services import get
from creditapp.web.view_models.credit import credits_words


class ReceiptRow(TypedDict):
    """A labelled amount in minor units; ``strong`` marks a total."""

    label: str
    minor: int
    strong: bool


class ReceiptView(TypedDict):
    """The ``receipt`` component."""

    number: str
    paid_at: datetime
    seller: list[str]
    buyer: list[str]
    item: str
    detail: str
    currency: str
    rows: list[ReceiptRow]
    sandbox: bool


def receipt(paid: Receipt, buyer: User) -> ReceiptView:
    """Return a payment in words and amounts."""
    amounts = paid.amounts
    rows = [_row("Price", amounts.price_minor)]
    if amounts.discount_minor:
        rows.append(_row("Discount", -amounts.discount_minor))
    if amounts.tax_minor:
        rows.append(_row("Tax", amounts.tax_minor))
    rows.append(_row("Total paid", amounts.total_minor, strong=True))
    if amounts.refunded_minor:
        rest_minor = amounts.total_minor - amounts.refunded_minor
        rows.append(_row("Refunded", -amounts.refunded_minor))
        rows.append(_row("Left after refunds", rest_minor, strong=True))
    return {
        "number": paid.number,
        "paid_at": paid.paid_at,
        "seller": _seller(get(Settings)),
        "buyer": [line for line in (buyer.name, buyer.email) if line],
        "item": paid.item,
        "detail": credits_words(paid.credits_micro),
        "currency": paid.currency,
        "rows": rows,
        "sandbox": paid.sandbox,
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


def _row(label: str, minor: int, *, strong: bool = False) -> ReceiptRow:
    return {"label": label, "minor": minor, "strong": strong}
