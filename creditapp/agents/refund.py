"""Refund of a receipt's unused credits, at the unit price that was paid, by an operator.

The wallet is frozen and the credits are taken back before any money moves, so that nothing is spent
meanwhile. The refund is stored first and carries its own key, so that a repeat after a lost answer
is the same refund. A service: it owns its transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.agents import requests, settlement
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.rails import Rails
from creditapp.db import snapshot, transaction, update_if
from creditapp.errors import Conflict
from creditapp.ids import new_id
from creditapp.ledger.models import Grant
from creditapp.payments.refunds.refund import REASONS, NothingLeft
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions.models import Refund
from creditapp.payments.sweeps import until_claimed
from creditapp.services import get
from creditapp.units import MICRO_PER_CREDIT, divide_up

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ReceiptRefund:
    """A refund of unused credits, and what may still come."""

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

    A refund that a crash cut off is finished first and returned. Raises ``UnknownPaymentRequest``,
    ``Conflict`` for an unpaid request or a disputed payment, ``NothingLeft`` when every credit is
    used or refunded, and ``GatewayError``; after that the same call tries again.
    """
    row = _find_unfinished(request_id)
    if row is None:
        row, unused_micro = until_claimed(lambda: _store(request_id, now))
        return _finish(row, unused_micro)
    return _finish(row, None)


def _find_unfinished(request_id: str) -> Refund | None:
    query = select(Refund).where(Refund.target_id == request_id, Refund.state != "done")
    with snapshot() as session:
        return session.scalars(query.limit(1)).one_or_none()


def _store(request_id: str, now: datetime) -> tuple[Refund, int] | None:
    """Freeze, revoke and store the refund; return None if the request changed meanwhile.

    The number is that of the microcredits taken back.
    """
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
        unused_micro = _take_back(session, request, settled, now)
        row = Refund(
            id=new_id("ref"),
            target_id=request_id,
            payment_intent_id=settled.ref,
            amount_minor=settled.paid_minor * unused_micro // (request.count * MICRO_PER_CREDIT),
            currency=request.currency,
            reason=REASONS[0],
            # Nothing to pay back now: the freeze stays, and images that are being made may fail.
            state="open" if unused_micro else "done",
            actor=settled.rail,
            created_at=now,
        )
        if unused_micro:
            session.add(row)
        elif not _held_micro(session, request_id, now):
            raise NothingLeft("Every credit of this receipt is used, moved or refunded.")
    return row, unused_micro


def _take_back(
    session: Session, request: PaymentRequest, settled: Settlement, now: datetime
) -> int:
    """Revoke what is unused of the receipt's grant; return how much that was."""
    grant = session.get_one(Grant, settled.grant_id)
    if grant.frozen_at is not None:
        raise Conflict("The payment is disputed. If you lose the dispute, Stripe refunds it.")
    unused_micro = grant.remaining_micro
    if unused_micro:
        target_micro = grant.revoked_target_micro + unused_micro
        ledger.revoke(session.connection(), grant.id, target_micro, now=now, reason="refund")
        update_if(session, request, refunded_micro=target_micro)
    return unused_micro


def _finish(row: Refund, unused_micro: int | None) -> ReceiptRefund:
    """Pay the refund at its rail, unless it is paid, and describe it.

    ``unused_micro`` is what was taken back; None is for a refund of before, computed from its
    amount.
    """
    with snapshot() as session:
        request = session.get_one(PaymentRequest, row.target_id)
        settled = settlement.find_settlement(session, row.target_id)
        held_micro = _held_micro(session, row.target_id, row.created_at)
    assert settled is not None  # refunds are stored for paid requests alone
    rail, sent = get(Rails).named(settled.rail), True
    if row.state != "done":
        try:
            sent = rail is not None and rail.refund(settled, row.amount_minor, row.id)
        except GatewayError as error:
            if error.permanent:
                _set_state(row, "failed")
            raise
        _set_state(row, "done")
        log.info("receipt refunded", payment_request=request.id, refund=row.id, sent=sent)
    if unused_micro is None:
        total_micro = request.count * MICRO_PER_CREDIT
        unused_micro = divide_up(row.amount_minor * total_micro, settled.paid_minor)
    return ReceiptRefund(
        purchase_id=request.id,
        credits_micro=unused_micro,
        amount_minor=row.amount_minor,
        currency=row.currency,
        held_micro=held_micro,
        rail=settled.rail,
        payer=settled.payer,
        sent=sent,
    )


def _held_micro(session: Session, request_id: str, now: datetime) -> int:
    return settlement.balance(session, request_id, now=now).held_micro


def _set_state(row: Refund, state: str) -> None:
    with transaction() as session:
        update_if(session, row, state=state)
