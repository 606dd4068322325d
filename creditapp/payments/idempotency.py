"""Idempotent requests to Stripe: a repeated key has one effect and returns one answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from creditapp import clock, ledger
from creditapp.db import snapshot, transaction
from creditapp.errors import AppError, IdempotencyInProgress
from creditapp.payments.stripe.records import GatewayError

CLAIM_LASTS = timedelta(minutes=1)
"""A request without an answer counts as dead after this long, and its key may be used again."""

WAIT_SECONDS = 10.0
"""How long a repeated request waits for the first one's answer; a change takes a few seconds."""

_POLL_SECONDS = 0.1


class Request(NamedTuple):
    """A caller's key for a route, and the digest of the request's body."""

    caller: str
    route: str
    key: str
    digest: str


def stored_response(request: Request) -> str | None:
    """Return the stored answer of a request, or None; raises ``IdempotencyKeyReused``."""
    with snapshot() as session:
        return ledger.idempotency.stored_response(session.connection(), *request)


def run_once(request: Request, action: Callable[[], str]) -> tuple[str, bool]:
    """Return the answer of ``action``, and whether it was stored before.

    The key is claimed before ``action`` and its answer stored after it, each in a transaction of
    its own: the effect is at Stripe, and no transaction may be open meanwhile. Writing both after
    the effect would be simpler, but of two requests at once the second would then meet the first
    one's effect without its answer. Instead it finds the claim and waits for the answer, at most
    ``WAIT_SECONDS``.

    A refusal, ours or Stripe's, releases the claim: it is not stored, and the next try is a new
    request. A process that dies or fails otherwise leaves a claim that lapses after
    ``CLAIM_LASTS``; then ``action`` runs again, so it must be safe to run twice. If the dead
    process had completed the effect, the next one answers with the state it finds.

    Raises ``IdempotencyKeyReused``, ``IdempotencyInProgress``, and what ``action`` raises.
    """
    since, answer = _claim(request)
    if answer is not None:
        return answer, True
    try:
        answer = action()
    except (AppError, GatewayError):
        with transaction() as session:
            ledger.idempotency.release(session.connection(), *request[:3], since=since)
        raise
    with transaction() as session:
        ledger.idempotency.complete(session.connection(), *request, answer)
    return answer, False


def _claim(request: Request) -> tuple[datetime, str | None]:
    """Claim the key, or return its answer, waiting for a request in progress."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        now = clock.now()
        try:
            with transaction() as session:
                answer = ledger.idempotency.claim(
                    session.connection(), *request, now=now, lapsed_before=now - CLAIM_LASTS
                )
            return now, answer
        except IdempotencyInProgress:
            if time.monotonic() > deadline:
                raise IdempotencyInProgress("Look again in a moment. It is done once.") from None
        time.sleep(_POLL_SECONDS)
