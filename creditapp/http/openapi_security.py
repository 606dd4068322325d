"""The ways to call an operation, and how each is authenticated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import current_app

from creditapp.config import Settings
from creditapp.http.openapi_parameters import HEADERS
from creditapp.http.policies import ANY_SCOPE, policy_of, scope_of
from creditapp.http.sessions import SESSION_COOKIE, cookie_name
from creditapp.services import get


def security_schemes() -> dict[str, Any]:
    """Return every way to authenticate."""
    return {
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": cookie_name(SESSION_COOKIE, get(Settings)),
            "description": "A member who logged in with a browser. A call that changes something "
            "comes from this site's own pages, or sends the page's token as X-CSRFToken.",
        },
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key (cak_...) with the named scope.",
        },
        "accessToken": {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token (cat_...) of POST /api/me/access-token, for 60 "
            "seconds, bound to one member and one feature.",
        },
        "adminKey": {
            "type": "apiKey",
            "in": "header",
            "name": "x-admin-key",
            "description": HEADERS["x-admin-key"],
        },
        "stripeSignature": {
            "type": "apiKey",
            "in": "header",
            "name": "Stripe-Signature",
            "description": HEADERS["Stripe-Signature"],
        },
    }


def security_of(endpoint: str) -> Iterator[dict[str, list[str]]]:
    """Yield each way to call an endpoint; an empty one is without any."""
    name, scope = policy_of(current_app, endpoint), scope_of(current_app, endpoint)
    if name == "key":
        yield {"adminKey": []}
    if name == "signature":
        yield {"stripeSignature": []}
    if name == "user" or scope is not None:
        yield {"session": []}
    if scope is not None:
        yield {"apiKey": [] if scope == ANY_SCOPE else [scope]}
    if scope == "spend":
        yield {"accessToken": []}
    if name == "public" and scope is not None:
        yield {}
