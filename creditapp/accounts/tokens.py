"""Tokens of emailed links: signed, timed, bound to one user, purpose and account state.

Nothing is stored: a token carries a hash of the state that it was made for, so that using it
or changing the password invalidates it.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Literal

from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer
from sqlalchemy.orm import Session

from creditapp.accounts.hashing import keyed_hash
from creditapp.accounts.models import User
from creditapp.errors import AppError

Purpose = Literal["verify", "reset", "change"]

LIFETIMES: dict[Purpose, timedelta] = {
    "verify": timedelta(days=7),
    "reset": timedelta(hours=1),
    "change": timedelta(days=1),
}


class LinkInvalid(AppError):
    """The link was altered, used before, or invalidated by a later change."""

    status, code, title = 401, "token_invalid", "This link does not work any more"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"}, signupUrl="/auth/signup")


class LinkExpired(LinkInvalid):
    """The link is too old."""

    status, code, title = 401, "token_expired", "This link has expired"


def mint_token(user: User, purpose: Purpose, secret: str, *, now: datetime) -> str:
    """Return a token for the link in an email; made when it is rendered and never stored."""
    return str(
        timed_serializer(purpose, secret, now).dumps([user.id, _state(user, purpose, secret)])
    )


def read(session: Session, token: str, purpose: Purpose, secret: str, *, now: datetime) -> User:
    """Return the user of a token; raise ``LinkExpired`` or ``LinkInvalid``. Changes nothing."""
    lifetime = LIFETIMES[purpose]
    try:
        content = timed_serializer(purpose, secret, now).loads(
            token, max_age=int(lifetime.total_seconds())
        )
        user_id, state = (str(part) for part in content)
    except SignatureExpired:
        raise LinkExpired("This link has expired. Ask for a new one.") from None
    except (BadData, TypeError, ValueError):
        raise LinkInvalid("This link is not complete or was altered.") from None
    user = session.get(User, user_id, populate_existing=True)
    if user is None or user.deleted_at is not None:
        raise LinkInvalid("This link belongs to an account that is gone.")
    if not hmac.compare_digest(state, _state(user, purpose, secret)):
        raise LinkInvalid("This link was used before. Ask for a new one if you still need it.")
    return user


def _state(user: User, purpose: Purpose, secret: str) -> str:
    """Return a hash of what must not have changed between the email and the click."""
    # The epoch stands for the password: the hash itself may be renewed by a mere log-in.
    parts: tuple[object, ...] = (user.email_key, user.password_epoch)
    if purpose == "verify":
        parts = (*parts, user.verified_at)
    if purpose == "change":
        parts = (*parts, user.new_email)
    return keyed_hash(secret, f"state:{purpose}", repr(parts))[:20]


class _ClockedSigner(TimestampSigner):
    """A signer that takes the app's time instead of the machine's."""

    def __init__(self, *arguments: object, at: int, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # passed on as received
        self._at = at

    def get_timestamp(self) -> int:
        return self._at


def timed_serializer(purpose: str, secret: str, now: datetime) -> URLSafeTimedSerializer:
    """Return what signs contents for one purpose at ``now``, and reads them back."""
    return URLSafeTimedSerializer(
        secret,
        salt=f"creditapp.accounts.{purpose}",
        signer=_ClockedSigner,
        signer_kwargs={"at": int(now.timestamp()), "digest_method": hashlib.sha256},
    )
