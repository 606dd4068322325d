"""Refund of a receipt's unused credits, at the unit price that was paid, by an operator.

The wallet is frozen and the credits are taken back before any money moves, so that nothing is spent
meanwhile. The refund is stored first and carries its own key, so that a repeat after a lost answer
is the same refund. A service: it owns its transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.agents import requests, settlement
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.rails import Rails
from creditapp.db import snapshot, transaction, update_if
from creditapp.errors import Conflict, NotFound
from creditapp.ids import new_id
from creditapp.ledger.models import Grant
from creditapp.payments.refunds.refund import REASONS, NothingLeft
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions.models import Refund
from creditapp.payments.sweeps import until_claimed
from creditapp.services import get
from creditapp.units import MICRO_PER_CREDIT

BY_HAND: Final = "by_hand"
"""The state of a refund that its rail does not send."""

UNSENT: Final = ("open", "failed", BY_HAND)
"""The states of a refund that is promised and whose money is not on its way."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ReceiptRefund:
    """A refund of unused credits, and what may still come."""

    refund_id: str | None
    """By which the operator notes that it was sent; None as long as there is nothing to pay."""
    purchase_id: str
    credits_micro: int
    amount_minor: int
    currency: str
    held_micro: int
    """Set aside for images that are being made: what fails of them can be refunded afterwards."""
    rail: str
    payer: str | None
    """The payer's DID, where the rail named one."""
    sent: bool
    """Whether the money is on its way; else the rail cannot, and the operator sends it."""


def refund(request_id: str, *, now: datetime) -> ReceiptRefund:
    """Freeze a receipt, take its unused credits back and pay them back.

    A refund that a crash cut off is finished first and returned. One that waits to be sent by hand
    is returned again, unless credits came back since: those are a refund of their own. Raises
    ``UnknownPaymentRequest``, ``Conflict`` for an unpaid request or a disputed payment,
    ``NothingLeft`` when every credit is used or refunded, and ``GatewayError``; after that the same
    call tries again.
    """
    row = _find_unfinished(request_id)
    return _finish(row or until_claimed(lambda: _store(request_id, now)))


def _find_unfinished(request_id: str) -> Refund | None:
    unfinished = Refund.state.in_(("open", "failed"))
    with snapshot() as session:
        return _newest(session, request_id, unfinished)


def _newest(session: Session, request_id: str, condition: ColumnElement[bool]) -> Refund | None:
    query = select(Refund).where(Refund.target_id == request_id, condition)
    return session.scalars(query.order_by(Refund.created_at.desc()).limit(1)).one_or_none()


def _store(request_id: str, now: datetime) -> Refund | None:
    """Freeze, revoke and store the refund; return None if the request changed meanwhile."""
    request = requests.find(request_id)
    with transaction() as session:
        version = request.version
        if not update_if(session, request, PaymentRequest.version == version, version=version + 1):
            return None
        settled = settlement.find_settlement(session, request_id)
        if settled is None:
            raise Conflict("This payment request is not paid: there is nothing to refund.")
        connection = session.connection()
        wallet_id = ledger.find_wallet(connection, settlement.WALLET, request_id)
        assert wallet_id is not None  # made with the settlement
        ledger.freeze_wallet(connection, wallet_id, now=now)
        update_if(session, request, state="refunded")
        unused_micro, amount_minor = _take_back(session, request, settled, now)
        waiting = _newest(session, request_id, Refund.state == BY_HAND)
        if waiting is not None and not unused_micro:
            return waiting
        row = Refund(
            id=new_id("ref"),
            target_id=request_id,
            payment_intent_id=settled.ref,
            amount_minor=amount_minor,
            currency=request.currency,
            reason=REASONS[0],
            # Nothing to pay back now: the freeze stays, and images that are being made may fail.
            state="open" if unused_micro else "done",
            actor=settled.rail,
            created_at=now,
            credits_micro=unused_micro,
        )
        if unused_micro:
            session.add(row)
        elif not _held_micro(session, request_id, now):
            raise NothingLeft("Every credit of this receipt is used, moved or refunded.")
    return row


