"""A member's endpoints: create, list, change, rotate the secret, switch on and off, delete."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from creditapp import accounts, ledger
from creditapp.config import Settings
from creditapp.credentials import encryption
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.ids import new_id
from creditapp.ledger.models import Wallet
from creditapp.services import get
from creditapp.webhooks_out import addresses, limits, log
from creditapp.webhooks_out.events import EVENTS, HISTORY_EVENTS
from creditapp.webhooks_out.models import WebhookEndpoint

ENDPOINTS_MAX: Final = 10
"""Of one member."""
DESCRIPTION_CHARACTERS_MAX: Final = 100
OVERLAP: Final = timedelta(hours=24)
"""How long the secret before a rotation signs too."""
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings:
    """Settings of an endpoint, which its member decides."""

    url: str
    events: Collection[str]
    description: str = ""
    enabled: bool = True


def create_endpoint(
    session: Session, user_id: str, settings: EndpointSettings, *, now: datetime
) -> WebhookEndpoint:
    """Create an endpoint with a secret of its own.

    Raises ``ValidationFailed``, ``RateLimited``, ``Conflict`` for one above ``ENDPOINTS_MAX``, or
    ``AuthenticationRequired`` for an account that was deleted.
    """
    accounts.require_open(session, user_id, alone=True)
    query = select(func.count()).where(WebhookEndpoint.user_id == user_id)
    if session.execute(query).scalar_one() >= ENDPOINTS_MAX:
        raise Conflict(f"You have {ENDPOINTS_MAX} endpoints. Delete one that you no longer need.")
    row = WebhookEndpoint(id=new_id("whe"), user_id=user_id, created_at=now, run=0)
    _set_secret(row)
    _apply(session, row, settings, now)
    session.add(row)
    session.flush()
    return row


def list_endpoints(session: Session, user_id: str) -> Sequence[WebhookEndpoint]:
    """Return the member's endpoints, the newest first."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.user_id == user_id)
    return session.scalars(query.order_by(WebhookEndpoint.id.desc())).all()


def find_endpoint(
    session: Session, user_id: str, endpoint_id: str, *, lock: bool = False
) -> WebhookEndpoint:
    """Return one of them; raise ``NotFound``."""
    query = select(WebhookEndpoint).where(
        WebhookEndpoint.id == endpoint_id, WebhookEndpoint.user_id == user_id
    )
    row = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound
    return row


def change_endpoint(
    session: Session, user_id: str, endpoint_id: str, settings: EndpointSettings, *, now: datetime
) -> WebhookEndpoint:
    """Change an endpoint, for the events from now on.

    Switched off, what waits for it ends as failed. Raises ``NotFound``, ``ValidationFailed``, or
    ``RateLimited`` for another address.
    """
    row = find_endpoint(session, user_id, endpoint_id, lock=True)
    _apply(session, row, settings, now)
    session.flush()
    return row


def rotate_secret(
    session: Session, user_id: str, endpoint_id: str, *, now: datetime
) -> WebhookEndpoint:
    """Give an endpoint a new secret; the one before signs too, for ``OVERLAP``.

    A second rotation within that time ends the oldest one at once. Raises ``NotFound``.
    """
    row = find_endpoint(session, user_id, endpoint_id, lock=True)
    row.encrypted_previous_secret = row.encrypted_secret
    row.previous_secret_until = now + OVERLAP
    _set_secret(row)
    session.flush()
    return row


def delete_endpoint(session: Session, user_id: str, endpoint_id: str) -> None:
    """Delete an endpoint with its log and what waits for it; raise ``NotFound``."""
    row = find_endpoint(session, user_id, endpoint_id, lock=True)
    log.delete_log(session, [row.id])
    session.execute(delete(WebhookEndpoint).where(WebhookEndpoint.id == row.id))


def delete_all(session: Session, user_id: str) -> None:
    """Delete every endpoint of a member whose account ends, with what waits for it."""
    query = select(WebhookEndpoint.id).where(WebhookEndpoint.user_id == user_id)
    log.delete_log(session, session.scalars(query.with_for_update()).all())
    session.execute(delete(WebhookEndpoint).where(WebhookEndpoint.user_id == user_id))


