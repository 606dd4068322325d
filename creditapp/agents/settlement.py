"""Settlement: take one payment of a payment request, and grant its credits once.

    claim the request for this payment -> commit -> the rail settles, no transaction open
    -> one transaction { request paid; settlement; receipt's wallet and grant } -> the receipt

While a payment is with its rail no other one is taken, so that a request is never paid twice. When
the process dies in between, the same payment sent again, or the sweep, asks the rail how it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from creditapp import clock, ledger
from creditapp.agents import requests, tokens
from creditapp.agents.identity import Identity
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.rails import Payment, Rail, Rails, Settled
from creditapp.agents.refusals import (
    CredentialReplayed,
    PaymentRefused,
    PaymentRequestNotOpen,
    SettlementUnknown,
)
from creditapp.db import insert_once, snapshot, transaction, update_if
from creditapp.errors import AppError, Conflict, IdempotencyInProgress
from creditapp.ids import new_id
from creditapp.logs import error_fields
from creditapp.services import get
from creditapp.units import MICRO_PER_CREDIT

RECEIPT_LIFETIME: Final = timedelta(days=365)
"""Of a receipt and of its credits."""

LEASE: Final = timedelta(seconds=90)
"""How long a request works on a payment at most: a rail's call must time out sooner."""

WALLET: Final = "receipt"
"""The kind of owner of a receipt's wallet; its id is the payment request's."""

log = structlog.get_logger(__name__)


class OtherPayment(Conflict):
    """A second payment of a request: its rail has to pay it back."""

    title = "Another payment has paid for this"


@dataclass(frozen=True)
class Purchase:
    """A paid payment request, with its receipt."""

    request: PaymentRequest
    settlement: Settlement
    token: str = field(repr=False)
    receipt: str = field(repr=False)
    remaining_micro: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """The rail's headers of the answer; a repeated answer has none."""
    replayed: bool = False

    @property
    def credits_micro(self) -> int:
        """The credits that were bought."""
        return self.request.count * MICRO_PER_CREDIT


def pay(
    payment: Payment, headers: Mapping[str, str], count: int, *, key: str | None, now: datetime
) -> Purchase:
    """Settle a payment that came in a request's headers, and grant its credits.

    Owns its transactions. With a ``key`` the same payment returns its first answer; without one it
    raises ``CredentialReplayed``. Raises ``Conflict`` for another ``count`` than the paid request's
    and the refusals of ``requests.require_open``: nothing is settled then. A ``PaymentRefused``
    opens the request again; ``SettlementUnknown`` keeps it for this payment.
    """
    earlier = _earlier(payment, count, key)
    if earlier is not None:
        return earlier
    if payment.request_id is None:
        request = requests.open_request(count, now=now).request
    else:
        request = requests.find(payment.request_id)
    if request.count != count:
        raise Conflict(f"This payment is for {request.count} credits, not for {count}.")
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
    settled = _settle(rail, request, payment, headers)
    try:
        settlement = post(
            request.id, rail.name, settled, fingerprint=payment.fingerprint, key=key, now=now
        )
    except CredentialReplayed:
        _reopen(request, payment.fingerprint)
        raise
    return purchase_of(request.id, settlement, headers=settled.headers)


def purchase_of(
    request_id: str,
    settlement: Settlement,
    *,
    headers: Mapping[str, str] | None = None,
    replayed: bool = False,
) -> Purchase:
    """Return a paid request with its receipt and what is left on it."""
    with snapshot() as session:
        request = session.get_one(PaymentRequest, request_id)
        remaining_micro = balance(session, request_id, now=clock.now()).available_micro
    token = requests.token_of(request)
    receipt = tokens.receipt(get(Identity), settlement, token)
    return Purchase(request, settlement, token, receipt, remaining_micro, headers or {}, replayed)


def balance(session: Session, request_id: str, *, now: datetime) -> ledger.Balance:
    """Return the balance of the receipt of a paid request."""
    connection = session.connection()
    wallet_id = ledger.find_wallet(connection, WALLET, request_id)
    assert wallet_id is not None  # made with the settlement
    return ledger.balance(connection, wallet_id, now=now)


def find_settlement(session: Session, request_id: str) -> Settlement | None:
    """Return the settlement of a payment request, or None."""
    query = select(Settlement).where(Settlement.payment_request_id == request_id)
    return session.scalars(query).one_or_none()


