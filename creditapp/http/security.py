"""What every route is subject to: a policy, CSRF, headers, sessions, and the caller's address."""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, g, request, session
from flask_limiter import Limiter
from flask_limiter.errors import RateLimitExceeded
from flask_login import LoginManager, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError, CSRFProtect

from creditapp import accounts, guests
from creditapp.accounts import User
from creditapp.config import Settings
from creditapp.db import reading
from creditapp.errors import (
    AuthenticationRequired,
    CsrfFailed,
    Forbidden,
    MalformedRequest,
    NotFound,
    RateLimited,
)
from creditapp.guests import Visitor
from creditapp.http.body_limiter import BodyLimiter, refuse_unread
from creditapp.ids import new_id
from creditapp.services import get

POLICIES = ("public", "user", "admin", "key", "signature")
"""public: anyone. user: a signed-in person. admin: an operator. key: the admin key in a header.
signature: whoever can sign with a shared secret (Stripe)."""

GUEST_COOKIE = "creditapp_guest"
GUEST_COOKIE_SECONDS = 400 * 24 * 3600
FORM_BYTES_MAX = 256 * 1024
_HOW_TO_CALL = "Send JSON with the header X-CSRFToken, or from this site's own pages."
_SESSION_ENDED = "Your session ended while this page was open. What you typed is kept."
_UNSAFE = ("POST", "PUT", "PATCH", "DELETE")

View = TypeVar("View", bound=Callable[..., Any])

login_manager = LoginManager()
csrf = CSRFProtect()
limiter = Limiter(
    key_func=lambda: caller_network(),
    default_limits=["1200 per minute"],
    # Its headers would stand on every answer, a Retry-After of its own among them.
    headers_enabled=False,
)


def policy(name: str) -> Callable[[View], View]:
    """Declare who may call a view. A view without a policy answers nobody."""
    if name not in POLICIES:
        raise ValueError(f"{name!r} is not a policy")

    def mark(view: View) -> View:
        view.policy = name  # type: ignore[attr-defined]  # read by _enforce_policy below
        return view

    return mark


def policy_of(app: Flask, endpoint: str) -> str | None:
    """Return the declared policy of an endpoint, or None where there is none."""
    if endpoint.endswith("static"):
        return "public"
    return getattr(app.view_functions[endpoint], "policy", None)


def init_app(app: Flask, settings: Settings) -> None:
    """Put sessions, CSRF, limits and headers around every route."""
    app.config.update(
        SECRET_KEY=settings.derived_key("session"),
        SESSION_COOKIE_NAME="creditapp_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.production,
        REMEMBER_COOKIE_HTTPONLY=True,
        PERMANENT_SESSION_LIFETIME=30 * 24 * 3600,
        # A cookie with every answer would also stand in those that caches may keep.
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=20 * 1024 * 1024,
        MAX_FORM_MEMORY_SIZE=FORM_BYTES_MAX,
        # A studio stays open for hours; the token lives as long as the session it belongs to.
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_SSL_STRICT=False,
        RATELIMIT_STORAGE_URI=settings.redis_url or "memory://",
        RATELIMIT_ENABLED=settings.env != "testing",
        # Without its storage the limiter must not wave everybody through.
        RATELIMIT_SWALLOW_ERRORS=False,
    )
    # First, so that the limiter's refusal has a request id too.
    app.before_request(_begin_request)
    login_manager.init_app(app)
    csrf.init_app(app)
    limiter.init_app(app)
    app.wsgi_app = BodyLimiter(  # type: ignore[method-assign]  # how Flask wants to be wrapped
        app.wsgi_app,
        threads=settings.threads,
        bytes_max=app.config["MAX_CONTENT_LENGTH"],
        network_of=lambda environ: guests.client_address(
            environ.get("REMOTE_ADDR", ""),
            environ.get("HTTP_X_FORWARDED_FOR"),
            settings.trusted_proxies,
        ),
    )
    app.before_request(_enforce_policy)
    app.before_request(_protect_from_forgery)
    app.after_request(lambda response: _finish_response(response, settings))


@login_manager.user_loader  # type: ignore[untyped-decorator]  # Flask-Login has no types
def _load_user(session_id: str) -> User | None:
    return accounts.find_by_session(reading(), session_id)


def sign_in(user: User) -> None:
    """Begin the user's session; the old one is thrown away, so nobody can fix one beforehand."""
    kept = session.get("nonce")
    session.clear()
    if kept:
        session["nonce"] = kept
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
    """Return the guest that this browser is; its cookie is set with the answer."""
    if "visitor" not in g:
        g.visitor, g.guest_cookie = guests.visitor_of(
            request.cookies.get(GUEST_COOKIE),
            client_address(),
            get(Settings).derived_key("guests"),
        )
    visitor: Visitor = g.visitor
    return visitor


def client_address() -> str:
    """Return the caller's address behind the declared number of proxies."""
    return guests.client_address(
        request.remote_addr or "",
        request.headers.get("X-Forwarded-For"),
        get(Settings).trusted_proxies,
    )


def caller_network() -> str:
    """Return a keyed hash of where the request comes from: one subscriber's IPv6 is one place."""
    return guests.network_of(client_address(), get(Settings).derived_key("guests"))


