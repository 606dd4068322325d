"""Tables of the ledger. Only the verbs of this package write them.

Amounts are microcredits. Every balance of a wallet is a projection of its rows, which ``proof``
recomputes. Every amount has a CHECK against falling below zero, so that a mistake in a verb becomes
an error and never a wrong balance.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.db import BigId, UtcDateTime
from creditapp.ledger.entry_types import (
    ACCOUNT_OF_KIND,
    GAINING_KINDS,
    LOSING_KINDS,
    NEUTRAL_KINDS,
    SOURCES,
)

# Pages of rows that every spend updates keep free space, so that PostgreSQL can write the new
# version beside the old one without updating an index (a heap-only tuple).
_FILLFACTOR = {"fillfactor": "60"}


def _partial_index(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, postgresql_where=text(where), sqlite_where=text(where))


def _not_negative(*columns: str) -> tuple[CheckConstraint, ...]:
    return tuple(CheckConstraint(f"{column} >= 0", name=column) for column in columns)


def _one_of(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


class Wallet(db.Model):
    """An owner's balances. ``next_expiry_at`` may be too early and is never too late."""

    __tablename__ = "wallets"
    __table_args__ = (
        UniqueConstraint("owner_kind", "owner_id"),
        CheckConstraint("owner_kind IN ('user', 'team', 'receipt')", name="owner_kind"),
        *_not_negative("available_micro", "held_micro", "frozen_micro", "owed_micro"),
        Index("ix_wallets_next_expiry_at", "next_expiry_at"),
        {"postgresql_with": _FILLFACTOR},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    owner_kind: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str] = mapped_column(String(64))
    available_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    held_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    frozen_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    owed_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    seq: Mapped[int] = mapped_column(BigInteger, server_default="0")
    next_expiry_at: Mapped[datetime] = mapped_column(UtcDateTime)
    frozen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lifetime_granted_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lifetime_spent_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lifetime_welcome_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lifetime_purchased_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Grant(db.Model):
    """A lot of credits with one source, scope and expiry.

    amount = remaining + captured by its allocations + expired + revoked + transferred.
    ``transferred_micro`` left for a child (``parent_grant_id``): by transfer, or because it
    returned after the expiry. A root's ``revoked_target_micro`` is the total to be revoked of it,
    over its whole lineage.
    """

    __tablename__ = "grants"
    __table_args__ = (
        UniqueConstraint("origin"),
        CheckConstraint(f"source IN ({_one_of(SOURCES)})", name="source"),
        CheckConstraint("amount_micro > 0", name="amount_micro"),
        *_not_negative(
            "remaining_micro", "expired_micro", "revoked_micro", "transferred_micro", "owed_micro"
        ),
        CheckConstraint(
            "remaining_micro + expired_micro + revoked_micro + transferred_micro + owed_micro <="
            " amount_micro",
            name="parts",
        ),
        CheckConstraint(
            "revoked_target_micro BETWEEN 0 AND amount_micro", name="revoked_target_micro"
        ),
        CheckConstraint("(parent_grant_id IS NULL) = (root_grant_id IS NULL)", name="lineage"),
        _partial_index(
            "ix_grants_to_spend",
            "wallet_id",
            "priority",
            "expires_at",
            "id",
            where="remaining_micro > 0",
        ),
        Index("ix_grants_wallet_id", "wallet_id"),
        _partial_index(
            "ix_grants_root_grant_id", "root_grant_id", where="root_grant_id IS NOT NULL"
        ),
        {"postgresql_with": _FILLFACTOR},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    wallet_id: Mapped[int] = mapped_column(ForeignKey("wallets.id"))
    source: Mapped[str] = mapped_column(String(16))
    origin: Mapped[str] = mapped_column(String(200))
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    remaining_micro: Mapped[int] = mapped_column(BigInteger)
    expired_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    revoked_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    transferred_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    owed_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    revoked_target_micro: Mapped[int] = mapped_column(BigInteger, server_default="0")
    priority: Mapped[int] = mapped_column(Integer)
    scope: Mapped[str] = mapped_column(String(40), server_default="*")
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    frozen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paid_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(String(3))
    livemode: Mapped[bool | None] = mapped_column()
    parent_grant_id: Mapped[int | None] = mapped_column(ForeignKey("grants.id"))
    root_grant_id: Mapped[int | None] = mapped_column(ForeignKey("grants.id"))
    actor: Mapped[str] = mapped_column(String(80), server_default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Charge(db.Model):
    """Credits taken or set aside for one thing. An open charge is a hold.

    ``expires_at`` is set only for holds made by API: a generation's hold does not expire by itself.
    A charge with ``debt_grant_id`` paid what that grant owed; it is no usage.
    """

    __tablename__ = "charges"
    __table_args__ = (
        UniqueConstraint("wallet_id", "key"),
        CheckConstraint("state IN ('open', 'captured', 'released')", name="state"),
        CheckConstraint("amount_micro > 0", name="amount_micro"),
        CheckConstraint("captured_micro BETWEEN 0 AND amount_micro", name="captured_micro"),
        CheckConstraint("state <> 'open' OR captured_micro = amount_micro", name="open_amount"),
        CheckConstraint("state <> 'released' OR captured_micro = 0", name="released_amount"),
        _partial_index(
            "ix_charges_api_key_id",
            *("api_key_id", "created_at", "captured_micro"),
            where="api_key_id IS NOT NULL",
        ),
        _partial_index("ix_charges_open", "wallet_id", "expires_at", where="state = 'open'"),
        _partial_index(
            "ix_charges_debt_grant_id", "debt_grant_id", where="debt_grant_id IS NOT NULL"
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    wallet_id: Mapped[int] = mapped_column(ForeignKey("wallets.id"))
    key: Mapped[str] = mapped_column(String(160))
    digest: Mapped[str] = mapped_column(String(64))
    operation: Mapped[str] = mapped_column(String(40))
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    captured_micro: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(8))
    actor: Mapped[str] = mapped_column(String(80), server_default="")
    feature: Mapped[str] = mapped_column(String(80), server_default="")
    api_key_id: Mapped[str | None] = mapped_column(String(40))
    request_id: Mapped[str | None] = mapped_column(String(80))
    debt_grant_id: Mapped[int | None] = mapped_column(ForeignKey("grants.id"))
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    entry_seq: Mapped[int | None] = mapped_column(BigInteger)


class Allocation(db.Model):
    """The part of a charge that came from one grant: offset in the charge, amount, captured."""

    __tablename__ = "allocations"
    __table_args__ = (
        CheckConstraint("amount_micro > 0", name="amount_micro"),
        CheckConstraint("captured_micro BETWEEN 0 AND amount_micro", name="captured_micro"),
        Index("ix_allocations_grant_id", "grant_id"),
    )

    charge_id: Mapped[int] = mapped_column(ForeignKey("charges.id"), primary_key=True)
    grant_id: Mapped[int] = mapped_column(ForeignKey("grants.id"), primary_key=True)
    offset_micro: Mapped[int] = mapped_column(BigInteger)
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    captured_micro: Mapped[int] = mapped_column(BigInteger)


_SIGN = (
    f"(kind IN ({_one_of(GAINING_KINDS)}) AND amount_micro > 0)"
    f" OR (kind IN ({_one_of(NEUTRAL_KINDS)}) AND amount_micro = 0)"
    f" OR (kind IN ({_one_of(LOSING_KINDS)}) AND amount_micro < 0)"
)
_ACCOUNT = " OR ".join(
    f"(kind = '{kind}' AND account = '{account}')" for kind, account in ACCOUNT_OF_KIND.items()
)


class Entry(db.Model):
    """One entry of the append-only history; triggers refuse its change (see ``triggers``)."""

    __tablename__ = "entries"
    __table_args__ = (
        CheckConstraint("seq > 0", name="seq"),
        CheckConstraint(_SIGN, name="sign"),
        CheckConstraint(_ACCOUNT, name="account"),
        CheckConstraint("balance_after_micro >= 0", name="balance_after_micro"),
        Index("ix_entries_kind", "wallet_id", "kind", "seq"),
    )

    wallet_id: Mapped[int] = mapped_column(ForeignKey("wallets.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    account: Mapped[str] = mapped_column(String(16))
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    balance_after_micro: Mapped[int] = mapped_column(BigInteger)
    charge_id: Mapped[int | None] = mapped_column(ForeignKey("charges.id"))
    grant_id: Mapped[int | None] = mapped_column(ForeignKey("grants.id"))
    effective_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Note(db.Model):
    """Free text of an entry, or of all entries of a charge.

    It may contain personal data, so it can be erased; entries cannot.
    """

    __tablename__ = "notes"
    __table_args__ = (
        UniqueConstraint("wallet_id", "seq"),
        UniqueConstraint("charge_id"),
        CheckConstraint("(seq IS NULL) <> (charge_id IS NULL)", name="beside_one"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    wallet_id: Mapped[int] = mapped_column(ForeignKey("wallets.id"))
    seq: Mapped[int | None] = mapped_column(BigInteger)
    charge_id: Mapped[int | None] = mapped_column(ForeignKey("charges.id"))
    text: Mapped[str] = mapped_column(Text)


class RequestKey(db.Model):
    """A caller's idempotency key for a route, with the stored response."""

    __tablename__ = "request_keys"
    __table_args__ = (
        UniqueConstraint("caller", "route", "key"),
        Index("ix_request_keys_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    caller: Mapped[str] = mapped_column(String(100))
    route: Mapped[str] = mapped_column(String(100))
    key: Mapped[str] = mapped_column(String(255))
    digest: Mapped[str] = mapped_column(String(64))
    response: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class OutboxEvent(db.Model):
    """An event for the packages above."""

    __tablename__ = "outbox"
    __table_args__ = (_partial_index("ix_outbox_waiting", "topic", "id", where="done_at IS NULL"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    topic: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(80))
    payload: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    claimed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Seal(db.Model):
    """A digest of the entries since the last seal, chained to it."""

    __tablename__ = "seals"

    number: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    entries: Mapped[int] = mapped_column(BigInteger)
    sealed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SealSpan(db.Model):
    """Entries of one wallet that a seal covers."""

    __tablename__ = "seal_spans"

    wallet_id: Mapped[int] = mapped_column(ForeignKey("wallets.id"), primary_key=True)
    first_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last_seq: Mapped[int] = mapped_column(BigInteger)
    seal_number: Mapped[int] = mapped_column(ForeignKey("seals.number"), index=True)
