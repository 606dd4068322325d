"""The rate limit of requests."""

from __future__ import annotations

import math
import time

from flask import Flask
from flask_limiter import ApplicationLimit, Limiter
from flask_limiter.errors import RateLimitExceeded

from creditapp.accounts import MULTIPLES
from creditapp.config import Settings
from creditapp.errors import RateLimited
from creditapp.http.sessions import caller_networks
from creditapp.rate_limits import REQUESTS


def _limit_of_networks(multiple: int) -> ApplicationLimit:
    """Return the limit of requests for the caller's networks with this multiple of the limit."""
    limit = REQUESTS.times(multiple).limit
    return ApplicationLimit(
        f"{limit} per {REQUESTS.window.seconds} second",
        key_function=lambda: _network_keys()[multiple],
        exempt_when=lambda: multiple not in _network_keys(),
    )


def _network_keys() -> dict[int, str]:
    return {network.multiple: network.key for network in caller_networks()}


limiter = Limiter(
    key_func=lambda: caller_networks()[0].key,
    # Of the application: a default limit would be counted for each route apart.
    application_limits=[_limit_of_networks(multiple) for multiple in MULTIPLES],
    # Its headers would be on every response, with a Retry-After of its own among them.
    headers_enabled=False,
)


def init_app(app: Flask, settings: Settings) -> None:
    """Limit the requests of each network."""
    app.config.update(
        RATELIMIT_STORAGE_URI=settings.redis_url or "memory://",
        RATELIMIT_ENABLED=settings.env != "testing",
        # Without its storage the limiter must not let every request pass.
        RATELIMIT_SWALLOW_ERRORS=False,
    )
    limiter.init_app(app)


def rate_limited(error: RateLimitExceeded) -> RateLimited:
    """Turn the limiter's refusal into ours, with the headers of every other rate limit."""
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
