"""Encryption of keys at rest, bound to what they belong to.

Each text is encrypted under a key derived from ``SECRET_KEY`` and from its binding, such as a user
and a vendor: a row that is copied to another user does not decrypt there. Keys derived from
``CREDITAPP_PREVIOUS_SECRET_KEYS`` still decrypt.
"""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from creditapp.config import Settings
from creditapp.services import get


class Undecryptable(Exception):
    """The text was encrypted for something else, or under a secret key that is gone."""


def encrypt(text: str, *binding: str) -> str:
    """Return ``text`` encrypted for ``binding``."""
    return _ciphers(binding).encrypt(text.encode()).decode()


def decrypt(encrypted: str, *binding: str) -> str:
    """Return the text that was encrypted for ``binding``; raise ``Undecryptable``."""
    try:
        return _ciphers(binding).decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise Undecryptable from None


def reencrypt(encrypted: str, *binding: str) -> str:
    """Return the same text encrypted under the current secret key; raise ``Undecryptable``."""
    try:
        return _ciphers(binding).rotate(encrypted.encode()).decode()
    except InvalidToken:
        raise Undecryptable from None


def _ciphers(binding: tuple[str, ...]) -> MultiFernet:
    """Return one cipher for each accepted secret key; the current one encrypts."""
    purpose = chr(0).join(("credentials", *binding))
    derived = get(Settings).derived_keys(purpose)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(bytes.fromhex(key))) for key in derived])
