"""Access tokens: what one feature may spend with for one member during 60 seconds.

Nothing is stored: a token is signed and timed, and names its member and its feature.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

from creditapp import clock
from creditapp.accounts import AccountRules
from creditapp.accounts.tokens import timed_serializer
from creditapp.errors import TokenExpired, TokenInvalid
from creditapp.features.names import parse_feature
from creditapp.services import get

PREFIX: Final = "cat_"
"""Of every token, so that it differs from an API key."""
LIFETIME: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token with its end; ``repr`` hides the token."""

    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenContent:
    """The member and the feature of a token, and the API key that it was made by."""

    user_id: str
    feature: str
    key_id: str | None


def generate_access_token(user_id: str, feature: str, *, key_id: str | None = None) -> AccessToken:
    """Return a token by which ``feature`` may spend a member's credits for 60 seconds.

    What it spends counts to the API key ``key_id``, and to its budget. Raises ``ValidationFailed``
    for what is no feature's name.
    """
    moment = clock.now()
    signed = _serializer(moment).dumps([user_id, parse_feature(feature), key_id or ""])
    return AccessToken(f"{PREFIX}{signed}", moment + LIFETIME)


def read_token(token: str, *, now: datetime) -> TokenContent:
    """Return the content of a token.

    Raises ``TokenExpired`` or ``TokenInvalid`` (401).
    """
    signed, seconds = token.removeprefix(PREFIX), int(LIFETIME.total_seconds())
    try:
        content = _serializer(now).loads(signed, max_age=seconds)
        user_id, feature, key_id = (str(each) for each in content)
    except SignatureExpired:
        raise TokenExpired("This access token is older than 60 seconds. Make a new one.") from None
    except (BadData, TypeError, ValueError):
        raise TokenInvalid("This access token was altered or is incomplete.") from None
    return TokenContent(user_id, feature, key_id or None)


def _serializer(now: datetime) -> URLSafeTimedSerializer:
    return timed_serializer("access", get(AccountRules).secret, now)
