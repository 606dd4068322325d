"""Payments of agents: hand one payment of a payment request to its rail, and learn how it ended.

    claim the request for this payment -> commit -> the rail settles, no transaction open
    -> one transaction { request paid; settlement; receipt's wallet and grant } -> the receipt

While a payment is with its rail no other one is taken, so that a request is never paid twice. When
the process dies in between, the same payment sent again, or the sweep, asks the rail how it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import select

from creditapp import clock, ledger
from creditapp.agents import checkout, requests
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.rails import Payment, Rail, Rails, Settled, claims
from creditapp.agents.refusals import (
    CredentialReplayed,
    PaidBefore,
    PaymentRefused,
    PaymentRequestNotOpen,
    SettlementUnknown,
)
from creditapp.agents.settlement import (
    OtherPayment,
    Purchase,
    find_settlement,
    key_caller,
    key_digest,
    post,
    purchase_of,
)
from creditapp.db import snapshot, transaction, update_if
from creditapp.errors import AppError, IdempotencyInProgress
from creditapp.logs import error_fields
from creditapp.services import get

LEASE: Final = timedelta(seconds=90)
"""How long a request works on a payment at most: a rail's call must time out sooner."""

log = structlog.get_logger(__name__)


def pay(
    payment: Payment, headers: Mapping[str, str], count: int, *, key: str | None, now: datetime
) -> Purchase:
    """Settle a payment that came in a request's headers, and grant its credits.

    Owns its transactions. With a ``key`` the same payment returns its first answer; without one it
    raises ``CredentialReplayed``. Raises ``PaymentRefused`` for another ``count`` than the paid
    request's and the refusals of ``requests.require_open``: nothing is settled then. A
    ``PaymentRefused`` opens the request again; ``SettlementUnknown`` keeps it for this payment.
    """
    earlier = _earlier(payment, count, key)
    if earlier is not None:
        return earlier
    if payment.request_id is None:
        request = requests.open_request(count, now=now).request
    else:
        request = requests.find(payment.request_id)
    if request.count != count:
        raise PaymentRefused(f"This payment is for {request.count} credits, not for {count}.")
    try:
        _claim(request, payment, now)
    except CredentialReplayed:
        earlier = _earlier(payment, count, key)  # the same request came at the same moment
        if earlier is not None:
            return earlier
        if key is not None:
            raise IdempotencyInProgress from None
        raise
    rail = get(Rails).named(payment.rail)
    assert rail is not None  # it has just read the payment
    try:
        settled = _settle(rail, request, payment, headers)
    except PaidBefore as before:
        return _paid_before(before.request_id)
    try:
        settlement = post(
            request.id, rail.name, settled, fingerprint=payment.fingerprint, key=key, now=now
        )
    except CredentialReplayed:
        reopen(request, payment.fingerprint)
        raise
    except OtherPayment:
        # It took longer than its lease, and another payment came first: a person pays it back.
        log.error("second payment", payment_request=request.id, rail=rail.name, ref=settled.ref)
        raise
    return purchase_of(request.id, settlement, headers=settled.headers)


def sweep(*, now: datetime) -> None:
    """Ask the rails about payments that a dead process handed over; forget unpaid requests."""
    lapsed = select(PaymentRequest).where(
        PaymentRequest.state == "settling", PaymentRequest.payment_lease_until <= now
    )
    with snapshot() as session:
        rows = session.scalars(lapsed.limit(50)).all()
    for request in rows:
        try:
            _recover(request)
        except Exception as error:
            log.warning("payment not recovered", payment_request=request.id, **error_fields(error))
    checkout.sweep_pages()
    requests.forget_unpaid(now=now)


def _recover(request: PaymentRequest) -> None:
    rail = get(Rails).named(request.payment_rail or "")
    claim = claims.find(request.id)
    if rail is not None:
        settled = rail.recover(request)
    elif claim is not None and claim.reference is not None:
        settled = claims.settled(claim)
    else:
        raise SettlementUnknown(f"This site has no rail {request.payment_rail} any more.")
    if settled is None:
        reopen(request, request.payment_fingerprint or "")
    else:
        post_recovered(request, request.payment_rail or "", settled)