def post(
    request_id: str,
    rail: str,
    settled: Settled,
    *,
    now: datetime,
    fingerprint: str | None = None,
    key: str | None = None,
) -> Settlement:
    """Grant the credits of a payment that went through; once, however often it is called.

    Owns its transaction. A payment that came after the request expired is honoured too: the money
    is here. Raises ``OtherPayment`` when another payment has paid the request,
    ``SettlementUnknown`` while another one may, and ``CredentialReplayed`` for a payment that paid
    another request.
    """
    is_this = and_(
        PaymentRequest.state == "settling", PaymentRequest.payment_fingerprint == fingerprint
    )
    with transaction() as session:
        request = session.get_one(PaymentRequest, request_id)
        if update_if(
            session,
            request,
            or_(PaymentRequest.state == "open", is_this),
            state="paid",
            paid_at=now,
            payment_rail=None,
            payment_fingerprint=None,
            payment_lease_until=None,
        ):
            settlement = _grant(session, request, rail, settled, fingerprint, now)
            if fingerprint is not None and key is not None:
                _note_key(session, fingerprint, request, key, now)
        else:
            return _posted_before(session, request_id, rail, settled)
    log.info("payment request paid", payment_request=request_id, rail=rail)
    return settlement


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
    requests.forget_unpaid(now=now)


def _recover(request: PaymentRequest) -> None:
    rail = get(Rails).named(request.payment_rail or "")
    if rail is None:
        raise SettlementUnknown(f"This site has no rail {request.payment_rail} any more.")
    settled = rail.recover(request)
    if settled is None:
        _reopen(request, request.payment_fingerprint or "")
    else:
        fingerprint = request.payment_fingerprint
        post(request.id, rail.name, settled, fingerprint=fingerprint, now=clock.now())


def _earlier(payment: Payment, count: int, key: str | None) -> Purchase | None:
    """Return the answer that this payment got before with this key; None for a new payment.

    Raises ``CredentialReplayed`` for a payment that was settled without the key.
    """
    query = select(Settlement).where(Settlement.payment_fingerprint == payment.fingerprint)
    with snapshot() as session:
        stored_id = key and ledger.idempotency.stored_response(
            session.connection(), _caller(payment.fingerprint), requests.ROUTE, key, _digest(count)
        )
        settlement = session.scalars(query).one_or_none()
    if settlement is None:
        return None
    if settlement.payment_request_id != stored_id:
        raise CredentialReplayed("This payment has bought its credits before.")
    return purchase_of(stored_id, settlement, replayed=True)


def _posted_before(session: Session, request_id: str, rail: str, settled: Settled) -> Settlement:
    settlement = find_settlement(session, request_id)
    if settlement is None:
        raise SettlementUnknown("Another payment of this request is under way.")
    if (settlement.rail, settlement.ref) != (rail, settled.ref):
        raise OtherPayment("This payment request was paid before.")
    return settlement


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
        _reopen(request, payment.fingerprint)
        raise
    except Exception as error:
        log.error("settlement failed", payment_request=request.id, **error_fields(error))
        _end_lease(request, payment)
        raise SettlementUnknown from None


def _reopen(request: PaymentRequest, fingerprint: str) -> None:
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


def _grant(
    session: Session,
    request: PaymentRequest,
    rail: str,
    settled: Settled,
    fingerprint: str | None,
    now: datetime,
) -> Settlement:
    connection = session.connection()
    start = now.replace(microsecond=0)  # as the receipt has it
    wallet_id = ledger.ensure_wallet(connection, WALLET, request.id, now=now)
    grant = ledger.grant(
        connection,
        wallet_id,
        ledger.NewGrant(
            amount_micro=request.count * MICRO_PER_CREDIT,
            source="agent",
            origin=f"agent:{request.id}",
            expires_at=start + RECEIPT_LIFETIME,
            paid_minor=request.price_minor,
            currency=request.currency,
            livemode=settled.livemode,
            actor=rail,
            note=f"{request.count} image credits",
        ),
        now=now,
    )
    if grant is None:
        raise RuntimeError(f"{request.id} has a grant and was not paid")
    settlement = Settlement(
        id=new_id("stl"),
        payment_request_id=request.id,
        rail=rail,
        ref=settled.ref,
        option_id=settled.option_id,
        payer=settled.payer,
        payment_fingerprint=fingerprint,
        livemode=settled.livemode,
        grant_id=grant.id,
        expires_at=start + RECEIPT_LIFETIME,
        created_at=start,
    )
    if not insert_once(session, settlement):
        raise CredentialReplayed("This payment has paid for something else.")
    return settlement


def _note_key(
    session: Session, fingerprint: str, request: PaymentRequest, key: str, now: datetime
) -> None:
    connection, caller = session.connection(), _caller(fingerprint)
    digest = _digest(request.count)
    ledger.idempotency.claim(connection, caller, requests.ROUTE, key, digest, now=now)
    ledger.idempotency.complete(connection, caller, requests.ROUTE, key, digest, request.id)


def _caller(fingerprint: str) -> str:
    """Return the caller that a key belongs to: the holder of the signed payment."""
    return f"payment:{fingerprint}"


def _digest(count: int) -> str:
    return tokens.digest(str(count))
