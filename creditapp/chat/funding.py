"""Funding of a call: a hold of the worst case, as far as the balance affords it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp import ledger
from creditapp.accounts import Member
from creditapp.catalog import Catalog, affordable_output_tokens, worst_token_cost_micro
from creditapp.catalog.models import LanguageModel
from creditapp.chat.providers import ChatMessage
from creditapp.chat.usage import input_estimate, input_most

OUTPUT_TOKENS_LEAST: Final = 16
"""An answer that the balance cuts shorter than this is not begun."""
TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Hold:
    """Credits set aside, and the longest answer that they pay for."""

    charge: ledger.Charge
    max_output_tokens: int


def hold(
    connection: Connection,
    by: Member,
    catalog: Catalog,
    model: LanguageModel,
    messages: Sequence[ChatMessage],
    charge: ledger.NewCharge,
    *,
    now: datetime,
    output_tokens_max: int | None = None,
) -> Hold:
    """Hold what the call can cost at most, or all that may pay for it if that is less.

    The answer's length is cut to ``output_tokens_max``, and to what the balance, the API key's
    budget and ``max_micro`` pay for. ``charge`` has everything but the amount. Raises
    ``InsufficientCredits`` below the catalog's minimum, or where not even a short answer is paid
    for, likewise ``BudgetExceeded`` and ``MaxCreditsExceeded``, and ``AccountFrozen``; a refusal
    writes nothing.
    """
    wallet_id = by.wallet_id or ledger.ensure_wallet(connection, "user", by.id, now=now)
    longest = model.max_output_tokens if output_tokens_max is None else output_tokens_max
    least_micro = _least_micro(catalog, model, messages, longest)
    balance_micro = ledger.spendable(connection, wallet_id, charge.operation, now=now)
    if charge.max_micro is not None and charge.max_micro >= least_micro:
        balance_micro = min(balance_micro, charge.max_micro)
    for remaining_tries in reversed(range(TRIES)):
        # Below the minimum, the ledger refuses the minimum itself and says what is there.
        affordable_micro = max(balance_micro, least_micro)
        output_tokens = affordable_output_tokens(
            catalog,
            model,
            input_tokens=input_estimate(model, messages),
            balance_micro=affordable_micro,
        )
        output_tokens = min(output_tokens, longest)
        worst_micro = worst_token_cost_micro(
            catalog, model, input_tokens=input_most(model, messages), output_tokens=output_tokens
        )
        amount_micro = min(affordable_micro, max(worst_micro, 1))
        if balance_micro < least_micro:
            amount_micro = least_micro
        try:
            held = ledger.hold(
                connection, wallet_id, replace(charge, amount_micro=amount_micro), now=now
            )
        except ledger.BudgetExceeded as refusal:
            # The answer is cut to what the key's budget has left.
            if refusal.left_micro < least_micro or not remaining_tries:
                raise
            balance_micro = min(balance_micro, refusal.left_micro)
        except ledger.InsufficientCredits as refusal:
            # Another request of the member has spent in between.
            if refusal.balance_micro < least_micro or not remaining_tries:
                raise
            balance_micro = refusal.balance_micro
        else:
            return Hold(held, output_tokens)
    raise AssertionError("the last try returns or raises")


def _least_micro(
    catalog: Catalog, model: LanguageModel, messages: Sequence[ChatMessage], longest: int
) -> int:
    """Return the balance below which the call is refused."""
    shortest = worst_token_cost_micro(
        catalog,
        model,
        input_tokens=input_estimate(model, messages),
        output_tokens=min(OUTPUT_TOKENS_LEAST, model.max_output_tokens, longest),
    )
    return max(shortest, catalog.token_minimum_micro)
