"""The ways to pay that the sandbox plays, and what each of them does."""

from __future__ import annotations

from dataclasses import dataclass

SOON_SECONDS = 10

Failure = tuple[str, str]
"""A code of Stripe's and its words."""

DECLINED: Failure = ("card_declined", "Your card was declined.")
AUTHENTICATION_REQUIRED: Failure = (
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)
NOT_AUTHENTICATED: Failure = (
    "payment_intent_authentication_failure",
    "The bank did not confirm that it is you. Try again, or choose another card.",
)
BOUNCED: Failure = ("payment_intent_payment_attempt_failed", "The bank returned the debit.")


@dataclass(frozen=True)
class Means:
    """One way to pay that the pages offer, and what comes of it."""

    key: str
    name: str
    outcome: str
    number: str = ""
    method: str = "card"
    asks: bool = False
    """Whether the bank asks for one more step while the owner is there."""
    later: Failure | None = None
    """How it fails when it is charged without its owner: at a renewal."""


MEANS = (
    Means("succeeds", "4242 4242 4242 4242", "The payment succeeds.", "4242424242424242"),
    Means(
        "declined",
        "4000 0000 0000 0002",
        "The card is declined.",
        "4000000000000002",
        later=DECLINED,
    ),
    Means(
        "further-step",
        "4000 0000 0000 3220",
        "The bank asks for one more step.",
        "4000000000003220",
        asks=True,
    ),
    Means(
        "declined-later",
        "4000 0000 0000 0341",
        "Works now, is declined at the next renewal.",
        "4000000000000341",
        later=DECLINED,
    ),
    Means(
        "asks-each-time",
        "4000 0027 6000 3184",
        "The bank asks for one more step each time, so it fails when you are not there.",
        "4000002760003184",
        asks=True,
        later=AUTHENTICATION_REQUIRED,
    ),
    Means(
        "pays-later",
        "Bank debit, decided by you",
        "The money comes later: say on the sandbox's overview whether it arrives.",
        method="us_bank_account",
    ),
    Means(
        "pays-soon",
        "Bank debit, arrives by itself",
        f"The money comes after {SOON_SECONDS} seconds.",
        method="us_bank_account",
    ),
)

_BY_NUMBER = {means.number: means for means in MEANS if means.number}


def failure_later(number: str) -> Failure | None:
    """Return how a saved card fails when it is charged without its owner, or None."""
    return _BY_NUMBER[number].later
