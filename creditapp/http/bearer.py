"""Bearer keys: the member that a program acts for, by the API key of its request.

No cookie counts on a request with a bearer key, so that no browser's session is lent to it. A key
is looked at only on routes that declare a scope; on any other public route its caller is a guest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog
from flask import Flask, Response, g, request
from sqlalchemy import Row, and_, bindparam, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from creditapp import api_keys, features
from creditapp.accounts import KeyLimits, Member, User
from creditapp.api_keys import ApiKey
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import Forbidden, TokenExpired, TokenInvalid
from creditapp.ledger.models import Wallet
from creditapp.payments.auto_topup.models import AutoTopup

_SCHEME = "bearer "
_KEY_CHARACTERS_MAX = 200
_OF_A_TOKEN = frozenset(("spend",))
"""The scopes of an access token."""

log = structlog.get_logger(__name__)

# Columns, not objects of the ORM, as for a session's member: one light query for each call.
_PERSON = (
    *(User.id, User.email, User.verified_at, User.low_balance_micro, User.api_key_mode),
    Wallet.id,
    AutoTopup.threshold_micro,
)
_KEY = (
    *(ApiKey.id, ApiKey.scopes, ApiKey.models, ApiKey.budget_micro, ApiKey.budget_period),
    *(ApiKey.expires_at, ApiKey.last_used_at),
)


def _active(query: Any) -> Any:
    """Return a query of users with their wallet and top-up, of accounts that may be used."""
    return (
        query.outerjoin(Wallet, and_(Wallet.owner_kind == "user", Wallet.owner_id == User.id))
        .outerjoin(AutoTopup, and_(AutoTopup.user_id == User.id, AutoTopup.stopped_at.is_(None)))
        .where(User.deleted_at.is_(None), User.frozen_at.is_(None))
    )


_OF_USER = _active(select(*_PERSON).select_from(User)).where(User.id == bindparam("user_id"))
_OF_KEYS = _active(
    select(*_PERSON, *_KEY).select_from(ApiKey).join(User, User.id == ApiKey.user_id)
).where(ApiKey.revoked_at.is_(None))
_OF_DIGEST = _OF_KEYS.where(ApiKey.digest == bindparam("digest"))
_OF_KEY_ID = _OF_KEYS.where(ApiKey.id == bindparam("key_id"))


def init_app(app: Flask) -> None:
    """Note the last use of each key."""
    app.after_request(_note_use)


def is_sent() -> bool:
    """Whether the request has a bearer key, working or not."""
    return request.headers.get("Authorization", "").lower().startswith(_SCHEME)


def sent_token() -> str:
    """Return the bearer token of the request, or an empty text without one."""
    return request.headers["Authorization"][len(_SCHEME) :].strip() if is_sent() else ""


def fingerprint() -> str:
    """Return a hash of the request's bearer key, the same however its header is written."""
    return api_keys.digest_of(sent_token())


def authenticate(scope: str | None, *, takes_any: bool = False) -> None:
    """Find the member of the request's bearer key, for a route that takes keys with ``scope``.

    A route that ``takes_any`` looks at the scopes itself.

    Raises ``TokenInvalid`` or ``TokenExpired`` (401), or ``Forbidden`` for a key without the scope.
    """
    if not is_sent():
        return
    g.key_member = None
    if scope is None:
        return
    sent = sent_token()
    if sent.startswith(features.PREFIX):
        member = _member_of_token(reading(), sent)
    else:
        member = _member_of_key(reading(), sent)
    if member.key is None or not (takes_any or scope in member.key.scopes):
        raise Forbidden(f"This key lacks the scope {scope}.")
    g.key_member = member


def _member_of_key(session: Session, key: str) -> Member:
    row = None
    if key.startswith(api_keys.PREFIX) and len(key) <= _KEY_CHARACTERS_MAX and key.isascii():
        digest = api_keys.digest_of(key)
        row = session.connection().execute(_OF_DIGEST, {"digest": digest}).one_or_none()
    if row is None:
        raise TokenInvalid("This API key is unknown or was revoked.")
    return _member(row, _limits(row[len(_PERSON) :]))


def _member_of_token(session: Session, token: str) -> Member:
    """Return the member of an access token, with the limits of the key that it was made by."""
    content, connection = features.read_token(token, now=now()), session.connection()
    limits = KeyLimits(id=None, scopes=_OF_A_TOKEN, models=None, budget=None)
    if content.key_id is None:
        row = connection.execute(_OF_USER, {"user_id": content.user_id}).one_or_none()
    else:
        row = connection.execute(_OF_KEY_ID, {"key_id": content.key_id}).one_or_none()
    if row is None:
        raise TokenInvalid("The account or the API key of this access token is gone.")
    if content.key_id is not None:
        of_key = _limits(row[len(_PERSON) :])
        limits = replace(of_key, scopes=of_key.scopes & _OF_A_TOKEN)
    return _member(row, replace(limits, feature=content.feature))


def _limits(key: Sequence[Any]) -> KeyLimits:
    key_id, scopes, models, budget_micro, period, expires_at, last_used_at = key
    moment = now()
    if expires_at is not None and expires_at <= moment:
        raise TokenExpired(f"This API key ended on {expires_at:%Y-%m-%d}.")
    if last_used_at is None or last_used_at <= moment - api_keys.SEEN_EVERY:
        g.used_key = key_id
    return KeyLimits(
        id=key_id,
        scopes=frozenset(scopes),
        models=None if models is None else frozenset(models),
        budget=api_keys.budget_of(budget_micro, period, now=moment),
    )


def _member(row: Row[Any], limits: KeyLimits) -> Member:
    user_id, email, verified_at, low_micro, mode, wallet_id, topup_micro = row[: len(_PERSON)]
    return Member(
        id=user_id,
        email=email,
        is_admin=False,
        verified=verified_at is not None,
        low_balance_micro=low_micro,
        session_id="",
        last_seen_at=now(),
        wallet_id=wallet_id,
        topup_below_micro=topup_micro,
        api_key_mode=mode,
        key=limits,
    )


def _note_use(response: Response) -> Response:
    """Renew when the key was last used, every minute; a request does not fail with it."""
    key_id = g.pop("used_key", None)
    if key_id is not None:
        try:
            with transaction() as session:
                api_keys.note_use(session, key_id, now=now())
        except SQLAlchemyError as error:
            log.warning("last use of a key not stored", error_type=type(error).__name__)
    return response
