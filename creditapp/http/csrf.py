"""CSRF protection: refuse unsafe requests that another site could have sent."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, current_app, request
from flask_wtf.csrf import CSRFError, CSRFProtect

from creditapp.config import Settings
from creditapp.errors import CsrfFailed
from creditapp.http import bearer
from creditapp.http.policies import FORM_TYPES, SAFE_METHODS, policy_of
from creditapp.services import get

_API_HINT = "Send JSON with the header X-CSRFToken, or from this site's own pages."
_SESSION_ENDED = "Your session ended while this page was open. What you typed is kept."

csrf = CSRFProtect()


def init_app(app: Flask) -> None:
    """Check every unsafe request."""
    app.config.update(
        # A studio stays open for hours; the token lives as long as its session.
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_SSL_STRICT=False,
    )
    csrf.init_app(app)
    app.before_request(_protect)


def _protect() -> None:
    """Raise ``CsrfFailed`` for an unsafe request that another site could have sent.

    A form carries the token. A JSON call carries it as ``X-CSRFToken``, or the browser states that
    it comes from this origin, which no page can forge. Keys and signatures need neither, because no
    browser attaches them by itself, and beside a bearer key no cookie counts.
    """
    if request.method in SAFE_METHODS or request.endpoint is None or bearer.is_sent():
        return
    if policy_of(current_app, request.endpoint) in ("key", "signature"):
        return
    if not is_form() and "X-CSRFToken" not in request.headers:
        if _is_same_origin():
            return
        raise CsrfFailed(_API_HINT)
    try:
        csrf.protect()
    except CSRFError:
        is_api = request.path.startswith(("/api/", "/v1/"))
        raise CsrfFailed(_API_HINT if is_api else _SESSION_ENDED) from None


def is_form() -> bool:
    """Whether the request's body is a form."""
    return request.mimetype in FORM_TYPES


def is_foreign() -> bool:
    """Whether the browser states that another site's page sent this unsafe request."""
    if request.method in SAFE_METHODS:
        return False
    if "Sec-Fetch-Site" in request.headers:
        return request.headers["Sec-Fetch-Site"] not in ("same-origin", "none")
    return "Origin" in request.headers and not is_our_origin(request.headers["Origin"])


def _is_same_origin() -> bool:
    if "Sec-Fetch-Site" in request.headers or "Origin" in request.headers:
        return not is_foreign()
    # Without either header no browser sent this, so no cookie was attached behind its user's back.
    # A session cookie without either is refused.
    return not request.cookies


def is_our_origin(origin: str) -> bool:
    """Whether an ``Origin`` names this site."""
    settings = get(Settings)
    site = urlsplit(settings.site_url)
    if origin == f"{site.scheme}://{site.netloc}":
        return True
    # A demo is opened under whatever name its machine has. In production the caller chooses the
    # Host header, and another name that resolves to this server must not count as ours.
    return not settings.production and origin == request.host_url.rstrip("/")
