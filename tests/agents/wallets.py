"""Wallets of tests, which sign authorizations for x402 and MPP without the app's library."""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from werkzeug.test import TestResponse

Json = dict[str, Any]

PAY_TO = "0x2222222222222222222222222222222222222222"
"""The address that the shop of tests is paid at."""

_TYPES = {
    "TransferWithAuthorization": [
        {"name": "from", "type": "address"},
        {"name": "to", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "validAfter", "type": "uint256"},
        {"name": "validBefore", "type": "uint256"},
        {"name": "nonce", "type": "bytes32"},
    ]
}


class Wallet:
    """A payer's key. ``changes`` of a payment are signed as they are, to see them refused."""

    def __init__(self, key: str = "0x" + "11" * 32) -> None:
        self.account = Account.from_key(key)

    def x402(
        self,
        challenge: TestResponse,
        *,
        identifier: str | None = None,
        accepted: Json | None = None,
        **changes: str,
    ) -> str:
        """Return a ``PAYMENT-SIGNATURE`` for a 402."""
        required = x402_challenge(challenge)
        terms = {**required["accepts"][0], **(accepted or {})}
        extensions = required["extensions"]
        if identifier is not None:
            extensions["payment-identifier"]["info"]["id"] = identifier
        authorization = {**self._authorization(terms), **changes}
        payment = {
            "x402Version": 2,
            "accepted": terms,
            "payload": {
                "authorization": authorization,
                "signature": self._sign(authorization, terms),
            },
            "resource": required["resource"],
            "extensions": extensions,
        }
        return encode(payment)

    def mpp(self, challenge: TestResponse, **changes: str) -> str:
        """Return an ``Authorization: Payment`` for a 402."""
        parts = mpp_challenge(challenge)
        request = json.loads(_unpadded(parts["request"]))
        chain_id = request["methodDetails"]["chainId"]
        terms = {
            "payTo": request["recipient"],
            "amount": request["amount"],
            "network": f"eip155:{chain_id}",
            "asset": request["currency"],
            "extra": {"name": "USDC", "version": "2"},
        }
        bound = json.dumps([parts["id"], parts["realm"]], separators=(",", ":"))
        authorization = {
            **self._authorization(terms),
            "nonce": "0x" + keccak(text=bound).hex(),
            **changes,
        }
        credential = {
            "challenge": parts,
            "payload": {
                "type": "authorization",
                **authorization,
                "signature": self._sign(authorization, terms),
            },
            "source": f"did:pkh:eip155:{chain_id}:{self.account.address}",
        }
        text = urlsafe_b64encode(json.dumps(credential).encode()).decode().rstrip("=")
        return f"Payment {text}"

    def _authorization(self, terms: Json) -> dict[str, str]:
        return {
            "from": self.account.address,
            "to": terms["payTo"],
            "value": terms["amount"],
            "validAfter": "0",
            "validBefore": str(int(time.time()) + 300),
            "nonce": "0x" + secrets.token_hex(32),
        }

    def _sign(self, authorization: Json, terms: Json) -> str:
        signable = encode_typed_data(
            domain_data={
                "name": terms["extra"]["name"],
                "version": terms["extra"]["version"],
                "chainId": int(terms["network"].partition(":")[2]),
                "verifyingContract": terms["asset"],
            },
            message_types=_TYPES,
            message_data={
                "from": authorization["from"],
                "to": authorization["to"],
                "value": int(authorization["value"]),
                "validAfter": int(authorization["validAfter"]),
                "validBefore": int(authorization["validBefore"]),
                "nonce": bytes.fromhex(authorization["nonce"][2:]),
            },
        )
        return "0x" + bytes(self.account.sign_message(signable).signature).hex()


def x402_challenge(challenge: TestResponse) -> Json:
    """Return what ``PAYMENT-REQUIRED`` says."""
    return decode(challenge.headers["PAYMENT-REQUIRED"])


def mpp_challenge(challenge: TestResponse) -> Json:
    """Return the parameters of ``WWW-Authenticate: Payment``."""
    scheme, _, parts = challenge.headers["WWW-Authenticate"].partition(" ")
    assert scheme == "Payment"
    pairs = (part.partition("=") for part in parts.split(", "))
    return {name: value.strip('"') for name, _, value in pairs}


def encode(payment: Json) -> str:
    """Return a header of x402."""
    return b64encode(json.dumps(payment).encode()).decode()


def decode(header: str) -> Json:
    """Return what a header of x402 says."""
    decoded: Json = json.loads(b64decode(header))
    return decoded


def _unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
