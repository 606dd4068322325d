"""Margins: what each price earns or loses, by the plan or pack that paid for the credits.

Where a price does not depend on the size or the length, the largest counts: it earns least. A
language model counts by a million tokens read and a million written: every kind of token, of short
and of long prompts, earns the same share. Before fees, taxes and free credits. Exact fractions;
nothing here changes a price.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.models import IMAGE_OPERATIONS, Operation
from creditapp.catalog.packs import CYCLES
from creditapp.catalog.pricing import PriceRequest, quote
from creditapp.catalog.provider_costs import ProviderCost
from creditapp.units import MICRO_PER_CREDIT, minor_digits


@dataclass(frozen=True, slots=True)
class Sale:
    """A way to buy credits; ``rate`` is the price of one microcredit in the major unit."""

    name: str
    currency: str
    rate: Fraction


@dataclass(frozen=True, slots=True)
class Margin:
    """One result, paid with the credits of one sale."""

    sale: str
    entry: str
    variant: str
    """The quality or the length, where the price depends on it, or how many tokens."""
    price_micro: int
    paid: Fraction
    """The money for these credits, in the catalog's currency."""
    cost: Fraction | None
    """The provider's price in the same currency; ``None`` where the catalog does not know it."""
    sold_below: str | None

    @property
    def percent(self) -> int | None:
        """The share of the price that stays, rounded down; negative for a loss."""
        if self.cost is None:
            return None
        return int((self.paid - self.cost) * 100 // self.paid)

    @property
    def loses(self) -> bool:
        """Whether the result costs more than it is sold for."""
        return self.cost is not None and self.cost > self.paid


@dataclass(frozen=True, slots=True)
class _Result:
    entry: str
    variant: str
    price_micro: int
    cost: Fraction | None
    currency: str = "USD"
    sold_below: str | None = None


def margins(catalog: Catalog) -> list[Margin]:
    """Return the margin of every result of every entry, for every pack and plan."""
    results = [*_images(catalog), *_media(catalog), *_chat(catalog)]
    return [_margin(sale, result) for sale in _sales(catalog) for result in results]


def unexplained_losses(catalog: Catalog) -> list[Margin]:
    """Return what is sold below its cost without a ``sold_below`` that says why."""
    return [margin for margin in margins(catalog) if margin.loses and not margin.sold_below]


def _margin(sale: Sale, result: _Result) -> Margin:
    return Margin(
        sale=sale.name,
        entry=result.entry,
        variant=result.variant,
        price_micro=result.price_micro,
        paid=sale.rate * result.price_micro,
        cost=result.cost if result.currency == sale.currency else None,
        sold_below=result.sold_below,
    )


def _sales(catalog: Catalog) -> Iterator[Sale]:
    major = 10 ** minor_digits(catalog.currency)
    for pack in catalog.packs:
        yield Sale(
            pack.name, catalog.currency, Fraction(pack.price_minor, major * pack.credits_micro)
        )
    for plan in catalog.plans:
        if plan.free or not plan.credits_micro:
            continue
        for cycle, months in CYCLES.items():
            credits_micro = plan.credits_micro * months
            rate = Fraction(plan.price(cycle).price_minor, major * credits_micro)
            yield Sale(f"{plan.name}, {cycle}", catalog.currency, rate)
    if not catalog.packs:
        agents = catalog.agents
        cheapest = min([agents.price_minor, *(tier.price_minor for tier in agents.bulk)])
        yield Sale("programs", catalog.currency, Fraction(cheapest, major * MICRO_PER_CREDIT))
    if catalog.unit == "dollars":
        yield Sale("one dollar", catalog.currency, Fraction(1, MICRO_PER_CREDIT))


def _images(catalog: Catalog) -> Iterator[_Result]:
    for model in catalog.models:
        for quality in model.qualities or (None,):
            pixels = max(shape.width * shape.height for shape in model.shapes)
            yield _result(
                model.id,
                quality or "",
                model.price_at(quality),
                model.provider_cost,
                quality=quality,
                pixels=pixels,
            )


def _media(catalog: Catalog) -> Iterator[_Result]:
    for operation in catalog.operations:
        if operation.id in IMAGE_OPERATIONS or not (operation.price_micro or operation.steps):
            continue
        for seconds in _longest(operation):
            request = PriceRequest(operation.id, seconds=seconds)
            variant = f"{seconds} s" if seconds else ""
            price_micro = quote(catalog, request).cost_micro
            # An upscaled image counts as the larger version of a square of the first shape.
            side = catalog.shapes[0].width * operation.factor
            yield _result(
                operation.id,
                variant,
                price_micro,
                operation.provider_cost,
                seconds=seconds,
                pixels=side * side,
            )


def _result(
    entry: str,
    variant: str,
    price_micro: int,
    known: ProviderCost | None,
    *,
    quality: str | None = None,
    seconds: int | None = None,
    pixels: int,
) -> _Result:
    if known is None:
        return _Result(entry, variant, price_micro, None)
    cost = known.cost(quality=quality, seconds=seconds, pixels=pixels)
    return _Result(entry, variant, price_micro, cost, known.currency, known.sold_below)


def _chat(catalog: Catalog) -> Iterator[_Result]:
    for model in catalog.language_models:
        variant = "1M in, 1M out" if model.output_micros_usd else "1M in"
        cost_micros_usd = model.input_micros_usd + model.output_micros_usd
        price_micro = cost_micros_usd * catalog.credits_per_provider_dollar
        cost = Fraction(cost_micros_usd, 1_000_000)
        yield _Result(model.id, variant, price_micro, cost, sold_below=catalog.tokens_sold_below)


def _longest(operation: Operation) -> tuple[int | None, ...]:
    """Return the lengths at which an operation earns least: the longest of each price."""
    if operation.steps:
        return tuple(step.up_to_seconds for step in operation.steps)
    return (operation.block_seconds,)
