"""Spending for features: at once, or held and captured when the feature knows its cost.

Each verb runs in the caller's transaction and is idempotent by the caller's key, within the member
and the route: the same key and request return the stored answer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from creditapp import accounts, ledger
from creditapp.accounts import Member
from creditapp.catalog import Catalog
from creditapp.errors import Forbidden, NotFound, ValidationFailed
from creditapp.features.names import parse_feature
from creditapp.ledger import Charge, NewCharge, idempotency
from creditapp.services import get

OPERATION: Final = "feature"
"""The operation of these charges: grants that are for one operation of ours do not pay for them."""
HOLD_SECONDS_MAX: Final = 7 * 24 * 3600
_HOLD_ID: Final = re.compile(r"hold_([1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpend:
    """Credits to spend or to hold for a feature; ``key`` is the caller's idempotency key."""

    amount_micro: int
    feature: str
    key: str
    note: str = ""
    hold_seconds: int = 0
    """How long a hold lasts before its credits return; 0 for a spend."""
    request: str = ""
    """Anything else that a repeated request must have, such as the text that is worked on."""
    route: str = "spend"
    """The route of a spend, which its key belongs to."""

    def digest(self) -> str:
        """Return the digest of what was asked, which a repeated request must have."""
        content = {name: value for name, value in asdict(self).items() if name != "key"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Spent:
    """A charge of a feature as it was answered, and the balance after it."""

    charge_id: int
    entry_id: str | None
    state: str
    amount_micro: int
    captured_micro: int
    available_micro: int
    expires_at: str | None
    replayed: bool = False

    @property
    def hold_id(self) -> str:
        """The public id of a hold."""
        return f"hold_{self.charge_id}"


def spend(session: Session, by: Member, order: FeatureSpend, *, now: datetime) -> Spent:
    """Take credits for a feature at once.

    Raises ``ValidationFailed``, ``Forbidden`` for a token of another feature,
    ``InsufficientCredits``, ``BudgetExceeded`` and ``MaxCreditsExceeded`` (402), ``AccountFrozen``
    (403), ``IdempotencyKeyReused`` (409), and ``AuthenticationRequired`` for an account that was
    deleted meanwhile (401); none of them leaves a trace.
    """

    def act(connection: Connection, charge: NewCharge) -> Charge:
        return ledger.spend(connection, _wallet_id(connection, by, now), charge, now=now)

    return _charge_once(session, by, order, order.route, act, now)


def hold(session: Session, by: Member, order: FeatureSpend, *, now: datetime) -> Spent:
    """Set credits aside for a feature, until they are captured, released, or their time is over.

    Refusals are those of ``spend``.
    """
    if not 1 <= order.hold_seconds <= HOLD_SECONDS_MAX:
        text = f"A hold lasts 1 to {HOLD_SECONDS_MAX} seconds."
        raise ValidationFailed.of("seconds", text)
    expires_at = now + timedelta(seconds=order.hold_seconds)

    def act(connection: Connection, charge: NewCharge) -> Charge:
        wallet_id = _wallet_id(connection, by, now)
        return ledger.hold(connection, wallet_id, charge, now=now, expires_at=expires_at)

    return _charge_once(session, by, order, "holds", act, now)


def capture(
    session: Session, by: Member, hold_id: str, amount_micro: int | None, *, now: datetime
) -> Spent:
    """Capture what was used of a hold, all of it without an amount; the rest returns.

    A repeat with the same amount changes nothing. Raises ``NotFound``, ``ValidationFailed`` for
    more than was held, ``MaxCreditsExceeded`` (402), ``HoldExpired``, and ``ChargeSettled`` for one
    that ended otherwise (409).
    """
    connection = session.connection()
    charge = _find_hold(connection, by, hold_id)
    amount_micro = charge.amount_micro if amount_micro is None else amount_micro
    if amount_micro > charge.amount_micro:
        raise ValidationFailed.of("amount", "A capture takes at most what was held.")
    if by.max_micro is not None and amount_micro > by.max_micro:
        raise ledger.MaxCreditsExceeded(amount_micro, by.max_micro)
    return _result(ledger.capture(connection, charge.id, amount_micro, now=now))


def release(session: Session, by: Member, hold_id: str, *, now: datetime) -> Spent:
    """Return all that a hold set aside; a repeat changes nothing. Refusals as of ``capture``."""
    connection = session.connection()
    return _result(ledger.release(connection, _find_hold(connection, by, hold_id).id, now=now))


def _charge_once(
    session: Session,
    by: Member,
    order: FeatureSpend,
    route: str,
    act: Callable[[Connection, NewCharge], Charge],
    now: datetime,
) -> Spent:
    feature, digest = parse_feature(order.feature), order.digest()
    if by.feature is not None and by.feature != feature:
        raise Forbidden(f"This access token is for {by.feature}.")
    accounts.require_open(session, by.id)
    connection = session.connection()
    stored = idempotency.claim(connection, by.id, route, order.key, digest, now=now)
    if stored is not None:
        return replace(Spent(**json.loads(stored)), replayed=True)
    charge = act(
        connection,
        NewCharge(
            amount_micro=order.amount_micro,
            key=f"{route}:{order.key}",
            digest=digest,
            operation=OPERATION,
            actor=by.id,
            feature=feature,
            api_key_id=by.key_id,
            budget=by.budget,
            max_micro=by.max_micro,
            low_micro=by.low_at_micro(get(Catalog).low_balance_micro),
            note=order.note or None,
        ),
    )
    result = _result(charge)
    stored = json.dumps(asdict(result))
    idempotency.complete(connection, by.id, route, order.key, digest, stored)
    return result


def _wallet_id(connection: Connection, by: Member, now: datetime) -> int:
    return by.wallet_id or ledger.ensure_wallet(connection, "user", by.id, now=now)


def _find_hold(connection: Connection, by: Member, hold_id: str) -> Charge:
    """Return a hold that the caller may end; raise ``NotFound``.

    A key with a budget may end those that count to it: its member limits what a thief of the key
    takes, and what another key holds is none of it. A key without one may end each hold of its
    member, because it could spend the balance anyway, so that a key that takes the place of another
    ends the holds of that one. A token may end those of its feature.
    """
    matched = _HOLD_ID.fullmatch(hold_id)
    if matched is None:
        raise NotFound
    charge = ledger.charge_by_id(connection, int(matched[1]))
    is_own = charge.wallet_id == by.wallet_id and charge.key.startswith("holds:")
    if not is_own or by.feature not in (None, charge.feature):
        raise NotFound
    if by.budget is not None and by.key_id != charge.api_key_id:
        raise NotFound
    return charge


def _result(charge: Charge) -> Spent:
    return Spent(
        charge_id=charge.id,
        entry_id=charge.entry_id,
        state=charge.state,
        amount_micro=charge.amount_micro,
        captured_micro=charge.captured_micro,
        available_micro=charge.available_micro,
        expires_at=charge.expires_at.isoformat() if charge.expires_at else None,
    )
