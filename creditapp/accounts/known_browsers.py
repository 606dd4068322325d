"""Browsers that logged in to an account before: the limit of an address does not lock them out.

A mark is an id and a keyed hash of the id and the address, kept in a cookie. It proves nothing but
that, and its tries have a limit of their own.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence

from creditapp.accounts.email_address import find_address
from creditapp.accounts.hashing import keyed_hash

_MARKS_MAX = 5
"""How many accounts a browser is known for; the oldest mark goes first."""


def known_browser(marks: Sequence[str], email: str, secret: str) -> str | None:
    """Return the id of the mark for this address, or None where the browser has none."""
    address = find_address(email)
    if address is None:
        return None
    for mark in marks[-_MARKS_MAX:]:
        mark_id = mark.partition(".")[0]
        if hmac.compare_digest(mark.encode(), _mark(mark_id, address.key, secret).encode()):
            return mark_id
    return None


def add_mark(marks: Sequence[str], email: str, secret: str) -> list[str]:
    """Return the marks with one for this address, which the browser just logged in to."""
    address = find_address(email)
    if address is None or known_browser(marks, email, secret) is not None:
        return list(marks)
    return [*marks, _mark(secrets.token_urlsafe(9), address.key, secret)][-_MARKS_MAX:]


def _mark(mark_id: str, address_key: str, secret: str) -> str:
    return f"{mark_id}.{keyed_hash(secret, 'known_browser', f'{mark_id} {address_key}')[:32]}"
