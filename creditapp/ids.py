"""Opaque identifiers: a readable prefix, the time, and 80 random bits."""

from __future__ import annotations

import secrets
import time

# Crockford's alphabet has no letters that look like digits.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """Return a new identifier such as ``gen_06f2k…``, which sorts by time and cannot be guessed.

    48 bits are the milliseconds since 1970, 80 bits are random (the layout of a ULID), so no
    counter is shared between processes.
    """
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    letters = [_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(letters)}"
