"""Stripe customers: one for each user, created when first needed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from creditapp import clock, db
from creditapp.accounts import User
from creditapp.db import UtcDateTime, insert_once, snapshot, transaction
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import STRIPE_ID_LENGTH
from creditapp.services import get


class Customer(db.Model):
    """A user's customer at Stripe: one in test mode and one in live mode."""

    __tablename__ = "customers"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    # Not unique: of two inserts at once, PostgreSQL would refuse the second by this column before
    # it reaches the primary key, on which the second does nothing.
    stripe_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


def find(session: Session, user_id: str) -> str | None:
    """Return the id of a user's customer in the gateway's mode, or None."""
    customer = session.get(Customer, (user_id, get(StripeGateway).livemode))
    return None if customer is None else customer.stripe_id


def ensure(user: User) -> str:
    """Return the id of the user's customer, created if there is none; raises ``GatewayError``.

    Two calls at once create one customer: Stripe answers both alike by the request's key, and the
    row is written once. No transaction is open while Stripe is asked.
    """
    with snapshot() as session:
        existing_id = find(session, user.id)
    if existing_id is not None:
        return existing_id
    gateway = get(StripeGateway)
    stripe_id = gateway.create_customer(user_id=user.id, email=user.deliverable_email)
    row = Customer(
        user_id=user.id, livemode=gateway.livemode, stripe_id=stripe_id, created_at=clock.now()
    )
    with transaction() as session:
        insert_once(session, row, ["user_id", "livemode"])
        return find(session, user.id) or stripe_id


def user_of(session: Session, stripe_id: str) -> str | None:
    """Return the user of a Stripe customer, or None for one that is not ours."""
    return session.scalar(select(Customer.user_id).where(Customer.stripe_id == stripe_id))
