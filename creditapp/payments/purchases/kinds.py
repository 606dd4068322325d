"""Purchase kinds: a pack, a plan, an automatic top-up, and everything in which they differ.

``creditapp.payments`` registers each kind when it is imported, so every process has them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.notifications import PaymentEmails
from creditapp.payments.stripe.records import CheckoutCreated, CheckoutRequest, CheckoutState


def _do_nothing(*_arguments: object) -> None:
    """Ignore what a kind has no use for."""


@dataclass(frozen=True)
class PurchaseKind:
    """One kind of purchase, named like ``Purchase.kind``.

    The functions that get a session run within the posting's transaction and under the purchase's
    lock; the others talk to Stripe with no transaction open and raise ``GatewayError``.
    """

    name: str
    fetch_state: Callable[[Purchase], CheckoutState | None]
    """Return the state at Stripe, or None where Stripe knows no payment of the purchase."""
    post_paid: Callable[[Session, Purchase, CheckoutState, datetime], dict[str, object]]
    """Post a paid purchase to the ledger, now; return the columns that change."""
    create_checkout: Callable[[Purchase, User, CheckoutRequest], CheckoutCreated] | None = None
    """Create the checkout at Stripe; None for a kind without a checkout."""
    sync_before_closing: Callable[[CheckoutState], None] = _do_nothing
    """Sync whatever else a paid checkout started. A process killed after it repeats it."""
    notify_paid: Callable[[PaymentEmails, Purchase], None] = _do_nothing
    """Queue the email about the payment, once."""
    on_posted: Callable[[Session, Purchase, str | None, datetime], None] = _do_nothing
    """React to the purchase's new state, now; with Stripe's code where a card was declined."""


_kinds: dict[str, PurchaseKind] = {}


def register(kind: PurchaseKind) -> None:
    """Add a kind to the table."""
    _kinds[kind.name] = kind


def kind_of(purchase: Purchase) -> PurchaseKind:
    """Return the kind of a purchase."""
    return _kinds[purchase.kind]
