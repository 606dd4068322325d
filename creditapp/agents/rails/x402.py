"""x402 v2: ``PAYMENT-REQUIRED``, ``PAYMENT-SIGNATURE`` and ``PAYMENT-RESPONSE``.

Source: x402 specification 2 with its HTTP transport, the scheme ``exact`` on EVM networks, and the
extension ``payment-identifier``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from creditapp.agents.rails.claims import Claim
from creditapp.agents.rails.evm import EvmRail, check_length, fingerprint, read_opaque
from creditapp.agents.rails.rail import Payment
from creditapp.agents.refusals import PaymentRefused

IDENTIFIER: Final = "payment-identifier"
"""The extension by which a payer names a payment, as with an ``Idempotency-Key``."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")

_DECLARED: Final[dict[str, Any]] = {
    "info": {"required": False},
    "schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "required": {"type": "boolean"},
            "id": {"type": "string", "minLength": 16, "maxLength": 128},
        },
        "required": ["required"],
    },
}


class X402Rail(EvmRail):
    """Takes the payments of x402 clients, version 2."""

    name = "x402"
    header = "payment-signature"

    def challenge_of(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return ``PAYMENT-REQUIRED``, with the extension that names payments."""
        from mpp.x402 import decode_payment_required, encode_payment_required

        required = decode_payment_required(headers["PAYMENT-REQUIRED"])
        required["extensions"] = {**required.get("extensions", {}), IDENTIFIER: _DECLARED}
        return {"PAYMENT-REQUIRED": encode_payment_required(required)}

    def read_payment(self, headers: Mapping[str, str]) -> Payment | None:
        """Return the payment of ``PAYMENT-SIGNATURE``; raise ``PaymentRefused`` for garbage."""
        if "x-payment" in headers:
            raise PaymentRefused("Version 1 of x402 is not taken here: send PAYMENT-SIGNATURE.")
        value = headers.get(self.header)
        if value is None:
            return None
        from mpp.x402 import InvalidHeaderError, decode_payment_signature

        check_length(value, "PAYMENT-SIGNATURE")
        try:
            payment = decode_payment_signature(value)
        except InvalidHeaderError:
            raise PaymentRefused("PAYMENT-SIGNATURE is no payment of x402 version 2.") from None
        authorization = payment["payload"].get("authorization")
        if not isinstance(authorization, dict):
            raise PaymentRefused("PAYMENT-SIGNATURE holds no EIP-3009 authorization.")
        extensions = payment.get("extensions") or {}
        return Payment(
            rail=self.name,
            request_id=read_opaque(extensions.get("mppx", {}).get("info", {}).get("opaque")),
            fingerprint=fingerprint(authorization),
            idempotency_key=_identifier(extensions),
        )

    def receipt_headers(self, claim: Claim) -> Mapping[str, str]:
        """Return ``PAYMENT-RESPONSE``."""
        from mpp.x402 import encode_payment_response

        assert claim.reference is not None
        response = encode_payment_response(
            {
                "success": True,
                "transaction": claim.reference,
                "network": claim.network,
                "payer": claim.payer,
            }
        )
        return {"PAYMENT-RESPONSE": response}


def _identifier(extensions: Mapping[str, Any]) -> str | None:
    """Return the payer's name of the payment, or None; raise ``PaymentRefused`` for a bad one."""
    identifier = extensions.get(IDENTIFIER, {}).get("info", {}).get("id")
    if identifier is None:
        return None
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        raise PaymentRefused("A payment identifier is 16-128 letters, digits, - or _.")
    return identifier
