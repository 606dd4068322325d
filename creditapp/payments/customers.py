"""Stripe customers: one for each user, created when first needed, told of a changed address."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy import ForeignKey, String, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from creditapp import clock, db
from creditapp.accounts import User
from creditapp.clock import NEVER
from creditapp.db import UtcDateTime, insert_once, snapshot, transaction, update_if
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import STRIPE_ID_LENGTH, GatewayError
from creditapp.payments.sweeps import find_due, run_each
from creditapp.services import get

WAIT_SECONDS = 5.0
"""How long a request waits for the customer that another one is creating."""

_POLL_SECONDS = 0.1
_TELL_AGAIN_AFTER = timedelta(minutes=10)

T = TypeVar("T")

log = structlog.get_logger(__name__)


class ReplacedAtStripe(GatewayError):
    """Stripe has lost an object, which was created anew: the same request succeeds now.

    It needs another idempotency key, because Stripe may repeat the first answer.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(f"Stripe has lost a {kind}; there is another", permanent=False)


class Customer(db.Model):
    """A user's customer at Stripe: one in test mode and one in live mode."""

    __tablename__ = "customers"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    # Not unique: of two inserts at once, PostgreSQL would refuse the second by this column before
    # it reaches the primary key, on which the second does nothing.
    stripe_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tell_address_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True, default=NEVER)
    """When Stripe is told the user's email address; 9999-12-31 once it has it."""


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
    return existing_id or _create(user)


def with_customer(user: User, ask: Callable[[str], T]) -> T:
    """Ask Stripe with the id of the user's customer, and again with a new one if it is lost.

    For requests without an idempotency key of their own. Raises ``GatewayError``.
    """
    try:
        with customer_of(user) as customer_id:
            return ask(customer_id)
    except ReplacedAtStripe:
        return ask(ensure(user))


@contextmanager
def customer_of(user: User) -> Iterator[str]:
    """Yield the id of the user's customer for a request to Stripe.

    If Stripe has lost the customer (deleted, or made in another account), another is created and
    ``ReplacedAtStripe`` is raised.
    """
    customer_id = ensure(user)
    try:
        yield customer_id
    except GatewayError as error:
        if not error.customer_missing:
            raise
        log.warning("customer is missing at Stripe", user=user.id, customer=customer_id)
        _create(user, replaced_id=customer_id)
        raise ReplacedAtStripe("customer") from None


def _create(user: User, *, replaced_id: str = "") -> str:
    """Create the customer and store it, unless another request stored its own first."""
    gateway = get(StripeGateway)
    try:
        customer_id = gateway.create_customer(
            user_id=user.id, email=user.deliverable_email, replaced_id=replaced_id
        )
    except GatewayError as error:
        if error.code != "idempotency_key_in_use":
            raise
        return _wait_for_other(user, replaced_id, error)
    row = Customer(
        user_id=user.id, livemode=gateway.livemode, stripe_id=customer_id, created_at=clock.now()
    )
    with transaction() as session:
        if not insert_once(session, row, ["user_id", "livemode"]):
            is_lost = Customer.stripe_id == replaced_id
            update_if(session, row, is_lost, stripe_id=customer_id, created_at=row.created_at)
        return find(session, user.id) or customer_id


def _wait_for_other(user: User, replaced_id: str, error: GatewayError) -> str:
    """Return the customer that another request is creating; raise ``error`` if none comes."""
    give_up_at = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < give_up_at:
        time.sleep(_POLL_SECONDS)
        with snapshot() as session:
            customer_id = find(session, user.id)
        if customer_id is not None and customer_id != replaced_id:
            return customer_id
    raise error


def user_of(session: Session, stripe_id: str) -> str | None:
    """Return the user of a Stripe customer, or None for one that is not ours."""
    return session.scalar(select(Customer.user_id).where(Customer.stripe_id == stripe_id))


def note_changed_address(session: Session, user_id: str, *, now: datetime) -> None:
    """Note, with the change of a user's address, that Stripe has to be told; the sweep does it."""
    owned = Customer.user_id == user_id
    session.execute(update(Customer).where(owned).values(tell_address_at=now))


def sweep_addresses() -> None:
    """Tell Stripe the changed addresses: its receipts go there."""
    of_mode = select(Customer).where(Customer.livemode == get(StripeGateway).livemode)
    due = find_due(of_mode, Customer.tell_address_at)
    run_each([row.user_id for row in due], _tell_address, "email address not sent to Stripe")


def _tell_address(user_id: str) -> None:
    """Send the address, unless another sweep does; a change meanwhile is sent with the next one."""
    gateway = get(StripeGateway)
    claimed_until = clock.now() + _TELL_AGAIN_AFTER
    with transaction() as session:
        row = session.get_one(Customer, (user_id, gateway.livemode))
        is_due = Customer.tell_address_at <= clock.now()
        if not update_if(session, row, is_due, tell_address_at=claimed_until):
            return
        email = session.get_one(User, user_id).deliverable_email
    try:
        gateway.update_customer(row.stripe_id, email=email)
    except GatewayError as error:
        if not error.customer_missing:  # one that replaces it is created with the new address
            raise
    with transaction() as session:
        is_told = Customer.tell_address_at == claimed_until
        update_if(session, row, is_told, tell_address_at=NEVER)