def _begin_request() -> None:
    g.request_id = new_id("req")
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    refuse_unread(request.environ)
    if request.mimetype == "application/x-www-form-urlencoded":
        # Such a form carries no files, and werkzeug bounds only the fields of multipart ones.
        request.max_content_length = FORM_BYTES_MAX
    _refuse_nul()


def _refuse_nul() -> None:
    """Refuse a character that PostgreSQL stores in no text, before a query fails on it."""
    texts = [request.path, *request.args, *(text for _, text in request.args.items(multi=True))]
    if _is_form():
        texts.append(request.form.get("nonce", ""))
    if any("\0" in text for text in texts):
        raise MalformedRequest("The address has a character that no address has.")


def _enforce_policy() -> None:
    if request.endpoint is None:
        return  # no such path: the router's own 404 or 405 follows
    from flask import current_app

    match policy_of(current_app, request.endpoint):
        case "public" | "signature":
            return
        case "user":
            require_member()
        case "admin":
            if not require_member().is_admin:
                raise NotFound
        case "key":
            _require_admin_key()
        case _:
            raise Forbidden("This page declares nobody who may open it.")


def _require_admin_key() -> None:
    expected = get(Settings).admin_api_key
    if not expected:
        raise NotFound
    given = request.headers.get("x-admin-key", "")
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise AuthenticationRequired("The header x-admin-key is missing or wrong.")


def _protect_from_forgery() -> None:
    """Refuse an unsafe request that another site could have sent.

    A form carries the token. A JSON call carries it as ``X-CSRFToken``, or comes from this origin
    by the browser's own word, which no page can forge. Keys and signatures need neither: no browser
    attaches them by itself.
    """
    if request.method not in _UNSAFE or request.endpoint is None:
        return
    from flask import current_app

    if policy_of(current_app, request.endpoint) in ("key", "signature"):
        return
    if not _is_form() and "X-CSRFToken" not in request.headers:
        if _same_origin():
            return
        raise CsrfFailed(_HOW_TO_CALL)
    try:
        csrf.protect()
    except CSRFError:
        of_a_program = request.path.startswith("/api/")
        raise CsrfFailed(_HOW_TO_CALL if of_a_program else _SESSION_ENDED) from None


def _is_form() -> bool:
    return request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data")


def _same_origin() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is not None:
        return _is_our_origin(origin)
    # Neither header: no browser sent this, so there is no cookie that it could have been tricked
    # into sending. A session cookie without either is refused.
    return not request.cookies


def is_foreign() -> bool:
    """Whether another site's page sent this unsafe request, by the browser's own word."""
    if request.method not in _UNSAFE:
        return False
    if "Sec-Fetch-Site" in request.headers:
        return request.headers["Sec-Fetch-Site"] not in ("same-origin", "none")
    return "Origin" in request.headers and not _is_our_origin(request.headers["Origin"])


def _is_our_origin(origin: str) -> bool:
    settings = get(Settings)
    ours = urlsplit(settings.site_url)
    if origin == f"{ours.scheme}://{ours.netloc}":
        return True
    # A demo is opened under whatever name its machine has. In production the host is the caller's
    # word, and a name that was made to point here must not count as ours.
    return not settings.production and origin == request.host_url.rstrip("/")


def _finish_response(response: Response, settings: Settings) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = g.get("request_id", "")
    headers.setdefault("Content-Security-Policy", content_security_policy(settings))
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("X-Frame-Options", "DENY")
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=()"
    if settings.production:
        headers["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains"
    if response.mimetype == "text/html" and "Cache-Control" not in headers:
        headers["Cache-Control"] = "no-store"
    cookie = g.pop("guest_cookie", None)
    if is_foreign():
        # Its cookies stayed at home (SameSite), so ours are new ones: storing them would replace
        # a guest's or a member's own, and with them the pictures and the session.
        session.modified = False
    elif cookie is not None:
        response.set_cookie(
            GUEST_COOKIE,
            cookie,
            max_age=GUEST_COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
            secure=settings.production,
        )
    return response


def content_security_policy(settings: Settings) -> str:
    """Return what our pages may load, and where their forms may lead."""
    # A form that ends on the payment page needs that page's origin, or the redirect is blocked.
    checkout = "https://checkout.stripe.com"
    if settings.sandbox:
        checkout = ""
    elif settings.stripe_api_base:
        base = urlsplit(settings.stripe_api_base)
        checkout = f"{base.scheme}://{base.netloc}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'; media-src 'self'; form-action 'self' {checkout}".rstrip()
        + "; frame-ancestors 'none'; base-uri 'none'"
    )


def rate_limited(error: RateLimitExceeded) -> RateLimited:
    """Turn the limiter's refusal into ours, with the same headers as the other throttles."""
    breached = limiter.current_limit
    seconds = max(1, math.ceil(breached.window[0] - time.time())) if breached else 60
    return RateLimited(
        f"Too many requests from here. Try again in {seconds} s.",
        headers={
            "Retry-After": str(seconds),
            "RateLimit-Limit": str(error.limit.limit.amount) if error.limit else "0",
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(seconds),
        },
    )
