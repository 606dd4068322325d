"""What a plan costs at Stripe and what it gives, written down once and never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.catalog import Catalog
from creditapp.catalog.sales import Plan
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import insert_once, snapshot, transaction
from creditapp.payments.gateway import Gateway
from creditapp.payments.plan_models import CYCLES, PlanPrice
from creditapp.wiring import the


def ensure(plan: Plan, cycle: str) -> PlanPrice:
    """Return the row of what the catalog asks and gives today, made at Stripe if it is new.

    Raises ``GatewayError``. No transaction is open while Stripe is asked; two at once make one row.
    """
    wanted = _row(plan, cycle)
    with snapshot() as session:
        found = _same(session, wanted)
    if found is not None:
        return found
    wanted.id = _named(plan, cycle) or the(Gateway).create_price(
        key=f"{wanted.digest[:32]}",
        product=f"{plan.name} plan",
        price_minor=wanted.price_minor,
        currency=wanted.currency,
        cycle=cycle,
        metadata={"plan_id": plan.id, "cycle": cycle},
    )
    with transaction() as session:
        if insert_once(session, wanted, ["digest", "livemode"]):
            return wanted
        found = _same(session, wanted)
        if found is None:
            raise RuntimeError("a plan's price was neither written nor found")
        session.expunge(found)
    return found


def known(price_ids: Iterable[str]) -> dict[str, PlanPrice]:
    """Return what is written down about these prices, those of the catalog's plans included.

    A price that an operator made at Stripe and named in the catalog is written down when it is
    first met. What is in no catalog is missing in the answer.
    """
    wanted = set(price_ids)
    with snapshot() as session:
        found = {
            row.id: row
            for row in session.scalars(select(PlanPrice).where(PlanPrice.id.in_(wanted)))
        }
    for plan in the(Catalog).plans:
        for cycle in CYCLES:
            if _named(plan, cycle) in wanted - set(found):
                row = ensure(plan, cycle)
                found[row.id] = row
    return found


def _row(plan: Plan, cycle: str) -> PlanPrice:
    price = plan.price(cycle)
    row = PlanPrice(
        plan_id=plan.id,
        plan_name=plan.name,
        kind=plan.kind,
        cycle=cycle,
        price_minor=price.price_minor,
        currency=plan.currency.lower(),
        credits_micro=plan.credits_micro,
        lasting_months=plan.lasting_months,
        trial_credits_micro=plan.trial_credits_micro,
        livemode=the(Gateway).livemode,
        created_at=now(),
    )
    facts = (
        row.plan_id,
        row.plan_name,
        row.kind,
        row.cycle,
        row.price_minor,
        row.currency,
        row.credits_micro,
        row.lasting_months,
        row.trial_credits_micro,
        _named(plan, cycle),
        "sandbox" if the(Settings).sandbox else "stripe",
    )
    row.digest = hashlib.sha256(repr(facts).encode()).hexdigest()
    return row


def _same(session: Session, wanted: PlanPrice) -> PlanPrice | None:
    return session.scalar(
        select(PlanPrice).where(
            PlanPrice.digest == wanted.digest, PlanPrice.livemode == wanted.livemode
        )
    )


def _named(plan: Plan, cycle: str) -> str | None:
    settings = the(Settings)
    if settings.sandbox:
        return None  # the sandbox knows no prices of somebody's Stripe account
    return plan.price(cycle).stripe_price(settings.environ)
