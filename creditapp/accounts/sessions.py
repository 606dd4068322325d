"""Sessions of members: one row for each log-in, so that each can be listed and ended.

A session cookie carries the id of its row; a copied cookie ends with the row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from creditapp.accounts.models import LoginSession, User
from creditapp.ids import new_id

LIFETIME = timedelta(days=30)
"""How long a browser keeps the cookie after the last change to it."""

SEEN_EVERY = timedelta(minutes=5)
"""How old ``last_seen_at`` may be before a request renews it, so that most requests only read."""

_LISTED_MAX = 50

# The first that matches: Edge and Opera call themselves Chrome too, and Chrome calls itself Safari.
_BROWSERS = (
    ("Edge", r"Edg(e|A|iOS)?/"),
    ("Opera", r"OPR/|Opera"),
    ("Samsung Internet", r"SamsungBrowser/"),
    ("Firefox", r"Firefox/|FxiOS/"),
    ("Chrome", r"Chrome/|CriOS/"),
    ("Safari", r"Safari/"),
)
_SYSTEMS = (
    ("Windows", r"Windows"),
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Android", r"Android"),
    ("ChromeOS", r"CrOS"),
    ("macOS", r"Macintosh|Mac OS X"),
    ("Linux", r"Linux"),
)


def device_name(user_agent: str) -> str:
    """Return the browser and system of a User-Agent header: ``Firefox on Linux``."""
    browser = _first_match(_BROWSERS, user_agent) or "Another program"
    system = _first_match(_SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def begin_session(session: Session, user: User, device: str, *, now: datetime) -> str:
    """Begin a session in the transaction that proved who the user is; return its id."""
    row = LoginSession(
        id=new_id("ses"), user_id=user.id, device=device, created_at=now, last_seen_at=now
    )
    session.add(row)
    session.flush()
    return row.id


def list_sessions(session: Session, user_id: str, *, now: datetime) -> Sequence[LoginSession]:
    """Return the sessions that have not ended, the most recently used first."""
    return session.scalars(
        select(LoginSession)
        .where(
            LoginSession.user_id == user_id,
            LoginSession.ended_at.is_(None),
            LoginSession.last_seen_at > now - LIFETIME,
        )
        .order_by(LoginSession.last_seen_at.desc(), LoginSession.id.desc())
        .limit(_LISTED_MAX)
    ).all()


def see_session(session: Session, session_id: str, *, now: datetime) -> None:
    """Renew when a session was last used."""
    query = update(LoginSession).where(LoginSession.id == session_id)
    session.execute(query.where(LoginSession.last_seen_at < now).values(last_seen_at=now))


def end_session(session: Session, user_id: str, session_id: str, *, now: datetime) -> bool:
    """End one session of the user; return False if it had ended or is another's."""
    one = (LoginSession.user_id == user_id, LoginSession.id == session_id)
    query = update(LoginSession).where(*one, LoginSession.ended_at.is_(None))
    return (
        session.execute(query.values(ended_at=now).returning(LoginSession.id)).first() is not None
    )


def end_sessions(session: Session, user_id: str, *, now: datetime, keep: str | None = None) -> None:
    """End every session of the user on every device, except ``keep``."""
    query = update(LoginSession).where(
        LoginSession.user_id == user_id, LoginSession.ended_at.is_(None)
    )
    if keep is not None:
        query = query.where(LoginSession.id != keep)
    session.execute(query.values(ended_at=now))


def sweep_sessions(session: Session, *, now: datetime) -> None:
    """Delete sessions whose cookie has expired; for a daily job."""
    # The cookie may be as much younger as a request that did not renew the row.
    oldest = now - LIFETIME - SEEN_EVERY
    session.execute(delete(LoginSession).where(LoginSession.last_seen_at < oldest))


def _first_match(names: Sequence[tuple[str, str]], text: str) -> str | None:
    return next((name for name, pattern in names if re.search(pattern, text)), None)
