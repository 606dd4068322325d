"""Claims of signed authorizations: each pays one payment request, and is settled once.

An authorization (EIP-3009) is used once on its chain, and claimed here before it is settled, in a
table, so that every process sees the claim. It stays when the outcome is unknown: the same
authorization is then settled again, which cannot move money twice.

    authorization's key -> the payment as the facilitator gets it, and how it ended
    request's key       -> authorization's key
    transaction's key   -> authorization's key: one transaction pays one authorization
    identifier's key    -> request's id, for payers that send a payment identifier
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from creditapp.agents.models import PaymentClaim, PaymentRequest
from creditapp.agents.rails.rail import Settled
from creditapp.agents.refusals import PaidBefore, PaymentRequestNotOpen, SettlementUnknown
from creditapp.db import insert_once, snapshot, transaction, update_if
from creditapp.errors import IdempotencyKeyReused

TEST_NETWORKS: Final = {"eip155:84532": "base-sepolia", "eip155:11142220": "celo-sepolia"}
"""The networks whose money is worth nothing, by CAIP-2, with their names in the settings."""

_KEYED: Final = ["key"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An authorization that pays a payment request, whether or not it is settled yet."""

    key: str
    request_id: str
    rail: str
    payment: dict[str, Any] = field(repr=False)
    """The payment as the facilitator gets it, with its signature."""
    terms: dict[str, Any]
    """The requirements that it fulfils."""
    reference: str | None = None
    """The transaction that moved the money."""
    settled_at: datetime | None = None

    @property
    def payer(self) -> str:
        """The payer's address."""
        payer: str = self.payment["payload"]["authorization"]["from"]
        return payer

    @property
    def nonce(self) -> str:
        """The authorization's nonce, by which the token's contract knows it."""
        nonce: str = self.payment["payload"]["authorization"]["nonce"]
        return nonce

    @property
    def network(self) -> str:
        """The network in CAIP-2."""
        network: str = self.terms["network"]
        return network

    @property
    def valid_before(self) -> datetime:
        """The end of the authorization: later the chain refuses it."""
        seconds = int(self.payment["payload"]["authorization"]["validBefore"])
        return datetime.fromtimestamp(min(seconds, 253_402_300_799), UTC)


def settled(claim: Claim) -> Settled:
    """Return the payment of a claim whose transaction is known, for which no rail is needed."""
    assert claim.reference is not None
    return Settled(
        ref=claim.reference,
        option_id=claim.rail,
        livemode=claim.network not in TEST_NETWORKS,
        payer=f"did:pkh:{claim.network}:{claim.payer}",
    )


def find(request_id: str) -> Claim | None:
    """Return the claim for a payment request, or None."""
    with snapshot() as session:
        pointer = session.get(PaymentClaim, _request_key(request_id))
        row = None if pointer is None else session.get(PaymentClaim, pointer.value)
        return None if row is None else _parse(row)


def unsettled() -> list[Claim]:
    """Return the claims of payments that may have moved money and have no transaction yet."""
    query = select(PaymentRequest.id).where(PaymentRequest.state == "settling")
    with snapshot() as session:
        request_ids = session.scalars(query.order_by(PaymentRequest.created_at)).all()
    found = [claim for request_id in request_ids if (claim := find(request_id)) is not None]
    return [claim for claim in found if claim.reference is None]


def is_claimed(key: str) -> bool:
    """Return whether an authorization was claimed, for whichever request."""
    with snapshot() as session:
        return session.get(PaymentClaim, key) is not None


def claim(new: Claim, identifier: str | None, *, now: datetime) -> bool:
    """Claim an authorization for its request; return False if it was claimed before.

    Owns its transaction. Raises ``PaymentRequestNotOpen`` when another authorization pays the
    request. When the payer's ``identifier`` belongs to another one: ``PaidBefore`` or, for another
    count, ``IdempotencyKeyReused``; ``SettlementUnknown`` while that one is not settled.
    """
    with transaction() as session:
        if not _insert(session, new.key, _text(new), now):
            return False
        if not _insert(session, _request_key(new.request_id), new.key, now):
            raise PaymentRequestNotOpen("Another payment of this request is under way.")
        if identifier is not None:
            _note_identifier(session, new, identifier, now)
    return True


def note_reference(stored: Claim, reference: str, *, now: datetime) -> Claim:
    """Store the transaction that settled a claim, and return the claim with it.

    Owns its transaction. Raises ``SettlementUnknown`` for a transaction that settled another
    authorization: whoever said so is wrong about one of them.
    """
    if stored.reference is not None:
        return stored
    settled = replace(stored, reference=reference, settled_at=now)
    key = f"evm:transaction:{stored.network}:{reference.lower()}"
    with transaction() as session:
        if not _insert(session, key, stored.key, now):
            known = session.get_one(PaymentClaim, key)
            if known.value != stored.key:
                log.error("one transaction for two payments", payment_request=stored.request_id)
                raise SettlementUnknown
        row = session.get_one(PaymentClaim, stored.key)
        update_if(session, row, value=_text(settled))
    return settled


def remove(stored: Claim) -> None:
    """Forget a claim of which no money moved. Owns its transaction.

    Its identifier is left: it names a request that is open again, and may then name another one.
    """
    with transaction() as session:
        for key in (stored.key, _request_key(stored.request_id)):
            session.execute(delete(PaymentClaim).where(PaymentClaim.key == key))


def _note_identifier(session: Session, new: Claim, identifier: str, now: datetime) -> None:
    key = _identifier_key(new, identifier)
    if _insert(session, key, new.request_id, now):
        return
    row = session.get_one(PaymentClaim, key)
    if row.value == new.request_id:
        return
    earlier = session.get(PaymentRequest, row.value)
    if earlier is None or earlier.state == "open":
        update_if(session, row, value=new.request_id)  # the earlier one was never paid
        return
    if earlier.count != session.get_one(PaymentRequest, new.request_id).count:
        raise IdempotencyKeyReused("This payment identifier belongs to a purchase of another size.")
    if earlier.state == "settling":
        raise SettlementUnknown("An earlier payment with this identifier is not settled yet.")
    raise PaidBefore(earlier.id)


def _insert(session: Session, key: str, value: str, now: datetime) -> bool:
    return insert_once(session, PaymentClaim(key=key, value=value, created_at=now), _KEYED)


def _request_key(request_id: str) -> str:
    return f"evm:request:{request_id}"


def _identifier_key(of: Claim, identifier: str) -> str:
    return f"evm:identifier:{of.payer.lower()}:{identifier}"


def _text(of: Claim) -> str:
    return json.dumps(
        {
            "request": of.request_id,
            "rail": of.rail,
            "payment": of.payment,
            "terms": of.terms,
            "reference": of.reference,
            "settledAt": of.settled_at and of.settled_at.isoformat(),
        }
    )


def _parse(row: PaymentClaim) -> Claim:
    stored = json.loads(row.value)
    settled_at = stored["settledAt"]
    return Claim(
        key=row.key,
        request_id=stored["request"],
        rail=stored["rail"],
        payment=stored["payment"],
        terms=stored["terms"],
        reference=stored["reference"],
        settled_at=settled_at and datetime.fromisoformat(settled_at),
    )
