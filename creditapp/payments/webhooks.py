"""Stripe webhooks: verified by signature, stored once by event id, processed until done.

An event only names what to sync. ``handler_of`` decides which events are handled, and how.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import CheckConstraint, Index, Integer, String, or_, select
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import clock, db
from creditapp.db import UtcDateTime, insert_once, snapshot, transaction, update_if
from creditapp.errors import AppError, NotFound
from creditapp.logs import error_fields
from creditapp.payments.auto_topup import consent as topup_consent
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.events import Event
from creditapp.payments.stripe.records import STRIPE_ID_LENGTH, GatewayError
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.models import Invoice
from creditapp.payments.sweeps import find_due, run_each
from creditapp.services import get

RETRY_SECONDS = (5, 15, 60, 300, 1800, 7200, 21600, 86400)
STRAY_TRIES_MAX = 3
"""Tries for an event without our purchase id before it counts as another application's."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WebhookHooks:
    """Receivers of events about payments that are no purchases, connected by ``create_app``."""

    agent_payment: Callable[[str | None, str | None], bool]
    """Called with the ids of a payment request and of a payment, as far as the event has them;
    returns whether the payment is an agent's."""


class StripeEvent(db.Model):
    """One Stripe event, stored once by its id before it is processed."""

    __tablename__ = "stripe_events"
    __table_args__ = (
        CheckConstraint("state IN ('received', 'done', 'ignored', 'dead')", name="state"),
        Index("ix_stripe_events_open", "state", "next_try_at"),
    )

    id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), primary_key=True)
    type: Mapped[str] = mapped_column(String(80))
    object_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    purchase_id: Mapped[str | None] = mapped_column(String(40))
    payment_request_id: Mapped[str | None] = mapped_column(String(40))
    payment_intent_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    subscription_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    livemode: Mapped[bool] = mapped_column()
    state: Mapped[str] = mapped_column(String(12), default="received")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    last_error: Mapped[str | None] = mapped_column(String(120))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    next_try_at: Mapped[datetime] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


def receive_webhook(raw_body: bytes, signature: str | None) -> Event:
    """Verify an event, store it once and try to process it at once.

    Raises ``SignatureInvalid`` (400) for what Stripe did not sign. An event that fails after it was
    stored is tried again by ``sweep_events``, so the caller answers 200 to every stored event.
    """
    event = get(StripeGateway).verify_webhook(raw_body, signature)
    if _store_once(event):
        process_event(event.id)
    return event


def process_event(event_id: str) -> None:
    """Process one stored event; safe to repeat and to run concurrently."""
    with snapshot() as session:
        event = session.get(StripeEvent, event_id)
    if event is None or event.state != "received":
        return
    handle = handler_of(event.type)
    try:
        handled = handle is not None and handle(event)
    except NotFound:
        if not event.purchase_id and event.attempts >= STRAY_TRIES_MAX:
            # Another application's subscription on the same Stripe account.
            _finish(event, "ignored")
        else:
            # It may be ours and not stored yet: it is retried, never dropped.
            _retry_later(event, "unknown purchase")
    except Exception as error:
        write = log.warning if isinstance(error, AppError | GatewayError) else log.error
        write(
            "event failed",
            stripe_event=event.id,
            purchase=event.purchase_id,
            subscription=event.subscription_id,
            payment=event.payment_intent_id,
            **error_fields(error),
        )
        _retry_later(event, type(error).__name__)
    else:
        if handled:
            _finish(event, "done")
        elif _may_be_early(event):
            _retry_later(event, "its payment is not known yet")
        else:
            _finish(event, "ignored")


def sweep_events() -> None:
    """Process every stored event whose next try is due."""
    received = select(StripeEvent.id).where(StripeEvent.state == "received")
    # An error here means that not even the event's failure could be stored.
    run_each(find_due(received, StripeEvent.next_try_at), process_event, "event not stored")


def handler_of(event_type: str) -> Callable[[StripeEvent], bool] | None:
    """Return the function that handles a type of event, or None for a type that is ignored.

    A handler syncs what the event names and returns whether that is known here.
    """
    match event_type.split("."):
        case ["checkout", "session", "completed" | "async_payment_succeeded" | "expired"]:
            # A checkout was completed or expired: sync its purchase, or turn the automatic top-up
            # on whose card it saved.
            return _on_checkout
        case ["checkout", "session", "async_payment_failed"]:
            # A bank debit failed, which the checkout itself does not show: sync its purchase.
            return partial(_on_checkout, failed_by_event=True)
        case ["payment_intent", "succeeded"]:
            # A payment succeeded, such as an automatic top-up's: sync its purchase or invoice.
            return _on_payment
        case ["charge", "refunded"] | ["refund", _] | ["charge", "dispute", _]:
            # A payment was refunded or disputed, or that changed: sync its purchase or invoice.
            return _on_payment
        case ["customer", "subscription", _] | ["invoice", "paid" | "payment_failed"]:
            # A plan was started, changed, renewed or ended, or its renewal failed: sync it.
            return _on_subscription
        case _:
            return None


