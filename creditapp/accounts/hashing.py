"""Keyed hashes: what lets us recognise a thing again without keeping the thing itself."""

from __future__ import annotations

import hashlib
import hmac


def keyed_hash(secret: str, purpose: str, text: str) -> str:
    """Return 64 hexadecimal digits that stand for ``text`` within one purpose.

    Without the secret, addresses cannot be tried against a stolen table; with another purpose the
    same text has another hash, so that two tables cannot be joined over it.
    """
    if not secret:
        raise ValueError("a keyed hash needs a secret: with an empty one anybody can compute it")
    message = f"{purpose}\0{text}".encode("utf-8", "surrogatepass")
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
