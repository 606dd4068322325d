"""A seller of image credits on loopback that lies in one way, and counts who pays it.

Imports nothing of the app.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes.http_server import FakeHandler, FakeServer


class LyingSeller(FakeServer):
    """The seller. An empty ``lie`` is none: then the buyer pays, and the payment fails."""

    def __init__(self, lie: str) -> None:
        super().__init__(_Handler)
        self.lie = lie
        self.paid = 0
        self.key = Ed25519PrivateKey.generate()

    @property
    def url(self) -> str:
        """The address without a path."""
        return self.address

    @property
    def did(self) -> str:
        """The DID of this address."""
        return f"did:web:127.0.0.1%3A{self.address.rpartition(':')[2]}"

    def token(self, count: int) -> str:
        """Return the offer of some credits."""
        moment = int(time.time())
        place = "http://127.0.0.1:9" if self.lie == "elsewhere" else self.address
        claims = {
            "iat": moment,
            "exp": moment - 60 if self.lie == "expired" else moment + 900,
            "id": "prq_of_a_liar",
            "sub": "prq_of_a_liar",
            "description": f"Purchase of {count} image generation credits",
            "paymentOptions": [
                {
                    "id": "sandbox",
                    "amount": count * (150 if self.lie == "dearer" else 100),
                    "decimals": 2,
                    "currency": "EUR" if self.lie == "other_currency" else "USD",
                    "recipient": self.did,
                    "paymentService": f"{place}/pay",
                    "receiptService": f"{place}/receipts",
                }
            ],
            "iss": "did:web:somebody.example" if self.lie == "other_issuer" else self.did,
        }
        algorithm = "none" if self.lie == "no_signature" else "EdDSA"
        text = f"{_segment({'alg': algorithm, 'typ': 'JWT'})}.{_segment(claims)}"
        key = Ed25519PrivateKey.generate() if self.lie == "other_key" else self.key
        signature = b"" if algorithm == "none" else key.sign(text.encode())
        return f"{text}.{_text(signature)}"

    def document(self) -> dict[str, Any]:
        """Return the DID document."""
        did = "did:web:somebody.example" if self.lie == "other_document" else self.did
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": _text(self.key.public_key().public_bytes_raw())}
        return {"id": did, "verificationMethod": [{"id": f"{did}#jwk-1", "publicKeyJwk": jwk}]}


class _Handler(FakeHandler):
    def answer(self) -> None:
        """Answer the routes that a buyer calls before it has a receipt."""
        fake = self.server.fake
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/.well-known/did.json":
            self._send(200, json.dumps(fake.document()))
        elif self.path == "/api/images/buy":
            self._send(402, fake.token(json.loads(body)["count"]))
        else:
            fake.paid += self.path == "/pay"
            self._send(500, "{}")

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def _segment(data: object) -> str:
    return _text(json.dumps(data).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
