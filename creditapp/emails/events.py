"""The mails that there are, by what they tell of: money, the account, or what one may do without.

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
"""Mails that nobody can switch off: whoever pays is told what became of the money."""

OPTIONAL: Final = ("low_balance", "credits_expiring", "card_expiring", "plan_changed")
"""Mails that a person may switch off, on the settings or by the link in them."""

ACCOUNT: Final = ("verify", "reset", "account_exists")
"""Mails about getting in, sent because somebody has just asked for them."""

EVENTS: Final = (*ACCOUNT, *ABOUT_MONEY, *OPTIONAL)
