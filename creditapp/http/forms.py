"""Fields of a posted form, or of the query of a page that is opened."""

from __future__ import annotations

import re

from flask import request

from creditapp.errors import ValidationFailed

_NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")


def text(name: str, characters_max: int | None = 64) -> str:
    """Return a field, cut to ``characters_max``; empty if it is missing."""
    fields = request.form if request.method == "POST" else request.args
    return fields.get(name, "")[:characters_max]


def several(name: str, count_max: int = 1000) -> list[str]:
    """Return every value of a field, each cut to 64 characters, at most ``count_max`` of them."""
    fields = request.form if request.method == "POST" else request.args
    return [value[:64] for value in fields.getlist(name)[:count_max]]


def ticked(name: str) -> bool:
    """Whether a box is ticked."""
    return text(name) == "1"


def whole(name: str, digits_max: int = 18) -> int | None:
    """Return a field as a whole number; None if it is none, or has more digits."""
    digits = text(name, digits_max + 1)
    return int(digits) if re.fullmatch(rf"[0-9]{{1,{digits_max}}}", digits) else None


def next_path(default: str = "/") -> str:
    """Return the path to go to afterwards, if the field ``next`` is one of this site."""
    return safe_path(text("next", None), default)


def safe_path(path: str, default: str = "/") -> str:
    """Return ``path`` if it is a path of this site, else ``default``.

    A browser reads ``//host`` and ``/\\host`` as another site, so both become ``default``.
    """
    if not path.startswith("/") or len(path) > 512:
        return default
    if path.startswith("//") or "\\" in path or any(ord(c) < 32 for c in path):
        return default
    return path


def idempotency_key(digest: str) -> str:
    """Return the form's nonce with the digest of its order: an edited form is a new request.

    Raises ``ValidationFailed`` without a nonce.
    """
    nonce = text("nonce", None)
    if _NONCE.fullmatch(nonce) is None:
        raise ValidationFailed.of("nonce", "Reload the page and try again.")
    return f"form:{nonce}:{digest[:32]}"
