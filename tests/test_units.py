"""Amounts as they are read: exactly what was written, or refused."""

from __future__ import annotations

import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from creditapp.units import (
    MICRO_MAX,
    MICRO_PER_CREDIT,
    MINOR_MAX,
    AmountInvalid,
    credits_number,
    micro_from_decimal,
    micro_from_text,
    minor_digits,
    minor_from_text,
)

ALMOST_ONE = "0." + "9" * 35
# More digits than Decimal calculates with (28), on both sides of the point; and few, which pass.
WRITTEN = st.builds(
    lambda digits, exponent: f"{digits}E{exponent}",
    st.integers(0, 10**50) | st.integers(0, 10**8),
    st.integers(-50, 12) | st.integers(-8, 2),
) | st.decimals(allow_nan=False, allow_infinity=False).map(str)


def exact(text: str, units: int, largest: int) -> int | None:
    """Return what a text is worth, by fractions, which never round; None for no amount."""
    scaled = Fraction(text) * units
    return int(scaled) if scaled.denominator == 1 and 0 < scaled <= largest else None


@given(WRITTEN)
@example(ALMOST_ONE)
@example(f"1.{'0' * 60}")
@example(f"1.{'0' * 60}1")
@example("1000000000")
@example(f"1000000000.{'0' * 40}1")
@example("0.0000010")
@example("1E-7")
def test_credits_are_what_was_written_or_no_amount(text: str) -> None:
    worth = exact(text, MICRO_PER_CREDIT, MICRO_MAX)
    if worth is None:
        with pytest.raises(AmountInvalid):
            micro_from_decimal(Decimal(text))
    else:
        assert micro_from_decimal(Decimal(text)) == micro_from_text(f" {text} ") == worth


@given(WRITTEN, st.sampled_from(["USD", "JPY", "KWD"]))
@example(ALMOST_ONE, "USD")
@example(f"14.99{'0' * 60}", "USD")
@example("100000000000", "JPY")
def test_money_is_what_was_written_or_no_amount(text: str, currency: str) -> None:
    worth = exact(text, 10 ** minor_digits(currency), MINOR_MAX)
    if worth is None:
        with pytest.raises(AmountInvalid):
            minor_from_text(text, currency)
    else:
        assert minor_from_text(text, currency) == worth


@given(st.integers(1, MICRO_MAX))
def test_a_printed_amount_is_read_back(micro: int) -> None:
    assert micro_from_decimal(Decimal(credits_number(micro))) == micro


@pytest.mark.parametrize(
    "text",
    [
        *("1e999999999", "1e-999999999", "1e999999999999999999", "1e-999999999999999999"),
        *("1e9999999999999999999999", "9" * 1_000_000, f"0.{'0' * 1_000_000}1", "nan", "snan"),
        *("-inf", "-1e999999999", "0e999999999"),
    ],
    ids=lambda text: text[:24],
)
def test_a_huge_number_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(AmountInvalid):
        micro_from_text(text)
    with pytest.raises(AmountInvalid):
        minor_from_text(text, "USD")
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "0", "-1", "10000000000", "0.0000001"])
def test_an_invalid_number_of_credits_is_refused(amount: str) -> None:
    with pytest.raises(AmountInvalid):
        micro_from_decimal(Decimal(amount))
