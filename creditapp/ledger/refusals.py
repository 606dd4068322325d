"""What the ledger refuses, and the words for it."""

from __future__ import annotations

from creditapp.errors import AppError, Conflict
from creditapp.units import credits_number, credits_text


class InsufficientCredits(AppError):
    """What may pay for this is less than it costs."""

    status, code, title = 402, "insufficient_credits", "Not enough credits"

    def __init__(self, required_micro: int, balance_micro: int) -> None:
        self.required_micro = required_micro
        self.balance_micro = balance_micro
        self.shortfall_micro = required_micro - balance_micro
        super().__init__(
            f"You have {credits_text(balance_micro)} credits for this;"
            f" it needs {credits_text(required_micro)}.",
            required=credits_number(required_micro),
            balance=credits_number(balance_micro),
            shortfall=credits_number(self.shortfall_micro),
        )


class AccountFrozen(AppError):
    """The account as a whole may not spend, usually while a payment is disputed."""

    status, code, title = 403, "account_frozen", "These credits are frozen"


class ChargeSettled(Conflict):
    """The charge has already ended in another way; a charge ends once."""


class HoldExpired(Conflict):
    """The hold ended by its own clock before it was captured."""
