"""Every verb and refusal that a run of the state machine must have met."""

from __future__ import annotations

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
