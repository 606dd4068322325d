"""Products: packs, plans, and the image credits that agents buy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

FREE_PLAN = "free"


@dataclass(frozen=True, slots=True)
class Pack:
    """Credits for one payment. They never expire."""

    id: str
    name: str
    price_minor: int
    currency: str
    credits_micro: int
    best_value: bool
    stripe_price_id: str | None
    stripe_price_env: str | None
    elsewhere_minor: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Prices in other currencies than the catalog's own."""

    def stripe_price(self, values: Mapping[str, str]) -> str | None:
        """Return the Stripe price to send, if the catalog or a variable names one."""
        return self.stripe_price_id or values.get(self.stripe_price_env or "") or None

    def priced_in(self, currency: str) -> Pack | None:
        """Return the pack priced in a currency, or None where it is not sold in that currency.

        A Stripe price id is of one currency, so other currencies send an inline price.
        """
        if currency.upper() == self.currency:
            return self
        minor = self.elsewhere_minor.get(currency.upper())
        if minor is None:
            return None
        return replace(
            self,
            price_minor=minor,
            currency=currency.upper(),
            stripe_price_id=None,
            stripe_price_env=None,
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


@dataclass(frozen=True, slots=True)
class Plan:
    """A subscription plan; ``free`` is the plan of everyone without a subscription.

    ``credits_micro`` are granted every month, also to yearly subscribers; the free plan's once.
    ``kind`` is ``credits``, ``unlimited`` (``credits_micro`` is then the month's fair-use cap) or
    ``team`` (price and credits are for each seat). ``unused`` is what happens to
    a cycle's credits at its end: ``expire``, ``carry`` (for ``carry_months``) or ``keep``.
    """

    id: str
    name: str
    tagline: str
    kind: str
    currency: str
    month: PlanPrice
    year: PlanPrice
    credits_micro: int
    unused: str
    carry_months: int
    seats_min: int
    seats_max: int
    trial_days: int = 0
    """Days before the first payment, for a person who never subscribed."""
    trial_credits_micro: int = 0

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


@dataclass(frozen=True, slots=True)
class BulkTier:
    """The price of one credit for an agent that buys at least ``from_count`` at once."""

    from_count: int
    price_minor: int


@dataclass(frozen=True, slots=True)
class Agents:
    """Image credits for agents: each pays for one image of ``model``."""

    price_minor: int
    currency: str
    count_max: int
    model: str
    subjects: tuple[str, ...]
    bulk: tuple[BulkTier, ...]

    def total_minor(self, count: int) -> int:
        """Return the price of ``count`` credits, which is between 1 and ``count_max``."""
        unit_minor = self.price_minor
        for tier in self.bulk:
            if count >= tier.from_count:
                unit_minor = tier.price_minor
        return unit_minor * count
