"""Parameters and headers of the API, each with its schema and a sentence about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from creditapp.http.documented import Documented
from creditapp.ledger.entry_types import TYPES
from creditapp.pagination import PAGE_SIZE_MAX
from creditapp.payments.subscriptions.plans import PORTAL_FLOWS
from creditapp.units import MICRO_MAX, MICRO_PER_CREDIT

HEADERS: Final = {
    "Authorization": "Bearer and the token of CREDITAPP_METRICS_TOKEN, where one is set.",
    "Idempotency-Key": "1-100 printable ASCII characters. The same key and body return the first "
    "response, with Idempotent-Replayed: true; another body returns 409.",
    "X-Max-Credits": "The most that the request may cost; above it 402 max_credits_exceeded, and "
    "nothing is charged. Of it and the body's maxCredits the smaller one counts.",
    "MCP-Protocol-Version": "The version that initialize agreed on; 2025-03-26 without it.",
    "PAYMENT-SIGNATURE": "A payment of x402 version 2 for the PAYMENT-REQUIRED of the 402.",
    "Stripe-Signature": "Stripe's signature of the raw body, at most 5 minutes old.",
    "x-openai-api-key": "In place of the stored OpenAI key, of a member who pays with own keys.",
    "x-anthropic-api-key": "In place of the stored Anthropic key, likewise.",
    "x-admin-key": "The operator's key: ADMIN_API_KEY.",
    "Prefer": "wait=N waits at most N seconds for the result, 30 by default; respond-async returns "
    "202 at once.",
}
_OF_SECURITY: Final = ("Stripe-Signature", "x-admin-key")
"""Headers that the security of an operation describes."""

ANSWER_HEADERS: Final = {
    "Idempotent-Replayed": (
        "true, where an earlier request with the same key made this.",
        "string",
    ),
    "Location": ("The address to read or to open next.", "string"),
    "PAYMENT-RESPONSE": ("How a payment of x402 was settled.", "string"),
    "Payment-Receipt": ("How a payment of the Payment scheme was settled.", "string"),
    "RateLimit-Limit": ("Requests of the nearest limit in its window.", "integer"),
    "RateLimit-Remaining": ("Requests that are left in the window.", "integer"),
    "RateLimit-Reset": ("Seconds until the window ends.", "integer"),
    "Retry-After": ("Seconds after which the same request may succeed.", "integer"),
    "WWW-Authenticate": ("How to authenticate.", "string"),
    "X-Credits-Cost": ("Credits that are charged; with 202 the most that it will be.", "number"),
    "X-Credits-Held": ("Credits held while the answer is written: the most it can cost.", "number"),
    "X-Credits-Remaining": ("Credits that a member can spend.", "number"),
    "X-Receipt": ("The receipt of a payment in this request's headers: a secret.", "string"),
    "X-Request-Id": ("The id of this request, which the log has too.", "string"),
    "X-Usage-Id": ("The id of the usage record, by which the answer can be stopped.", "string"),
}
"""Headers of answers: a sentence and a type."""

QUERY: Final = {
    "currency": "An ISO 4217 code that the packs are sold in; the catalog's currency by default.",
    "cursor": "The nextCursor of the previous page.",
    "dryRun": "1 returns the changes without making them.",
    "flow": "The part of the portal to open; without it the whole.",
    "limit": "The number of items.",
    "type": "The type of the entries; without it all.",
}
_AMOUNT: Final = {"type": "number", "exclusiveMinimum": 0, "maximum": MICRO_MAX // MICRO_PER_CREDIT}
MAX_CREDITS: Final[dict[str, Any]] = {
    "anyOf": [_AMOUNT, {"type": "null"}],
    "description": "The most that the request may cost; of it and the header X-Max-Credits the "
    "smaller one counts.",
}
"""The member of a body."""

_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "Idempotency-Key": {"minLength": 1, "maxLength": 100, "pattern": "^[ -~]+$"},
    "X-Max-Credits": _AMOUNT,
    "Prefer": {"examples": ["respond-async", "wait=5"]},
    "currency": {"examples": ["USD"]},
    "dryRun": {"enum": ["0", "1"]},
    "flow": {"enum": list(PORTAL_FLOWS)},
    "limit": {"type": "integer", "minimum": 1, "maximum": PAGE_SIZE_MAX},
    "type": {"enum": list(TYPES)},
}
"""Schemas of the parameters that are not any text."""


def parameters_of(arguments: set[str], documentation: Documented) -> Iterator[dict[str, Any]]:
    """Yield the parameters of an operation: those of its path, its query, and its headers."""
    for name in sorted(arguments):
        subject = name.removesuffix("_id").replace("_", " ")
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"The id of the {subject}.",
            "schema": {"type": "string"},
        }
    for location, names, texts in (
        ("query", documentation.query, QUERY),
        ("header", documentation.headers, HEADERS),
    ):
        for name in names:
            if name in _OF_SECURITY:
                continue
            schema = {"type": "string", **_SCHEMAS.get(name, {})}
            parameter: dict[str, Any] = {
                "name": name,
                "in": location,
                "required": False,
                "description": texts[name],
                "schema": schema,
            }
            if name == "Idempotency-Key" and documentation.requires_key:
                parameter["required"] = True
                parameter["description"] += (
                    " Required; the body's idempotencyKey may be sent in its place."
                )
            yield parameter
