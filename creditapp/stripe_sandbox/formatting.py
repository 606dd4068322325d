"""Format amounts and times for the pages, and parse amounts entered there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from creditapp.stripe_sandbox import currencies
from creditapp.stripe_sandbox.errors import StripeAPIError

_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£"}


def money(minor: int, currency: str) -> str:
    """Return ``$14.99`` or ``12.00 CHF``."""
    digits = currencies.decimals(currency)
    amount = f"{abs(Decimal(minor)).scaleb(-digits):,.{digits}f}"
    sign = "−" if minor < 0 else ""
    symbol = _SYMBOLS.get(currency)
    return f"{sign}{symbol}{amount}" if symbol else f"{sign}{amount} {currency.upper()}"


def parse_amount(text: str, currency: str) -> int:
    """Return the minor units of an entered amount, such as ``4.99``."""
    digits = currencies.decimals(currency)
    plain = text.lstrip("$€£")
    # A limited number of digits, so Decimal does not round, and no exponent that could overflow.
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", plain) is None:
        raise StripeAPIError(f"{text[:40]!r} is not an amount.", param="amount")
    minor = Decimal(plain).scaleb(digits)
    if minor != minor.to_integral_value() or not 0 < minor < 10**9:
        raise StripeAPIError(f"{text!r} is not an amount that can be refunded.", param="amount")
    return int(minor)


def moment(seconds: float) -> str:
    """Return a UTC date and time, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y, %H:%M:%S")


def day(seconds: float) -> str:
    """Return a UTC date as invoices show it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y")


def billing_interval(recurring: dict[str, Any]) -> str:
    """Return the interval of a price: ``a month``, ``every 3 months``."""
    count, interval = recurring["interval_count"], recurring["interval"]
    return f"a {interval}" if count == 1 else f"every {count} {interval}s"


def subscription_terms(session: dict[str, Any]) -> str:
    """Return a checkout's price per interval, such as ``$15.00 a month``, or an empty text."""
    recurring = [item for item in session["_line_items"] if item["price"]["recurring"]]
    if not recurring:
        return ""
    total = sum(item["price"]["unit_amount"] * item["quantity"] for item in recurring)
    price = recurring[0]["price"]
    words = f"{money(total, price['currency'])} {billing_interval(price['recurring'])}"
    days = session["_subscription_data"].get("trial_period_days")
    return f"{days} {'day' if days == 1 else 'days'} free, then {words}" if days else words
