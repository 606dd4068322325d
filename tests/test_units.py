"""Amounts as they are read: exactly what was written, or refused."""

from __future__ import annotations

import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from creditapp.currencies import currency_of
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
    money_text,
    round_down,
    round_down_minor,
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
        assert micro_from_decimal(Decimal(text)) == worth
        assert micro_from_text(f" {Decimal(text):f} ") == worth


@given(WRITTEN, st.sampled_from(["USD", "JPY", "KWD", "ISK", "UGX", "HUF", "TWD"]))
@example(ALMOST_ONE, "USD")
@example(f"14.99{'0' * 60}", "USD")
@example("100000000000", "JPY")
def test_money_is_what_was_written_or_no_amount(text: str, currency: str) -> None:
    worth = exact(text, 10 ** minor_digits(currency), MINOR_MAX)
    if worth is None or worth % currency_of(currency).step_minor:
        with pytest.raises(AmountInvalid):
            minor_from_text(f"{Decimal(text):f}", currency)
    else:
        assert minor_from_text(f"{Decimal(text):f}", currency) == worth


@given(st.integers(1, MICRO_MAX))
def test_a_printed_amount_is_read_back(micro: int) -> None:
    assert micro_from_decimal(Decimal(credits_number(micro))) == micro


@pytest.mark.parametrize(
    "text",
    [
        *("1e999999999", "1e-999999999", "1e999999999999999999", "1e-999999999999999999"),
        *("1e9999999999999999999999", "9" * 1_000_000, f"0.{'0' * 1_000_000}1", "nan", "snan"),
        *("-inf", "-1e999999999", "0e999999999", "1_0"),
    ],
    ids=lambda text: text[:24],
)
def test_a_huge_or_strange_number_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(AmountInvalid):
        micro_from_text(text)
    with pytest.raises(AmountInvalid):
        minor_from_text(text, "USD")
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "text", ["1e3", "1E3", "1e-1", "1_0", "1,5", "1 000", "\u0661", "\uff11", "", ".", "+", "0x10"]
)
def test_a_person_writes_a_plain_decimal(text: str) -> None:
    with pytest.raises(AmountInvalid, match="is not a number of credits"):
        micro_from_text(text)
    with pytest.raises(AmountInvalid, match="is not an amount of money"):
        minor_from_text(text, "USD")


@pytest.mark.parametrize(("text", "micro"), [("5.", 5_000_000), (".5", 500_000), ("+5", 5_000_000)])
def test_a_plain_decimal_is_read_as_it_is_written(text: str, micro: int) -> None:
    assert micro_from_text(text) == micro


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "0", "-1", "10000000000", "0.0000001"])
def test_an_invalid_number_of_credits_is_refused(amount: str) -> None:
    with pytest.raises(AmountInvalid):
        micro_from_decimal(Decimal(amount))


@pytest.mark.parametrize(
    ("text", "currency", "minor", "shown"),
    [
        ("14.99", "USD", 1499, "$14.99"),
        ("500", "JPY", 500, "500 JPY"),
        ("5", "ISK", 500, "5 ISK"),
        ("5", "UGX", 500, "5 UGX"),
        ("5.12", "KWD", 5120, "5.120 KWD"),
        ("800.45", "TWD", 80045, "800.45 TWD"),
        ("175.5", "HUF", 17550, "175.50 HUF"),
    ],
)
def test_money_is_in_stripes_minor_units(text: str, currency: str, minor: int, shown: str) -> None:
    assert minor_from_text(text, currency) == minor
    assert money_text(minor, currency) == shown


def test_an_amount_is_rounded_down_to_hundredths_unless_it_is_less() -> None:
    amounts = (49_569_162, 50_000_000, 10_000, 9_999, 0, -1)
    assert [round_down(each) for each in amounts] == [
        49_560_000,
        50_000_000,
        10_000,
        9_999,
        0,
        -10_000,
    ]


def test_a_rounded_amount_has_no_fraction_that_its_currency_lacks() -> None:
    assert round_down_minor(12_345, "ISK") == 12_300
    assert round_down_minor(5_127, "KWD") == 5_120
    assert round_down_minor(5_127, "USD") == 5_127
    assert money_text(12_345, "ISK") == "123.45 ISK"


@pytest.mark.parametrize(
    ("text", "currency", "says"),
    [("5.5", "ISK", "at most 0 decimals"), ("5.123", "KWD", "3 decimals, of which the last is 0")],
)
def test_a_fraction_that_cannot_be_charged_is_refused(text: str, currency: str, says: str) -> None:
    with pytest.raises(AmountInvalid, match=says):
        minor_from_text(text, currency)
