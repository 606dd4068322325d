"""The way of a mail: queued with what happened, rendered and sent by a job.

A mail may be sent twice when a process dies between sending and noting it; it never gets lost, and
its Message-ID lets the reader's program show it once.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from creditapp.accounts import User, find, mint_token, parse_address
from creditapp.accounts.tokens import Purpose
from creditapp.clock import Clock
from creditapp.db import transaction
from creditapp.emails import preferences
from creditapp.emails.events import ABOUT_MONEY, OPTIONAL
from creditapp.emails.mailers import Mailer, MailFailed, Message
from creditapp.emails.models import Mail
from creditapp.ids import new_id
from creditapp.services import get

log = logging.getLogger(__name__)

Renderer = Callable[[str, str, dict[str, object]], str]
"""``render(event, part, context)``; the parts are ``subject``, ``text`` and ``html``."""

LINKS: Mapping[str, tuple[Purpose, str]] = {
    "verify": ("verify", "/auth/verify/{token}"),
    "reset": ("reset", "/auth/reset/{token}"),
}
"""The events whose mail carries a link with a token, given to its template as ``link``."""

_LEASE = timedelta(minutes=5)
"""After how long a mail that is being sent counts as lost: longer than our SMTP dialogue takes."""

_WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 720, 1440))
_ATTEMPTS_MAX = len(_WAITS) + 1
_SENT_KEPT = timedelta(days=30)
_BATCH = 50


@dataclass(frozen=True)
class EmailService:
    """What sending needs; ``create_app`` makes one and provides it."""

    mailer: Mailer
    render: Renderer
    site_url: str
    secret: str = field(repr=False)
    """The secret of ``AccountRules``, which reads the links again."""
    clock: Clock
    engine: Engine | None = None
    """None: the app's own."""


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
    """Queue a mail in the caller's transaction; return its id, or None when ``key`` was mailed.

    After the commit, ``enqueue("mail", id)`` sends it soon; ``deliver_due`` finds it in any case.
    ``context`` is JSON and holds no secret: links are made when the mail is rendered, for the
    events in ``LINKS``, which need ``user_id``. Raises ``AddressInvalid``.
    """
    _refuse_secrets(context)
    if event in LINKS and user_id is None:
        raise ValueError(f"the mail {event!r} carries a link and needs user_id")
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return session.execute(
        insert(Mail)
        .values(
            id=new_id("mail"),
            event=event,
            key=key,
            address=parse_address(to).deliverable,
            user_id=user_id,
            context=dict(context),
            state="queued",
            attempts=0,
            created_at=now,
            due_at=now,
        )
        .on_conflict_do_nothing(index_elements=[Mail.key])
        .returning(Mail.id)
    ).scalar()


def notify(
    session: Session,
    event: str,
    user: User,
    context: Mapping[str, object],
    key: str,
    *,
    now: datetime,
) -> str | None:
    """Queue the mail of an event for a person, in the caller's transaction; return its id.

    ``event`` is one of ``ABOUT_MONEY`` or ``OPTIONAL``; ``context`` is what its ``examples.json``
    shows, without ``name``, and may hold moments. Returns None, and queues nothing, where the
    person has switched such mails off, has no account any more, or was told under this ``key``
    before: the key names what happened (``refund:<purchase>:<version>``), never the attempt.
    """
    if event not in ABOUT_MONEY and event not in OPTIONAL:
        raise ValueError(f"{event!r} is no mail to tell somebody something")
    if user.deleted_at is not None or not preferences.wanted(session, user.id, event):
        return None
    told = {"name": user.name, **{name: _plain(value) for name, value in context.items()}}
    return queue(session, event, user.email, told, key, now=now, user_id=user.id)


def deliver(mail_id: str, post: EmailService | None = None) -> datetime | None:
    """Send a queued mail; return when to try again, or None when it is over.

    The job named ``mail``. Of several at the same moment one sends. No transaction is open while
    the mailer works. A mail that is not due is left alone.
    """
    post = post or get(EmailService)
    claimed = _claim(mail_id, post)
    if claimed is None:
        return None
    mail, user, wanted = claimed
    if not wanted:
        _finish(mail, post, state="dropped")
        return None
    try:
        post.mailer.send(_rendered(mail, user, post))
    except MailFailed as failure:
        return _failed(mail, post, failure.reason, permanent=failure.permanent)
    except Exception as error:
        # A mistake in a template or a mailer: the mail waits for the repair. The place is logged
        # and not the words, which may quote the address or the link.
        place = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
        return _failed(mail, post, reason, permanent=False)
    log.info("mail sent: %s %s", mail.event, mail.id)
    _finish(mail, post, state="sent", sent_at=post.clock.now(), last_error=None)
    return None


