"""Delivery of emails: queue in the caller's transaction, render and send in a job.

An email may be sent twice when a process dies between sending and storing the result; it is never
lost, and its Message-ID lets the recipient's program show it once.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from creditapp.accounts import User, find, mint_token, parse_address
from creditapp.accounts.tokens import Purpose
from creditapp.clock import Clock
from creditapp.db import after_commit, insert_once, transaction, update_if
from creditapp.emails import preferences
from creditapp.emails.events import ABOUT_MONEY, OPTIONAL
from creditapp.emails.mailers import EmailFailed, Mailer, Message
from creditapp.emails.models import Email
from creditapp.ids import new_id
from creditapp.services import get

log = structlog.get_logger(__name__)

Renderer = Callable[[str, str, dict[str, object]], str]
"""``render(event, part, context)``; the parts are ``subject``, ``text`` and ``html``."""

LINKS: Mapping[str, tuple[Purpose, str]] = {
    "verify": ("verify", "/auth/verify/{token}"),
    "reset": ("reset", "/auth/reset/{token}"),
    "address_change": ("change", "/auth/change/{token}"),
}
"""The events whose email has a link with a token, passed to its template as ``link``."""

_LEASE = timedelta(minutes=5)
"""When an attempt counts as lost: longer than our SMTP dialogue takes."""

_RETRY_DELAYS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 720, 1440))
_ATTEMPTS_MAX = len(_RETRY_DELAYS) + 1
_RETENTION = timedelta(days=30)
_BATCH = 50


@dataclass(frozen=True)
class EmailService:
    """The mailer, templates, secret and clock of sending; ``create_app`` provides one."""

    mailer: Mailer
    render: Renderer
    site_url: str
    secret: str = field(repr=False)
    """The secret of ``AccountRules``, which verifies the links."""
    clock: Clock
    engine: Engine | None = None
    """None: the app's own."""
    queued: Callable[[str], object] | None = None
    """Called with the id of each queued email, after the commit; must not raise."""


def queue(
    session: Session,
    event: str,
    to: str,
    context: Mapping[str, object],
    key: str,
    *,
    now: datetime,
    user_id: str | None = None,
) -> str | None:
    """Queue an email in the caller's transaction; return its id, or None when ``key`` exists.

    ``EmailService.queued`` has it sent after the commit; ``deliver_due`` sends it in any case.
    ``context`` is JSON and holds no secret: the name and the links, of the events in ``LINKS`` that
    need ``user_id``, are added when it is rendered. Raises ``AddressInvalid``.
    """
    _refuse_secrets(context)
    if event in LINKS and user_id is None:
        raise ValueError(f"the email {event!r} has a link and needs user_id")
    email = Email(
        id=new_id("email"),
        event=event,
        key=key,
        address=parse_address(to).deliverable,
        user_id=user_id,
        context=dict(context),
        state="queued",
        created_at=now,
        due_at=now,
    )
    if not insert_once(session, email, ["key"]):
        return None
    after_commit(session, partial(_announce, email.id))
    return email.id


def _announce(email_id: str) -> None:
    queued = get(EmailService).queued
    if queued is not None:
        queued(email_id)


def notify(
    session: Session,
    event: str,
    user: User,
    context: Mapping[str, object],
    key: str,
    *,
    now: datetime,
) -> str | None:
    """Queue an email about an event to a user, in the caller's transaction; return its id.

    ``event`` is one of ``ABOUT_MONEY`` or ``OPTIONAL``; ``context`` has the fields of its
    ``examples.json`` without ``name``, and may hold datetimes. Returns None, and queues nothing,
    if the user has unsubscribed, was deleted, or already got an email with this ``key``: the key
    names the event (``refund:<purchase>:<version>``), never the attempt.
    """
    if event not in ABOUT_MONEY and event not in OPTIONAL:
        raise ValueError(f"{event!r} is not an email that notify() sends")
    if user.deleted_at is not None or not preferences.is_subscribed(session, user.id, event):
        return None
    values = {name: _to_json(value) for name, value in context.items()}
    return queue(session, event, user.email, values, key, now=now, user_id=user.id)


def deliver(email_id: str, service: EmailService | None = None) -> datetime | None:
    """Send a queued email; return when to retry, or None when it is finished.

    Of several calls at the same moment one sends. No transaction is open while the mailer works.
    An email that is not due is skipped.
    """
    service = service or get(EmailService)
    claimed = _claim(email_id, service)
    if claimed is None:
        return None
    email, user, subscribed = claimed
    if not subscribed:
        _finish(email, service, state="dropped")
        return None
    try:
        service.mailer.send(_render(email, user, service))
    except EmailFailed as failure:
        return _handle_failure(email, service, failure.reason, permanent=failure.permanent)
    except Exception as error:
        # An error in a template or a mailer: the email is retried. The location is logged and not
        # the message, which may quote the address or the link.
        location = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__} in {Path(location.filename).name}:{location.lineno}"
        return _handle_failure(email, service, reason, permanent=False)
    log.info("email sent", kind=email.event, id=email.id)
    _finish(email, service, state="sent", sent_at=service.clock.now(), last_error=None)
    return None


