"""Giving money back from here: asked for once, done once, whatever fails on the way.

A request is stored before Stripe is called and carries its own key there, so that a second try
after a lost answer is the first one again. The credits follow by the sync, as for a refund that was
made at Stripe.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from creditapp.clock import now
from creditapp.db import snapshot, stop_reading, transaction
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.ids import new_id
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.models import Invoice, Refund
from creditapp.services import get
from creditapp.units import money_text

REASONS = ("requested_by_customer", "duplicate", "fraudulent")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Paid:
    """Something that was paid, and can be refunded."""

    target_id: str
    user_id: str
    payment_intent_id: str
    paid_minor: int
    currency: str
    subscription_id: str | None


class NothingLeft(Conflict):
    """All of it went back already, or is on its way."""

    title = "There is nothing left to refund"


def refund(
    target_id: str, amount_minor: int | None = None, *, reason: str = REASONS[0], actor: str = ""
) -> Refund:
    """Refund a purchase or an invoice, in part or (None) all that is left; return the request.

    A request of the same target that never got its answer is finished first and returned instead
    of another. Raises ``NotFound``, ``NothingLeft``, ``ValidationFailed`` for more than is left,
    and ``GatewayError``; after one that is not permanent the same call tries again.
    """
    stop_reading()
    paid = paid_of(target_id)
    gateway = get(StripeGateway)
    found = gateway.reversals_of(paid.payment_intent_id)
    if any(each.open for each in found.disputes):
        raise Conflict("The payment is disputed; Stripe refunds it by losing the dispute.")
    waiting = _waiting(target_id)
    done = {each.refund_id for each in found.refunds}
    if waiting is not None:
        return _finish(waiting, paid, already_done=waiting.id in done)
    left = paid.paid_minor - sum(each.amount_minor for each in found.refunds if each.counts)
    if left <= 0:
        raise NothingLeft("All of it was refunded already.")
    amount = left if amount_minor is None else amount_minor
    if not 0 < amount <= left:
        money = money_text(left, paid.currency)
        raise ValidationFailed.of("amount", f"Between nothing and {money} can be refunded.")
    request = Refund(
        id=new_id("ref"),
        target_id=target_id,
        payment_intent_id=paid.payment_intent_id,
        amount_minor=amount,
        currency=paid.currency,
        reason=reason,
        state="open",
        actor=actor,
        created_at=now(),
    )
    with transaction() as session:
        session.add(request)
    return _finish(request, paid, already_done=False)


def _finish(request: Refund, paid: Paid, *, already_done: bool) -> Refund:
    if not already_done:
        try:
            get(StripeGateway).create_refund(
                refund_id=request.id,
                payment_intent_id=request.payment_intent_id,
                amount_minor=request.amount_minor,
                reason=request.reason,
            )
        except GatewayError as error:
            if error.permanent:
                _set_state(request, "failed")
            raise
    _set_state(request, "done")
    if paid.subscription_id is not None:
        subscription_sync.sync(paid.subscription_id, invoice_id=paid.target_id)
    else:
        checkout.sync(paid.target_id)
    log.info("refunded", target=paid.target_id, refund=request.id)
    return request


def paid_of(target_id: str) -> Paid:
    """Return what was paid for a purchase of a pack or for an invoice; raise ``NotFound``."""
    with snapshot() as session:
        invoice = session.get(Invoice, target_id)
        purchase = session.get(Purchase, target_id)
        if purchase is not None and purchase.cycle is not None:
            raise Conflict(_which_invoices(session, purchase))
    if invoice is not None and invoice.payment_intent_id is not None:
        return Paid(
            invoice.id,
            invoice.user_id,
            invoice.payment_intent_id,
            invoice.paid_minor,
            invoice.currency.upper(),
            invoice.subscription_id,
        )
    if purchase is not None and purchase.payment_intent_id:
        state = checkout.fetch_state(purchase)
        return Paid(
            purchase.id,
            purchase.user_id,
            purchase.payment_intent_id,
            (state.amount_total or 0) if state and state.paid else 0,
            purchase.currency,
            None,
        )
    raise NotFound("There is no paid purchase and no paid invoice of this id.")


def _which_invoices(session: Session, purchase: Purchase) -> str:
    ids = session.scalars(
        select(Invoice.id)
        .where(Invoice.subscription_id == purchase.subscription_id, Invoice.paid_minor > 0)
        .order_by(Invoice.created_at.desc())
        .limit(5)
    ).all()
    return f"This is a plan: refund one of its invoices ({', '.join(ids) or 'none is paid'})."


def _waiting(target_id: str) -> Refund | None:
    query = select(Refund).where(Refund.target_id == target_id, Refund.state == "open")
    with snapshot() as session:
        return session.scalar(query.order_by(Refund.created_at).limit(1))


def _set_state(request: Refund, state: str) -> None:
    with transaction() as session:
        session.execute(
            update(Refund)
            .where(Refund.id == request.id)
            .values(state=state)
            .execution_options(synchronize_session=False)
        )
    request.state = state
