"""The server's own identity: a did:web, and the Ed25519 key that signs tokens and receipts."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM: Final = "EdDSA"
"""The only one: ``none``, and keys of other curves, are never accepted."""


class Identity:
    """The DID of this site, the key that signs, and keys of before, which still verify."""

    def __init__(self, site_url: str, key: str, previous_keys: Sequence[str] = ()) -> None:
        """Each key is 32 bytes in base64url."""
        self.did = f"did:web:{quote(urlsplit(site_url).netloc, safe='.-')}"
        self._private_keys = [_private_key(each) for each in (key, *previous_keys)]
        self.public_keys = tuple(each.public_key() for each in self._private_keys)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT of ``claims``, issued by this site. The same claims give the same text."""
        return self._sign(claims, self._private_keys[0])

    def sign_again(self, claims: Mapping[str, Any], sha256: str) -> str:
        """Return the JWT with a digest, whichever key signed it; without one, a new JWT."""
        texts = [self._sign(claims, each) for each in self._private_keys]
        same = (each for each in texts if hashlib.sha256(each.encode()).hexdigest() == sha256)
        return next(same, texts[0])

    def _sign(self, claims: Mapping[str, Any], key: Ed25519PrivateKey) -> str:
        return jwt.encode({**claims, "iss": self.did}, key, ALGORITHM)

    def did_document(self) -> dict[str, Any]:
        """Return the document with which others verify what this site signed."""
        methods = [
            {
                "id": f"{self.did}#jwk-{number}",
                "type": "JsonWebKey2020",
                "controller": self.did,
                "publicKeyJwk": {"kty": "OKP", "crv": "Ed25519", "x": _encoded(key)},
            }
            for number, key in enumerate(self.public_keys, 1)
        ]
        key_ids = [method["id"] for method in methods]
        return {
            "@context": [
                "https://www.w3.org/ns/did/v1",
                "https://w3id.org/security/suites/jws-2020/v1",
            ],
            "id": self.did,
            "verificationMethod": methods,
            "authentication": key_ids,
            "assertionMethod": key_ids,
        }


def _private_key(text: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _encoded(key: Ed25519PublicKey) -> str:
    return urlsafe_b64encode(key.public_bytes_raw()).rstrip(b"=").decode()
