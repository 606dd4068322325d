"""Amounts and moments as people read them, and amounts as they write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from creditapp.stripe_sandbox.errors import Refused

# Currencies without a hundredth, as Stripe charges in them (its "zero-decimal currencies").
_WHOLE = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split())
_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£"}


def money(minor: int, currency: str) -> str:
    """Return ``$14.99`` or ``12.00 CHF``."""
    digits = 0 if currency in _WHOLE else 2
    amount = f"{abs(Decimal(minor)).scaleb(-digits):,.{digits}f}"
    sign = "−" if minor < 0 else ""
    symbol = _SYMBOLS.get(currency)
    return f"{sign}{symbol}{amount}" if symbol else f"{sign}{amount} {currency.upper()}"


def minor_from_text(text: str, currency: str) -> int:
    """Return the minor units of an amount that a person wrote, such as ``4.99``."""
    digits = 0 if currency in _WHOLE else 2
    plain = text.lstrip("$€£")
    # Few enough digits that Decimal rounds none of them away, and no exponent to overflow.
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", plain) is None:
        raise Refused(f"{text[:40]!r} is not an amount.", param="amount")
    minor = Decimal(plain).scaleb(digits)
    if minor != minor.to_integral_value() or not 0 < minor < 10**9:
        raise Refused(f"{text!r} is not an amount that can be refunded.", param="amount")
    return int(minor)


def moment(seconds: float) -> str:
    """Return a moment in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y, %H:%M:%S")


def day(seconds: float) -> str:
    """Return a day in UTC, as invoices write it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y")


def every(recurring: dict[str, Any]) -> str:
    """Return how often a price is paid: ``a month``, ``every 3 months``."""
    count, interval = recurring["interval_count"], recurring["interval"]
    return f"a {interval}" if count == 1 else f"every {count} {interval}s"


def terms_of(session: dict[str, Any]) -> str:
    """Return what a checkout's subscription costs and when: ``$15.00 a month``; else nothing."""
    recurring = [item for item in session["_line_items"] if item["price"]["recurring"]]
    if not recurring:
        return ""
    total = sum(item["price"]["unit_amount"] * item["quantity"] for item in recurring)
    price = recurring[0]["price"]
    words = f"{money(total, price['currency'])} {every(price['recurring'])}"
    days = session["_subscription_data"].get("trial_period_days")
    return f"{days} {'day' if days == 1 else 'days'} free, then {words}" if days else words
