"""Grants by an operator's script, idempotent by its key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from creditapp import accounts, ledger
from creditapp.clock import NEVER
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.ledger import idempotency

CALLER: Final = "operator"
REASON_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorGrant:
    """Credits to give to a user; ``reason`` is shown in the user's history."""

    user_id: str
    amount_micro: int
    reason: str
    key: str
    expires_at: datetime | None = None

    def digest(self) -> str:
        """Return the digest of what was asked, which a repeated request must have."""
        content = {name: str(value) for name, value in asdict(self).items() if name != "key"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant as it was answered, and the balance after it."""

    grant_id: int
    amount_micro: int
    available_micro: int
    replayed: bool = False


def give(session: Session, order: OperatorGrant, *, now: datetime) -> Granted:
    """Grant credits in the caller's transaction, once for each key.

    Raises ``NotFound`` for a user who does not exist, ``ValidationFailed``, and
    ``IdempotencyKeyReused`` for a key that came with another grant.
    """
    _check(order, now)
    connection, digest = session.connection(), order.digest()
    stored = idempotency.claim(connection, CALLER, "grant", order.key, digest, now=now)
    if stored is not None:
        return replace(Granted(**json.loads(stored)), replayed=True)
    if not accounts.is_open(session, order.user_id):
        raise NotFound("There is no user with this id.")
    wallet_id = ledger.ensure_wallet(connection, "user", order.user_id, now=now)
    grant = ledger.grant(
        connection,
        wallet_id,
        ledger.NewGrant(
            amount_micro=order.amount_micro,
            source="admin",
            origin=f"admin:{order.key}",
            expires_at=order.expires_at or NEVER,
            actor=CALLER,
            note=order.reason,
        ),
        now=now,
    )
    if grant is None:
        raise Conflict("This key was used for a grant so long ago that its answer is gone.")
    available_micro = ledger.balance(connection, wallet_id, now=now).available_micro
    granted = Granted(grant.id, order.amount_micro, available_micro)
    stored = json.dumps(asdict(granted))
    idempotency.complete(connection, CALLER, "grant", order.key, digest, stored)
    return granted


def _check(order: OperatorGrant, now: datetime) -> None:
    errors = {}
    if not order.reason.strip() or len(order.reason) > REASON_CHARACTERS_MAX:
        errors["reason"] = f"A reason has 1 to {REASON_CHARACTERS_MAX} characters."
    if order.expires_at is not None and order.expires_at <= now:
        errors["expiresAt"] = "Credits expire in the future."
    if errors:
        raise ValidationFailed.of_fields(errors)
