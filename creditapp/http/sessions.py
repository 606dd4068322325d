"""Sessions: the signed-in member, or the guest behind the guest cookie."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import structlog
from flask import Flask, Response, g, request, session
from flask_login import LoginManager, current_user, login_user, logout_user
from sqlalchemy import and_, bindparam, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from creditapp import accounts, guests
from creditapp.accounts import AccountRules, LoginSession, Member, Networks, User
from creditapp.accounts.sessions import LIFETIME, SEEN_EVERY
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading, transaction
from creditapp.errors import AuthenticationRequired
from creditapp.guests import Visitor
from creditapp.ledger.models import Wallet
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.services import get

SESSION_COOKIE = "creditapp_session"
GUEST_COOKIE = "creditapp_guest"
KNOWN_COOKIE = "creditapp_known"
"""Marks of the accounts that this browser logged in to; it survives the log-out."""
THEME_COOKIE = "creditapp_theme"
THEMES = ("system", "light", "dark")
GUEST_COOKIE_SECONDS = int(guests.COOKIE_LIFETIME.total_seconds())
_KNOWN_CHARACTERS_MAX = 400

login_manager = LoginManager()
log = structlog.get_logger(__name__)


def init_app(app: Flask, settings: Settings) -> None:
    """Set up session cookies and Flask-Login."""
    app.config.update(
        SECRET_KEY=settings.derived_key("session"),
        SESSION_COOKIE_NAME=cookie_name(SESSION_COOKIE, settings),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.production,
        # Flask-Login sets this one only to delete it.
        REMEMBER_COOKIE_NAME=cookie_name("creditapp_remember", settings),
        REMEMBER_COOKIE_HTTPONLY=True,
        REMEMBER_COOKIE_SECURE=settings.production,
        PERMANENT_SESSION_LIFETIME=LIFETIME,
        # A cookie on every response would also be on those that caches may keep.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    login_manager.init_app(app)
    app.after_request(_see_session)


def cookie_name(name: str, settings: Settings) -> str:
    """Return the name of a cookie of ours.

    In production it begins with ``__Host-``, so that a browser takes it from this host alone, over
    HTTPS and for all paths: a sister host could set one that replaces ours on some paths.
    """
    return f"__Host-{name}" if settings.production else name


# Columns, not objects of the ORM, and all that a hold needs: one light query (measured: a sixth of
# a call's processor time). The account's state is in the statement's text for the same reason.
_MEMBER = (
    select(
        *(User.id, User.email, User.is_admin, User.verified_at.is_not(None).label("verified")),
        User.low_balance_micro,
        *(LoginSession.id, LoginSession.last_seen_at),
        Wallet.id.label("wallet_id"),
        AutoTopup.threshold_micro,
        *(User.studio_settings, User.api_key_mode),
    )
    .select_from(LoginSession)
    .join(User, User.id == LoginSession.user_id)
    .outerjoin(Wallet, and_(Wallet.owner_kind == "user", Wallet.owner_id == User.id))
    .outerjoin(AutoTopup, and_(AutoTopup.user_id == User.id, AutoTopup.stopped_at.is_(None)))
    .where(LoginSession.id == bindparam("session_id"), LoginSession.ended_at.is_(None))
    .where(User.deleted_at.is_(None), User.frozen_at.is_(None))
)


@login_manager.user_loader  # type: ignore[untyped-decorator]  # Flask-Login has no types
def _load_member(session_id: str) -> Member | None:
    member = find_member(reading(), session_id)
    if member is not None and member.last_seen_at <= now() - SEEN_EVERY:
        g.unseen_session = session_id
    return member


def find_member(database: Session, session_id: str) -> Member | None:
    """Return the member of a session, or None once it has ended.

    A session ends by logging out, when the password changes, or when the account is suspended or
    deleted.
    """
    row = database.connection().execute(_MEMBER, {"session_id": session_id}).one_or_none()
    return None if row is None else Member(*row)


def _see_session(response: Response) -> Response:
    """Renew when the session was last used, every few minutes; a page does not fail with it."""
    session_id = g.pop("unseen_session", None)
    if session_id is not None:
        try:
            with transaction() as database:
                accounts.see_session(database, session_id, now=now())
        except SQLAlchemyError as error:
            log.warning("last use of a session not stored", error_type=type(error).__name__)
    return response


def begin_session(database: Session, user: User) -> str:
    """Begin a session of this browser in the caller's transaction, in place of the one it has.

    ``sign_in`` with the returned id follows after the commit.
    """
    member = current_member()
    if member is not None:
        accounts.end_session(database, member.id, member.session_id, now=now())
    device = accounts.device_name(request.user_agent.string)
    return accounts.begin_session(database, user, device, now=now())


def sign_in(session_id: str) -> None:
    """Put a session into the cookie and discard the old one, so that no one can fix it before."""
    nonce = session.get("nonce")
    session.clear()
    if nonce:
        session["nonce"] = nonce
    session.permanent = True
    member = _load_member(session_id)
    login_user(member)
    g.pop("csrf_token", None)
    if member is not None:
        g.known_cookie = accounts.add_mark(_browser_marks(), member.email, _accounts_secret())


def known_browser(email: str) -> str | None:
    """Return the mark of this browser if it logged in to this address before."""
    return accounts.known_browser(_browser_marks(), email, _accounts_secret())


def _browser_marks() -> list[str]:
    text = request.cookies.get(cookie_name(KNOWN_COOKIE, get(Settings)), "")
    return text.split("~") if 0 < len(text) <= _KNOWN_CHARACTERS_MAX else []


def _accounts_secret() -> str:
    return get(AccountRules).secret


def sign_out() -> None:
    """Remove the session from the cookie of this browser; its row ends in a transaction before."""
    logout_user()
    session.clear()


def current_member() -> Member | None:
    """Return the signed-in member, or that of the request's API key; None for a guest."""
    if "key_member" in g:
        key_member: Member | None = g.key_member
        return key_member
    if current_user.is_authenticated:
        member: Member = current_user._get_current_object()
        return member
    return None


