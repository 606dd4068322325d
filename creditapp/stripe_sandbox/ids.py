"""Object ids in Stripe's format: a prefix for the type, then random characters."""

from __future__ import annotations

import secrets
import string

_LETTERS = string.ascii_letters + string.digits


def new_id(prefix: str, length: int = 24) -> str:
    """Return a new unguessable id such as ``pi_3Qx…``."""
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(length))
