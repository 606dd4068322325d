"""An x402 facilitator on loopback: it checks signatures, and "settles" in a table of its own.

It knows one token of one network, and stands for the chain as well: an authorization moves its
money once, whoever presents it. Nothing leaves this machine. In a test::

    with FakeFacilitator() as facilitator:
        facilitator.fail("cut")
        ... CREDITAPP_X402_FACILITATOR=facilitator.address ...
        assert facilitator.received(pay_to) == 3_000_000

Imports nothing of the app, and nothing of the library that the app pays by.
Source: x402 specification 2 (facilitator interface, scheme ``exact`` on EVM), EIP-712, EIP-3009.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from eth_account import Account
from eth_account.messages import encode_typed_data

from tests.fakes.http_server import FakeHandler, FakeServer

Json = dict[str, Any]

FAULTS: Final = {
    "hang": "takes the request and answers when the test ends",
    "slow": "does it, and answers late",
    "reset": "resets the connection and does nothing",
    "cut": "does it, and resets the connection instead of answering",
    "http_500": "an error of its own, after doing nothing",
    "lost_500": "does it, and answers with an error of its own",
    "refused_500": "does it, and answers 500 with a refusal",
    "redirect": "307 to somewhere else",
    "html": "does it, and answers with a web page",
    "huge": "does it, and answers with more bytes than anybody wants",
    "refuse": "the payer has too little",
    "pending": "does it, and says that it is not yet certain",
    "unexpected": "does it, and says that something unexpected happened",
    "no_transaction": "does it, and names no transaction",
    "other_network": "does it, and names another network",
    "other_payer": "does it, and names another payer",
    "same_transaction": "does it, and names the transaction before",
}

USDC: Final = "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
"""The token's address on Base Sepolia, a test network."""

HUGE: Final = 3 * 1024 * 1024

_TYPES: Final = {
    "TransferWithAuthorization": [
        {"name": "from", "type": "address"},
        {"name": "to", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "validAfter", "type": "uint256"},
        {"name": "validBefore", "type": "uint256"},
        {"name": "nonce", "type": "bytes32"},
    ]
}


@dataclass(frozen=True)
class Transfer:
    """Money that moved, in the token's smallest unit."""

    payer: str
    recipient: str
    amount: int
    transaction: str


class FakeFacilitator(FakeServer):
    """The server; as a context manager it listens inside the ``with``.

    ``remembers``: an authorization that it settled itself gets the same answer again; otherwise, as
    a plain facilitator does, it says that the nonce was used. ``token`` is what callers send as
    their bearer token, where one is asked for.
    """

    def __init__(
        self,
        *,
        chain_id: int = 84532,
        asset: str = USDC,
        name: str = "USDC",
        version: str = "2",
        remembers: bool = False,
        token: str = "",
    ) -> None:
        super().__init__(_Handler)
        self.chain_id, self.asset, self.name, self.version = chain_id, asset, name, version
        self.remembers, self.token = remembers, token
        self.calls: list[tuple[str, Json]] = []
        self.transfers: dict[tuple[str, str], Transfer] = {}
        """By payer and nonce, as the token's contract keeps them."""
        self._faults: deque[tuple[str, str, float]] = deque()

    @property
    def network(self) -> str:
        """The network's name in CAIP-2."""
        return f"eip155:{self.chain_id}"

    def fail(self, fault: str, *, at: str = "/settle", times: int = 1, seconds: float = 30) -> None:
        """Make the next ``times`` requests of a path fail; ``seconds`` bounds a wait."""
        assert fault in FAULTS, fault
        with self._lock:
            self._faults.extend([(fault, at, seconds)] * times)

    def recover(self) -> None:
        """Forget the faults that have not struck."""
        with self._lock:
            self._faults.clear()

    def count(self, path: str) -> int:
        """Return how many requests a path got."""
        return sum(called == path for called, _ in self.calls)

    def received(self, recipient: str) -> int:
        """Return what a recipient got in all."""
        to = recipient.lower()
        return sum(t.amount for t in self.transfers.values() if t.recipient == to)

    def fault_at(self, path: str) -> tuple[str, float]:
        """Return the fault that a request of this path meets, and forget it."""
        with self._lock:
            if self._faults and self._faults[0][1] == path:
                fault, _, seconds = self._faults.popleft()
                return fault, seconds
            return "", 0.0

    def reason_against(self, body: Json) -> str:
        """Return why a payment is not valid; empty if it is."""
        payment, terms = body["paymentPayload"], body["paymentRequirements"]
        authorization = payment["payload"]["authorization"]
        if payment.get("x402Version") != 2 or body.get("x402Version") != 2:
            return "invalid_x402_version"
        if terms["scheme"] != "exact" or payment["accepted"] != terms:
            return "invalid_payment_requirements"
        if terms["network"] != self.network or terms["asset"].lower() != self.asset.lower():
            return "invalid_network"
        if authorization["to"].lower() != terms["payTo"].lower():
            return "invalid_exact_evm_payload_recipient_mismatch"
        if authorization["value"] != terms["amount"]:
            return "invalid_exact_evm_payload_authorization_value"
        now = time.time()
        if int(authorization["validBefore"]) < now:
            return "invalid_exact_evm_payload_authorization_valid_before"
        if int(authorization["validAfter"]) > now:
            return "invalid_exact_evm_payload_authorization_valid_after"
        if self._signer(payment["payload"]) != authorization["from"].lower():
            return "invalid_exact_evm_payload_signature"
        if _key(authorization) in self.transfers:
            return "invalid_exact_evm_nonce_already_used"
        return ""

    def _signer(self, payload: Json) -> str:
        authorization = payload["authorization"]
        signable = encode_typed_data(
            domain_data={
                "name": self.name,
                "version": self.version,
                "chainId": self.chain_id,
                "verifyingContract": self.asset,
            },
            message_types=_TYPES,
            message_data={
                **{name: int(authorization[name]) for name in ("value", "validAfter")},
                "from": authorization["from"],
                "to": authorization["to"],
                "validBefore": int(authorization["validBefore"]),
                "nonce": bytes.fromhex(authorization["nonce"][2:]),
            },
        )
        try:
            signer: str = Account.recover_message(signable, signature=payload["signature"])
        except Exception:
            return ""  # no signature at all
        return signer.lower()

    def transfer(self, body: Json) -> Transfer | str:
        """Move the money of an authorization once; return why not, if it does not move."""
        authorization = body["paymentPayload"]["payload"]["authorization"]
        with self._lock:
            known = self.transfers.get(_key(authorization))
            if known is not None and self.remembers:
                return known
            if reason := self.reason_against(body):
                return reason
            moved = Transfer(
                payer=authorization["from"],
                recipient=authorization["to"].lower(),
                amount=int(authorization["value"]),
                transaction=f"0x{len(self.transfers) + 1:064x}",
            )
            self.transfers[_key(authorization)] = moved
            return moved


