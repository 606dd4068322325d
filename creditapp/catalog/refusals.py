"""Errors of a catalog file, with the key that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from creditapp.units import minor_digits


class CatalogInvalid(Exception):
    """A catalog that cannot be used; its text is one line with file, key and reason."""

    def __init__(self, file: str, key: str, reason: str) -> None:
        self.file = file
        self.key = key
        self.reason = " ".join(reason.split())
        super().__init__(": ".join(part for part in (file, key, self.reason) if part))


@dataclass(frozen=True, slots=True)
class Report:
    """The file being read, for error messages, and the currency of its money."""

    file: str
    currency: str

    def refuse(self, key: str, reason: str) -> CatalogInvalid:
        """Return the error of one key, to be raised."""
        return CatalogInvalid(self.file, key, reason)

    def minor(self, key: str, amount: Decimal, currency: str = "") -> int:
        """Return money in minor units; raise ``CatalogInvalid`` for a fraction of one."""
        currency = currency or self.currency
        digits = minor_digits(currency)
        minor = amount.scaleb(digits)
        if minor != minor.to_integral_value():
            raise self.refuse(key, f"must have at most {digits} decimals in {currency}")
        return int(minor)
