"""Access policies: each view declares who may call it, and a view without a policy is refused."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, request

from creditapp.api_keys import SCOPES
from creditapp.config import Settings
from creditapp.errors import AuthenticationRequired, Forbidden, NotFound
from creditapp.http import bearer
from creditapp.http.sessions import require_member
from creditapp.rate_limits import FIELDS_MAX, FORM_BYTES_MAX, JSON_BYTES_MAX
from creditapp.services import get

POLICIES = ("public", "user", "admin", "key", "signature")
"""public: anyone. user: a signed-in user. admin: a signed-in operator. key: the admin key in a
header. signature: a request or link signed with a shared secret, such as Stripe's."""

ANY_SCOPE = "any"
"""The scope of a route that takes every key and looks at its scopes itself."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""Methods of requests that change nothing."""

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
"""Content types of a form."""

View = TypeVar("View", bound=Callable[..., Any])


def init_app(app: Flask) -> None:
    """Check the policy of every request."""
    bearer.init_app(app)
    app.before_request(_enforce_policy)


def policy(
    name: str,
    *,
    scope: str | None = None,
    body_bytes_max: int | None = None,
    fields_max: int = FIELDS_MAX,
) -> Callable[[View], View]:
    """Declare who may call a view, and its limits where they are not the usual ones.

    With a ``scope``, programs may call it whose API key has that scope; without one, people alone.
    ``body_bytes_max`` is how long its bodies may be, ``fields_max`` how many fields its forms have.
    """
    if name not in POLICIES:
        raise ValueError(f"{name!r} is not a policy")
    if scope is not None and scope not in (*SCOPES, ANY_SCOPE):
        raise ValueError(f"{scope!r} is not a scope")

    def mark(view: View) -> View:
        view.policy = name  # type: ignore[attr-defined]  # read by policy_of
        view.scope = scope  # type: ignore[attr-defined]  # read by scope_of
        view.body_bytes_max = body_bytes_max  # type: ignore[attr-defined]  # read below
        view.fields_max = fields_max  # type: ignore[attr-defined]  # likewise
        return view

    return mark


def policy_of(app: Flask, endpoint: str) -> str | None:
    """Return the declared policy of an endpoint, or None where there is none."""
    if endpoint.endswith("static"):
        return "public"
    return getattr(app.view_functions[endpoint], "policy", None)


def scope_of(app: Flask, endpoint: str) -> str | None:
    """Return the scope of API keys that an endpoint takes, or None where it takes none."""
    return getattr(app.view_functions[endpoint], "scope", None)


def body_bytes_max(app: Flask, endpoint: str | None, mime_type: str) -> int:
    """Return how long a body to an endpoint may be; None is an address without one."""
    view = app.view_functions[endpoint] if endpoint else None
    declared: int | None = getattr(view, "body_bytes_max", None)
    if declared is not None:
        return declared
    return FORM_BYTES_MAX if mime_type in FORM_TYPES else JSON_BYTES_MAX


def fields_max(app: Flask, endpoint: str | None) -> int:
    """Return how many fields a form to an endpoint may have."""
    view = app.view_functions[endpoint] if endpoint else None
    declared: int = getattr(view, "fields_max", FIELDS_MAX)
    return declared


def _enforce_policy() -> None:
    if request.endpoint is None:
        return  # no such path: the router's own 404 or 405 follows
    scope = scope_of(current_app, request.endpoint)
    bearer.authenticate(scope, takes_any=scope == ANY_SCOPE)
    match policy_of(current_app, request.endpoint):
        case "public" | "signature":
            return
        case "user" | "admin" if scope is None and bearer.is_sent():
            raise Forbidden("API keys cannot do this: log in with a browser.")
        case "user":
            require_member()
        case "admin":
            if not require_member().is_admin:
                raise NotFound
        case "key":
            _require_admin_key()
        case _:
            raise Forbidden("This page declares no policy.")


def _require_admin_key() -> None:
    expected = get(Settings).admin_api_key
    if not expected:
        raise NotFound
    key = request.headers.get("x-admin-key", "")
    if not hmac.compare_digest(key.encode(), expected.encode()):
        raise AuthenticationRequired("The header x-admin-key is missing or wrong.")
