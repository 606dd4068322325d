"""Keys in the form did:key: an identifier that is its own Ed25519 public key."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PREFIX: Final = "did:key:z"
_ED25519: Final = b"\xed\x01"
"""The multicodec of an Ed25519 public key. Keys of other curves have another one."""


def public_key(did: str) -> Ed25519PublicKey:
    """Return the key of a did:key; raise ``ValueError`` for any other text or curve."""
    text = did.removeprefix(_PREFIX)
    if text == did or len(text) > 64:
        raise ValueError("must be a did:key of an Ed25519 key")
    number = 0
    for letter in text:
        number = number * 58 + _ALPHABET.index(letter)
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) != 34 or not data.startswith(_ED25519):
        raise ValueError("must be a did:key of an Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(data[2:])
