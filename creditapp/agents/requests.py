"""Payment requests: price a number of image credits, store the offer, make its token."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.agents import tokens
from creditapp.agents.identity import Identity
from creditapp.agents.models import PaymentRequest
from creditapp.agents.rails import Rails
from creditapp.agents.refusals import (
    PaymentRequestExpired,
    PaymentRequestNotOpen,
    UnknownPaymentRequest,
)
from creditapp.catalog import Catalog
from creditapp.clock import NEVER
from creditapp.config import Settings
from creditapp.db import snapshot, transaction
from creditapp.errors import ValidationFailed
from creditapp.ids import new_id
from creditapp.services import get

LIFETIME: Final = timedelta(minutes=15)
"""Of an unpaid request: the price and the options hold for as long."""

KEPT: Final = timedelta(days=7)
"""How long an unpaid request is kept after it expired, for a payment that comes late."""

ROUTE: Final = "images/buy"
_ID: Final = re.compile(r"prq_[0-9a-z]{26}")


@dataclass(frozen=True)
class Challenge:
    """An unpaid payment request with its token: what a 402 says."""

    request: PaymentRequest
    token: str
    replayed: bool = False

    def described(self) -> dict[str, Any]:
        """Return the request as its token names it."""
        return tokens.describe(self.request, get(Settings).site_url)

    def headers(self) -> dict[str, str]:
        """Return the headers of every rail."""
        return {
            name: value
            for rail in get(Rails)
            for name, value in rail.challenge_headers(self.request).items()
        }


def open_request(
    count: int, *, now: datetime, caller: str = "", key: str | None = None
) -> Challenge:
    """Store a payment request at today's price and return its challenge. Owns its transaction.

    The same ``key`` of the same ``caller`` returns the first request while it can be paid. Raises
    ``ValidationFailed`` for a count that is not sold, ``IdempotencyKeyReused`` for another count,
    and ``PaymentRequestNotOpen`` or ``PaymentRequestExpired`` for a request that ended.
    """
    request = _priced(count, now)
    if key is None:
        with transaction() as session:
            session.add(request)
        return challenge_of(request)
    digest = tokens.digest(str(count))
    with transaction() as session:
        connection = session.connection()
        stored_id = ledger.idempotency.claim(connection, caller, ROUTE, key, digest, now=now)
        if stored_id is None:
            session.add(request)
            ledger.idempotency.complete(connection, caller, ROUTE, key, digest, request.id)
            return challenge_of(request)
        stored = session.get(PaymentRequest, stored_id)
    if stored is None:
        raise PaymentRequestExpired("The payment request of this Idempotency-Key has expired.")
    require_open(stored, now=now)
    return Challenge(stored, token_of(stored), replayed=True)


def _priced(count: int, now: datetime) -> PaymentRequest:
    catalog, settings = get(Catalog), get(Settings)
    agents = catalog.agents
    if not 1 <= count <= agents.count_max:
        text = f"count is a whole number from 1 to {agents.count_max:,}."
        raise ValidationFailed.of("count", text)
    request = PaymentRequest(
        id=new_id("prq"),
        count=count,
        price_minor=agents.total_minor(count),
        currency=agents.currency,
        catalog_version=catalog.version,
        state="open",
        refunded_micro=0,
        version=1,
        next_check_at=NEVER,
        # Whole seconds: the token has no more, and its row and the token must expire together.
        created_at=now.replace(microsecond=0),
        expires_at=now.replace(microsecond=0) + LIFETIME,
    )
    options = (rail.payment_option(request) for rail in get(Rails))
    did, receipts = get(Identity).did, f"{settings.site_url}/api/ack/receipts"
    request.options = [
        option.claims(recipient=did, receipt_service=receipts) for option in options if option
    ]
    request.token_sha256 = ""
    request.token_sha256 = tokens.digest(token_of(request))
    return request


def challenge_of(request: PaymentRequest) -> Challenge:
    """Return the challenge of a request that can be paid."""
    return Challenge(request, token_of(request))


def token_of(request: PaymentRequest) -> str:
    """Return the token of a stored request."""
    return tokens.payment_request_token(get(Identity), request, get(Settings).site_url)


def find_by_token(session: Session, token: str) -> PaymentRequest:
    """Return the row of a token: signed here, stored here, and the same to the last byte.

    Raises ``UnknownPaymentRequest``.
    """
    request = session.get(PaymentRequest, tokens.request_id_of(get(Identity), token))
    if request is None or request.token_sha256 != tokens.digest(token):
        raise UnknownPaymentRequest("This payment request is not stored here.")
    return request


def find(request_id: str) -> PaymentRequest:
    """Return the row of an id; raise ``UnknownPaymentRequest``."""
    request = None
    if _ID.fullmatch(request_id):  # PostgreSQL refuses a text with a NUL in it
        with snapshot() as session:
            request = session.get(PaymentRequest, request_id)
    if request is None:
        raise UnknownPaymentRequest("This payment request is not stored here.")
    return request


def title(request: PaymentRequest) -> str:
    """Return what is sold, in words."""
    return str(tokens.describe(request, "")["description"])


def require_open(request: PaymentRequest, *, now: datetime) -> None:
    """Raise ``PaymentRequestNotOpen`` or ``PaymentRequestExpired`` unless it can be paid now."""
    if request.state in ("paid", "refunded"):
        raise PaymentRequestNotOpen("It is paid. Get its receipt at /api/ack/receipts.")
    if request.expires_at <= now:
        raise PaymentRequestExpired("Ask for a new payment request; nothing was paid.")
    if request.state != "open":
        raise PaymentRequestNotOpen("A payment of this request is under way.")


def forget_unpaid(*, now: datetime) -> None:
    """Delete the requests that nobody paid, some days after they expired."""
    stale = (
        PaymentRequest.state == "open",
        PaymentRequest.expires_at < now - KEPT,
        PaymentRequest.next_check_at == NEVER,  # no page at Stripe may still be paid
    )
    with transaction() as session:
        session.execute(delete(PaymentRequest).where(*stale))
