"""Automatic top-ups as purchases: a pack paid with a saved card, without a checkout."""

from __future__ import annotations

from creditapp.payments.auto_topup import lookup, outcomes
from creditapp.payments.purchases import posting
from creditapp.payments.purchases.kinds import PurchaseKind

AUTO_TOPUP = PurchaseKind(
    "auto_topup",
    fetch_state=lookup.fetch_payment,
    post_paid=posting.post_credits,
    notify_paid=outcomes.notify_done,
    on_posted=outcomes.record_outcome,
)
