"""Sessions: the signed-in member, or the guest behind the guest cookie."""

from __future__ import annotations

from flask import Flask, Response, g, request, session
from flask_login import LoginManager, current_user, login_user, logout_user

from creditapp import accounts, guests
from creditapp.accounts import User
from creditapp.config import Settings
from creditapp.db import reading
from creditapp.errors import AuthenticationRequired
from creditapp.guests import Visitor
from creditapp.services import get

GUEST_COOKIE = "creditapp_guest"
GUEST_COOKIE_SECONDS = 400 * 24 * 3600

login_manager = LoginManager()


def init_app(app: Flask, settings: Settings) -> None:
    """Set up session cookies and Flask-Login."""
    app.config.update(
        SECRET_KEY=settings.derived_key("session"),
        SESSION_COOKIE_NAME="creditapp_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.production,
        REMEMBER_COOKIE_HTTPONLY=True,
        PERMANENT_SESSION_LIFETIME=30 * 24 * 3600,
        # A cookie on every response would also be on those that caches may keep.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    login_manager.init_app(app)


@login_manager.user_loader  # type: ignore[untyped-decorator]  # Flask-Login has no types
def _load_user(session_id: str) -> User | None:
    return accounts.find_by_session(reading(), session_id)


def sign_in(user: User) -> None:
    """Begin the user's session and discard the old one, so that no one can fix it beforehand."""
    nonce = session.get("nonce")
    session.clear()
    if nonce:
        session["nonce"] = nonce
    session.permanent = True
    login_user(user)
    g.pop("csrf_token", None)


def sign_out() -> None:
    """End the session in this browser."""
    logout_user()
    session.clear()


def current_member() -> User | None:
    """Return the signed-in user, or None for a guest."""
    if current_user.is_authenticated:
        user: User = current_user._get_current_object()
        return user
    return None


def require_member() -> User:
    """Return the signed-in user; raise ``AuthenticationRequired`` for a guest."""
    member = current_member()
    if member is None:
        raise AuthenticationRequired
    return member


def current_visitor() -> Visitor:
    """Return the guest identity of this browser; the response sets its cookie."""
    if "visitor" not in g:
        g.visitor, g.guest_cookie = guests.visitor_of(
            request.cookies.get(GUEST_COOKIE),
            client_address(),
            get(Settings).derived_key("guests"),
        )
    visitor: Visitor = g.visitor
    return visitor


def set_guest_cookie(response: Response) -> None:
    """Set the cookie of a guest identity that this request created or renewed."""
    cookie = g.pop("guest_cookie", None)
    if cookie is not None:
        response.set_cookie(
            GUEST_COOKIE,
            cookie,
            max_age=GUEST_COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
            secure=get(Settings).production,
        )


def client_address() -> str:
    """Return the caller's address behind the configured number of proxies."""
    return guests.client_address(
        request.remote_addr or "",
        request.headers.get("X-Forwarded-For"),
        get(Settings).trusted_proxies,
    )


def caller_network() -> str:
    """Return a keyed hash of the caller's network: one IPv6 subscriber is one network."""
    return guests.network_of(client_address(), get(Settings).derived_key("guests"))
