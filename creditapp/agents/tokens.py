"""Payment request tokens and receipts: the signed texts that agents carry.

Their shapes are those of the Agent Commerce Kit (npm ``agentcommercekit``). Both are made from
stored facts alone, so the same row gives the same text again and neither has to be stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.types import Options

from creditapp.agents import did_key
from creditapp.agents.identity import ALGORITHM, Identity
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.refusals import (
    ReceiptExpired,
    ReceiptInvalid,
    UnknownPaymentRequest,
    UntrustedReceiptIssuer,
)

TOKEN_CHARACTERS_MAX: Final = 16_384
_CREDENTIAL: Final = "https://www.w3.org/2018/credentials/v1"
_TYPES: Final = ["VerifiableCredential", "PaymentReceiptCredential"]
_CHECKS: Final[Options] = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_sub": False,
}


@dataclass(frozen=True)
class ReceiptClaims:
    """The statements of a receipt whose signature is a trusted issuer's."""

    issuer: str
    token: str
    option_id: str
    payer: str | None


@dataclass(frozen=True)
class PaymentProof:
    """The token of a payment request of which somebody says that it is paid."""

    token: str
    option_id: str | None
    payer: str | None = None
    """The did:key that signed this."""


def describe(request: PaymentRequest, site_url: str) -> dict[str, Any]:
    """Return a payment request as its token names it."""
    noun = "credit" if request.count == 1 else "credits"
    return {
        "id": request.id,
        "description": f"Purchase of {request.count} image generation {noun}",
        "serviceCallback": f"{site_url}/api/images/generate",
        "expiresAt": _iso(request.expires_at),
        "paymentOptions": request.options,
    }


def payment_request_token(identity: Identity, request: PaymentRequest, site_url: str) -> str:
    """Return the signed token of a payment request; ``exp`` is what programs enforce.

    A stored request gets the token that it had, also after the key that signs was changed.
    """
    claims = {
        "iat": int(request.created_at.timestamp()),
        "exp": int(request.expires_at.timestamp()),
        **describe(request, site_url),
        "sub": request.id,
    }
    return identity.sign_again(claims, request.token_sha256)


def digest(token: str) -> str:
    """Return the digest of a token by which its row recognises it."""
    return hashlib.sha256(token.encode()).hexdigest()


def request_id_of(identity: Identity, token: str) -> str:
    """Return the id of the payment request of a token that this site signed, expired or not.

    Raises ``UnknownPaymentRequest``.
    """
    try:
        claims = _decode(token, *identity.public_keys)
    except jwt.InvalidTokenError:
        raise UnknownPaymentRequest("This is no payment request of this server.") from None
    request_id = claims.get("id")
    if claims.get("iss") != identity.did or not isinstance(request_id, str):
        raise UnknownPaymentRequest("This is no payment request of this server.")
    return request_id


def receipt(identity: Identity, settlement: Settlement, token: str) -> str:
    """Return the receipt of a settlement: a bearer secret, which nothing may log."""
    subject = {"sub": settlement.payer} if settlement.payer else {}
    return identity.sign(
        {
            "vc": {
                "@context": [_CREDENTIAL],
                "type": _TYPES,
                "credentialSubject": {
                    "paymentRequestToken": token,
                    "paymentOptionId": settlement.option_id,
                    "metadata": {
                        "rail": settlement.rail,
                        "reference": settlement.ref,
                        "livemode": settlement.livemode,
                    },
                },
            },
            **subject,
            "nbf": int(settlement.created_at.timestamp()),
            "exp": int(settlement.expires_at.timestamp()),
        }
    )


def read_receipt(
    identity: Identity, text: str, trusted: tuple[str, ...], *, now: datetime
) -> ReceiptClaims:
    """Return the claims of a receipt of this site or of a ``trusted`` issuer, a did:key.

    Raises ``ReceiptInvalid``, ``UntrustedReceiptIssuer`` or ``ReceiptExpired``.
    """
    claims = _decode_receipt(text, _keys_of_issuer(identity, text, trusted))
    for name in ("exp", "nbf"):
        if not isinstance(claims.get(name, 0), int):
            raise ReceiptInvalid("The receipt's times are no numbers.")
    moment = now.timestamp()
    if claims.get("exp", moment + 1) <= moment:
        raise ReceiptExpired("This receipt has ended, and its credits with it.")
    if claims.get("nbf", 0) > moment + 60:
        raise ReceiptInvalid("This receipt is not valid yet.")
    return _read_claims(claims)


def read_payment_proof(text: str) -> PaymentProof:
    """Return what a payer signed with the key of a did:key; raise ``ReceiptInvalid``."""
    try:
        issuer = str(_unverified(text).get("iss"))
        claims = _decode(text, did_key.public_key(issuer))
    except (jwt.InvalidTokenError, ValueError):
        raise ReceiptInvalid(
            "Sign the payload (EdDSA) with the Ed25519 key of a did:key."
        ) from None
    token, option_id = claims.get("paymentRequestToken"), claims.get("paymentOptionId")
    if not isinstance(token, str) or not isinstance(option_id, str | None):
        raise ReceiptInvalid("The payload names no payment request.")
    return PaymentProof(token, option_id, issuer)


def _keys_of_issuer(
    identity: Identity, text: str, trusted: tuple[str, ...]
) -> tuple[Ed25519PublicKey, ...]:
    """Return the keys of which one must have signed a receipt, by the issuer that it names."""
    try:
        issuer = _unverified(text).get("iss")
    except jwt.InvalidTokenError:
        raise ReceiptInvalid("This is not a receipt.") from None
    if issuer == identity.did:
        return identity.public_keys
    if issuer in trusted:
        return (did_key.public_key(issuer),)
    raise UntrustedReceiptIssuer("Receipts are issued by this server after a payment.")


def _decode_receipt(text: str, keys: tuple[Ed25519PublicKey, ...]) -> dict[str, Any]:
    try:
        return _decode(text, *keys)
    except jwt.InvalidTokenError:
        raise ReceiptInvalid("The receipt's signature does not match.") from None


def _decode(token: str, key: Ed25519PublicKey, *other_keys: Ed25519PublicKey) -> dict[str, Any]:
    """Return the claims of a text that one of the keys signed.

    Our own clock decides about its times.
    """
    _check_text(token)
    try:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[ALGORITHM], options=_CHECKS)
    except jwt.InvalidSignatureError:
        if not other_keys:
            raise
        return _decode(token, *other_keys)
    return claims


def _unverified(token: str) -> dict[str, Any]:
    _check_text(token)
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def _check_text(token: str) -> None:
    if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise jwt.InvalidTokenError("too long, or no text of a token")


def _read_claims(claims: dict[str, Any]) -> ReceiptClaims:
    credential = claims.get("vc")
    subject = credential.get("credentialSubject") if isinstance(credential, dict) else None
    types = credential.get("type") if isinstance(credential, dict) else None
    if not isinstance(subject, dict) or not isinstance(types, list) or _TYPES[1] not in types:
        raise ReceiptInvalid("This is no receipt of a payment.")
    token, option_id = subject.get("paymentRequestToken"), subject.get("paymentOptionId")
    payer = claims.get("sub")
    if not isinstance(token, str) or not isinstance(option_id, str):
        raise ReceiptInvalid("This receipt names no payment.")
    return ReceiptClaims(claims["iss"], token, option_id, payer if isinstance(payer, str) else None)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
