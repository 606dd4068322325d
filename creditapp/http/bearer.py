"""Bearer keys: the member that a program acts for, by the API key of its request.

No cookie counts on a request with a bearer key, so that no browser's session is lent to it. A key
is looked at only on routes that declare a scope; on any other public route its caller is a guest.
"""

from __future__ import annotations

import structlog
from flask import Flask, Response, g, request
from sqlalchemy import and_, bindparam, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from creditapp import api_keys
from creditapp.accounts import KeyLimits, Member, User
from creditapp.api_keys import ApiKey
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import AppError, Forbidden
from creditapp.ledger.models import Wallet
from creditapp.payments.auto_topup.models import AutoTopup

_SCHEME = "bearer "
_KEY_CHARACTERS_MAX = 200

log = structlog.get_logger(__name__)

# Columns, not objects of the ORM, as for a session's member: one light query for each call.
_HOLDER = (
    select(
        *(ApiKey.id, ApiKey.scopes, ApiKey.models, ApiKey.budget_micro, ApiKey.budget_period),
        *(ApiKey.expires_at, ApiKey.last_used_at),
        *(User.id, User.email, User.verified_at, User.low_balance_micro, User.api_key_mode),
        Wallet.id,
        AutoTopup.threshold_micro,
    )
    .select_from(ApiKey)
    .join(User, User.id == ApiKey.user_id)
    .outerjoin(Wallet, and_(Wallet.owner_kind == "user", Wallet.owner_id == User.id))
    .outerjoin(AutoTopup, and_(AutoTopup.user_id == User.id, AutoTopup.stopped_at.is_(None)))
    .where(ApiKey.digest == bindparam("digest"), ApiKey.revoked_at.is_(None))
    .where(User.deleted_at.is_(None), User.frozen_at.is_(None))
)


class ApiKeyInvalid(AppError):
    """The API key is unknown or was revoked."""

    status, code, title = 401, "token_invalid", "This API key does not work"

    def __init__(self, detail: str) -> None:
        header = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        super().__init__(detail, headers=header, signupUrl="/auth/signup")


class ApiKeyEnded(ApiKeyInvalid):
    """The API key's end has passed."""

    status, code, title = 401, "token_expired", "This API key has ended"


def init_app(app: Flask) -> None:
    """Note the last use of each key."""
    app.after_request(_note_use)


def is_sent() -> bool:
    """Whether the request has a bearer key, working or not."""
    return request.headers.get("Authorization", "").lower().startswith(_SCHEME)


def authenticate(scope: str | None) -> None:
    """Find the member of the request's bearer key, for a route that takes keys with ``scope``.

    Raises ``ApiKeyInvalid`` or ``ApiKeyEnded`` (401), or ``Forbidden`` for a key without the scope.
    """
    if not is_sent():
        return
    g.key_member = None
    if scope is None:
        return
    member = _find_member(reading(), request.headers["Authorization"][len(_SCHEME) :].strip())
    if member.key is None or scope not in member.key.scopes:
        raise Forbidden(f"This API key lacks the scope {scope}.")
    g.key_member = member


def _find_member(session: Session, key: str) -> Member:
    row = None
    if key.startswith(api_keys.PREFIX) and len(key) <= _KEY_CHARACTERS_MAX and key.isascii():
        digest = api_keys.digest_of(key)
        row = session.connection().execute(_HOLDER, {"digest": digest}).one_or_none()
    if row is None:
        raise ApiKeyInvalid("This API key is unknown or was revoked.")
    key_id, scopes, models, budget_micro, period, expires_at, last_used_at, *person = row
    moment = now()
    if expires_at is not None and expires_at <= moment:
        raise ApiKeyEnded(f"This API key ended on {expires_at:%Y-%m-%d}.")
    if last_used_at is None or last_used_at <= moment - api_keys.SEEN_EVERY:
        g.used_key = key_id
    user_id, email, verified_at, low_micro, mode, wallet_id, topup_micro = person
    return Member(
        id=user_id,
        email=email,
        is_admin=False,
        verified=verified_at is not None,
        low_balance_micro=low_micro,
        session_id="",
        last_seen_at=moment,
        wallet_id=wallet_id,
        topup_below_micro=topup_micro,
        api_key_mode=mode,
        key=KeyLimits(
            id=key_id,
            scopes=frozenset(scopes),
            models=None if models is None else frozenset(models),
            budget=api_keys.budget_of(budget_micro, period, now=moment),
        ),
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
