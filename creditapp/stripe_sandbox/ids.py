"""Identifiers that look like Stripe's: a prefix that names the kind, then random letters."""

from __future__ import annotations

import secrets
import string

_LETTERS = string.ascii_letters + string.digits


def new_id(prefix: str, length: int = 24) -> str:
    """Return a new id such as ``pi_3Qx…``; it cannot be guessed."""
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(length))
