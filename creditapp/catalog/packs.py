"""Packs and plans as buyers compare them: computed from the catalog, never stored.

Bonus and saving are measured against the dearest credit on sale, and ``None`` where they are not
positive. Integers, rounded so that no figure promises more than is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.formatting import amount, count
from creditapp.catalog.models import Model
from creditapp.catalog.plan_kinds import PLAN_KINDS
from creditapp.catalog.products import Pack, Plan
from creditapp.units import MICRO_PER_CREDIT, minor_digits, money_text

CYCLES = {"month": 1, "year": 12}
"""Billing cycles with their number of months; each month gives a plan's credits once."""
_CENTS = {"USD": "¢", "EUR": " ct", "GBP": "p"}


@dataclass(frozen=True, slots=True)
class PackView:
    """A pack with the texts and figures that compare it with the others."""

    pack: Pack
    per_credit: Decimal
    """The price of one credit in the currency, to four decimals."""
    unit_price: str
    """``13.6¢ a credit``"""
    bonus_micro: int | None
    """The credits beyond those that its price buys at the dearest credit."""
    saving_percent: int | None
    """How much less its credits cost than at the dearest credit."""
    lowest: str | None
    """``Lowest price per credit``, where no other pack is cheaper; the text names the packs where a
    plan is."""
    yields: str
    """``about 220 Nano Banana images or 110 Flux Dev``"""


@dataclass(frozen=True, slots=True)
class PlanPriceView:
    """The price of a plan for one billing cycle, in texts."""

    price: str
    """``$210.00 a year``, or ``Free``"""
    a_month: str | None
    """``$17.50 a month``, for a year; rounded up."""
    unit_price: str | None
    """``3.5¢ a credit``; ``None`` for a free or an unlimited plan."""
    lowest: str | None
    """``Lowest price per credit``, where no other plan of this cycle is cheaper; the text names the
    cycle where something else on sale is."""
    extra_minor: int = 0
    """How much more a year costs than twelve months; negative where it costs less."""
    saving: str | None = None
    """``$58.00 less than twelve months``"""
    surcharge: str | None = None
    """``$30.00 more than twelve months``"""


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan with the texts and figures of its card."""

    plan: Plan
    month: PlanPriceView
    year: PlanPriceView
    credits: str
    """``1,200 credits a month``, ``60 credits when you confirm your address``"""
    unused: str
    """A sentence about unused credits."""
    yields: str


def packs_view(catalog: Catalog, currency: str = "") -> tuple[PackView, ...]:
    """Return the packs as buyers compare them, in the catalog's order.

    ``currency`` is one of ``catalog.currencies``; empty means the catalog's own. Packs that are not
    sold in it are left out.
    """
    priced = (pack.priced_in(currency or catalog.currency) for pack in catalog.packs)
    packs = [pack for pack in priced if pack is not None]
    if not packs:
        return ()
    # Fractions are compared, because a rounded price would make two offers equal.
    dearest = max(packs, key=_pack_rate)
    lowest = min(map(_pack_rate, packs))
    label = _lowest_label(catalog, packs[0].currency, lowest, "Lowest price per credit in a pack")
    several = len(packs) > 1
    return tuple(
        _pack_view(
            catalog, pack, dearest, label if several and _pack_rate(pack) == lowest else None
        )
        for pack in packs
    )


def plans_view(catalog: Catalog) -> tuple[PlanView, ...]:
    """Return the plans as buyers compare them, in the catalog's order."""
    rates = {
        cycle: [rate for plan in catalog.plans if (rate := _plan_rate(plan, cycle)) is not None]
        for cycle in CYCLES
    }
    return tuple(_plan_view(catalog, plan, rates) for plan in catalog.plans)


def yield_text(catalog: Catalog, micro: int) -> str:
    """Return what an amount yields: ``about 220 Nano Banana images or 110 Flux Dev``.

    At most two models: the cheapest and the default one. Empty when the amount pays for no image.
    """
    cheapest = min(catalog.models, key=lambda model: model.price_micro)
    default = catalog.model(catalog.default_model) or cheapest
    first = micro // cheapest.price_micro
    if first == 0:
        return ""
    text = f"about {first:,} {_named(cheapest)} {'image' if first == 1 else 'images'}"
    second = micro // default.price_micro
    if default is not cheapest and second > 0:
        text += f" or {second:,} {_named(default)}"
    return text


def _pack_view(catalog: Catalog, pack: Pack, dearest: Pack, lowest: str | None) -> PackView:
    # The same money, and the same credits, at the price of the dearest credit.
    same_money = pack.price_minor * dearest.credits_micro // dearest.price_minor
    step = MICRO_PER_CREDIT if catalog.unit == "credits" else MICRO_PER_CREDIT // 100
    same_credits = pack.credits_micro * dearest.price_minor
    paid = pack.price_minor * dearest.credits_micro
    return PackView(
        pack=pack,
        per_credit=_per_credit(pack),
        unit_price=_unit_price(catalog, _pack_rate(pack), pack.currency),
        bonus_micro=max(0, pack.credits_micro - same_money) // step * step or None,
        saving_percent=max(0, same_credits - paid) * 100 // same_credits or None,
        lowest=lowest,
        yields=yield_text(catalog, pack.credits_micro),
    )


