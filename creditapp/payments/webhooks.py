"""Stripe's webhooks: believed by their signature, stored once, then worked on until done."""

from __future__ import annotations

import re
from datetime import timedelta

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from creditapp.clock import now
from creditapp.db import insert_once, snapshot, transaction
from creditapp.errors import NotFound
from creditapp.payments.auto_topup import consent as topup_consent
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.models import Purchase, StripeEvent
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import Event
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.models import Invoice
from creditapp.services import get

PAYMENT_EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "charge.refunded",
    "charge.dispute.",
    "refund.",
    "customer.subscription.",
    "invoice.paid",
    "invoice.payment_failed",
)
"""The types that say something of ours; one that ends with a dot is a family."""

PLAN_EVENTS = ("customer.subscription.", "invoice.")
"""Of these, what names a subscription is worked on, whatever purchase they carry."""

RETRY_SECONDS = (5, 15, 60, 300, 1800, 7200, 21600, 86400)
STRAY_TRIES_MAX = 3
"""How often an event that carries no mark of ours is looked up before it is somebody else's."""

_PURCHASE_ID = re.compile(r"pur_[0-9a-z]{20,36}")

log = structlog.get_logger(__name__)


def receive(raw_body: bytes, signature: str | None) -> Event:
    """Verify an event, store it once and try to work on it at once.

    Raises ``SignatureInvalid`` (400) for what Stripe did not sign. Whatever fails after it was
    stored is tried again by ``sweep``, so the caller answers 200 to everything stored or seen.
    """
    event = get(StripeGateway).verify_webhook(raw_body, signature)
    if _store_once(event):
        work_on(event.id)
    return event


def work_on(event_id: str) -> None:
    """Do what one stored event asks for; safe to repeat and to run at once elsewhere."""
    with snapshot() as session:
        event = session.get(StripeEvent, event_id)
        if event is None or event.state != "received":
            return
        purchase_id = _purchase_of(session, event)
        subscription_id, invoice_id = _plan_of(session, event)
        saves_card = purchase_id is None and topup_consent.is_pending_setup(
            session, event.object_id
        )
    if purchase_id is None and subscription_id is None and not saves_card:
        if _may_be_early(event):
            _try_later(event, "names nothing we know yet")
        else:
            _end(event, "ignored")
        return
    try:
        if subscription_id is not None:
            subscription_sync.sync_subscription(subscription_id, invoice_id=invoice_id)
        elif purchase_id is not None:
            failed = event.type.endswith("async_payment_failed")
            checkout.sync(purchase_id, failed_by_event=failed)
        else:
            topup_consent.on_setup_completed(event.object_id)
    except NotFound:
        if subscription_id and not event.purchase_id and event.attempts >= STRAY_TRIES_MAX:
            # Another shop's plan on the same account: nobody here began it.
            _end(event, "ignored")
            return
        # It carries our mark and we do not know it yet: it is retried, never dropped.
        _try_later(event, "unknown purchase")
    except Exception as error:
        log.warning("event not worked on", stripe_event=event.id, error_type=type(error).__name__)
        _try_later(event, type(error).__name__)
    else:
        _end(event, "done")


def sweep() -> None:
    """Work on every stored event whose next try is due."""
    with snapshot() as session:
        due = session.scalars(
            select(StripeEvent.id)
            .where(StripeEvent.state == "received", StripeEvent.next_try_at <= now())
            .order_by(StripeEvent.next_try_at)
            .limit(50)
        ).all()
    for event_id in due:
        try:
            work_on(event_id)
        except Exception as error:
            # Not even its failure could be noted; the others must not wait for it.
            log.warning("event not noted", stripe_event=event_id, error_type=type(error).__name__)


def _store_once(event: Event) -> bool:
    ours = event.livemode == get(StripeGateway).livemode and event.type.startswith(PAYMENT_EVENTS)
    moment = now()
    event_row = StripeEvent(
        id=event.id,
        type=event.type[:80],
        object_id=event.object_id,
        purchase_id=_our_mark(event),
        payment_intent_id=_text(event.data.get("payment_intent")),
        subscription_id=_subscription_in(event),
        livemode=event.livemode,
        state="received" if ours else "ignored",
        attempts=0,
        created_at=event.created,
        received_at=moment,
        # The sweep leaves the first try to the request that stored it.
        next_try_at=moment + timedelta(seconds=RETRY_SECONDS[0]),
    )
    with transaction() as session:
        stored = insert_once(session, event_row, ["id"])
    return stored and ours


def _our_mark(event: Event) -> str | None:
    """Return the purchase that the object names; another shop's number on the account is none."""
    named = event.metadata.get("purchase_id", "")
    return named if _PURCHASE_ID.fullmatch(named) else None


def _may_be_early(event: StripeEvent) -> bool:
    """Whether the payment it names may be ours and not noted yet.

    Refunds and disputes carry the payment's id and no mark of ours; one that comes while the
    payment itself is being noted would be dropped, and the credits kept.
    """
    reverses = event.type.startswith(("refund.", "charge.dispute."))
    return reverses and event.attempts < STRAY_TRIES_MAX


def _purchase_of(session: Session, event: StripeEvent) -> str | None:
    """Return the purchase that an event is about, or None when it is about nothing of ours."""
    if event.type.startswith(PLAN_EVENTS):
        return None
    if event.purchase_id:
        return event.purchase_id
    for column, value in (
        (Purchase.checkout_id, event.object_id),
        (Purchase.payment_intent_id, event.payment_intent_id),
        (Purchase.payment_intent_id, event.object_id),
    ):
        if value:
            found = session.scalar(select(Purchase.id).where(column == value))
            if found:
                return found
    return None


def _subscription_in(event: Event) -> str | None:
    """Return the subscription that an event of one, or of one of its invoices, is about."""
    if event.type.startswith("customer.subscription."):
        return event.object_id or None
    parent = event.data.get("parent") if event.type.startswith("invoice.") else None
    details = parent.get("subscription_details") if isinstance(parent, dict) else None
    return _text(details.get("subscription")) if isinstance(details, dict) else None


def _plan_of(session: Session, event: StripeEvent) -> tuple[str | None, str | None]:
    """Return the subscription that an event is about, and the invoice whose payment it names."""
    if event.subscription_id is not None:
        return event.subscription_id, None
    payment = event.payment_intent_id or event.object_id
    found = session.execute(
        select(Invoice.subscription_id, Invoice.id).where(Invoice.payment_intent_id == payment)
    ).first()
    return (found[0], found[1]) if found else (None, None)


def _try_later(event: StripeEvent, reason: str) -> None:
    attempts = event.attempts + 1
    dead = attempts > len(RETRY_SECONDS)
    if dead:
        log.error("event given up", stripe_event=event.id, type=event.type, reason=reason)
    with transaction() as session:
        session.execute(
            update(StripeEvent)
            .where(StripeEvent.id == event.id, StripeEvent.state == "received")
            .values(
                attempts=attempts,
                last_error=reason[:120],
                state="dead" if dead else "received",
                next_try_at=now() + timedelta(seconds=RETRY_SECONDS[min(attempts, 8) - 1]),
            )
        )


def _end(event: StripeEvent, state: str) -> None:
    with transaction() as session:
        session.execute(
            update(StripeEvent)
            .where(StripeEvent.id == event.id, StripeEvent.state == "received")
            .values(state=state, done_at=now(), attempts=StripeEvent.attempts + 1)
        )


def _text(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) else None
