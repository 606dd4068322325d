"""Passwords: rules for new ones, hashing and verification.

Hashing takes 30 to 40 ms on purpose. It is done outside every transaction: on SQLite the others
would wait for it, on PostgreSQL it would hold row locks.
"""

from __future__ import annotations

import functools
import os
import secrets
import unicodedata
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from creditapp.accounts.common_passwords import COMMON
from creditapp.errors import ValidationFailed

CHARACTERS_MIN = 10
CHARACTERS_MAX = 128

# OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB, two iterations, one lane.
_MEMORY_KIB = 19 * 1024
_ITERATIONS = 2
_LANES = 1
_SALT_BYTES = 16
_HASH_BYTES = 32
_PARAMETERS = f"$argon2id$v=19$m={_MEMORY_KIB},t={_ITERATIONS},p={_LANES}$"


@dataclass(frozen=True)
class NewPassword:
    """A password that passed the rules, already hashed; the text itself is gone."""

    hash: str = field(repr=False)


def new_password(password: str, *, address: str = "", field_name: str = "password") -> NewPassword:
    """Check and hash a new password; takes about 35 ms.

    Raises ``ValidationFailed`` for ``field_name`` with what to change: 10 to 128 characters, not
    the address nor a part of it, not one of the most common ones. Call it outside a transaction.
    """
    check_new_password(password, address=address, field_name=field_name)
    return NewPassword(_hash(password))


def check_new_password(password: str, *, address: str = "", field_name: str = "password") -> None:
    """Check a new password as ``new_password`` does, but without the time of hashing it."""
    problem = password_problem(password, address=address)
    if problem:
        raise ValidationFailed.of(field_name, problem)


def password_problem(password: str, *, address: str = "") -> str | None:
    """Return the sentence that says why a password cannot be chosen, or None when it can.

    Length and a list rather than rules about digits and signs. Source: NIST SP 800-63B, 5.1.1.2.
    """
    text = _normal(password)
    if not _encodable(text):
        return "This password has a character that cannot be stored."
    if len(text) < CHARACTERS_MIN:
        return f"Choose a password of at least {CHARACTERS_MIN} characters."
    if len(text) > CHARACTERS_MAX:
        return f"Choose a password of at most {CHARACTERS_MAX} characters."
    plain = text.casefold().strip()
    if plain in {address.casefold().strip(), address.casefold().strip().partition("@")[0]} - {""}:
        return "Choose a password that is not your address."
    if plain in COMMON or len(set(plain)) < 3:
        return "This is one of the most common passwords. Choose another."
    return None


def verify(password: str, stored: str | None) -> bool:
    """Return whether the password is the stored one; takes the same time for ``stored=None``.

    An unknown address is compared with the hash of a random password, so that the time of an answer
    does not reveal who has an account. Call it outside a transaction.
    """
    text = _normal(password)
    # What could never have been chosen still costs the time of a try.
    impossible = len(text) > CHARACTERS_MAX or not _encodable(text)
    secret = b"" if impossible else text.encode()
    try:
        Argon2id.verify_phc_encoded(secret, stored or _random_hash())
    except InvalidKey:
        return False
    return stored is not None and not impossible


def needs_rehash(stored: str) -> bool:
    """Return whether a stored hash was made with other parameters than today's."""
    return not stored.startswith(_PARAMETERS)


def _hash(password: str) -> str:
    kdf = Argon2id(
        salt=os.urandom(_SALT_BYTES),
        length=_HASH_BYTES,
        iterations=_ITERATIONS,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    )
    return kdf.derive_phc_encoded(_normal(password).encode())


def rehash(password: str) -> NewPassword:
    """Hash a password that was just found right with today's parameters, unchecked."""
    return NewPassword(_hash(password))


@functools.cache
def _random_hash() -> str:
    return _hash(secrets.token_urlsafe(32))


def _normal(password: str) -> str:
    # The same letters typed on another keyboard or system are the same password (NIST: NFKC).
    return unicodedata.normalize("NFKC", password)


def _encodable(text: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in text)
