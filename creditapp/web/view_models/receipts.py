"""Receipt, for the page and the PDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from creditapp.accounts import User
from creditapp.config import Settings
from creditapp.payments.purchases.receipts import Receipt
from creditapp.services import get


@dataclass(frozen=True)
class ReceiptRow:
    """A labelled amount in minor units; ``strong`` marks a total."""

    label: str
    minor: int
    strong: bool = False


@dataclass(frozen=True)
class ReceiptView:
    """The ``receipt`` component."""

    paid: Receipt
    seller: Sequence[str]
    buyer: Sequence[str]
    rows: Sequence[ReceiptRow]


def receipt(paid: Receipt, buyer: User) -> ReceiptView:
    """Return a payment with its parties, and its amounts as rows."""
    amounts = paid.amounts
    rows = [ReceiptRow("Price", amounts.price_minor)]
    if amounts.discount_minor:
        rows.append(ReceiptRow("Discount", -amounts.discount_minor))
    if amounts.tax_minor:
        rows.append(ReceiptRow("Tax", amounts.tax_minor))
    rows.append(ReceiptRow("Total paid", amounts.total_minor, strong=True))
    if amounts.refunded_minor:
        rest_minor = amounts.total_minor - amounts.refunded_minor
        rows.append(ReceiptRow("Refunded", -amounts.refunded_minor))
        rows.append(ReceiptRow("Left after refunds", rest_minor, strong=True))
    buyer_lines = [line for line in (buyer.name, buyer.email) if line]
    return ReceiptView(paid, _seller(get(Settings)), buyer_lines, rows)


def _seller(settings: Settings) -> list[str]:
    address = [part.strip() for part in settings.seller_address.split(";")]
    lines = [
        settings.seller_name or settings.site_name,
        *address,
        settings.seller_tax_id,
        settings.support_email,
    ]
    return [line for line in lines if line]
