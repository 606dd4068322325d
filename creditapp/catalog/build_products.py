"""From checked tables to packs, plans and what programs buy."""

from __future__ import annotations

from collections import Counter

from creditapp.catalog.models import TEXT_TO_IMAGE, Model
from creditapp.catalog.plan_kinds import PLAN_KINDS
from creditapp.catalog.products import FREE_PLAN, Agents, BulkTier, Pack, Plan, PlanPrice
from creditapp.catalog.refusals import Report
from creditapp.catalog.schema import AgentsTable, CatalogTable, PackTable, PlanTable


def packs(table: CatalogTable, report: Report) -> tuple[Pack, ...]:
    """Return the packs; their prices differ, because a checkout may name one by its price."""
    found = tuple(_pack(entry, report) for entry in table.packs)
    if sum(pack.best_value for pack in found) > 1:
        raise report.refuse("packs", "only one pack can be the best value")
    for price, times in Counter(pack.price_minor for pack in found).items():
        if times > 1:
            raise report.refuse("packs", f"{times} packs cost the same ({price} minor units)")
    return found


def _pack(entry: PackTable, report: Report) -> Pack:
    key = f"packs.{entry.id}.price"
    price = report.minor(key, entry.price)
    elsewhere = {
        currency: report.minor(f"packs.{entry.id}.prices.{currency}", amount, currency)
        for currency, amount in entry.prices.items()
    }
    if report.currency in elsewhere:
        raise report.refuse(f"{key}s", f"the price in {report.currency} is the pack's own price")
    if price == 0 or 0 in elsewhere.values():
        raise report.refuse(key, "must be greater than zero")
    return Pack(
        entry.id,
        entry.name,
        price,
        report.currency,
        entry.credits,
        entry.best_value,
        entry.stripe_price_id,
        entry.stripe_price_env,
        elsewhere,
    )


def plans(table: CatalogTable, report: Report) -> tuple[Plan, ...]:
    """Return the plans; the first one is free, in both senses."""
    found = tuple(_plan(entry, report) for entry in table.plans)
    if not found[0].free or found[0].month.price_minor or found[0].year.price_minor:
        raise report.refuse("plans", f"the first plan is {FREE_PLAN}, and costs nothing")
    return found


def _plan(entry: PlanTable, report: Report) -> Plan:
    key = f"plans.{entry.id}"
    month = report.minor(f"{key}.month", entry.month)
    year = report.minor(f"{key}.year", entry.year)
    if entry.id != FREE_PLAN and 0 in (month, year, entry.credits):
        raise report.refuse(key, "month, year and credits must be greater than zero")
    if (entry.unused == "carry") != (entry.carry_months > 0):
        raise report.refuse(f"{key}.carry_months", 'goes with unused = "carry", and only with it')
    has_seats = PLAN_KINDS[entry.kind].has_seats
    if entry.seats_min > entry.seats_max or (entry.seats_max > 1 and not has_seats):
        raise report.refuse(f"{key}.seats_max", "must fit seats_min; only a team has seats")
    if entry.trial_credits and not entry.trial_days:
        raise report.refuse(f"{key}.trial_credits", "goes with trial_days")
    if entry.id == FREE_PLAN and entry.trial_days:
        raise report.refuse(f"{key}.trial_days", "the free plan has nothing to try")
    return Plan(
        entry.id,
        entry.name,
        entry.tagline,
        entry.kind,
        report.currency,
        PlanPrice(month, entry.stripe_month_id, entry.stripe_month_env),
        PlanPrice(year, entry.stripe_year_id, entry.stripe_year_env),
        entry.credits,
        entry.unused,
        entry.carry_months,
        entry.seats_min,
        entry.seats_max,
        entry.trial_days,
        entry.trial_credits,
    )


def agents(entry: AgentsTable, models: tuple[Model, ...], report: Report) -> Agents:
    """Return what programs buy; tiers are cheaper the more is bought."""
    if not any(model.id == entry.model and model.can(TEXT_TO_IMAGE) for model in models):
        raise report.refuse("agents.model", f"no model {entry.model} makes images from text")
    price = report.minor("agents.price", entry.price)
    if price == 0:
        raise report.refuse("agents.price", "must be greater than zero")
    bulk: list[BulkTier] = []
    for tier in entry.bulk:
        each = report.minor("agents.bulk.price", tier.price)
        after, most = (bulk[-1].from_count, bulk[-1].price_minor) if bulk else (1, price)
        if not (0 < each <= most and after < tier.from_count <= entry.count_max):
            raise report.refuse("agents.bulk", "counts must rise, and no tier is dearer")
        bulk.append(BulkTier(tier.from_count, each))
    return Agents(
        price,
        report.currency,
        entry.count_max,
        entry.model,
        tuple(entry.subjects),
        tuple(bulk),
    )
