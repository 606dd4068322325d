"""Events that have an email: about money, about the account, and optional ones.

Each has a folder of its name in ``templates/emails``; a test compares the two.
"""

from __future__ import annotations

from typing import Final

ABOUT_MONEY: Final = (
    "receipt",
    "renewal",
    "payment_failed",
    "refund",
    "dispute_opened",
    "dispute_closed",
    "topup_done",
    "topup_stopped",
)
"""Emails that cannot be unsubscribed: a buyer must learn what happened to the money."""

OPTIONAL: Final = (
    *("low_balance", "credits_expiring", "card_expiring", "plan_changed"),
    "webhook_stopped",
)
"""Emails that a user may unsubscribe from, in the settings or by the link in them."""

ACCOUNT: Final = (
    "verify",
    "reset",
    "account_exists",
    "address_change",
    "address_changing",
    "address_changed",
)
"""Emails about access to the account, sent on request."""

OPERATOR: Final = ("refund_requested",)
"""Emails to the support address."""

EVENTS: Final = (*ACCOUNT, *ABOUT_MONEY, *OPTIONAL, *OPERATOR)
