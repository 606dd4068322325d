"""Lineage: a grant and its children, split off by transfer or returned after its expiry.

A reversal of the payment reaches the whole lineage, in every wallet (see ``reversals``).
"""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from creditapp.clock import NEVER
from creditapp.errors import NotFound
from creditapp.ledger.locked_wallet import LockedWallet
from creditapp.ledger.sql import read, write

RETURN_LIFETIME: Final = timedelta(days=7)
"""Minimum time in which credits that returned to an expired grant can be spent."""

COLUMNS: Final = (
    "id, wallet_id, source, amount_micro, remaining_micro, expired_micro, revoked_micro,"
    " transferred_micro, owed_micro, revoked_target_micro, priority, scope, expires_at, frozen_at,"
    " paid_minor, created_at"
)
MOMENTS: Final = ("expires_at", "frozen_at", "created_at")

_FIND: Final = read(f"SELECT {COLUMNS} FROM grants WHERE id = :grant_id", *MOMENTS)
_INSERT_CHILD: Final = read(
    "INSERT INTO grants (wallet_id, source, origin, amount_micro, remaining_micro, priority, scope,"
    " expires_at, frozen_at, paid_minor, currency, livemode, parent_grant_id, root_grant_id,"
    " actor, created_at)"
    " SELECT :wallet_id, :source, :origin, :amount_micro, :amount_micro, priority, scope,"
    " :expires_at, :frozen_at, :paid_minor, currency, livemode, id, COALESCE(root_grant_id, id),"
    " actor, :now FROM grants WHERE id = :parent_id RETURNING id"
)
_CHANGE: Final = write(
    "UPDATE grants SET remaining_micro = remaining_micro + :remaining_micro,"
    " revoked_micro = revoked_micro + :revoked_micro,"
    " transferred_micro = transferred_micro + :transferred_micro,"
    " owed_micro = owed_micro + :owed_micro WHERE id = :grant_id"
)


@dataclass
class GrantRow:
    """A grant as read under its wallet's lock, kept up to date while a verb changes it."""

    id: int
    wallet_id: int
    source: str
    amount_micro: int
    remaining_micro: int
    expired_micro: int
    revoked_micro: int
    transferred_micro: int
    owed_micro: int
    revoked_target_micro: int
    priority: int
    scope: str
    expires_at: datetime
    frozen_at: datetime | None
    paid_minor: int | None
    created_at: datetime

    @property
    def captured_micro(self) -> int:
        """Amount captured by its allocations."""
        return (
            self.amount_micro
            - self.remaining_micro
            - self.expired_micro
            - self.revoked_micro
            - self.transferred_micro
        )

    def has_expired(self, at: datetime) -> bool:
        """Whether it had expired at ``at``; a frozen grant's clock stops when it is frozen."""
        return self.expires_at <= (at if self.frozen_at is None else min(at, self.frozen_at))

    def change(
        self,
        connection: Connection,
        *,
        remaining_micro: int = 0,
        revoked_micro: int = 0,
        transferred_micro: int = 0,
        owed_micro: int = 0,
    ) -> None:
        """Add these differences to its parts."""
        connection.execute(
            _CHANGE,
            {
                "grant_id": self.id,
                "remaining_micro": remaining_micro,
                "revoked_micro": revoked_micro,
                "transferred_micro": transferred_micro,
                "owed_micro": owed_micro,
            },
        )
        self.remaining_micro += remaining_micro
        self.revoked_micro += revoked_micro
        self.transferred_micro += transferred_micro
        self.owed_micro += owed_micro


def grant_row(connection: Connection, grant_id: int) -> GrantRow:
    """Return a grant; raise ``NotFound`` if there is none."""
    row = connection.execute(_FIND, {"grant_id": grant_id}).one_or_none()
    if row is None:
        raise NotFound
    return GrantRow(*row)


def create_child(
    connection: Connection,
    parent: GrantRow,
    amount_micro: int,
    *,
    wallet_id: int,
    origin: str,
    now: datetime,
    source: str | None = None,
    expires_at: datetime | None = None,
    frozen_at: datetime | None = None,
) -> int:
    """Create a child with ``amount_micro`` of its parent; return its id.

    The caller adds the amount to the parent's ``transferred_micro`` afterwards. The child's share
    of the price is rounded so that all children together never have more than their parent.
    """
    share_minor = None
    if parent.paid_minor is not None:
        share_minor = (
            parent.paid_minor * (parent.transferred_micro + amount_micro) // parent.amount_micro
            - parent.paid_minor * parent.transferred_micro // parent.amount_micro
        )
    child_id = connection.execute(
        _INSERT_CHILD,
        {
            "parent_id": parent.id,
            "wallet_id": wallet_id,
            "source": source or parent.source,
            "origin": origin,
            "amount_micro": amount_micro,
            "expires_at": expires_at or parent.expires_at,
            "frozen_at": frozen_at,
            "paid_minor": share_minor,
            "now": now,
        },
    ).scalar_one()
    return int(child_id)


def return_as_new_grant(
    connection: Connection,
    wallet: LockedWallet,
    parent: GrantRow,
    amount_micro: int,
    *,
    at: datetime,
) -> None:
    """Put credits that return to an expired grant into a new ``refund`` grant.

    ``at`` is the moment of the return: the new grant's life begins then, whenever the return is
    written. The caller adds the amount to the parent's ``transferred_micro`` afterwards.
    """
    expires_at = at + RETURN_LIFETIME
    frozen_at = None if parent.frozen_at is None else at
    create_child(
        connection,
        parent,
        amount_micro,
        wallet_id=wallet.wallet_id,
        # A parent's transferred amount only grows, so it numbers the returns.
        origin=f"return:{parent.id}:{parent.transferred_micro}",
        now=at,
        source="refund",
        expires_at=expires_at,
        frozen_at=frozen_at,
    )
    wallet.add_unheld(amount_micro, frozen=frozen_at is not None)
    if frozen_at is None:
        wallet.expect_expiry(expires_at)


def extend_expiry(expires_at: datetime, by: timedelta) -> datetime:
    """Return a later expiry; ``NEVER`` stays ``NEVER``."""
    return NEVER if expires_at >= NEVER - by else expires_at + by
