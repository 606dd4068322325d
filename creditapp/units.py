"""Credits, microcredits and money: integers inside, plain decimals at the edges.

One credit is 1,000,000 microcredits. Every amount is stored and computed as an integer
number of microcredits (``…_micro``) or of a currency's minor units (``…_minor``); no float
touches either. Only the two edges here turn an amount into a decimal and back.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation

MICRO_PER_CREDIT = 1_000_000
MICRO_MAX = 10**9 * MICRO_PER_CREDIT
"""The largest amount one request may name: 10^9 credits."""

MINOR_MAX = 10**11
"""The largest amount of money that a person may name: a billion, in hundredths."""

DECIMALS_MAX = 6

# ISO 4217 currencies whose minor unit is not a hundredth.
# Source: ISO 4217 table A.1, the ones that Stripe charges in.
_MINOR_DIGITS = {
    **dict.fromkeys(
        ("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF").split(),
        0,
    ),
    **dict.fromkeys("BHD JOD KWD OMR TND".split(), 3),
}
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


class AmountInvalid(ValueError):
    """A number that is no amount of credits; its text is a sentence for people."""


def micro_from_json(value: object) -> int:
    """Return the microcredits of a JSON number, which must be positive and exact.

    Raises ``AmountInvalid`` for a boolean, a string, zero, a negative number, NaN, more than
    six decimals or more than 10^9 credits. ``value`` is an ``int`` or a ``Decimal``: parse JSON
    with ``parse_float=Decimal``, because a float would already have lost the sender's digits.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise AmountInvalid("An amount is a number, not a text or a truth value.")
    return micro_from_decimal(Decimal(value))


def micro_from_text(text: str) -> int:
    """Return the microcredits of a decimal written by a person or a catalog, such as ``"0.5"``."""
    try:
        return micro_from_decimal(Decimal(text.strip()))
    except InvalidOperation:
        raise AmountInvalid(f"{text!r} is not a number of credits.") from None


def micro_from_decimal(amount: Decimal) -> int:
    """Return the microcredits of a positive decimal; raise ``AmountInvalid`` for any other."""
    if not amount.is_finite():
        raise AmountInvalid("An amount is a finite number.")
    if amount <= 0:
        raise AmountInvalid("An amount is greater than zero.")
    if amount > MICRO_MAX // MICRO_PER_CREDIT:
        raise AmountInvalid("An amount is at most 1000000000 credits.")
    micro = _whole_units(amount, DECIMALS_MAX)
    if micro is None:
        raise AmountInvalid(f"An amount has at most {DECIMALS_MAX} decimals.")
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


def minor_digits(currency: str) -> int:
    """Return how many decimals a currency's amounts have: 2 for USD, 0 for JPY."""
    return _MINOR_DIGITS.get(currency.upper(), 2)


def minor_from_text(text: str, currency: str) -> int:
    """Return the minor units of a price written by a person, such as ``"50"`` or ``"14.99"``.

    Raises ``AmountInvalid`` for what is no positive amount of the currency.
    """
    digits = minor_digits(currency)
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        raise AmountInvalid(f"{text!r} is not an amount of money.") from None
    if not amount.is_finite() or not 0 < amount <= Decimal(MINOR_MAX).scaleb(-digits):
        raise AmountInvalid("An amount of money is greater than zero, and not beyond a billion.")
    minor = _whole_units(amount, digits)
    if minor is None:
        raise AmountInvalid(f"An amount in {currency.upper()} has at most {digits} decimals.")
    return minor


def _whole_units(amount: Decimal, decimals: int) -> int | None:
    """Return ``amount * 10**decimals``, or None where that is no whole number.

    ``amount`` is positive, and bounded by the caller: a huge exponent is never written out. By
    default Decimal rounds a product to 28 digits and says nothing, so that 0.999... with 35 nines
    passes for 1, and 1e-999999999 for 0. Here both are None.
    """
    # One of its own for each call: a context keeps flags, and two threads must not share them.
    exact = Context(traps=[Inexact])
    try:
        units = exact.multiply(amount, Decimal(10**decimals))
    except Inexact:
        return None
    return int(units) if units == units.to_integral_value() else None


def money_text(minor: int, currency: str) -> str:
    """Return a price for people: ``$14.99``, ``−$3.00`` or ``12.00 CHF``."""
    digits = minor_digits(currency)
    amount = Decimal(abs(minor)).scaleb(-digits)
    sign = "−" if minor < 0 else ""
    symbol = _SYMBOLS.get(currency.upper())
    if symbol:
        return f"{sign}{symbol}{amount:,.{digits}f}"
    return f"{sign}{amount:,.{digits}f} {currency.upper()}"


def divide_up(amount: int, divisor: int) -> int:
    """Return ``amount / divisor`` rounded up: how a cost is rounded. Both are at least zero."""
    return -(-amount // divisor)