def _take_back(
    session: Session, request: PaymentRequest, settled: Settlement, now: datetime
) -> tuple[int, int]:
    """Revoke what is unused of the receipt's grant; return how much that was, and its price.

    The price is a difference of sums, so that refunds in parts add up to the whole.
    """
    grant = session.get_one(Grant, settled.grant_id)
    if grant.frozen_at is not None:
        raise Conflict("The payment is disputed. If you lose the dispute, Stripe refunds it.")
    earlier_micro, unused_micro = grant.revoked_target_micro, grant.remaining_micro
    target_micro = earlier_micro + unused_micro
    if unused_micro:
        ledger.revoke(session.connection(), grant.id, target_micro, now=now, reason="refund")
        update_if(session, request, refunded_micro=target_micro)
    total_micro = request.count * MICRO_PER_CREDIT
    refunded_minor = settled.paid_minor * target_micro // total_micro
    return unused_micro, refunded_minor - settled.paid_minor * earlier_micro // total_micro


def _finish(row: Refund) -> ReceiptRefund:
    """Pay the refund at its rail, unless it is paid, and describe it."""
    with snapshot() as session:
        request = session.get_one(PaymentRequest, row.target_id)
        settled = settlement.find_settlement(session, row.target_id)
        held_micro = _held_micro(session, row.target_id, row.created_at)
    assert settled is not None  # refunds are stored for paid requests alone
    rail = get(Rails).named(settled.rail)
    if row.state in ("open", "failed"):
        try:
            sent = rail is not None and rail.refund(settled, row.amount_minor, row.id)
        except GatewayError as error:
            if error.permanent:
                _set_state(row, "failed")
            raise
        _set_state(row, "done" if sent else BY_HAND)
        log.info("receipt refunded", payment_request=request.id, refund=row.id, sent=sent)
    return ReceiptRefund(
        refund_id=row.id if row.credits_micro else None,
        purchase_id=request.id,
        credits_micro=row.credits_micro or 0,
        amount_minor=row.amount_minor,
        currency=row.currency,
        held_micro=held_micro,
        rail=settled.rail,
        payer=settled.payer,
        sent=row.state != BY_HAND,
    )


def list_unsent(session: Session) -> list[tuple[Refund, Settlement]]:
    """Return the refunds of agents' payments whose money is not sent, the oldest first."""
    query = (
        select(Refund, Settlement)
        .join(Settlement, Settlement.payment_request_id == Refund.target_id)
        .where(Refund.state.in_(UNSENT))
        .order_by(Refund.created_at, Refund.id)
    )
    return [(row, settled) for row, settled in session.execute(query)]


def list_returned(session: Session) -> list[tuple[Settlement, int]]:
    """Return refunded receipts to which credits came back since, with how many microcredits.

    Those are credits of images that were being made and failed: another refund pays them back.
    """
    query = (
        select(Settlement, Grant.remaining_micro)
        .join(PaymentRequest, PaymentRequest.id == Settlement.payment_request_id)
        .join(Grant, Grant.id == Settlement.grant_id)
        .where(
            PaymentRequest.state == "refunded", Grant.remaining_micro > 0, Grant.frozen_at.is_(None)
        )
        .order_by(Settlement.created_at)
    )
    return [(settled, remaining_micro) for settled, remaining_micro in session.execute(query)]


def note_sent(refund_id: str, *, now: datetime) -> Refund:
    """Note that the operator sent the money of a refund by hand. Owns its transaction.

    Raises ``NotFound`` for an id without such a refund, and ``Conflict`` while its rail may send
    it.
    """
    with transaction() as session:
        row = session.get(Refund, refund_id)
        if row is not None and row.state == "open":
            raise Conflict("Its rail may have sent it: call /api/receipts/refund again to know.")
        by_hand = Refund.state.in_(("failed", BY_HAND))
        if row is None or not update_if(session, row, by_hand, state="done", sent_at=now):
            raise NotFound(f"{refund_id} is no refund that waits to be sent by hand.")
    log.info("refund sent by hand", payment_request=row.target_id, refund=row.id)
    return row


def _held_micro(session: Session, request_id: str, now: datetime) -> int:
    return settlement.balance(session, request_id, now=now).held_micro


def _set_state(row: Refund, state: str) -> None:
    with transaction() as session:
        update_if(session, row, state=state)
