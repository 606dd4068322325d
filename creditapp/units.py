"""Credits, microcredits and money: integers inside, decimals only in input and output.

One credit is 1,000,000 microcredits. Every amount is an integer number of microcredits (``_micro``)
or of a currency's minor units (``_minor``), never a float. This module converts between those and
decimals.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact

from creditapp.currencies import CURRENCIES, currency_of

MICRO_PER_CREDIT = 1_000_000
MICRO_MAX = 10**9 * MICRO_PER_CREDIT
"""The largest amount of one request: 10^9 credits."""

MINOR_MAX = 10**11
"""The largest amount of money in one input: a billion, in hundredths."""

DECIMALS_MAX = 6

_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_SHOWN_CHARACTERS = 40
"""Of a text that is quoted because it is no amount."""
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


class AmountInvalid(ValueError):
    """An invalid amount; its text is a sentence for people."""


def micro_from_text(text: str) -> int:
    """Return the microcredits of a decimal in text, such as ``"0.5"``."""
    return micro_from_decimal(_decimal(text, "a number of credits"))


def micro_from_decimal(amount: Decimal) -> int:
    """Return the microcredits of a positive decimal; raise ``AmountInvalid`` otherwise."""
    if not amount.is_finite():
        raise AmountInvalid("An amount must be a finite number.")
    if amount <= 0:
        raise AmountInvalid("An amount must be greater than zero.")
    if amount > MICRO_MAX // MICRO_PER_CREDIT:
        raise AmountInvalid("An amount must be at most 1000000000 credits.")
    micro = _whole_units(amount, DECIMALS_MAX)
    if micro is None:
        raise AmountInvalid(f"An amount must have at most {DECIMALS_MAX} decimals.")
    return micro


def credits_number(micro: int) -> int | Decimal:
    """Return an amount as the plain JSON number of credits: ``12`` or ``Decimal("0.5")``."""
    whole, rest = divmod(abs(micro), MICRO_PER_CREDIT)
    sign = -1 if micro < 0 else 1
    if rest == 0:
        return sign * whole
    digits = f"{rest:06d}".rstrip("0")
    return Decimal(f"{'-' if sign < 0 else ''}{whole}.{digits}")


def credits_text(micro: int) -> str:
    """Return an amount for people: ``1,200`` or ``0.5``, with a true minus sign."""
    number = credits_number(abs(micro))
    return f"{'−' if micro < 0 else ''}{number:,}"


def dollars_text(micro: int) -> str:
    """Return an amount where one credit is one dollar: ``$12.34``, or exactly where it is finer."""
    number = Decimal(abs(micro)).scaleb(-DECIMALS_MAX).normalize()
    exponent = number.as_tuple().exponent
    digits = max(2, -exponent if isinstance(exponent, int) else 2)
    return f"{'−' if micro < 0 else ''}${number:,.{digits}f}"


def round_down(micro: int) -> int:
    """Return an amount rounded down to hundredths of a credit; less than one stays as it is."""
    hundredth = MICRO_PER_CREDIT // 100
    return micro if 0 <= micro < hundredth else micro - micro % hundredth


def minor_digits(currency: str) -> int:
    """Return how many decimals a currency's amounts have: 2 for USD, 0 for JPY."""
    return currency_of(currency).digits


def minor_to_decimal(minor: int, currency: str) -> Decimal:
    """Return money in its currency's major unit: ``14.99``."""
    return Decimal(minor).scaleb(-minor_digits(currency))


def minor_from_text(text: str, currency: str) -> int:
    """Return the minor units of a price that a person wrote, such as ``"50"`` or ``"14.99"``.

    Raises ``AmountInvalid`` unless it is a positive amount of the currency.
    """
    digits = minor_digits(currency)
    amount = _decimal(text, "an amount of money")
    if not 0 < amount <= Decimal(MINOR_MAX).scaleb(-digits):
        raise AmountInvalid("An amount of money must be greater than zero and at most a billion.")
    minor = _whole_units(amount, digits)
    if minor is None or minor % currency_of(currency).step_minor:
        raise AmountInvalid(f"An amount in {currency.upper()} has {decimals_text(currency)}.")
    return minor


def decimals_text(currency: str) -> str:
    """Return which decimals an amount of a currency may have, for a sentence that refuses one."""
    known = currency_of(currency)
    if known.shown_digits and known.step_minor > 1:
        return f"{known.digits} decimals, of which the last is 0"
    return f"at most {known.shown_digits} decimals"


def round_down_minor(minor: int, currency: str) -> int:
    """Return the largest amount that can be charged or refunded and is not above ``minor``."""
    return minor - minor % currency_of(currency).step_minor


def charge_problem(minor: int, currency: str) -> str | None:
    """Return why Stripe cannot charge a price, as a rule that begins with "must", or None."""
    code = currency.upper()
    known = CURRENCIES.get(code)
    if known is None:
        return f"must be in a currency that Stripe charges in; {code} is none"
    if minor % known.step_minor:
        return f"must have {decimals_text(code)} in {code}"
    if minor < known.least_minor:
        return f"must be at least {money_text(known.least_minor, code)}, Stripe's least charge"
    if minor > known.most_minor:
        return f"must be at most {money_text(known.most_minor, code)}, Stripe's largest charge"
    return None


def _decimal(text: str, kind: str) -> Decimal:
    """Return the decimal that a person wrote; raise ``AmountInvalid`` for what is not ``kind``.

    Python also reads ``1e3``, ``1_0`` and the digits of other scripts, which nobody means here.
    """
    plain = text.strip()
    if _PLAIN.fullmatch(plain) is None:
        shown = plain if len(plain) <= _SHOWN_CHARACTERS else f"{plain[:_SHOWN_CHARACTERS]}..."
        raise AmountInvalid(f"{shown!r} is not {kind}.")
    return Decimal(plain)


def _whole_units(amount: Decimal, decimals: int) -> int | None:
    """Return ``amount * 10**decimals``, or None if that is not a whole number.

    ``amount`` is positive and bounded by the caller, so that no huge exponent is expanded. By
    default Decimal silently rounds a product to 28 digits, so that 0.999... with 35 nines becomes 1
    and 1e-999999999 becomes 0. Here both are None.
    """
    # A context for each call: it keeps flags, which threads must not share.
    exact = Context(traps=[Inexact])
    try:
        units = exact.multiply(amount, Decimal(10**decimals))
    except Inexact:
        return None
    return int(units) if units == units.to_integral_value() else None


def money_text(minor: int, currency: str) -> str:
    """Return a price for people: ``$14.99``, ``−$3.00``, ``12.00 CHF`` or ``500 ISK``."""
    known = currency_of(currency)
    digits = known.digits if minor % known.step_minor else known.shown_digits
    amount = minor_to_decimal(abs(minor), currency)
    sign = "−" if minor < 0 else ""
    symbol = _SYMBOLS.get(currency.upper())
    if symbol:
        return f"{sign}{symbol}{amount:,.{digits}f}"
    return f"{sign}{amount:,.{digits}f} {currency.upper()}"


def divide_up(amount: int, divisor: int) -> int:
    """Return ``amount / divisor`` rounded up, as costs are. Both are at least zero."""
    return -(-amount // divisor)
