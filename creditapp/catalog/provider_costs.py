"""Provider costs: what a provider charges for one result, as an entry of a catalog states it."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from creditapp.catalog.fields import Amount, Currency, Id, KeyInvalid, Line, Table


def parse_day(value: object) -> date:
    """Return the day of a text such as ``2026-11-28``; raise ``ValueError`` otherwise."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError('must be a day in quotes, such as "2026-11-28"')


class ProviderCost(Table):
    """``provider_cost``: the provider's price on a day, in the provider's currency.

    ``amount`` is one price, ``amounts`` one for each quality. A megapixel is a million pixels of
    the result. ``sold_below`` says why an entry is sold for less than it costs, where that is
    meant.
    """

    per: Literal["image", "megapixel", "second"] = "image"
    amount: Amount | None = None
    amounts: dict[Id, Amount] = Field(default_factory=dict)
    currency: Currency = "USD"
    as_of: Annotated[date, PlainValidator(parse_day)]
    sold_below: Line | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.amount is None) == (not self.amounts):
            raise KeyInvalid("amount", "give either amount, or amounts by quality")
        return self

    def cost(self, *, quality: str | None, seconds: int | None, pixels: int) -> Fraction | None:
        """Return the cost of one result in the currency's major unit; ``None`` if it is unknown."""
        amount = self.amount if self.amount is not None else self.amounts.get(quality or "")
        if amount is None:
            return None
        match self.per:
            case "image":
                return Fraction(amount)
            case "megapixel":
                return Fraction(amount) * pixels / 1_000_000
            case "second":
                return None if seconds is None else Fraction(amount) * seconds
