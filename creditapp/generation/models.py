"""Generations and the assets that they delivered."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.db import UtcDateTime

STATES = ("queued", "running", "succeeded", "failed", "canceled")
FINISHED = ("succeeded", "failed", "canceled")
OWN_KEY = "own_key"
"""The funding of a generation that its owner's key of the vendor pays for."""


def _where(condition: str) -> dict[str, Any]:
    """Return the options of an index of the rows that meet a condition."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


class Generation(db.Model):
    """One order and its result.

    ``funding`` is fixed at submit: ``wallet`` (an open charge in the ledger), ``receipt`` (one of
    one credit, in an agent's), ``guest`` (a claim on a free image) or ``own_key`` (the owner's key
    of the vendor, no charge). Every change of ``state`` is a compare-and-set, so that of two
    workers only one settles.
    """

    __tablename__ = "generations"
    __table_args__ = (
        CheckConstraint(f"state IN {STATES!r}", name="state"),
        CheckConstraint("funding IN ('wallet', 'guest', 'own_key', 'receipt')", name="funding"),
        CheckConstraint("funding <> 'own_key' OR charge_id IS NULL", name="own_key_not_charged"),
        CheckConstraint(
            "encrypted_key IS NULL OR (funding = 'own_key' AND state IN ('queued', 'running'))",
            name="encrypted_key",
        ),
        UniqueConstraint("owner_kind", "owner_id", "request_key"),
        # Ids sort by time: every list of an owner is this index, read from its end.
        Index("ix_generations_owner", "owner_kind", "owner_id", "id"),
        # All that the week of spending sums, so that it reads no rows.
        Index(
            "ix_generations_usage",
            *("owner_kind", "owner_id", "finished_at", "charged_micro", "delivered"),
            **_where("state = 'succeeded'"),
        ),
        Index("ix_generations_open", "state", "lease_until"),
        Index("ix_generations_deletion_id", "deletion_id", **_where("deletion_id IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_kind: Mapped[str] = mapped_column(String(8))
    owner_id: Mapped[str] = mapped_column(String(64))
    request_key: Mapped[str] = mapped_column(String(128))
    request_digest: Mapped[str] = mapped_column(String(64))

    operation: Mapped[str] = mapped_column(String(24))
    model: Mapped[str] = mapped_column(String(64))
    model_name: Mapped[str] = mapped_column(String(64))
    prompt: Mapped[str] = mapped_column(Text)
    negative_prompt: Mapped[str | None] = mapped_column(Text)
    style: Mapped[str | None] = mapped_column(String(32))
    n: Mapped[int] = mapped_column(Integer)
    """How many assets were ordered."""
    size: Mapped[str] = mapped_column(String(16))
    quality: Mapped[str | None] = mapped_column(String(16))
    seed: Mapped[int] = mapped_column(BigInteger)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """Values that only this operation needs, and the sources by their ids; never user text."""
    batch_id: Mapped[str | None] = mapped_column(String(40))
    """Shared by the generations that one order to several models made."""
    catalog_version: Mapped[str] = mapped_column(String(64))

    funding: Mapped[str] = mapped_column(String(8))
    wallet_id: Mapped[int | None] = mapped_column(BigInteger)
    charge_id: Mapped[int | None] = mapped_column(BigInteger)
    claim_id: Mapped[str | None] = mapped_column(String(40))
    encrypted_key: Mapped[str | None] = mapped_column(Text)
    """The key that pays, until it ends (``own_keys.py``)."""
    quoted_micro: Mapped[int] = mapped_column(BigInteger)
    quoted_units: Mapped[int] = mapped_column(Integer, default=1)
    """How many units the quote priced: images, or started blocks of seconds."""
    charged_micro: Mapped[int] = mapped_column(BigInteger, default=0)

    state: Mapped[str] = mapped_column(String(12), default="queued")
    attempt: Mapped[int] = mapped_column(Integer, default=1)
    progress: Mapped[int] = mapped_column(Integer, default=0)
    """In percent."""
    delivered: Mapped[int] = mapped_column(Integer, default=0)
    """Files delivered so far, counted as each arrives. One that is queued has none."""
    preview: Mapped[bool] = mapped_column(default=False)
    provider: Mapped[str] = mapped_column(String(24))
    provider_job: Mapped[str | None] = mapped_column(String(200))
    """The vendor's id of the submitted job: a later attempt polls it and submits nothing."""
    provider_cost_micros_usd: Mapped[int | None] = mapped_column(BigInteger)
    provider_usage: Mapped[dict[str, int] | None] = mapped_column(JSON)
    """The tokens that the vendor counted, by what they stand for."""
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_text: Mapped[str | None] = mapped_column(String(240))

    reported_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    report_text: Mapped[str | None] = mapped_column(String(500))
    """The owner's complaint, for the operator."""

    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    provider_started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deletion_id: Mapped[str | None] = mapped_column(ForeignKey("deletions.id"))
    """The deletion that hides it; None once it is erased."""

    @property
    def finished(self) -> bool:
        """Whether its state is final."""
        return self.state in FINISHED