def deliver_due(post: EmailService | None = None) -> int:
    """Send what waits, was to be tried again, or was lost on the way; return how many were tried.

    For a job every minute: it is what guarantees that a queued mail leaves.
    """
    post = post or get(EmailService)
    with transaction(post.engine) as session:
        ids = session.execute(
            select(Mail.id).where(_due(post.clock.now())).order_by(Mail.due_at).limit(_BATCH)
        ).scalars()
        waiting = list(ids)
    for mail_id in waiting:
        deliver(mail_id, post)
    return len(waiting)


def sweep(session: Session, *, now: datetime) -> None:
    """Forget mails that ended a month ago; for a daily job."""
    session.execute(
        delete(Mail).where(
            Mail.state.in_(["sent", "failed", "dropped"]), Mail.created_at < now - _SENT_KEPT
        )
    )


def _claim(mail_id: str, post: EmailService) -> tuple[Mail, User | None, bool] | None:
    """Take a due mail for this attempt, by compare-and-set; say whether it is still wanted."""
    now = post.clock.now()
    with transaction(post.engine) as session:
        mail = session.execute(
            update(Mail)
            .where(Mail.id == mail_id, _due(now))
            .values(state="sending", attempts=Mail.attempts + 1, due_at=now + _LEASE)
            .returning(Mail),
            execution_options={"synchronize_session": False},
        ).scalar()
        if mail is None:
            return None
        user = find(session, mail.user_id) if mail.user_id else None
        wanted = _still_wanted(session, mail, user)
        session.expunge_all()
    return mail, user, wanted


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(Mail.state.in_(["queued", "sending"]), Mail.due_at <= now)


def _still_wanted(session: Session, mail: Mail, user: User | None) -> bool:
    """Whether nothing has happened since it was queued that makes the mail pointless."""
    if mail.event in LINKS:
        return user is not None and (mail.event != "verify" or not user.verified)
    if mail.event in OPTIONAL:
        return user is not None and preferences.wanted(session, user.id, mail.event)
    return True


def _rendered(mail: Mail, user: User | None, post: EmailService) -> Message:
    now = post.clock.now()
    base = post.site_url.rstrip("/")
    context: dict[str, object] = {**mail.context, "site_url": base}
    unsubscribe_url = ""
    if mail.event in LINKS and user is not None:
        purpose, path = LINKS[mail.event]
        token = mint_token(user, purpose, post.secret, now=now)
        context["link"] = base + path.format(token=token)
    if mail.event in OPTIONAL and user is not None:
        token = preferences.mint_unsubscribe(user.id, mail.event, post.secret)
        unsubscribe_url = base + preferences.UNSUBSCRIBE_PATH.format(token=token)
        context["unsubscribe_link"] = unsubscribe_url
    parts = {part: post.render(mail.event, part, dict(context)) for part in _PARTS}
    return Message(
        id=mail.id,
        event=mail.event,
        to=mail.address,
        made_at=now,
        unsubscribe_url=unsubscribe_url,
        **parts,
    )


_PARTS = ("subject", "text", "html")


def _failed(mail: Mail, post: EmailService, reason: str, *, permanent: bool) -> datetime | None:
    if permanent or mail.attempts >= _ATTEMPTS_MAX:
        log.error("mail given up: %s %s: %s", mail.event, mail.id, reason)
        _finish(mail, post, state="failed", last_error=reason[:120])
        return None
    again_at = post.clock.now() + _WAITS[mail.attempts - 1]
    log.warning("mail delayed: %s %s: %s", mail.event, mail.id, reason)
    _finish(mail, post, state="queued", due_at=again_at, last_error=reason[:120])
    return again_at


def _finish(mail: Mail, post: EmailService, **values: object) -> None:
    """Note the outcome, unless another attempt has begun because this one took too long."""
    with transaction(post.engine) as session:
        session.execute(
            update(Mail)
            .where(Mail.id == mail.id, Mail.state == "sending", Mail.attempts == mail.attempts)
            .values(**values),
            execution_options={"synchronize_session": False},
        )


def _refuse_secrets(context: Mapping[str, object]) -> None:
    for name in context:
        if any(word in name.lower() for word in ("token", "password", "secret", "link")):
            raise ValueError(f"{name!r} in a mail's context would be stored; make it when rendered")


def _plain(value: object) -> object:
    """Return a value as JSON holds it: moments as text, in lists and dictionaries too."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
