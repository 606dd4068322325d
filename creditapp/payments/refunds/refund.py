"""Refunds requested in CreditApp: each is requested once at Stripe, whatever fails meanwhile.

A service: a request is stored before Stripe is called and carries its own idempotency key, so that
a retry after a lost response is the same request. The sync then reverses the credits, as for a
refund made at Stripe.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp import clock
from creditapp.db import snapshot, stop_reading, transaction, update_if
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.ids import new_id
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.kinds import kind_of
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.refunds.models import RefundRequest
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions.models import Invoice, Refund
from creditapp.payments.subscriptions.sync import sync_subscription
from creditapp.services import get
from creditapp.units import money_text

REASONS = ("requested_by_customer", "duplicate", "fraudulent")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Payment:
    """A paid purchase of a pack, or a paid invoice of a plan."""

    target_id: str
    user_id: str
    payment_intent_id: str
    paid_minor: int
    currency: str
    subscription_id: str | None


class NothingLeft(Conflict):
    """The whole payment is refunded, or its refunds are on their way."""

    title = "There is nothing left to refund"


def refund(
    target_id: str, amount_minor: int | None = None, *, reason: str = REASONS[0], actor: str = ""
) -> Refund:
    """Refund a purchase or an invoice, in part or (None) all that is left; return the request.

    An earlier request for the same target that is still open is finished first and returned instead
    of a new one. Raises ``NotFound``, ``Conflict`` for a disputed payment, ``NothingLeft``,
    ``ValidationFailed`` for more than is left, and ``GatewayError``; unless the error is permanent,
    the same call tries again.
    """
    stop_reading()
    payment = find_payment(target_id)
    reversals = get(StripeGateway).reversals_of(payment.payment_intent_id)
    if reversals.disputed:
        raise Conflict("The payment is disputed. If you lose the dispute, Stripe refunds it.")
    open_request = _find_open_request(target_id)
    if open_request is not None:
        is_done = any(refund.refund_id == open_request.id for refund in reversals.refunds)
        return _finish(open_request, payment, is_done=is_done)
    left_minor = payment.paid_minor - reversals.refunded_minor
    if left_minor <= 0:
        raise NothingLeft("All of it was refunded already.")
    if amount_minor is None:
        amount_minor = left_minor
    if not 0 < amount_minor <= left_minor:
        left = money_text(left_minor, payment.currency)
        raise ValidationFailed.of("amount", f"Enter an amount above zero, up to {left}.")
    request = Refund(
        id=new_id("ref"),
        target_id=target_id,
        payment_intent_id=payment.payment_intent_id,
        amount_minor=amount_minor,
        currency=payment.currency,
        reason=reason,
        state="open",
        actor=actor,
        created_at=clock.now(),
    )
    with transaction() as session:
        session.add(request)
    return _finish(request, payment, is_done=False)


def _finish(request: Refund, payment: Payment, *, is_done: bool) -> Refund:
    """Create the refund at Stripe, unless it exists there, and sync what was refunded."""
    if not is_done:
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
    _settle_request(payment.target_id)
    if payment.subscription_id is not None:
        sync_subscription(payment.subscription_id, invoice_id=payment.target_id)
    else:
        checkout.sync_purchase(payment.target_id)
    log.info("refunded", target=payment.target_id, refund=request.id)
    return request


def find_payment(target_id: str) -> Payment:
    """Return the payment of a pack's purchase or of an invoice; raises ``NotFound``.

    Raises ``Conflict`` for the purchase of a plan, whose invoices are refunded instead.
    """
    with snapshot() as session:
        invoice = session.get(Invoice, target_id)
        purchase = session.get(Purchase, target_id)
        if purchase is not None and purchase.cycle is not None:
            raise Conflict(_name_invoices(session, purchase))
    if invoice is not None and invoice.payment_intent_id is not None:
        return Payment(
            invoice.id,
            invoice.user_id,
            invoice.payment_intent_id,
            invoice.paid_minor,
            invoice.currency.upper(),
            invoice.subscription_id,
        )
    if purchase is not None and purchase.payment_intent_id:
        state = kind_of(purchase).fetch_state(purchase)
        return Payment(
            purchase.id,
            purchase.user_id,
            purchase.payment_intent_id,
            (state.amount_total or 0) if state and state.paid else 0,
            purchase.currency,
            None,
        )
    raise NotFound("There is no paid purchase and no paid invoice with this id.")


def _name_invoices(session: Session, purchase: Purchase) -> str:
    invoice_ids = session.scalars(
        select(Invoice.id)
        .where(Invoice.subscription_id == purchase.subscription_id, Invoice.paid_minor > 0)
        .order_by(Invoice.created_at.desc())
        .limit(5)
    ).all()
    return f"This is a plan: refund one of its invoices ({', '.join(invoice_ids) or 'none paid'})."


def _find_open_request(target_id: str) -> Refund | None:
    query = select(Refund).where(Refund.target_id == target_id, Refund.state == "open")
    with snapshot() as session:
        return session.scalar(query.order_by(Refund.created_at).limit(1))


def decide(session: Session, request: RefundRequest, state: str) -> bool:
    """Set the final state of a member's request; return False if it was decided before."""
    columns = {"state": state, "open_target_id": None, "decided_at": clock.now()}
    return update_if(session, request, RefundRequest.state == "requested", **columns)


def _settle_request(target_id: str) -> None:
    """Mark the request of a member as paid, whichever command refunded its payment."""
    with transaction() as session:
        query = select(RefundRequest).where(RefundRequest.open_target_id == target_id)
        request = session.scalars(query).one_or_none()
        if request is not None:
            decide(session, request, "paid")


def _set_state(request: Refund, state: str) -> None:
    with transaction() as session:
        update_if(session, request, state=state)
