"""Prices of plans at Stripe: each is stored once with its terms and never changes.

A service: ``ensure_price`` calls Stripe and commits its own short transactions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

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

ATTEMPTS_MAX = 3
"""Of two concurrent inserts the second reads again: its terms or the named id are stored then."""


def ensure_price(plan: Plan, cycle: str) -> PlanPrice:
    """Return the stored price of a plan's current terms; create it at Stripe if it is new.

    A price that the catalog names keeps the terms on which it was first sold, for its subscribers
    too. Other terms get a price of their own, which is logged. Raises ``GatewayError``. No
    transaction is open during the call to Stripe; two concurrent calls store one row.
    """
    new_price = _new_price(plan, cycle)
    catalog_price_id = _catalog_price_id(plan, cycle)
    for _ in range(ATTEMPTS_MAX):
        with snapshot() as session:
            stored = _find_same_terms(session, new_price)
            is_taken = (
                catalog_price_id is not None
                and session.get(PlanPrice, catalog_price_id) is not None
            )
        if stored is not None:
            return stored
        if catalog_price_id and not is_taken:
            new_price.id = catalog_price_id
        else:
            new_price.id = _create_at_stripe(new_price)
        with transaction() as session:
            is_inserted = insert_once(session, new_price)
        if is_inserted:
            if is_taken:
                log.warning(
                    "named price has other terms, created another",
                    plan=plan.id,
                    cycle=cycle,
                    named=catalog_price_id,
                    created=new_price.id,
                )
            return new_price
    raise RuntimeError("a plan's price was neither inserted nor found")


def find_prices(price_ids: Iterable[str]) -> dict[str, PlanPrice]:
    """Return the stored prices by id; ids that are unknown are left out.

    A price that an operator created at Stripe and named in the catalog is stored when first seen.
    """
    wanted_ids = set(price_ids)
    prices = _stored_prices(wanted_ids)
    for plan in get(Catalog).plans:
        for cycle in CYCLES:
            price_id = _catalog_price_id(plan, cycle)
            if price_id is not None and price_id in wanted_ids - set(prices):
                ensure_price(plan, cycle)
                # Read again: another process may have stored this id on other terms.
                prices |= _stored_prices({price_id})
    return prices


def _stored_prices(price_ids: set[str]) -> dict[str, PlanPrice]:
    with snapshot() as session:
        prices = session.scalars(select(PlanPrice).where(PlanPrice.id.in_(price_ids)))
        return {price.id: price for price in prices}


def _create_at_stripe(price: PlanPrice) -> str:
    """Create the price at Stripe and return its id; the same terms return the same price."""
    return get(StripeGateway).create_price(
        key=price.digest[:32],
        product=f"{price.plan_name} plan",
        price_minor=price.price_minor,
        currency=price.currency,
        cycle=price.cycle,
        metadata={"plan_id": price.plan_id, "cycle": price.cycle},
    )


def _new_price(plan: Plan, cycle: str) -> PlanPrice:
    terms: dict[str, Any] = {
        "plan_id": plan.id,
        "plan_name": plan.name,
        "kind": plan.kind,
        "cycle": cycle,
        "price_minor": plan.price(cycle).price_minor,
        "currency": plan.currency.lower(),
        "credits_micro": plan.credits_micro,
        "lasting_months": plan.lasting_months,
        "trial_credits_micro": plan.trial_credits_micro,
    }
    account = "sandbox" if get(Settings).sandbox else "stripe"
    facts = (*terms.values(), _catalog_price_id(plan, cycle), account)
    return PlanPrice(
        **terms,
        digest=hashlib.sha256(repr(facts).encode()).hexdigest(),
        livemode=get(StripeGateway).livemode,
        created_at=now(),
    )


def _find_same_terms(session: Session, price: PlanPrice) -> PlanPrice | None:
    return session.scalar(
        select(PlanPrice).where(
            PlanPrice.digest == price.digest, PlanPrice.livemode == price.livemode
        )
    )


def _catalog_price_id(plan: Plan, cycle: str) -> str | None:
    settings = get(Settings)
    if settings.sandbox:
        return None  # the sandbox has no prices of a real Stripe account
    return plan.price(cycle).stripe_price(settings.environ)
