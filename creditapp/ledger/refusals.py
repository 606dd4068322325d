"""Refusals of the ledger, with their status, code and words."""

from __future__ import annotations

from creditapp.errors import AppError, Conflict
from creditapp.units import credits_number, credits_text


class InsufficientCredits(AppError):
    """The balance that may pay for this is smaller than its cost."""

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
    """The whole account is frozen, usually while a payment is disputed."""

    status, code, title = 403, "account_frozen", "These credits are frozen"


class ChargeSettled(Conflict):
    """The charge has ended in another way; a charge ends once."""


class HoldExpired(Conflict):
    """The hold expired before it was captured."""