def post_recovered(request: PaymentRequest, rail: str, settled: Settled) -> None:
    """Grant the credits of the payment for which a request was kept."""
    fingerprint = request.payment_fingerprint
    post(request.id, rail, settled, fingerprint=fingerprint, now=clock.now())


def _earlier(payment: Payment, count: int, key: str | None) -> Purchase | None:
    """Return the answer that this payment got before with this key; None for a new payment.

    A signed payment can be read on its chain, and a key be guessed: the answer is for who also
    names the payment request, which only the buyer knows. Raises ``CredentialReplayed`` to others.
    """
    query = select(Settlement).where(Settlement.payment_fingerprint == payment.fingerprint)
    with snapshot() as session:
        stored_id = key and ledger.idempotency.stored_response(
            session.connection(),
            key_caller(payment.fingerprint),
            requests.ROUTE,
            key,
            key_digest(count),
        )
        settlement = session.scalars(query).one_or_none()
    if settlement is None:
        return None
    is_buyer = payment.request_id in (None, settlement.payment_request_id)
    if settlement.payment_request_id != stored_id or not is_buyer:
        raise CredentialReplayed(
            "This payment has bought its credits: their receipt is at /api/ack/receipts."
        )
    return purchase_of(stored_id, settlement, replayed=True)


def _paid_before(request_id: str) -> Purchase:
    with snapshot() as session:
        settlement = find_settlement(session, request_id)
    if settlement is None:
        raise SettlementUnknown
    return purchase_of(request_id, settlement, replayed=True)


def _claim(request: PaymentRequest, payment: Payment, now: datetime) -> None:
    """Keep the request for this payment, or raise why it cannot be paid by it."""
    values = {
        "state": "settling",
        "payment_rail": payment.rail,
        "payment_fingerprint": payment.fingerprint,
        "payment_lease_until": now + LEASE,
    }
    is_this = PaymentRequest.payment_fingerprint == payment.fingerprint
    with transaction() as session:
        stored = session.get_one(PaymentRequest, request.id)
        if update_if(
            session,
            stored,
            PaymentRequest.state == "open",
            PaymentRequest.expires_at > now,
            **values,
        ):
            return
        # After a crash or an unknown outcome the same payment asks again, also past the expiry.
        if update_if(
            session,
            stored,
            PaymentRequest.state == "settling",
            is_this,
            PaymentRequest.payment_lease_until <= now,
            **values,
        ):
            return
        session.refresh(stored)
        settled = select(Settlement.id).where(Settlement.payment_fingerprint == payment.fingerprint)
        if stored.payment_fingerprint == payment.fingerprint or session.scalar(settled):
            raise CredentialReplayed("This payment is being settled, or was.")
    requests.require_open(stored, now=now)
    raise PaymentRequestNotOpen


def _settle(
    rail: Rail, request: PaymentRequest, payment: Payment, headers: Mapping[str, str]
) -> Settled:
    """Let the rail settle; keep the request for this payment unless no money moved."""
    try:
        return rail.settle(request, headers)
    except SettlementUnknown:
        _end_lease(request, payment)
        raise
    except (PaymentRefused, AppError):
        reopen(request, payment.fingerprint)
        raise
    except Exception as error:
        log.error("settlement failed", payment_request=request.id, **error_fields(error))
        _end_lease(request, payment)
        raise SettlementUnknown from None


def reopen(request: PaymentRequest, fingerprint: str) -> None:
    """Let another payment pay a request that was kept for one."""
    with transaction() as session:
        update_if(
            session,
            request,
            PaymentRequest.state == "settling",
            PaymentRequest.payment_fingerprint == fingerprint,
            state="open",
            payment_rail=None,
            payment_fingerprint=None,
            payment_lease_until=None,
        )


def _end_lease(request: PaymentRequest, payment: Payment) -> None:
    """Let the same payment, or the sweep, ask for the outcome."""
    with transaction() as session:
        update_if(
            session,
            request,
            PaymentRequest.state == "settling",
            PaymentRequest.payment_fingerprint == payment.fingerprint,
            payment_lease_until=clock.now(),
        )
