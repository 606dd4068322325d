"""Requests that change something at Stripe, repeated with their key: one effect and one answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from creditapp import ledger
from creditapp.clock import now
from creditapp.db import snapshot, transaction
from creditapp.errors import AppError, IdempotencyInProgress
from creditapp.payments.stripe.records import GatewayError

CLAIM_LASTS = timedelta(minutes=1)
"""After so long without an answer a request is taken for dead, and its key may be used again."""

WAIT_SECONDS = 10.0
"""How long a repeated request waits for the first one's answer; a change takes a few seconds."""

_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Request:
    """A caller's key for a route, and the digest of what was asked with it."""

    caller: str
    route: str
    key: str
    digest: str


def stored_response(request: Request) -> str | None:
    """Return the answer that a request had before; raises ``IdempotencyKeyReused``."""
    with snapshot() as session:
        return ledger.idempotency.stored_response(session.connection(), *_parts(request))


def run_once(request: Request, act: Callable[[], str]) -> tuple[str, bool]:
    """Return what ``act`` answers, or what it answered before, and whether it was before.

    The key is claimed before ``act`` and answered after it, each in a transaction of its own: the
    effect is at Stripe, and no transaction may be open meanwhile. To write both after the effect
    would be simpler; but of two at once the second would then meet the effect of the first and no
    answer yet. So it finds the claim and waits for the answer, at most ``WAIT_SECONDS``.

    A refusal of ours or of Stripe's gives the claim up: it is not stored, and trying again is a new
    request. Whoever dies, or fails in another way, leaves a claim that is taken over after
    ``CLAIM_LASTS``; ``act`` is begun again then, so it must be safe to begin twice. Had the dead
    one finished it but for the answer, the next is told how things stand.

    Raises ``IdempotencyKeyReused``, ``IdempotencyInProgress``, and whatever ``act`` raises.
    """
    since, answer = _claim(request)
    if answer is not None:
        return answer, True
    try:
        answer = act()
    except (AppError, GatewayError):
        caller, route, key, _digest = _parts(request)
        with transaction() as session:
            ledger.idempotency.release(session.connection(), caller, route, key, since=since)
        raise
    with transaction() as session:
        ledger.idempotency.complete(session.connection(), *_parts(request), answer)
    return answer, False


def _claim(request: Request) -> tuple[datetime, str | None]:
    """Claim the key, or return its answer, waiting for one that is being made."""
    give_up_at = time.monotonic() + WAIT_SECONDS
    while True:
        moment = now()
        try:
            with transaction() as session:
                answer = ledger.idempotency.claim(
                    session.connection(),
                    *_parts(request),
                    now=moment,
                    lapsed_before=moment - CLAIM_LASTS,
                )
            return moment, answer
        except IdempotencyInProgress:
            if time.monotonic() > give_up_at:
                raise IdempotencyInProgress("Look again in a moment. It is done once.") from None
        time.sleep(_LOOK_SECONDS)


def _parts(request: Request) -> tuple[str, str, str, str]:
    return request.caller, request.route, request.key, request.digest
