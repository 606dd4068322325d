"""Review: the operator decides a signed payment of unknown outcome, after looking at the chain.

The table of the token's contract (``authorizationState``) says whether the nonce was used, and the
transfer to the site's address says that it paid. No rail is asked, so that payments of a rail that
was switched off can be decided too.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from creditapp.agents import requests
from creditapp.agents.payment import post_recovered, reopen
from creditapp.agents.rails import claims
from creditapp.agents.rails.claims import Claim
from creditapp.errors import Conflict, NotFound, ValidationFailed

_TRANSACTION: Final = re.compile(r"0x[0-9a-fA-F]{64}")


def list_unknown() -> list[Claim]:
    """Return the payments whose outcome nobody knows, the oldest first."""
    return claims.unsettled()


def note_paid(request_id: str, transaction: str, *, now: datetime) -> None:
    """Grant the credits of a payment that the operator found on the chain.

    Raises ``NotFound`` for a request without such a payment, and ``ValidationFailed`` for a text
    that is no transaction's hash. A transaction counts for one payment.
    """
    if not _TRANSACTION.fullmatch(transaction):
        raise ValidationFailed.of("transaction", "A transaction is 0x and 64 hexadecimal digits.")
    claim = claims.note_reference(_unknown(request_id), transaction, now=now)
    post_recovered(requests.find(request_id), claim.rail, claims.settled(claim))


def note_unpaid(request_id: str, *, now: datetime) -> None:
    """Close a payment of which the operator found nothing on the chain.

    Raises ``NotFound`` as ``note_paid``, and ``Conflict`` while the chain would still accept it.
    """
    claim = _unknown(request_id)
    if claim.valid_before >= now:
        until = f"{claim.valid_before:%Y-%m-%d %H:%M} UTC"
        raise Conflict(f"The authorization is valid until {until}: it can still be settled.")
    claims.remove(claim)
    request = requests.find(request_id)
    reopen(request, request.payment_fingerprint or "")


def _unknown(request_id: str) -> Claim:
    claim = claims.find(request_id)
    if claim is None or claim.reference is not None:
        raise NotFound(f"{request_id} has no payment of unknown outcome.")
    return claim