def disable(session: Session, row: WebhookEndpoint, reason: str, *, now: datetime) -> None:
    """Switch an endpoint off; what waits for it ends as failed, and can be sent again later."""
    row.disabled_at, row.disabled_reason = now, reason
    row.leased_until = None
    log.fail_pending(session, row.id, now=now)
    session.flush()


def secrets_of(row: WebhookEndpoint, *, now: datetime) -> list[str]:
    """Return the secrets that sign now, the newest first; raise ``Undecryptable``.

    A secret before a rotation that can no longer be read is left out: the new one is enough.
    """
    signing = [encryption.decrypt(row.encrypted_secret, *_binding(row))]
    until = row.previous_secret_until
    if row.encrypted_previous_secret is not None and until is not None and until > now:
        with suppress(encryption.Undecryptable):
            signing.append(encryption.decrypt(row.encrypted_previous_secret, *_binding(row)))
    return signing


def reencrypt_secrets(session: Session) -> tuple[int, int]:
    """Encrypt every secret under the current secret key; return how many, and how many were lost.

    An endpoint whose secret is lost needs a rotation.
    """
    renewed = lost = 0
    for row in session.scalars(select(WebhookEndpoint).with_for_update()):
        try:
            row.encrypted_secret = encryption.reencrypt(row.encrypted_secret, *_binding(row))
            renewed += 1
        except encryption.Undecryptable:
            lost += 1
        if row.encrypted_previous_secret is not None:
            with suppress(encryption.Undecryptable):
                row.encrypted_previous_secret = encryption.reencrypt(
                    row.encrypted_previous_secret, *_binding(row)
                )
    session.flush()
    return renewed, lost


def _set_secret(row: WebhookEndpoint) -> None:
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
    row.encrypted_secret = encryption.encrypt(secret, *_binding(row))


def _binding(row: WebhookEndpoint) -> tuple[str, str]:
    return row.user_id, row.id


def _apply(
    session: Session, row: WebhookEndpoint, settings: EndpointSettings, now: datetime
) -> None:
    _check(settings)
    url = settings.url.strip()
    if row.url != url:
        limits.count_address(session, row.user_id, now=now)
        row.paused_until = None
    row.url, row.description = url, " ".join(settings.description.split())
    row.events = [event for event in EVENTS if event in settings.events]
    was_off = row.disabled_at is not None
    if not settings.enabled and not was_off:
        disable(session, row, "member", now=now)
    elif settings.enabled and was_off:
        row.disabled_at = row.disabled_reason = row.failing_since = row.paused_until = None
        row.announced_seq = None
    if not any(event in HISTORY_EVENTS for event in row.events) or row.disabled_at is not None:
        row.announced_seq = None
    elif row.announced_seq is None:
        row.announced_seq = _last_seq(session, row.user_id)


def _last_seq(session: Session, user_id: str) -> int:
    """Return the number of the member's newest entry: events begin after it."""
    wallet_id = ledger.find_wallet(session.connection(), "user", user_id)
    query = select(Wallet.seq).where(Wallet.id == wallet_id)
    return session.execute(query).scalar() or 0


def _check(settings: EndpointSettings) -> None:
    """Raise ``ValidationFailed`` naming every field that is wrong."""
    problems = {}
    try:
        addresses.parse(settings.url.strip(), loopback=get(Settings).webhooks_to_loopback)
    except addresses.AddressRefused as refusal:
        problems["url"] = str(refusal)
    if not settings.events:
        problems["events"] = "Choose at least one event."
    elif any(event not in EVENTS for event in settings.events):
        problems["events"] = f"Choose at least one of {', '.join(EVENTS)}."
    description = settings.description
    if len(description) > DESCRIPTION_CHARACTERS_MAX or not description.isprintable():
        problems["description"] = (
            f"A description has at most {DESCRIPTION_CHARACTERS_MAX} characters, on one line."
        )
    if problems:
        raise ValidationFailed(
            [{"field": name, "message": message} for name, message in problems.items()]
        )
