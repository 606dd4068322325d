"""The rate limit of requests."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from flask import Flask, Response, current_app, request
from flask_limiter import ApplicationLimit, ExemptionScope, Limiter
from flask_limiter.errors import RateLimitExceeded

from creditapp.accounts import MULTIPLES
from creditapp.config import Settings
from creditapp.errors import RateLimited
from creditapp.http import bearer
from creditapp.http.documented import documentation_of
from creditapp.http.sessions import caller_networks
from creditapp.rate_limits import COSTLY_REQUESTS, KEY_REQUESTS, REQUESTS, RateLimit

View = TypeVar("View", bound=Callable[..., Any])


def _limit_of_networks(multiple: int) -> ApplicationLimit:
    """Return the limit of requests for the caller's networks with this multiple of the limit."""
    return ApplicationLimit(
        _text(REQUESTS, multiple),
        key_function=partial(_network_key, multiple),
        exempt_when=partial(_has_no_network, multiple),
    )


def _text(rate: RateLimit, multiple: int) -> str:
    return f"{rate.times(multiple).limit} per {rate.window.seconds} second"


def _network_key(multiple: int) -> str:
    return _network_keys()[multiple]


def _has_no_network(multiple: int) -> bool:
    return multiple not in _network_keys()


def _network_keys() -> dict[int, str]:
    return {network.multiple: network.key for network in caller_networks()}


def _limit_of_keys() -> ApplicationLimit:
    """Return the limit of requests for the bearer key of a request, which only a hash names."""
    return ApplicationLimit(
        _text(KEY_REQUESTS, 1),
        key_function=bearer.fingerprint,
        exempt_when=lambda: not bearer.is_sent(),
    )


_REDIS_TIMEOUTS = {"socket_connect_timeout": 1, "socket_timeout": 1}

limiter = Limiter(
    key_func=lambda: caller_networks()[0].key,
    # Of the application: a default limit would be counted for each route apart.
    application_limits=[
        *(_limit_of_networks(multiple) for multiple in MULTIPLES),
        _limit_of_keys(),
    ],
    # Its headers would be on every response, with a Retry-After of its own among them.
    headers_enabled=False,
)


def limited(
    rate: RateLimit, scope: str, *, counts_when: Callable[[Response], bool] | None = None
) -> Callable[[View], View]:
    """Limit the calls of a function within requests, by network; all of a scope count together.

    With ``counts_when`` only requests with such a response count.
    """

    def decorate(view: View) -> View:
        counted: Any = view
        for multiple in MULTIPLES:
            counted = limiter.shared_limit(
                _text(rate, multiple),
                scope,
                key_func=partial(_network_key, multiple),
                exempt_when=partial(_has_no_network, multiple),
                deduct_when=counts_when,
            )(counted)
        return cast(View, counted)

    return decorate


costly = limited(COSTLY_REQUESTS, "costly")
"""Decorator of a view whose response costs much."""


def init_app(app: Flask, settings: Settings) -> None:
    """Limit the requests of each network."""
    app.config.update(
        RATELIMIT_STORAGE_URI=settings.redis_url or "memory://",
        RATELIMIT_ENABLED=settings.env != "testing",
        # A Redis that does not answer must not keep a thread. The limits fall back to this process.
        RATELIMIT_STORAGE_OPTIONS=_REDIS_TIMEOUTS if settings.redis_url else {},
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=bool(settings.redis_url),
        # Without its storage the limiter must not let every request pass.
        RATELIMIT_SWALLOW_ERRORS=False,
    )
    limiter.init_app(app)
    app.after_request(_tell_limit)


def is_limited(app: Flask, endpoint: str) -> bool:
    """Return whether requests to an endpoint are counted; probes are exempt."""
    scope = limiter.limit_manager.exemption_scope(app, endpoint, None)
    return scope == ExemptionScope.NONE


def _tell_limit(response: Response) -> Response:
    """Tell a program how much of its nearest limit is left."""
    view = current_app.view_functions.get(request.endpoint or "")
    limits = limiter.current_limits if view and documentation_of(view) else []
    if limits and response.status_code != 429:
        nearest = min(limits, key=lambda each: each.remaining)
        seconds = max(1, math.ceil(nearest.reset_at - time.time()))
        seconds = min(seconds, nearest.limit.get_expiry())  # storages round the moment up
        response.headers["RateLimit-Limit"] = str(nearest.limit.amount)
        response.headers["RateLimit-Remaining"] = str(nearest.remaining)
        response.headers["RateLimit-Reset"] = str(seconds)
    return response


def rate_limited(error: RateLimitExceeded) -> RateLimited:
    """Turn the limiter's refusal into ours, with the headers of every other rate limit."""
    breached = limiter.current_limit
    seconds = max(1, math.ceil(breached.window[0] - time.time())) if breached else 60
    return RateLimited.after(
        seconds,
        f"Too many requests from here. Try again in {seconds} s.",
        limit=error.limit.limit.amount if error.limit else 0,
    )