def require_member() -> Member:
    """Return the signed-in member; raise ``AuthenticationRequired`` for a guest."""
    member = current_member()
    if member is None:
        raise AuthenticationRequired
    return member


def current_account() -> User | None:
    """Return the account of the signed-in member, or None for a guest."""
    member = current_member()
    return None if member is None else accounts.find(reading(), member.id)


def require_account() -> User:
    """Return the account of the signed-in member; raise ``AuthenticationRequired`` for a guest."""
    user = current_account()
    if user is None:
        raise AuthenticationRequired
    return user


def current_visitor() -> Visitor:
    """Return the guest identity of this browser; the response sets its cookie."""
    if "visitor" not in g:
        g.visitor, g.guest_cookie = guests.visitor_of(
            request.cookies.get(cookie_name(GUEST_COOKIE, get(Settings))),
            caller_networks(),
            get(Settings).derived_key("guests"),
        )
    visitor: Visitor = g.visitor
    return visitor


def set_own_cookies(response: Response) -> None:
    """Set the cookies of a guest identity and of a known browser that this request renewed."""
    cookie = g.pop("guest_cookie", None)
    if cookie is not None and "key_member" not in g:
        _set_cookie(response, GUEST_COOKIE, cookie, GUEST_COOKIE_SECONDS)
    marks = g.pop("known_cookie", None)
    if marks is not None:
        _set_cookie(response, KNOWN_COOKIE, "~".join(marks), GUEST_COOKIE_SECONDS)


def choose_theme(response: Response, theme: str) -> None:
    """Keep this browser's theme; anything but light and dark follows the system."""
    _set_cookie(
        response, THEME_COOKIE, theme if theme in THEMES else "system", GUEST_COOKIE_SECONDS
    )


def current_theme() -> str:
    """Return this browser's theme, one of ``THEMES``."""
    theme = request.cookies.get(cookie_name(THEME_COOKIE, get(Settings)), "")
    return theme if theme in THEMES else "system"


def _set_cookie(response: Response, name: str, value: str, seconds: int) -> None:
    settings = get(Settings)
    response.set_cookie(
        cookie_name(name, settings),
        value,
        max_age=seconds,
        httponly=True,
        samesite="Lax",
        secure=settings.production,
    )


def client_address() -> str:
    """Return the caller's address behind the configured number of proxies."""
    return address_of(request.environ, get(Settings))


def address_of(environ: Mapping[str, Any], settings: Settings) -> str:
    """Return the same for a WSGI environment, outside of a request."""
    name, proxies = settings.client_ip_header, settings.trusted_proxies
    forwarded: str = environ.get(f"HTTP_{name.upper().replace('-', '_')}", "")
    if proxies > (forwarded.count(",") + 1 if forwarded else 0):
        _warn_of_missing_proxy(name, proxies)
    return guests.client_address(environ.get("REMOTE_ADDR", ""), forwarded, proxies)


@cache
def _warn_of_missing_proxy(header: str, proxies: int) -> None:
    """Log once in a process; a probe that calls the app directly is one reason, too."""
    log.warning(
        "a request came through fewer proxies than CREDITAPP_TRUSTED_PROXIES: its sender was taken"
        " for the client",
        header=header,
        trusted_proxies=proxies,
    )


def caller_networks() -> Networks:
    """Return the caller's networks, the smallest first."""
    if "networks" not in g:
        g.networks = accounts.networks_of(client_address(), get(Settings).derived_key("guests"))
    networks: Networks = g.networks
    return networks
