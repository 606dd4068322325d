"""Sources of credits, kinds of entries, and their public types."""

from __future__ import annotations

from typing import Final

PAID_SOURCES: Final = ("purchase", "subscription", "agent")
"""Sources of paid grants: these show as PURCHASE, pay debts, and may be transferred."""

UNPAID_SOURCES: Final = (
    "welcome",
    "free",
    "promotion",
    "referral",
    "gift",
    "transfer",
    "refund",
    "admin",
)
SOURCES: Final = PAID_SOURCES + UNPAID_SOURCES

DEFAULT_PRIORITY: Final = {
    # The lower number is spent first, and within a number what expires soonest: a plan's month
    # before a gift without expiry. Packs are paid for and never expire, so they come last.
    "welcome": 20,
    "free": 20,
    "promotion": 20,
    "referral": 20,
    "gift": 20,
    "transfer": 20,
    "refund": 20,
    "admin": 20,
    "subscription": 20,
    "purchase": 40,
    "agent": 40,
}

ACCOUNT_OF_KIND: Final = {
    "purchase": "sales",
    "grant": "promotions",
    "spend": "usage",
    "capture": "usage",
    "release": "usage",
    "refund": "usage",
    "expiry": "expiry",
    "revoke": "reversals",
    "restore": "reversals",
    "debt": "reversals",
    "transfer_out": "transfers",
    "transfer_in": "transfers",
}
"""Counter-account of each kind of entry."""

GAINING_KINDS: Final = ("purchase", "grant", "refund", "restore", "transfer_in")
NEUTRAL_KINDS: Final = ("release",)
LOSING_KINDS: Final = ("spend", "capture", "expiry", "revoke", "debt", "transfer_out")

TYPE_OF_KIND: Final = {
    "purchase": "PURCHASE",
    "grant": "CREDIT",
    "transfer_in": "CREDIT",
    "spend": "DEBIT",
    "capture": "DEBIT",
    "transfer_out": "DEBIT",
    "revoke": "DEBIT",
    "debt": "DEBIT",
    "refund": "REFUND",
    "restore": "REFUND",
    "release": "REFUND",
    "expiry": "EXPIRY",
}
"""Public type of each kind of entry."""

TYPES: Final = ("PURCHASE", "CREDIT", "DEBIT", "REFUND", "EXPIRY")


def kind_of_source(source: str) -> str:
    """Return the kind of entry that a new grant of ``source`` writes."""
    return "purchase" if source in PAID_SOURCES else "grant"