def _key(authorization: Mapping[str, str]) -> tuple[str, str]:
    return authorization["from"].lower(), authorization["nonce"].lower()


class _Handler(FakeHandler):
    def answer(self) -> None:
        fake = self.server.fake
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw else {}
        fake.calls.append((self.path, body))
        fault, seconds = fake.fault_at(self.path)
        if fault == "hang":
            fake.closing.wait(seconds)
            self.reset()
        elif fault == "reset":
            self.reset()
        elif fault == "redirect":
            self._send(307, b"", {"Location": f"{fake.address}/elsewhere"})
        elif fault == "http_500":
            self._json(500, {"error": "Internal error", "request": body})
        elif fake.token and self.headers.get("Authorization") != f"Bearer {fake.token}":
            self._json(401, {"error": "Unauthorized"})
        elif self.path == "/supported":
            self._json(200, {"kinds": [_kind(fake)], "extensions": [], "signers": {}})
        elif self.path == "/verify":
            self._verify(body, fault)
        elif self.path == "/settle":
            self._settle(body, fault, seconds)
        else:
            self._json(404, {"error": "Not found"})

    def _verify(self, body: Json, fault: str) -> None:
        payer = body["paymentPayload"]["payload"]["authorization"]["from"]
        reason = (
            "insufficient_funds" if fault == "refuse" else self.server.fake.reason_against(body)
        )
        if fault == "html":
            self._send(200, b"<html><h1>It works</h1></html>", {})
        elif reason:
            self._json(200, {"isValid": False, "invalidReason": reason, "payer": payer})
        else:
            self._json(200, {"isValid": True, "payer": payer})

    def _settle(self, body: Json, fault: str, seconds: float) -> None:
        fake = self.server.fake
        payer = body["paymentPayload"]["payload"]["authorization"]["from"]
        failed = {"success": False, "transaction": "", "network": fake.network, "payer": payer}
        moved = "insufficient_funds" if fault == "refuse" else fake.transfer(body)
        if isinstance(moved, str):
            self._json(200, {**failed, "errorReason": moved})
            return
        done = {
            "success": True,
            "transaction": moved.transaction,
            "network": fake.network,
            "payer": payer,
        }
        match fault:
            case "slow":
                fake.closing.wait(seconds)
                self._json(200, done)
            case "cut":
                self.reset()
            case "lost_500":
                self._json(500, {"error": "Internal error"})
            case "refused_500":
                self._json(500, {**failed, "errorReason": "insufficient_funds"})
            case "html":
                self._send(200, b"<html><h1>It works</h1></html>", {})
            case "huge":
                self._send(200, json.dumps(done).encode() + b" " * HUGE, {})
            case "pending":
                self._json(200, {**failed, "errorReason": "settlement_pending"})
            case "unexpected":
                self._json(200, {**failed, "errorReason": "unexpected_settle_error"})
            case "no_transaction":
                self._json(200, {**done, "transaction": ""})
            case "other_network":
                self._json(200, {**done, "network": "eip155:1"})
            case "other_payer":
                self._json(200, {**done, "payer": "0x" + "ee" * 20})
            case "same_transaction":
                self._json(200, {**done, "transaction": f"0x{1:064x}"})
            case _:
                self._json(200, done)

    def _json(self, status: int, body: Json) -> None:
        self._send(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True


def _kind(fake: FakeFacilitator) -> Json:
    return {"x402Version": 2, "scheme": "exact", "network": fake.network, "extra": {}}
