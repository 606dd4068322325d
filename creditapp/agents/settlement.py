"""Settlement: grant the credits of a payment request once, when a payment of it went through.

One transaction marks the request as paid and writes the settlement and the grant in the wallet of
the receipt, so that neither exists without the others.
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
from creditapp.agents.rails import Settled, sandbox
from creditapp.agents.refusals import CredentialReplayed, SettlementUnknown
from creditapp.config import Settings
from creditapp.db import insert_once, snapshot, transaction, update_if
from creditapp.errors import Conflict
from creditapp.ids import new_id
from creditapp.services import get
from creditapp.units import MICRO_PER_CREDIT

RECEIPT_LIFETIME: Final = timedelta(days=365)
"""Of a receipt and of its credits."""

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


def _posted_before(session: Session, request_id: str, rail: str, settled: Settled) -> Settlement:
    settlement = find_settlement(session, request_id)
    if settlement is None:
        raise SettlementUnknown("Another payment of this request is under way.")
    if (settlement.rail, settlement.ref) != (rail, settled.ref):
        raise OtherPayment("This payment request was paid before.")
    return settlement


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
        paid_minor=settled.paid_minor or request.price_minor,
        livemode=settled.livemode,
        sandbox=get(Settings).sandbox or rail == sandbox.NAME,
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
    connection, caller = session.connection(), key_caller(fingerprint)
    digest = key_digest(request.count)
    ledger.idempotency.claim(connection, caller, requests.ROUTE, key, digest, now=now)
    ledger.idempotency.complete(connection, caller, requests.ROUTE, key, digest, request.id)


def key_caller(fingerprint: str) -> str:
    """Return the caller that a key belongs to: the holder of the signed payment."""
    return f"payment:{fingerprint}"


def key_digest(count: int) -> str:
    """Return the digest of what a key was sent with."""
    return tokens.digest(str(count))
