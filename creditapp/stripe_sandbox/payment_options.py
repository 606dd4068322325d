"""Payment options of the sandbox: test cards and bank debits, and the outcome of each."""

from __future__ import annotations

from dataclasses import dataclass

BANK_DEBIT_SECONDS = 10

Failure = tuple[str, str]
"""Stripe's error code and its message."""

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
class PaymentOption:
    """One payment option on the pages, and its outcome."""

    key: str
    name: str
    outcome: str
    number: str = ""
    method: str = "card"
    requires_action: bool = False
    """Whether the bank asks for authentication while the customer is present."""
    off_session_failure: Failure | None = None
    """The failure when it is charged off session, for example at a renewal; None: it succeeds."""


PAYMENT_OPTIONS = (
    PaymentOption("succeeds", "4242 4242 4242 4242", "The payment succeeds.", "4242424242424242"),
    PaymentOption(
        "declined",
        "4000 0000 0000 0002",
        "The card is declined.",
        "4000000000000002",
        off_session_failure=DECLINED,
    ),
    PaymentOption(
        "further-step",
        "4000 0000 0000 3220",
        "The bank asks for one more step.",
        "4000000000003220",
        requires_action=True,
    ),
    PaymentOption(
        "declined-later",
        "4000 0000 0000 0341",
        "Succeeds now, is declined at the next renewal.",
        "4000000000000341",
        off_session_failure=DECLINED,
    ),
    PaymentOption(
        "asks-each-time",
        "4000 0027 6000 3184",
        "The bank asks for one more step each time, so it fails when you are not there.",
        "4000002760003184",
        requires_action=True,
        off_session_failure=AUTHENTICATION_REQUIRED,
    ),
    PaymentOption(
        "pays-later",
        "Bank debit, decided by you",
        "The payment settles later: choose the outcome on the sandbox's overview.",
        method="us_bank_account",
    ),
    PaymentOption(
        "pays-soon",
        "Bank debit, succeeds automatically",
        f"The payment succeeds after {BANK_DEBIT_SECONDS} seconds.",
        method="us_bank_account",
    ),
)

_BY_NUMBER = {option.number: option for option in PAYMENT_OPTIONS if option.number}


def off_session_failure(number: str) -> Failure | None:
    """Return the failure of a saved card when it is charged off session, or None."""
    return _BY_NUMBER[number].off_session_failure
