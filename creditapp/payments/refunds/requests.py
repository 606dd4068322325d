"""Refund requests: a member asks, the operator pays or declines.

The operator's refund pays the request too, whichever command makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp import accounts, emails
from creditapp.accounts import User
from creditapp.config import Settings
from creditapp.db import insert_once, snapshot, transaction
from creditapp.errors import Conflict, NotFound
from creditapp.ids import new_id
from creditapp.payments.refunds import policy
from creditapp.payments.refunds.models import RefundRequest
from creditapp.payments.refunds.policy import RefundablePayment
from creditapp.payments.refunds.refund import NothingLeft, decide, refund
from creditapp.payments.subscriptions.models import Refund
from creditapp.services import get
from creditapp.units import money_text

SHOWN_MAX = 20


def ask(session: Session, target_id: str, member: User, *, now: datetime) -> RefundRequest:
    """Store a member's request and email the operator; return the open one if there is one.

    Within the caller's transaction. The amount is today's unspent share. Raises ``NotFound`` for
    a payment that cannot be refunded to this member, ``NothingLeft``, and
    ``AuthenticationRequired`` for an account that was deleted meanwhile.
    """
    accounts.require_open(session, member.id)
    payment = _find_refundable(session, target_id, member.id, now=now)
    if payment is None:
        raise NotFound("This payment cannot be refunded.")
    if payment.refundable_minor <= 0:
        raise NothingLeft("All credits of this payment are spent or refunded.")
    request = RefundRequest(
        id=new_id("rrq"),
        user_id=member.id,
        target_id=target_id,
        open_target_id=target_id,
        item=payment.receipt.item,
        amount_minor=payment.refundable_minor,
        currency=payment.receipt.currency,
        state="requested",
        created_at=now,
    )
    if insert_once(session, request, ["open_target_id"]):
        _email_operator(session, request, member, now=now)
        return request
    query = select(RefundRequest).where(RefundRequest.open_target_id == target_id)
    return session.scalars(query).one()


def list_requests(session: Session, user_id: str) -> Sequence[RefundRequest]:
    """Return a member's newest requests, in one query."""
    query = select(RefundRequest).where(RefundRequest.user_id == user_id)
    return session.scalars(query.order_by(RefundRequest.id.desc()).limit(SHOWN_MAX)).all()


def list_open(session: Session) -> Sequence[tuple[RefundRequest, str]]:
    """Return every open request with its member's email address, the oldest first."""
    rows = session.execute(
        select(RefundRequest, User.email)
        .join(User, User.id == RefundRequest.user_id)
        .where(RefundRequest.state == "requested")
        .order_by(RefundRequest.id)
    )
    return [(request, email) for request, email in rows]


def pay(request_id: str) -> Refund:
    """Refund what was asked for, or today's unspent share if that is less; see ``refund``."""
    with snapshot() as session:
        request = _find_open(session, request_id)
        # Whether it is in time was decided when it was asked for.
        payment = _find_refundable(
            session, request.target_id, request.user_id, now=request.created_at
        )
    left_minor = payment.refundable_minor if payment else 0
    amount_minor = min(request.amount_minor, left_minor)
    if amount_minor <= 0:
        raise NothingLeft("The credits were spent meanwhile. Decline the request.")
    return refund(request.target_id, amount_minor, actor="refund request")


def decline(request_id: str) -> RefundRequest:
    """Decline an open request; its member sees it on the refund page."""
    with transaction() as session:
        request = _find_open(session, request_id)
        if not decide(session, request, "declined"):
            raise Conflict("This request was decided a moment ago.")
    return request


def _find_open(session: Session, request_id: str) -> RefundRequest:
    request = session.get(RefundRequest, request_id)
    if request is None:
        raise NotFound("There is no refund request with this id.")
    if request.state != "requested":
        raise Conflict(f"This request is {request.state} already.")
    return request


def _find_refundable(
    session: Session, target_id: str, user_id: str, *, now: datetime
) -> RefundablePayment | None:
    payments = policy.list_refundable(session, user_id, now=now)
    return next((payment for payment in payments if payment.receipt.id == target_id), None)


def _email_operator(
    session: Session, request: RefundRequest, member: User, *, now: datetime
) -> None:
    settings = get(Settings)
    if not settings.support_email:
        return
    context = {
        "item": request.item,
        "amount": money_text(request.amount_minor, request.currency),
        "member": member.email,
        "target": request.target_id,
        "request": request.id,
    }
    key = f"refund_requested:{request.id}"
    emails.queue(session, "refund_requested", settings.support_email, context, key, now=now)
