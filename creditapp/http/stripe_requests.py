"""Requests that ask Stripe: declared by their route, counted for each member, bounded in threads.

Stripe allows about 100 calls a second to an account, which all members share, and a call keeps its
thread for as long as Stripe takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, g, has_request_context, request

from creditapp.accounts.throttle import count_try, counter
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import transaction
from creditapp.errors import PaymentUnavailable
from creditapp.http.gate import leave_gate
from creditapp.http.policies import SAFE_METHODS
from creditapp.http.sessions import current_member
from creditapp.payments.stripe.client import StripeGateway
from creditapp.rate_limits import STRIPE_REQUESTS, stripe_requests
from creditapp.services import get, provide

View = TypeVar("View", bound=Callable[..., Any])


class StripeSeats:
    """The requests that may wait for Stripe at once, of all threads of this process."""

    def __init__(self, threads: int) -> None:
        self.semaphore = threading.Semaphore(stripe_requests(threads))


def init_app(app: Flask, settings: Settings) -> None:
    """Admit each request before its first call of Stripe."""
    provide(app, StripeSeats, StripeSeats(settings.threads))
    with app.app_context():
        get(StripeGateway).admit = _admit
    app.before_request(_admit_before_writing)
    app.teardown_request(_leave)


def asks_stripe(view: View) -> View:
    """Declare that a view may call Stripe; from any other view, each call is refused."""
    view.asks_stripe = True  # type: ignore[attr-defined]  # read by declares_stripe
    return view


def declares_stripe(app: Flask, endpoint: str) -> bool:
    """Return whether the view of an endpoint declares that it may call Stripe."""
    return getattr(app.view_functions[endpoint], "asks_stripe", False)


def _admit_before_writing() -> None:
    """Refuse a member's form before it stores anything.

    A page is refused only when it does ask Stripe, and a webhook is stored whatever comes after.
    """
    is_write = request.method not in SAFE_METHODS and current_member() is not None
    if is_write and request.endpoint and declares_stripe(current_app, request.endpoint):
        _admit()


def _admit() -> None:
    """Take a seat and count the request against its member's budget, once for each request.

    Raises ``PaymentUnavailable`` without a free seat and ``RateLimited`` past the budget. Jobs and
    commands need neither.
    """
    if not has_request_context() or "stripe_seat" in g:
        return
    if not declares_stripe(current_app, request.endpoint or "static"):
        raise RuntimeError(f"{request.endpoint} calls Stripe and does not declare @asks_stripe")
    member = current_member()
    semaphore = get(StripeSeats).semaphore
    if not semaphore.acquire(blocking=False):
        raise PaymentUnavailable
    g.stripe_seat = semaphore
    leave_gate()
    if member is not None:
        budget = counter("stripe", STRIPE_REQUESTS, get(Settings).derived_key("stripe"), member.id)
        with transaction() as session:
            count_try(session, [budget], now=now())


def _leave(_error: BaseException | None) -> None:
    seat: threading.Semaphore | None = g.pop("stripe_seat", None)
    if seat is not None:
        seat.release()
