"""Refusals of the ledger, with their status, code and words."""

from __future__ import annotations

from creditapp.errors import AppError, Conflict
from creditapp.ledger.charges import Budget
from creditapp.units import MICRO_PER_CREDIT, credits_number, credits_text


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


class BudgetExceeded(AppError):
    """The budget of an API key has less left than this costs."""

    status, code, title = 402, "budget_exceeded", "The budget is used up"

    def __init__(self, required_micro: int, left_micro: int, budget: Budget) -> None:
        self.left_micro = left_micro
        again = ""
        if budget.resets_at is not None:
            again = f" It begins anew on {budget.resets_at:%Y-%m-%d} at midnight (UTC)."
        super().__init__(
            f"This API key's budget of {credits_text(budget.limit_micro)} credits has"
            f" {credits_text(left_micro)} left; this needs {credits_text(required_micro)}.{again}",
            required=credits_number(required_micro),
            limit=credits_number(budget.limit_micro),
            resetAt=budget.resets_at,
        )


class MaxCreditsExceeded(AppError):
    """The request costs more than it allows by ``maxCredits``."""

    status, code, title = 402, "max_credits_exceeded", "This costs more than you allow"

    def __init__(self, required_micro: int, limit_micro: int) -> None:
        unit = "credit" if required_micro == MICRO_PER_CREDIT else "credits"
        super().__init__(
            f"This costs {credits_text(required_micro)} {unit}, and the request allows"
            f" {credits_text(limit_micro)}. Nothing was charged.",
            required=credits_number(required_micro),
            limit=credits_number(limit_micro),
            resetAt=None,
        )


class AccountFrozen(AppError):
    """The whole account is frozen, usually while a payment is disputed."""

    status, code, title = 403, "account_frozen", "These credits are frozen"


class ChargeSettled(Conflict):
    """The charge has ended in another way; a charge ends once."""


class HoldExpired(Conflict):
    """The hold expired before it was captured."""
