"""Products: packs, plans, and the image credits that agents buy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from creditapp.catalog.fields import (
    Amount,
    Computed,
    Credits,
    CreditsOrNone,
    Currency,
    Id,
    KeyInvalid,
    Line,
    Many,
    Minor,
    Name,
    Price,
    Table,
    Variable,
    price_minor,
)
from creditapp.catalog.plan_kinds import PLAN_KINDS, KindName

FREE_PLAN = "free"


class Pack(Table):
    """``[[packs]]``: credits for one payment. They never expire."""

    id: Id
    name: Name
    price_minor: Annotated[Price, Field(alias="price", gt=0)]
    currency: Computed[str] = ""
    credits_micro: Credits = Field(alias="credits")
    best_value: bool = False
    stripe_price_id: Name | None = None
    stripe_price_env: Variable | None = None
    prices: dict[Currency, Annotated[Amount, Field(gt=0)]] = Field(default_factory=dict)
    """Prices in other currencies than the catalog's own."""

    @model_validator(mode="after")
    def _check_prices(self) -> Self:
        for currency, amount in self.prices.items():
            try:
                price_minor(amount, currency)
            except ValueError as error:
                raise KeyInvalid(f"prices.{currency}", str(error)) from None
        return self

    @property
    def elsewhere_minor(self) -> Mapping[str, int]:
        """The prices in other currencies than the catalog's own, in their minor units."""
        return {currency: price_minor(price, currency) for currency, price in self.prices.items()}

    def stripe_price(self, values: Mapping[str, str]) -> str | None:
        """Return the Stripe price to send, if the catalog or a variable names one."""
        return self.stripe_price_id or values.get(self.stripe_price_env or "") or None

    def priced_in(self, currency: str) -> Pack | None:
        """Return the pack priced in a currency, or None where it is not sold in that currency.

        A Stripe price id is of one currency, so other currencies send an inline price.
        """
        currency = currency.upper()
        if currency == self.currency:
            return self
        if currency not in self.prices:
            return None
        return self.model_copy(
            update={
                "price_minor": self.elsewhere_minor[currency],
                "currency": currency,
                "stripe_price_id": None,
                "stripe_price_env": None,
            }
        )


@dataclass(frozen=True, slots=True)
class PlanPrice:
    """The price of one cycle (``month`` or ``year``) of a plan."""

    price_minor: int
    stripe_price_id: str | None
    stripe_price_env: str | None

    def stripe_price(self, values: Mapping[str, str]) -> str | None:
        """Return the Stripe price to send, if the catalog or a variable names one."""
        return self.stripe_price_id or values.get(self.stripe_price_env or "") or None


class Plan(Table):
    """``[[plans]]``: a subscription; ``free`` is the plan of everyone without one.

    ``credits_micro`` are granted every month, also to yearly subscribers; the free plan's once.
    ``kind`` is ``credits``, ``unlimited`` (``credits_micro`` is then the month's fair-use cap) or
    ``team`` (price and credits are for each seat). ``unused`` is what happens to
    a cycle's credits at its end: ``expire``, ``carry`` (for ``carry_months``) or ``keep``.
    """

    id: Id
    name: Name
    tagline: Line
    kind: KindName = "credits"
    currency: Computed[str] = ""
    month_minor: Price = Field(alias="month")
    year_minor: Price = Field(alias="year")
    credits_micro: CreditsOrNone = Field(alias="credits")
    unused: Literal["expire", "carry", "keep"] = "keep"
    carry_months: Annotated[int, Field(ge=0, le=24)] = 0
    seats_min: Annotated[int, Field(ge=1, le=1000)] = 1
    seats_max: Annotated[int, Field(ge=1, le=1000)] = 1
    trial_days: Annotated[int, Field(ge=0, le=365)] = 0
    """Days before the first payment, for a person who never subscribed."""
    trial_credits_micro: CreditsOrNone = Field(0, alias="trial_credits")
    stripe_month_id: Name | None = None
    stripe_month_env: Variable | None = None
    stripe_year_id: Name | None = None
    stripe_year_env: Variable | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.free and 0 in (self.month_minor, self.year_minor, self.credits_micro):
            raise ValueError("month, year and credits must be greater than zero")
        if (self.unused == "carry") != (self.carry_months > 0):
            raise KeyInvalid("carry_months", 'goes with unused = "carry", and only with it')
        has_seats = PLAN_KINDS[self.kind].has_seats
        if self.seats_min > self.seats_max or (self.seats_max > 1 and not has_seats):
            raise KeyInvalid("seats_max", "must fit seats_min; only a team has seats")
        if self.trial_credits_micro and not self.trial_days:
            raise KeyInvalid("trial_credits", "goes with trial_days")
        if self.free and self.trial_days:
            raise KeyInvalid("trial_days", "the free plan has nothing to try")
        return self

    @property
    def month(self) -> PlanPrice:
        """The price of a month."""
        return PlanPrice(self.month_minor, self.stripe_month_id, self.stripe_month_env)

    @property
    def year(self) -> PlanPrice:
        """The price of a year."""
        return PlanPrice(self.year_minor, self.stripe_year_id, self.stripe_year_env)

    @property
    def free(self) -> bool:
        """Whether this is the free plan."""
        return self.id == FREE_PLAN

    @property
    def lasting_months(self) -> int | None:
        """Return for how many months a cycle's credits can be spent; ``None`` means forever."""
        return {"expire": 1, "carry": 1 + self.carry_months, "keep": None}[self.unused]

    def price(self, cycle: str) -> PlanPrice:
        """Return the price of ``month`` or ``year``."""
        return {"month": self.month, "year": self.year}[cycle]


class BulkTier(Table):
    """``[[agents.bulk]]``: the price of one credit when buying at least ``from_count`` at once."""

    from_count: Annotated[int, Field(ge=2)]
    price_minor: Minor = Field(alias="price")


class Agents(Table):
    """``[agents]``: image credits for agents; each pays for one image of ``model``."""

    price_minor: Annotated[Minor, Field(alias="price", gt=0)]
    currency: Computed[str] = ""
    count_max: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    model: Id
    subjects: Annotated[Many[Name], Field(min_length=1)]
    bulk: Many[BulkTier] = ()
    """Cheaper prices for more credits; without any, every credit costs the same."""

    @model_validator(mode="after")
    def _check_bulk(self) -> Self:
        count, price_minor = 1, self.price_minor
        for tier in self.bulk:
            rises = count < tier.from_count <= self.count_max
            if not (rises and 0 < tier.price_minor <= price_minor):
                raise KeyInvalid("bulk", "counts must rise, and no tier is dearer")
            count, price_minor = tier.from_count, tier.price_minor
        return self

    def total_minor(self, count: int) -> int:
        """Return the price of ``count`` credits, which is between 1 and ``count_max``."""
        unit_minor = self.price_minor
        for tier in self.bulk:
            if count >= tier.from_count:
                unit_minor = tier.price_minor
        return unit_minor * count
