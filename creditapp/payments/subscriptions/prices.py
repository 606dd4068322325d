"""What a plan costs at Stripe and what it gives, written down once and never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.catalog import Catalog
from creditapp.catalog.products import Plan
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import insert_once, snapshot, transaction
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.subscriptions.models import CYCLES, PlanPrice
from creditapp.services import get

log = structlog.get_logger(__name__)

RACES_MAX = 3
"""Of two who write at once the second reads again: its terms stand there, or the name is taken."""


def ensure(plan: Plan, cycle: str) -> PlanPrice:
    """Return the row of what the catalog asks and gives today, made at Stripe if it is new.

    A price that the catalog names is sold on the terms on which it was first met, for ever: its
    subscribers keep them. Other terms get a price of their own, and the log says so.
    Raises ``GatewayError``. No transaction is open while Stripe is asked; two at once make one row.
    """
    wanted = _row(plan, cycle)
    named = _named(plan, cycle)
    for _ in range(RACES_MAX):
        with snapshot() as session:
            found = _same(session, wanted)
            taken = named is not None and session.get(PlanPrice, named) is not None
        if found is not None:
            return found
        wanted.id = named if named and not taken else _make(wanted)
        with transaction() as session:
            written = insert_once(session, wanted)
        if written:
            if taken:
                log.warning(
                    "a named price was sold on other terms",
                    plan=plan.id,
                    cycle=cycle,
                    named=named,
                    made=wanted.id,
                )
            return wanted
    raise RuntimeError("a plan's price was neither written nor found")


def known(price_ids: Iterable[str]) -> dict[str, PlanPrice]:
    """Return what is written down about these prices, those of the catalog's plans included.

    A price that an operator made at Stripe and named in the catalog is written down when it is
    first met. What is in no catalog is missing in the answer.
    """
    wanted = set(price_ids)
    found = _written(wanted)
    for plan in get(Catalog).plans:
        for cycle in CYCLES:
            named = _named(plan, cycle)
            if named is not None and named in wanted - set(found):
                ensure(plan, cycle)
                # Not what was ensured: a rival may have written this price on other terms.
                found |= _written({named})
    return found


def _written(price_ids: set[str]) -> dict[str, PlanPrice]:
    with snapshot() as session:
        rows = session.scalars(select(PlanPrice).where(PlanPrice.id.in_(price_ids)))
        return {row.id: row for row in rows}


def _make(wanted: PlanPrice) -> str:
    """Make the price at Stripe and return its id; the same terms asked for again make no other."""
    return get(StripeGateway).create_price(
        key=wanted.digest[:32],
        product=f"{wanted.plan_name} plan",
        price_minor=wanted.price_minor,
        currency=wanted.currency,
        cycle=wanted.cycle,
        metadata={"plan_id": wanted.plan_id, "cycle": wanted.cycle},
    )


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
        livemode=get(StripeGateway).livemode,
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
        "sandbox" if get(Settings).sandbox else "stripe",
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
    settings = get(Settings)
    if settings.sandbox:
        return None  # the sandbox knows no prices of somebody's Stripe account
    return plan.price(cycle).stripe_price(settings.environ)
