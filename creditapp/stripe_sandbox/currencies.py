"""Stripe's rules for amounts in each currency, from its page "Supported currencies"."""

from __future__ import annotations

from creditapp.stripe_sandbox.errors import StripeAPIError

_DECIMALS = dict.fromkeys(
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bmd bnd bob brl bsd bwp byn bzd cad cdf"
    " chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg"
    " huf idr ils inr isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur"
    " mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd"
    " scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah ugx usd uyu uzs wst xcd"
    " xcg yer zar zmw".split(),
    2,
)
_DECIMALS |= dict.fromkeys("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(), 0)
_DECIMALS |= dict.fromkeys("bhd jod kwd omr tnd".split(), 3)

# The last digit of three decimals is 0; ISK and UGX have no fractions and two decimals.
_STEPS = dict.fromkeys("bhd jod kwd omr tnd".split(), 10) | {"isk": 100, "ugx": 100}

_MINIMA = {
    "usd": 50, "aed": 200, "ars": 50, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "cop": 50,
    "czk": 1500, "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "idr": 50, "ils": 50,
    "inr": 50, "jpy": 50, "krw": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "php": 50,
    "pln": 200, "ron": 200, "rub": 50, "sek": 300, "sgd": 50, "thb": 1000, "zar": 50,
}  # fmt: skip
_MAXIMA = {
    "cop": 10**12 - 1, "huf": 10**12 - 1, "idr": 10**12 - 1, "inr": 10**9 - 1,
    "jpy": 10**10 - 1, "lbp": 10**13 - 1,
}  # fmt: skip

CODES = frozenset(_DECIMALS)


def decimals(currency: str) -> int:
    """Return how many digits of an amount are decimals."""
    return _DECIMALS.get(currency, 2)


def step(currency: str) -> int:
    """Return what every amount in a currency is a multiple of."""
    return _STEPS.get(currency, 1)


def minimum(currency: str) -> int:
    """Return the least amount that can be charged."""
    return _MINIMA.get(currency, step(currency))


def maximum(currency: str) -> int:
    """Return the largest amount that can be charged."""
    return _MAXIMA.get(currency, 99_999_999)


def validate(amount: int, currency: str, *, param: str) -> None:
    """Refuse an unknown currency, a fraction that a currency does not have, and too much."""
    if currency not in CODES:
        raise StripeAPIError(
            f"Invalid currency: {currency}. Stripe currently supports these currencies:"
            f" {', '.join(sorted(CODES))}",
            param=param.replace("unit_amount", "currency").replace("amount", "currency"),
        )
    if amount % step(currency):
        raise StripeAPIError(
            f"Invalid amount: in {currency} it must be a multiple of {step(currency)}.",
            code="parameter_invalid_integer",
            param=param,
        )
    if amount > maximum(currency):
        raise StripeAPIError(
            f"Amount must be no more than {maximum(currency)} in {currency}",
            code="amount_too_large",
            param=param,
        )
