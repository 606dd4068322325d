"""Account rules that ``create_app`` passes to the functions of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp.accounts.models import User


@dataclass(frozen=True)
class SignUpCredits:
    """The credits that a person gets once: at sign-up, and when the address is confirmed."""

    welcome_micro: int
    free_micro: int
    hold_until_verified: bool = False
    """Whether the welcome credits wait for the confirmation too."""
    daily_budget_micro: int | None = None
    """How many welcome credits all unconfirmed addresses get in a day (UTC); None is no limit."""


@dataclass(frozen=True)
class SignedUp:
    """Event: a user signed up in this transaction."""

    user: User
    guest: str | None
    """The id in the browser's guest cookie; its images move into the account."""
    now: datetime


SignedUpReceiver = Callable[[Session, SignedUp], None]
DeletedReceiver = Callable[[Session, str], None]
"""Erases what another package stores for the user with this id, in the same transaction."""


@dataclass(frozen=True)
class AccountRules:
    """The secret of hashes and links, the sign-up credits, and the receivers of what happens.

    ``create_app`` makes one and provides it. A receiver of ``signed_up`` runs inside the
    transaction of the sign-up: what it writes stands or falls with the account.
    """

    secret: str = field(repr=False)
    credits: SignUpCredits
    signed_up: tuple[SignedUpReceiver, ...] = ()
    api_key_mode: str = "credits"
    """The mode that a new account starts with."""
    deleted: tuple[DeletedReceiver, ...] = ()
