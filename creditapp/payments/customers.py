"""Who a user is at Stripe: one customer each, made when first needed."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.clock import now
from creditapp.db import insert_once, snapshot, transaction
from creditapp.payments.gateway import Gateway
from creditapp.payments.plan_models import Customer
from creditapp.wiring import the


def find(session: Session, user_id: str) -> str | None:
    """Return a user's customer at Stripe, if there is one in today's mode."""
    found = session.get(Customer, (user_id, the(Gateway).livemode))
    return None if found is None else found.stripe_id


def ensure(user: User) -> str:
    """Return the user's customer, made at Stripe if there is none; raises ``GatewayError``.

    Two at once make one: Stripe answers both with the same customer, by the key of the request, and
    the row can be written once. No transaction is open while Stripe is asked.
    """
    with snapshot() as session:
        known = find(session, user.id)
    if known is not None:
        return known
    gateway = the(Gateway)
    made = gateway.create_customer(user_id=user.id, email=user.email)
    row = Customer(user_id=user.id, livemode=gateway.livemode, stripe_id=made, created_at=now())
    with transaction() as session:
        if insert_once(session, row, ["user_id", "livemode"]):
            return made
        winner = find(session, user.id)
    if winner is None:
        raise RuntimeError("a customer was neither written nor found")
    return winner


def user_of(session: Session, stripe_id: str) -> str | None:
    """Return whose customer this is, or None for one that is not ours."""
    return session.scalar(select(Customer.user_id).where(Customer.stripe_id == stripe_id))