def deliver_due(service: EmailService | None = None) -> int:
    """Send the emails that are queued, due for a retry, or lost; return the number of attempts.

    For a job every minute, which guarantees that every queued email is sent.
    """
    service = service or get(EmailService)
    with transaction(service.engine) as session:
        ids = session.execute(
            select(Email.id).where(_due(service.clock.now())).order_by(Email.due_at).limit(_BATCH)
        ).scalars()
        email_ids = list(ids)
    for email_id in email_ids:
        deliver(email_id, service)
    return len(email_ids)


def sweep(session: Session, *, now: datetime) -> None:
    """Delete emails that ended a month ago; for a daily job."""
    session.execute(
        delete(Email).where(
            Email.state.in_(["sent", "failed", "dropped"]), Email.created_at < now - _RETENTION
        )
    )


def _claim(email_id: str, service: EmailService) -> tuple[Email, User | None, bool] | None:
    """Claim a due email by compare-and-set; return whether it is still to be sent."""
    now = service.clock.now()
    with transaction(service.engine) as session:
        email = session.get(Email, email_id)
        if email is None or not update_if(
            session,
            email,
            _due(now),
            Email.attempts == email.attempts,
            state="sending",
            attempts=email.attempts + 1,
            due_at=now + _LEASE,
        ):
            return None
        user = find(session, email.user_id) if email.user_id else None
        needed = _is_still_needed(session, email, user)
        session.expunge_all()
    return email, user, needed


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(Email.state.in_(["queued", "sending"]), Email.due_at <= now)


def _is_still_needed(session: Session, email: Email, user: User | None) -> bool:
    """Whether the email still has a purpose: its link is needed, or its user subscribed."""
    if email.event == "address_change":
        return user is not None and email.address == user.new_deliverable_email
    if email.event in LINKS:
        return user is not None and (email.event != "verify" or not user.verified)
    if email.event in OPTIONAL:
        return user is not None and preferences.is_subscribed(session, user.id, email.event)
    return True


def _render(email: Email, user: User | None, service: EmailService) -> Message:
    now = service.clock.now()
    base = service.site_url.rstrip("/")
    context: dict[str, object] = {**email.context, "site_url": base, "name": _name(email, user)}
    unsubscribe_url = ""
    if email.event in LINKS and user is not None:
        purpose, path = LINKS[email.event]
        token = mint_token(user, purpose, service.secret, now=now)
        context["link"] = base + path.format(token=token)
    if email.event in OPTIONAL and user is not None:
        token = preferences.mint_unsubscribe(user.id, email.event, service.secret)
        unsubscribe_url = base + preferences.UNSUBSCRIBE_PATH.format(token=token)
        context["unsubscribe_link"] = unsubscribe_url
    parts = {part: service.render(email.event, part, dict(context)) for part in _PARTS}
    return Message(
        id=email.id,
        event=email.event,
        to=email.address,
        created_at=now,
        unsubscribe_url=unsubscribe_url,
        **parts,
    )


def preview(user: User, event: str, service: EmailService | None = None) -> str:
    """Return the HTML of an email with its working link; for a demo, which sends none."""
    service = service or get(EmailService)
    email = Email(id="", event=event, address=user.deliverable_email, context={})
    return _render(email, user, service).html


def _name(email: Email, user: User | None) -> str:
    """Return the name to greet with; an address that is not confirmed may be a stranger's."""
    known = user is not None and user.verified and email.address == user.deliverable_email
    return user.name if user is not None and known else ""


_PARTS = ("subject", "text", "html")


def _handle_failure(
    email: Email, service: EmailService, reason: str, *, permanent: bool
) -> datetime | None:
    if permanent or email.attempts >= _ATTEMPTS_MAX:
        log.error("email failed for good", kind=email.event, id=email.id, reason=reason)
        _finish(email, service, state="failed", last_error=reason[:120])
        return None
    retry_at = service.clock.now() + _RETRY_DELAYS[email.attempts - 1]
    log.warning("email delayed", kind=email.event, id=email.id, reason=reason)
    _finish(email, service, state="queued", due_at=retry_at, last_error=reason[:120])
    return retry_at


def _finish(email: Email, service: EmailService, **values: object) -> None:
    """Store the result, unless another attempt has begun because this one took too long."""
    with transaction(service.engine) as session:
        same_attempt = Email.attempts == email.attempts
        update_if(session, email, Email.state == "sending", same_attempt, **values)


def _refuse_secrets(context: Mapping[str, object]) -> None:
    for name in context:
        if any(word in name.lower() for word in ("token", "password", "secret", "link")):
            raise ValueError(f"{name!r} in an email's context would be stored")


def _to_json(value: object) -> object:
    """Return a JSON value: datetimes become text, in lists and dictionaries too."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    return value