def _on_checkout(event: StripeEvent, *, failed_by_event: bool = False) -> bool:
    purchase_id = _purchase_of(event)
    if purchase_id is not None:
        checkout.sync_purchase(purchase_id, failed_by_event=failed_by_event)
        return True
    return _on_agent_payment(event) or topup_consent.on_setup_completed(event.object_id)


def _on_payment(event: StripeEvent) -> bool:
    """Sync the subscription whose invoice was paid, the purchase, or an agent's request."""
    if _on_subscription(event):
        return True
    purchase_id = _purchase_of(event)
    if purchase_id is not None:
        checkout.sync_purchase(purchase_id)
        return True
    return _on_agent_payment(event)


def _on_agent_payment(event: StripeEvent) -> bool:
    payment_intent_id = event.payment_intent_id
    if event.object_id.startswith("pi_"):
        payment_intent_id = event.object_id
    return get(WebhookHooks).agent_payment(event.payment_request_id, payment_intent_id)


def _on_subscription(event: StripeEvent) -> bool:
    subscription_id, invoice_id = _subscription_of(event)
    if subscription_id is not None:
        subscription_sync.sync_subscription(subscription_id, invoice_id=invoice_id)
    return subscription_id is not None


def _store_once(event: Event) -> bool:
    """Store an event unless it is stored already; return whether it is to be processed now."""
    now = clock.now()
    right_mode = event.livemode == get(StripeGateway).livemode
    handled = right_mode and handler_of(event.type) is not None
    row = StripeEvent(
        **asdict(event),
        state="received" if handled else "ignored",
        attempts=0,
        received_at=now,
        # The sweep leaves the first try to the request that stored it.
        next_try_at=now + timedelta(seconds=RETRY_SECONDS[0]),
    )
    with transaction() as session:
        stored = insert_once(session, row, ["id"])
    return stored and handled


def _may_be_early(event: StripeEvent) -> bool:
    """Whether the event may name a payment of ours that is not stored yet.

    Refunds and disputes name the payment and carry no metadata of ours; one that arrives while the
    payment itself is being stored would be dropped, and the credits would stay.
    """
    reverses = event.type.startswith(("refund.", "charge.dispute."))
    return reverses and event.attempts < STRAY_TRIES_MAX


def _purchase_of(event: StripeEvent) -> str | None:
    """Return the purchase that an event of a checkout or a payment is about, or None."""
    if event.purchase_id:
        return event.purchase_id
    query = select(Purchase.id).where(
        or_(
            Purchase.checkout_id == event.object_id,
            Purchase.payment_intent_id.in_([event.payment_intent_id, event.object_id]),
        )
    )
    with snapshot() as session:
        return session.scalar(query.limit(1))


def _subscription_of(event: StripeEvent) -> tuple[str | None, str | None]:
    """Return the subscription that an event is about, and the invoice whose payment it names."""
    if event.subscription_id is not None:
        return event.subscription_id, None
    payment_id = event.payment_intent_id or event.object_id
    query = select(Invoice.subscription_id, Invoice.id).where(
        Invoice.payment_intent_id == payment_id
    )
    with snapshot() as session:
        row = session.execute(query).first()
    return (row[0], row[1]) if row else (None, None)


def _retry_later(event: StripeEvent, reason: str) -> None:
    attempts = event.attempts + 1
    dead = attempts > len(RETRY_SECONDS)
    if dead:
        log.error("event given up", stripe_event=event.id, type=event.type, reason=reason)
    with transaction() as session:
        update_if(
            session,
            event,
            StripeEvent.state == "received",
            attempts=attempts,
            last_error=reason[:120],
            state="dead" if dead else "received",
            next_try_at=clock.now() + timedelta(seconds=RETRY_SECONDS[min(attempts, 8) - 1]),
        )


def _finish(event: StripeEvent, state: str) -> None:
    with transaction() as session:
        attempts = StripeEvent.attempts + 1
        is_open = StripeEvent.state == "received"
        update_if(session, event, is_open, state=state, done_at=clock.now(), attempts=attempts)
