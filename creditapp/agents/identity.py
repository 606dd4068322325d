"""The server's own identity: a did:web, and the Ed25519 key that signs tokens and receipts."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHM: Final = "EdDSA"
"""The only one: ``none``, and keys of other curves, are never accepted."""


class Identity:
    """The DID of this site, and its key."""

    def __init__(self, site_url: str, key: str) -> None:
        """``key`` is 32 bytes in base64url."""
        self.did = f"did:web:{quote(urlsplit(site_url).netloc, safe='.-')}"
        self._private_key = Ed25519PrivateKey.from_private_bytes(
            urlsafe_b64decode(key + "=" * (-len(key) % 4))
        )
        self.public_key = self._private_key.public_key()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT of ``claims``, issued by this site. The same claims give the same text."""
        return jwt.encode({**claims, "iss": self.did}, self._private_key, ALGORITHM)

    def did_document(self) -> dict[str, Any]:
        """Return the document with which others verify what this site signed."""
        key_id = f"{self.did}#jwk-1"
        x = urlsafe_b64encode(self.public_key.public_bytes_raw()).rstrip(b"=").decode()
        return {
            "@context": [
                "https://www.w3.org/ns/did/v1",
                "https://w3id.org/security/suites/jws-2020/v1",
            ],
            "id": self.did,
            "verificationMethod": [
                {
                    "id": key_id,
                    "type": "JsonWebKey2020",
                    "controller": self.did,
                    "publicKeyJwk": {"kty": "OKP", "crv": "Ed25519", "x": x},
                }
            ],
            "authentication": [key_id],
            "assertionMethod": [key_id],
        }
