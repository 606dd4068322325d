"""Email preferences of a user, and the unsubscribe link in an email."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from creditapp.accounts import LinkInvalid, User, find
from creditapp.db import insert_once
from creditapp.emails.events import OPTIONAL
from creditapp.emails.models import EmailOptOut

UNSUBSCRIBE_PATH = "/unsubscribe/{token}"


def unsubscribed_events(session: Session, user_id: str) -> frozenset[str]:
    """Return the events that this user has unsubscribed from."""
    query = select(EmailOptOut.event).where(EmailOptOut.user_id == user_id)
    return frozenset(session.scalars(query))


def is_subscribed(session: Session, user_id: str, event: str) -> bool:
    """Whether this user gets emails about an event; every user gets those about money."""
    return event not in OPTIONAL or event not in unsubscribed_events(session, user_id)


def save_preferences(
    session: Session, user_id: str, events: Collection[str], *, now: datetime
) -> None:
    """Subscribe to the optional events in ``events`` and unsubscribe from all others."""
    for event in OPTIONAL:
        if event in events:
            session.execute(
                delete(EmailOptOut).where(
                    EmailOptOut.user_id == user_id, EmailOptOut.event == event
                )
            )
        else:
            unsubscribe(session, user_id, event, now=now)


def unsubscribe(session: Session, user_id: str, event: str, *, now: datetime) -> None:
    """Unsubscribe from an optional event; idempotent, and keeps the first time."""
    if event not in OPTIONAL:
        raise ValueError(f"{event!r} cannot be unsubscribed")
    opt_out = EmailOptOut(user_id=user_id, event=event, refused_at=now)
    insert_once(session, opt_out, ["user_id", "event"])


def mint_unsubscribe(user_id: str, event: str, secret: str) -> str:
    """Return the token of an unsubscribe link; it never expires."""
    return str(_serializer(secret).dumps([user_id, event]))


def read_unsubscribe(session: Session, token: str, secret: str) -> tuple[User, str]:
    """Return the link's user and event; raise ``LinkInvalid``. Changes nothing."""
    try:
        user_id, event = (str(part) for part in _serializer(secret).loads(token))
    except (BadData, TypeError, ValueError):
        raise LinkInvalid("This link is not complete or was altered.") from None
    user = find(session, user_id)
    if user is None or event not in OPTIONAL:
        raise LinkInvalid("This link belongs to an account that is gone.")
    return user, event


def _serializer(secret: str) -> URLSafeSerializer:
    return URLSafeSerializer(
        secret, salt="creditapp.emails.unsubscribe", signer_kwargs={"digest_method": hashlib.sha256}
    )