def _pack_rate(pack: Pack) -> Fraction:
    """Return the exact price of one credit, in minor units."""
    return Fraction(pack.price_minor * MICRO_PER_CREDIT, pack.credits_micro)


def _plan_rate(plan: Plan, cycle: str) -> Fraction | None:
    """Return the exact price of one credit of a plan; a fair-use cap is not what is bought."""
    if plan.free or plan.kind == "unlimited" or not plan.credits_micro:
        return None
    months = CYCLES[cycle]
    return Fraction(plan.price(cycle).price_minor * MICRO_PER_CREDIT, plan.credits_micro * months)


def _lowest_label(catalog: Catalog, currency: str, rate: Fraction, qualified: str) -> str:
    """Return the label of the cheapest of a list: ``qualified`` where another list is cheaper."""
    packs = (pack.priced_in(currency) for pack in catalog.packs)
    rates: Iterable[Fraction | None] = [_pack_rate(pack) for pack in packs if pack]
    if currency == catalog.currency:
        plan_rates = (_plan_rate(plan, cycle) for plan in catalog.plans for cycle in CYCLES)
        rates = [*rates, *plan_rates]
    others_cheaper = any(other is not None and other < rate for other in rates)
    return qualified if others_cheaper else "Lowest price per credit"


def _per_credit(pack: Pack) -> Decimal:
    minor = Decimal(pack.price_minor * MICRO_PER_CREDIT) / Decimal(pack.credits_micro)
    major = minor.scaleb(-minor_digits(pack.currency))
    return major.quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _unit_price(catalog: Catalog, rate: Fraction, currency: str) -> str:
    """Return the price of one credit, to a tenth of a cent."""
    exact = Decimal(rate.numerator) / Decimal(rate.denominator)
    minor = exact.quantize(Decimal("0.1"), ROUND_HALF_UP)
    if currency in _CENTS and minor < 100:
        price = f"{minor}{_CENTS[currency]}"
    else:
        price = money_text(int(minor.to_integral_value(ROUND_HALF_UP)), currency)
    return f"{price} for each $1 of credit" if catalog.unit == "dollars" else f"{price} a credit"


def _plan_view(catalog: Catalog, plan: Plan, rates: Mapping[str, Sequence[Fraction]]) -> PlanView:
    month, year = (_plan_price(catalog, plan, cycle, rates[cycle]) for cycle in CYCLES)
    return PlanView(
        plan=plan,
        month=month,
        year=year,
        credits=_plan_credits(catalog, plan),
        unused=_unused(plan),
        yields=yield_text(catalog, plan.credits_micro),
    )


def _plan_price(
    catalog: Catalog, plan: Plan, cycle: str, rates: Sequence[Fraction]
) -> PlanPriceView:
    """Return the price of a plan; ``rates`` are those of every plan in the same cycle."""
    if plan.free:
        return PlanPriceView("Free", a_month=None, unit_price=None, lowest=None)
    per_seat = PLAN_KINDS[plan.kind].per_seat
    rate = _plan_rate(plan, cycle)
    is_lowest = rate is not None and len(rates) > 1 and rate == min(rates)
    price_minor = plan.price(cycle).price_minor
    extra_minor = price_minor - 12 * plan.month.price_minor if cycle == "year" else 0
    difference = money_text(abs(extra_minor), plan.currency)
    a_month = money_text(-(-price_minor // 12), plan.currency)
    return PlanPriceView(
        price=f"{money_text(price_minor, plan.currency)} a {cycle}{per_seat}",
        a_month=f"{a_month} a month" if cycle == "year" else None,
        unit_price=_unit_price(catalog, rate, plan.currency) if rate is not None else None,
        lowest=_lowest_label(catalog, plan.currency, rate, f"Lowest {cycle}ly price per credit")
        if rate is not None and is_lowest
        else None,
        extra_minor=extra_minor,
        saving=f"{difference} less than twelve months" if extra_minor < 0 else None,
        surcharge=f"{difference} more than twelve months" if extra_minor > 0 else None,
    )


def _plan_credits(catalog: Catalog, plan: Plan) -> str:
    credits_text = amount(catalog, plan.credits_micro)
    if plan.free:
        on_confirmation = f"{credits_text} when you confirm your address"
        return on_confirmation if plan.credits_micro else "No credits included"
    kind = PLAN_KINDS[plan.kind]
    return kind.describe(f"{credits_text} a month{kind.per_seat}")


def _unused(plan: Plan) -> str:
    if plan.unused == "keep":
        return "Unused credits never expire."
    if plan.unused == "expire":
        return "Unused credits expire at the end of each month."
    return f"Unused credits last {count(plan.carry_months, 'more month', 'more months')}."


def _named(model: Model) -> str:
    return f"{model.name} ({model.default_quality})" if model.qualities else model.name
