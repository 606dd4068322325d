"""Who a user is at Stripe: one customer each, made when first needed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from creditapp.accounts import User
from creditapp.clock import now
from creditapp.db import Base, UtcDateTime, insert_once, snapshot, transaction
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import STRIPE_ID_LENGTH
from creditapp.services import get


class Customer(Base):
    """A user as Stripe knows them: one customer each, in test mode and in live mode."""

    __tablename__ = "customers"

    user_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    # Not unique: of two inserts at once PostgreSQL would refuse the second by this column before it
    # comes to the key on which the second gives way.
    stripe_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


def find(session: Session, user_id: str) -> str | None:
    """Return a user's customer at Stripe, if there is one in today's mode."""
    found = session.get(Customer, (user_id, get(StripeGateway).livemode))
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
    gateway = get(StripeGateway)
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