class PartialImage(db.Model):
    """An unfinished image that a stream shows; deleted soon after its generation has ended."""

    __tablename__ = "partial_images"

    generation_id: Mapped[str] = mapped_column(ForeignKey("generations.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    mime_type: Mapped[str] = mapped_column(String(32))
    data: Mapped[bytes] = mapped_column(LargeBinary)


_NEWEST = "owner_kind", "owner_id", "created_at", "id"
"""The columns of an owner's gallery, which an index reads from its end."""


class Asset(db.Model):
    """One delivered file. The generation's owner owns it.

    Owner, operation and model repeat the generation's, because an index covers one table: the
    gallery of an owner with many images reads a page by them.
    """

    __tablename__ = "assets"
    __table_args__ = (
        UniqueConstraint("generation_id", "position"),
        Index("ix_assets_owner", *_NEWEST),
        Index("ix_assets_model", *_NEWEST[:2], "model", *_NEWEST[2:]),
        Index("ix_assets_operation", *_NEWEST[:2], "operation", *_NEWEST[2:]),
        Index("ix_assets_starred", *_NEWEST, **_where("starred_at IS NOT NULL")),
        Index("ix_assets_deletion_id", "deletion_id", **_where("deletion_id IS NOT NULL")),
    )

    COPIED: ClassVar = "owner_kind", "owner_id", "operation", "model"
    """The columns with the generation's values."""

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    generation_id: Mapped[str] = mapped_column(ForeignKey("generations.id"))
    owner_kind: Mapped[str] = mapped_column(String(8))
    owner_id: Mapped[str] = mapped_column(String(64))
    operation: Mapped[str] = mapped_column(String(24))
    model: Mapped[str] = mapped_column(String(64))
    position: Mapped[int] = mapped_column(Integer)
    media_key: Mapped[str] = mapped_column(String(80))
    mime_type: Mapped[str] = mapped_column(String(32))
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    milliseconds: Mapped[int | None] = mapped_column(Integer)
    thumbnail_key: Mapped[str | None] = mapped_column(String(80))
    """A small copy for lists; the file itself stays as it was delivered."""
    starred_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deletion_id: Mapped[str | None] = mapped_column(ForeignKey("deletions.id"))
    """The deletion that hides it until it is undone or erases the row."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def kind(self) -> str:
        """``image``, ``audio`` or ``video``."""
        return self.mime_type.partition("/")[0]


class Deletion(db.Model):
    """Assets and generations that their owner deleted together.

    They are hidden at once, and can be restored for some seconds. Then ``erasing_at`` is set, the
    files and rows are removed, and this row with them.
    """

    __tablename__ = "deletions"
    __table_args__ = (Index("ix_deletions_created_at", "created_at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_kind: Mapped[str] = mapped_column(String(8))
    owner_id: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    erasing_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Upload(db.Model):
    """A file that its owner brought, to start generations from or to show to a chat."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index("ix_uploads_owner", "owner_kind", "owner_id", "id"),
        Index("ix_uploads_used_at", "used_at"),
        Index(
            "ix_uploads_conversation_id", "conversation_id", **_where("conversation_id IS NOT NULL")
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_kind: Mapped[str] = mapped_column(String(8))
    owner_id: Mapped[str] = mapped_column(String(64))
    media_key: Mapped[str] = mapped_column(String(80))
    mime_type: Mapped[str] = mapped_column(String(32))
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    milliseconds: Mapped[int | None] = mapped_column(Integer)
    thumbnail_key: Mapped[str | None] = mapped_column(String(80))
    """A small image for lists, of an image or a video."""
    bytes: Mapped[int] = mapped_column(Integer)
    """Of the file and its thumbnail, for the limit of an account."""
    conversation_id: Mapped[str | None] = mapped_column(ForeignKey("conversations.id"))
    """The chat that it came for: it is kept as long as that, and deleted with it."""
    used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When an order last started from it; until then, when it came."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Prompt(db.Model):
    """One text that a member sent for an operation, however often and whatever was made of it."""

    __tablename__ = "prompts"
    __table_args__ = (
        UniqueConstraint("owner_kind", "owner_id", "digest"),
        # The list of an owner is this index, read from its end.
        Index("ix_prompts_owner", "owner_kind", "owner_id", "last_used_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_kind: Mapped[str] = mapped_column(String(8))
    owner_id: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    """Of the operation and the text: an index cannot hold a text of any length."""
    operation: Mapped[str] = mapped_column(String(24))
    text: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(String(64))
    """The model of the last use; the operation's id where that has a price of its own."""
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """The settings of the last use, by their names in the studio's form."""
    first_used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    uses: Mapped[int] = mapped_column(Integer)
