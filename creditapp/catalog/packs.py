"""Packs and plans as buyers compare them: computed from the catalog, never stored.

Bonus and saving are measured against the dearest credit on sale, and ``None`` where they are not
positive. Integers, rounded so that no figure promises more than is true.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.formatting import amount, count
from creditapp.catalog.models import Model
from creditapp.catalog.plan_kinds import PLAN_KINDS
from creditapp.catalog.products import Pack, Plan
from creditapp.units import MICRO_PER_CREDIT, minor_digits, money_text

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
    yields: str
    """``about 220 Nano Banana images or 110 Flux Dev``"""


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan with the texts and figures of its card."""

    plan: Plan
    month: str
    """``$29.00 a month``, or ``$0.00``"""
    year: str
    """``$290.00 a year``, or ``$0.00``"""
    credits: str
    """``1,200 credits a month``, ``60 credits when you confirm your address``"""
    unused: str
    """A sentence about unused credits."""
    yields: str
    saving_minor: int | None
    """How much less a year costs than twelve months."""
    saving: str | None
    """``$58.00 less than twelve months``"""


def packs_view(catalog: Catalog, currency: str = "") -> tuple[PackView, ...]:
    """Return the packs as buyers compare them, in the catalog's order.

    ``currency`` is one of ``catalog.currencies``; empty means the catalog's own. Packs that are not
    sold in it are left out.
    """
    priced = (pack.priced_in(currency or catalog.currency) for pack in catalog.packs)
    packs = [pack for pack in priced if pack is not None]
    if not packs:
        return ()
    dearest = packs[0]
    for pack in packs[1:]:
        # Fractions are compared crosswise: a division would round.
        if pack.price_minor * dearest.credits_micro > dearest.price_minor * pack.credits_micro:
            dearest = pack
    return tuple(_pack_view(catalog, pack, dearest) for pack in packs)


def plans_view(catalog: Catalog) -> tuple[PlanView, ...]:
    """Return the plans as buyers compare them, in the catalog's order."""
    return tuple(_plan_view(catalog, plan) for plan in catalog.plans)


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


def _pack_view(catalog: Catalog, pack: Pack, dearest: Pack) -> PackView:
    # The same money, and the same credits, at the price of the dearest credit.
    same_money = pack.price_minor * dearest.credits_micro // dearest.price_minor
    step = MICRO_PER_CREDIT if catalog.unit == "credits" else MICRO_PER_CREDIT // 100
    same_credits = pack.credits_micro * dearest.price_minor
    paid = pack.price_minor * dearest.credits_micro
    return PackView(
        pack=pack,
        per_credit=_per_credit(pack),
        unit_price=_unit_price(catalog, pack),
        bonus_micro=max(0, pack.credits_micro - same_money) // step * step or None,
        saving_percent=max(0, same_credits - paid) * 100 // same_credits or None,
        yields=yield_text(catalog, pack.credits_micro),
    )


def _minor_per_credit(pack: Pack) -> Decimal:
    return Decimal(pack.price_minor * MICRO_PER_CREDIT) / Decimal(pack.credits_micro)


def _per_credit(pack: Pack) -> Decimal:
    major = _minor_per_credit(pack).scaleb(-minor_digits(pack.currency))
    return major.quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _unit_price(catalog: Catalog, pack: Pack) -> str:
    """Return the price of one credit, to a tenth of a cent."""
    minor = _minor_per_credit(pack).quantize(Decimal("0.1"), ROUND_HALF_UP)
    if pack.currency in _CENTS and minor < 100:
        price = f"{minor}{_CENTS[pack.currency]}"
    else:
        price = money_text(int(minor.to_integral_value(ROUND_HALF_UP)), pack.currency)
    return f"{price} for each $1 of credit" if catalog.unit == "dollars" else f"{price} a credit"


def _plan_view(catalog: Catalog, plan: Plan) -> PlanView:
    saving = max(0, 12 * plan.month.price_minor - plan.year.price_minor) or None
    per_seat = PLAN_KINDS[plan.kind].per_seat
    month = money_text(plan.month.price_minor, plan.currency)
    year = money_text(plan.year.price_minor, plan.currency)
    return PlanView(
        plan=plan,
        month=month if plan.free else f"{month} a month{per_seat}",
        year=year if plan.free else f"{year} a year{per_seat}",
        credits=_plan_credits(catalog, plan),
        unused=_unused(plan),
        yields=yield_text(catalog, plan.credits_micro),
        saving_minor=saving,
        saving=f"{money_text(saving, plan.currency)} less than twelve months" if saving else None,
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
