"""The verbs of the state machine, its refusals, and all that a run of it must have met."""

from __future__ import annotations

from creditapp import ledger

EXPECTED = {
    "grant", "grant repeated", "grant pays debt", "spend", "spend refused: insufficient",
    "spend refused: frozen", "spend replayed", "spend key reused", "hold",
    "hold refused: insufficient", "hold refused: frozen", "hold replayed", "hold lapsed",
    "refused for its scope", "capture", "capture refused: settled", "capture of too much",
    "capture repeated", "release", "release refused: settled", "refund",
    "refund refused: settled", "returned to an expired grant", "return pays what is owed",
    "revoke", "revoke less", "revoke leaves owed", "debt undone", "freeze", "unfreeze",
    "freeze wallet", "unfreeze wallet", "transfer", "transfer replayed",
    "transfer refused: insufficient", "transfer refused: frozen", "expire", "expired",
    "went on after a refusal", "spend by a key", "hold by a key", "spend refused: budget",
    "hold refused: budget", "spend refused: max", "hold refused: max", "budget began anew",
    "replayed beyond the budget",
}  # fmt: skip

REFUSALS: dict[str, type[Exception] | tuple[type[Exception], ...]] = {
    "frozen": ledger.AccountFrozen,
    "insufficient": ledger.InsufficientCredits,
    "budget": ledger.BudgetExceeded,
    "max": ledger.MaxCreditsExceeded,
    "settled": (ledger.ChargeSettled, ledger.HoldExpired),
}
VERBS = (
    "grant grant grant grant charge charge charge charge charge charge capture capture capture"
    " refund refund charge_again grant_again revoke revoke revoke dispute freeze_or_unfreeze"
    " freeze_account unfreeze_account unfreeze_account transfer transfer expire wait wait wait"
).split()
