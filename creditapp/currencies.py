"""Currencies as Stripe charges them: their minor units, and the amounts that a card can be charged.

Source: Stripe's page "Supported currencies", sections "Zero-decimal currencies", "Three-decimal
currencies", "Special cases" and "Minimum and maximum charge amounts", as of November 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Currency:
    """One currency. Amounts are in its minor units, as in Stripe's API."""

    code: str
    digits: int = 2
    """How many of an amount's digits are decimals."""
    step_minor: int = 1
    """Every charged amount is a multiple of it."""
    least_minor: int = 1
    """The least amount of a charge. Where Stripe names none, its own conversion decides."""
    most_minor: int = 99_999_999

    @property
    def shown_digits(self) -> int:
        """How many decimals people write: none where a charge has no fraction."""
        return 0 if self.step_minor == 10**self.digits else self.digits


_TWO_DECIMALS: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BWP BYN BZD CAD CDF"
    " CHF CNY COP CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG"
    " HUF IDR ILS INR JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR"
    " MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR"
    " SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS WST XCD XCG YER"
    " ZAR ZMW"
).split()
_NO_DECIMALS: Final = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()
_THREE_DECIMALS: Final = "BHD JOD KWD OMR TND".split()
"""Their amounts end in 0."""
_WHOLE_HUNDREDS: Final = ("ISK", "UGX")
"""Currencies without decimals whose amounts are written as hundredths: 5 ISK is 500.

HUF and TWD are whole in payouts alone.
"""

_LEAST_MINOR: Final = {
    **dict.fromkeys("ARS AUD BRL CAD CHF COP EUR IDR ILS INR JPY KRW".split(), 50),
    **dict.fromkeys("NZD PHP RUB SGD USD ZAR".split(), 50),
    **dict.fromkeys("AED MYR PLN RON".split(), 200),
    **dict.fromkeys("NOK SEK".split(), 300),
    **dict.fromkeys("MXN THB".split(), 1000),
    "CZK": 1500,
    "DKK": 250,
    "GBP": 30,
    "HKD": 400,
    "HUF": 17500,
}
_MOST_MINOR: Final = {
    "COP": 999_999_999_999,
    "HUF": 999_999_999_999,
    "IDR": 999_999_999_999,
    "INR": 999_999_999,
    "JPY": 9_999_999_999,
    "LBP": 9_999_999_999_999,
}


def _table() -> dict[str, Currency]:
    kinds = (
        (_TWO_DECIMALS, 2, 1),
        (_NO_DECIMALS, 0, 1),
        (_THREE_DECIMALS, 3, 10),
        (_WHOLE_HUNDREDS, 2, 100),
    )
    return {
        code: Currency(
            code,
            digits,
            step_minor,
            _LEAST_MINOR.get(code, step_minor),
            _MOST_MINOR.get(code, Currency(code).most_minor),
        )
        for codes, digits, step_minor in kinds
        for code in codes
    }


CURRENCIES: Final = _table()
"""Every currency that Stripe charges in, by its ISO 4217 code."""


def currency_of(code: str) -> Currency:
    """Return a currency by its code in capitals or not; an unknown one has two decimals."""
    return CURRENCIES.get(code.upper(), Currency(code.upper()))
