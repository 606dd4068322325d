"""Which mails a person does without, and the link in a mail that switches its kind off."""

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
from creditapp.emails.models import MailRefusal

UNSUBSCRIBE_PATH = "/unsubscribe/{token}"


def switched_off(session: Session, user_id: str) -> frozenset[str]:
    """Return the events whose mails this person does without."""
    query = select(MailRefusal.event).where(MailRefusal.user_id == user_id)
    return frozenset(session.scalars(query))


def wanted(session: Session, user_id: str, event: str) -> bool:
    """Whether this person is to be mailed about an event; about money everybody is."""
    return event not in OPTIONAL or event not in switched_off(session, user_id)


def choose(session: Session, user_id: str, events: Collection[str], *, now: datetime) -> None:
    """Switch the optional mails in ``events`` on and all others off."""
    for event in OPTIONAL:
        if event in events:
            session.execute(
                delete(MailRefusal).where(
                    MailRefusal.user_id == user_id, MailRefusal.event == event
                )
            )
        else:
            switch_off(session, user_id, event, now=now)


def switch_off(session: Session, user_id: str, event: str, *, now: datetime) -> None:
    """Send no more mails of an optional kind; again is harmless, and keeps the first moment."""
    if event not in OPTIONAL:
        raise ValueError(f"{event!r} cannot be switched off")
    refusal = MailRefusal(user_id=user_id, event=event, refused_at=now)
    insert_once(session, refusal, ["user_id", "event"])


def mint_unsubscribe(user_id: str, event: str, secret: str) -> str:
    """Return the token of the link in a mail; it stays good, because the mail does."""
    return str(_serializer(secret).dumps([user_id, event]))


def read_unsubscribe(session: Session, token: str, secret: str) -> tuple[User, str]:
    """Return whose link this is and which mails it ends; raise ``LinkInvalid``. Changes nothing."""
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
        secret,
        salt="creditapp.emails.unsubscribe",
        signer_kwargs={"digest_method": hashlib.sha256},
    )
