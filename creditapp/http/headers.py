"""Security headers and the content security policy of every response."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, g, session

from creditapp.config import Settings
from creditapp.http.csrf import is_foreign
from creditapp.http.sessions import set_own_cookies
from creditapp.media import Media
from creditapp.services import get

EMAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
"""Content security policy of an email that a page shows: its own styles and nothing else."""

IMAGE_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'none';"
    " base-uri 'none'; sandbox"
)
"""For an image opened by itself: the browser centers it by an inline style of its own."""

PLAYER_POLICY = (
    "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none';"
    " base-uri 'none'"
)
"""For audio or video opened by itself: the browser's own page plays it by a second request.

Not in a sandbox, whose requests carry no cookies: the file would not be its owner's any more.
"""


FILE_POLICY = "default-src 'none'; sandbox"
"""For a file that a member brought: opened by itself it may load and run nothing."""


def init_app(app: Flask, settings: Settings) -> None:
    """Add the headers to every response."""
    app.after_request(lambda response: _finish_response(response, settings))


def _finish_response(response: Response, settings: Settings) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = g.get("request_id", "")
    kind = (response.mimetype or "").partition("/")[0]
    if kind == "image":
        headers.setdefault("Content-Security-Policy", IMAGE_POLICY)
    elif kind in ("audio", "video"):
        headers.setdefault("Content-Security-Policy", PLAYER_POLICY)
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
    if is_foreign():
        # The browser sent no cookies of ours (SameSite), so these are new ones: storing them would
        # replace a guest's or a member's own, and with them the images and the session.
        session.modified = False
    else:
        set_own_cookies(response)
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
    # On S3, our address of a file redirects to its bucket.
    files = list(filter(None, ("'self'", get(Media).origin)))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"img-src {' '.join(files)} data:; media-src {' '.join(files)}; "
        f"connect-src 'self'; form-action 'self' {checkout}".rstrip()
        + "; frame-ancestors 'none'; base-uri 'none'"
    )
