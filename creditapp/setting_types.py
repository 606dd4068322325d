"""Types of settings, which normalise or refuse a text, and the weakness of a secret."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

_PLACEHOLDER = re.compile(r"(change|replace).?(me|this)|your.?secret|default|insecure", re.I)
"""Words of copied examples, which a random key does not contain."""


def weakness_of(secret: str) -> str | None:
    """Return why a secret can be guessed; None for a good one and for none."""
    if _PLACEHOLDER.search(secret):
        return "is a placeholder"
    is_repeated = secret in (secret + secret)[1:-1]
    if secret and (len(secret) < 16 or len(set(secret)) < 8 or is_repeated):
        return "is short or repeats itself"
    return None


def _http_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("must be an address that begins with http:// or https://")
    return text.rstrip("/")


def _header_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", text):
        raise ValueError("must be the name of a header, such as X-Real-IP")
    return text


def _sqlalchemy_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if scheme in ("postgres", "postgresql", "postgresql+psycopg") and separator:
        return f"postgresql+psycopg://{rest}"
    if url.startswith("sqlite:///"):
        return url
    raise ValueError("must be sqlite:///file or postgresql://user@host/name")


def _secret_keys(text: str) -> tuple[str, ...]:
    # A key may have spaces itself, so the whole text counts as one too.
    return text, *text.split()


def _ed25519_key(text: str) -> str:
    try:
        key = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if text else bytes(32)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError("must be 32 random bytes in base64url: 43 characters")
    return text


def _ed25519_keys(text: str) -> tuple[str, ...]:
    return tuple(_ed25519_key(each) for each in text.split())


def _did_keys(text: str) -> tuple[str, ...]:
    dids = tuple(text.replace(",", " ").split())
    if not all(re.fullmatch(r"did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}", did) for did in dids):
        raise ValueError("must be identifiers such as did:key:z6Mk..., of Ed25519 keys")
    return dids


DidKeys = Annotated[tuple[str, ...], BeforeValidator(_did_keys)]
Ed25519Key = Annotated[str, AfterValidator(_ed25519_key)]
"""32 bytes in base64url, or nothing."""
Ed25519Keys = Annotated[tuple[str, ...], BeforeValidator(_ed25519_keys)]
SecretKeys = Annotated[tuple[str, ...], BeforeValidator(_secret_keys)]
HttpAddress = Annotated[str, AfterValidator(_http_address)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
DatabaseUrl = Annotated[str, AfterValidator(_sqlalchemy_url)]
