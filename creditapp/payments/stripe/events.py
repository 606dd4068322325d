"""Webhook events: verified by their signature, and read for the objects that they name."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from creditapp.errors import MalformedRequest
from creditapp.payments.stripe.connection import StripeConnection
from creditapp.payments.stripe.parsing import id_of
from creditapp.payments.stripe.records import STRIPE_ID_LENGTH

SIGNATURE_TOLERANCE_SECONDS = 300
"""How far a webhook's timestamp may differ from our clock, in either direction."""

_STORABLE = re.compile(rf"[!-~]{{1,{STRIPE_ID_LENGTH}}}")
_PURCHASE_ID = re.compile(r"pur_[0-9a-z]{20,36}")
_PAYMENT_REQUEST_ID = re.compile(r"prq_[0-9a-z]{20,36}")

_NOT_AN_EVENT = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,  # a time in no calendar
    OSError,  # a time that the system's clock cannot express
    RecursionError,  # JSON nested thousands deep
)


class SignatureInvalid(MalformedRequest):
    """The webhook was not signed by Stripe for us, or its signature is too old."""

    title = "The signature does not match"


@dataclass(frozen=True)
class Event:
    """A verified webhook event: it only names the objects to sync."""

    id: str
    type: str
    created_at: datetime
    livemode: bool
    object_id: str
    purchase_id: str | None
    """From the object's metadata, unless another application wrote it."""
    payment_request_id: str | None
    """An agent's, likewise."""
    payment_intent_id: str | None
    subscription_id: str | None
    """Of an event of a subscription or of one of its invoices."""


class StripeWebhooks(StripeConnection):
    """Webhooks, verified with the secret of their endpoint."""

    def verify_webhook(self, raw_body: bytes, signature_header: str | None) -> Event:
        """Verify the signature over the raw bytes and return the event.

        Raises ``SignatureInvalid``. An empty secret verifies against an empty key, which anyone
        can forge, so without a secret every webhook is refused. Stripe's SDK accepts any future
        timestamp; here it must be within the tolerance too, or a signature could be made to last
        for as long as its forger likes.
        """
        if not self.webhook_secret or not signature_header:
            raise SignatureInvalid("The webhook is not signed, or no secret is set to check it.")
        if not signature_header.isascii():  # the SDK compares strings, and only ASCII ones
            raise SignatureInvalid("The webhook's signature does not match its body.")
        _refuse_other_times(signature_header)
        import stripe

        try:
            stripe.WebhookSignature.verify_header(
                raw_body, signature_header, self.webhook_secret, SIGNATURE_TOLERANCE_SECONDS
            )
        except (stripe.SignatureVerificationError, ValueError, IndexError):
            raise SignatureInvalid("The webhook's signature does not match its body.") from None
        try:
            return _read_event(json.loads(raw_body))
        except _NOT_AN_EVENT:
            raise SignatureInvalid(
                "The webhook is signed, but it is not a snapshot event."
            ) from None


def _refuse_other_times(signature_header: str) -> None:
    """Raise ``SignatureInvalid`` for a timestamp outside the tolerance, before any hashing."""
    try:
        signed_at = int(
            next(part[2:] for part in signature_header.split(",") if part.startswith("t="))
        )
    except (StopIteration, ValueError):
        raise SignatureInvalid("The webhook's signature has no timestamp.") from None
    # Whole numbers, because a long one fits in no float.
    if abs(int(time.time()) - signed_at) > SIGNATURE_TOLERANCE_SECONDS:
        raise SignatureInvalid("The webhook was signed at another time.")


def _read_event(body: Any) -> Event:
    event_type, data = body["type"], body["data"]["object"]
    metadata = data.get("metadata") or {}
    purchase_id = metadata.get("purchase_id") or ""
    request_id = metadata.get("payment_request_id") or ""
    subscription_id = None
    if event_type.startswith("customer.subscription."):
        subscription_id = data.get("id")
    elif event_type.startswith("invoice."):
        details = (data.get("parent") or {}).get("subscription_details") or {}
        subscription_id = id_of(details.get("subscription"))
    return Event(
        id=_checked(body["id"]),
        type=_checked(event_type)[:80],
        created_at=datetime.fromtimestamp(body["created"], UTC),
        livemode=bool(body["livemode"]),
        object_id=_optional_id(data.get("id")) or "",
        purchase_id=purchase_id if _PURCHASE_ID.fullmatch(purchase_id) else None,
        payment_request_id=request_id if _PAYMENT_REQUEST_ID.fullmatch(request_id) else None,
        payment_intent_id=_optional_id(id_of(data.get("payment_intent"))),
        subscription_id=_optional_id(subscription_id),
    )


def _optional_id(value: object) -> str | None:
    return _checked(value) if value else None


def _checked(value: object) -> str:
    """Return an id or a type; raise ``ValueError`` for what no column can store."""
    if not isinstance(value, str) or not _STORABLE.fullmatch(value):
        raise ValueError("not an id of Stripe's")
    return value
