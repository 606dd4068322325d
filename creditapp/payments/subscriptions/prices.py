"""Prices of plans at Stripe: each is stored once with its terms and never changes.

A service: ``ensure_price`` calls Stripe and commits its own short transactions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp import clock
from creditapp.catalog import Catalog
from creditapp.catalog.products import Plan
from creditapp.config import Settings
from creditapp.db import insert_once, snapshot, transaction, update_if
from creditapp.payments.purchases.checkout import PriceUnavailable
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError, PriceState
from creditapp.payments.subscriptions.models import CYCLES, PlanPrice
from creditapp.services import get

log = structlog.get_logger(__name__)

T = TypeVar("T")

_TERMS = (
    "plan_id",
    "plan_name",
    "kind",
    "cycle",
    "price_minor",
    "currency",
    "credits_micro",
    "lasting_months",
    "trial_credits_micro",
)

ATTEMPTS_MAX = 3
"""Of two concurrent inserts the second reads again: its terms or the named id are stored then."""


def ensure_price(plan: Plan, cycle: str) -> PlanPrice:
    """Return the stored price of a plan's current terms; create it at Stripe if it is new.

    A price that the catalog names keeps the terms on which it was first sold, for its subscribers
    too. Other terms get a price of their own, which is logged. Raises ``GatewayError``. No
    transaction is open during the call to Stripe; two concurrent calls store one row.
    """
    price = new_price(plan, cycle)
    named_id = _catalog_price_id(plan, cycle)
    for _ in range(ATTEMPTS_MAX):
        with snapshot() as session:
            stored = _find_same_terms(session, price)
            is_taken = named_id is not None and session.get(PlanPrice, named_id) is not None
        if stored is not None:
            return stored
        price.id = named_id if named_id and not is_taken else _create_at_stripe(price)
        with transaction() as session:
            is_inserted = insert_once(session, price)
        if is_inserted and is_taken:
            log.warning(
                "named price has other terms, created another",
                plan=plan.id,
                cycle=cycle,
                named=named_id,
                created=price.id,
            )
        if is_inserted:
            return price
    raise RuntimeError("a plan's price was neither inserted nor found")


def store_price(state: PriceState, terms: PlanPrice) -> None:
    """Store a price that was made at Stripe, with the credits of ``terms``; idempotent."""
    facts = (state.id, terms.plan_id, terms.credits_micro, terms.lasting_months)
    price = PlanPrice(
        id=state.id,
        digest=hashlib.sha256(repr(facts).encode()).hexdigest(),
        plan_id=terms.plan_id,
        plan_name=terms.plan_name,
        kind=terms.kind,
        cycle=state.cycle,
        price_minor=state.price_minor or 0,
        currency=state.currency,
        credits_micro=terms.credits_micro,
        lasting_months=terms.lasting_months,
        trial_credits_micro=terms.trial_credits_micro,
        livemode=terms.livemode,
        created_at=clock.now(),
    )
    with transaction() as session:
        insert_once(session, price)


def with_price(plan: Plan, cycle: str, sell: Callable[[], T]) -> T:
    """Call ``sell``, which changes a subscription to a plan's price; again if the price was lost.

    Raises like ``replace_price``, and what ``sell`` raises.
    """
    try:
        return sell()
    except GatewayError as error:
        if not error.price_refused:
            raise
    replace_price(ensure_price(plan, cycle).id)
    try:
        return sell()
    except GatewayError as error:
        if not error.price_refused:
            raise
        raise PriceUnavailable from None


def replace_price(price_id: str) -> PlanPrice:
    """Create a price anew that Stripe has lost or archived, on the same terms; return it.

    The lost one keeps its row, for its subscribers. Raises ``PriceUnavailable`` for a price that
    the catalog names, which is the operator's to mend, and ``GatewayError``.
    """
    with snapshot() as session:
        lost = session.get_one(PlanPrice, price_id)
    log.error(
        "price of a plan is not for sale at Stripe",
        plan=lost.plan_id,
        cycle=lost.cycle,
        price=price_id,
    )
    if price_id in _named_price_ids():
        raise PriceUnavailable
    copied = {column: getattr(lost, column) for column in _TERMS}
    new_price = PlanPrice(
        **copied, digest=lost.digest, livemode=lost.livemode, created_at=clock.now()
    )
    new_price.id = _create_at_stripe(new_price, replaced_id=price_id)
    with transaction() as session:
        # The digest finds the price that is sold.
        other_digest = hashlib.sha256(f"{lost.digest} {price_id}".encode()).hexdigest()
        update_if(session, lost, PlanPrice.digest == new_price.digest, digest=other_digest)
        insert_once(session, new_price)
    return new_price


def find_price(price_id: str) -> PlanPrice | None:
    """Return one stored price, or None."""
    return find_prices({price_id}).get(price_id)


def find_prices(price_ids: Iterable[str]) -> dict[str, PlanPrice]:
    """Return the stored prices by id; ids that are unknown are left out.

    A price that an operator created at Stripe and named in the catalog is stored when first seen.
    """
    missing_ids = set(price_ids)
    with snapshot() as session:
        prices = stored_prices(session, missing_ids)
    missing_ids -= prices.keys()
    for plan in get(Catalog).plans:
        for cycle in CYCLES:
            price_id = _catalog_price_id(plan, cycle)
            if price_id in missing_ids:
                ensure_price(plan, cycle)
                # Read again: another process may have stored this id on other terms.
                with snapshot() as session:
                    prices |= stored_prices(session, missing_ids)
    return prices


def stored_prices(session: Session, price_ids: set[str]) -> dict[str, PlanPrice]:
    """Return the stored prices by id, in one query; store none."""
    prices = session.scalars(select(PlanPrice).where(PlanPrice.id.in_(price_ids)))
    return {price.id: price for price in prices}


def _create_at_stripe(price: PlanPrice, *, replaced_id: str = "") -> str:
    """Create the price at Stripe and return its id; the same terms return the same price."""
    return get(StripeGateway).create_price(
        key=f"{price.digest[:32]}{replaced_id}",
        product=f"{price.plan_name} plan",
        price_minor=price.price_minor,
        currency=price.currency,
        cycle=price.cycle,
        metadata={"plan_id": price.plan_id, "cycle": price.cycle},
    )


def new_price(plan: Plan, cycle: str) -> PlanPrice:
    """Return a price with a plan's current terms, neither stored nor created at Stripe."""
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
        created_at=clock.now(),
    )


def _find_same_terms(session: Session, price: PlanPrice) -> PlanPrice | None:
    return session.scalar(
        select(PlanPrice).where(
            PlanPrice.digest == price.digest, PlanPrice.livemode == price.livemode
        )
    )


def _named_price_ids() -> set[str | None]:
    """Return the ids of the prices that the catalog names."""
    return {_catalog_price_id(plan, cycle) for plan in get(Catalog).plans for cycle in CYCLES}


def _catalog_price_id(plan: Plan, cycle: str) -> str | None:
    settings = get(Settings)
    if settings.sandbox:
        return None  # the sandbox has no prices of a real Stripe account
    return plan.price(cycle).stripe_price(settings.environ)
