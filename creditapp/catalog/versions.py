"""The catalogs that have been in force: one row for each, its content never changed.

Quotes and purchases pin a version's id, so that what was promised can be read again later. A file
becomes a version when its content is new and nobody has edited the catalog since; a price sync and
the admin add versions of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from sqlalchemy import CheckConstraint, Index, Select, String, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from creditapp import db
from creditapp.catalog.catalog import Catalog
from creditapp.catalog.load import canonical_text, parse, read_catalog_file
from creditapp.db import UtcDateTime, insert_once
from creditapp.ids import new_id

SOURCES = ("file", "sync", "admin")


class CatalogVersion(db.Model):
    """One catalog as a document. The one activated last is active.

    ``source`` is what activated it last: the file, the price sync or the admin.
    """

    __tablename__ = "catalog_versions"
    __table_args__ = (
        CheckConstraint(f"source IN {SOURCES!r}", name="source"),
        UniqueConstraint("digest"),
        Index("ix_catalog_versions_active_at", "active_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(48))
    digest: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(8))
    content: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    active_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import: the active catalog, and a warning for the operator."""

    catalog: Catalog
    warning: str | None = None


def import_file(
    session: Session, name_or_path: str | Path, *, now: datetime, force: bool = False
) -> Imported:
    """Activate the file's catalog if its content is new and no one has edited since.

    Otherwise the active version stays, with a warning when the file has new content. ``force``
    activates the file in any case. A change of preset activates that preset's last version. Raises
    ``CatalogInvalid``. Safe when several processes start at once: the digest is unique.
    """
    file, content = read_catalog_file(name_or_path)
    catalog = parse(content, file=file)
    last = _newest(session, catalog.name)
    stored = _find(session, catalog.digest)
    if last is not None and stored is not None and last.id == stored.id:
        # The file equals the active version: an edit copied into the file no longer counts as one.
        last.source = "file"
    if last is None or last.source == "file" or force:
        version = stored or _add(session, catalog, content, "file", now)
        version.source = "file"
        _activate(session, version, now)
        return Imported(_catalog(version))
    _activate(session, last, now)
    imported = _newest(session, catalog.name, source="file")
    if stored is not None and imported is not None and stored.id == imported.id:
        return Imported(_catalog(last))
    warning = (
        f"{file} has changed, but the catalog was edited since ({last.source}): "
        f"version {last.id} stays active."
    )
    return Imported(_catalog(last), warning)


def add_version(
    session: Session, content: Mapping[str, object], *, source: str, now: datetime
) -> Catalog:
    """Activate an edited catalog; ``source`` is ``sync`` or ``admin``.

    Raises ``CatalogInvalid`` before anything is stored. The same content makes no new version.
    """
    catalog = parse(content, file=f"the edited catalog ({source})")
    version = _find(session, catalog.digest) or _add(session, catalog, content, source, now)
    version.source = source
    _activate(session, version, now)
    return _catalog(version)


def active(session: Session) -> Catalog | None:
    """Return the active catalog, ``None`` before the first import; parsed once per process."""
    version = _newest(session)
    return _catalog(version) if version else None


def active_id(session: Session) -> str | None:
    """Return the id of the active catalog without parsing it."""
    return session.scalar(_activated().with_only_columns(CatalogVersion.id).limit(1))


def pinned(session: Session, version_id: str) -> Catalog | None:
    """Return the catalog version that a quote or purchase pinned."""
    version = session.get(CatalogVersion, version_id)
    return _catalog(version) if version else None


def document(session: Session, version_id: str) -> dict[str, object]:
    """Return a version's document, to edit and add as a new one; empty for an unknown id."""
    version = session.get(CatalogVersion, version_id)
    return _document(version.content) if version else {}


def _newest(
    session: Session, name: str | None = None, *, source: str | None = None
) -> CatalogVersion | None:
    query = _activated()
    if source is not None:
        query = query.where(CatalogVersion.source == source)
    if name is not None:
        query = query.where(CatalogVersion.name == name)
    return session.scalar(query.limit(1))


def _activated() -> Select[CatalogVersion]:
    """Select every version that was ever active, the last activated first."""
    query = select(CatalogVersion).where(CatalogVersion.active_at.is_not(None))
    return query.order_by(CatalogVersion.active_at.desc(), CatalogVersion.id.desc())


def _find(session: Session, digest: str) -> CatalogVersion | None:
    return session.scalar(select(CatalogVersion).where(CatalogVersion.digest == digest))


def _add(
    session: Session, catalog: Catalog, content: Mapping[str, object], source: str, now: datetime
) -> CatalogVersion:
    """Store a version, or return the one that another process stored just before."""
    row = CatalogVersion(
        id=new_id("cat"),
        name=catalog.name,
        digest=catalog.digest,
        source=source,
        content=canonical_text(content),
        created_at=now,
    )
    insert_once(session, row, ["digest"])
    version = _find(session, catalog.digest)
    if version is None:
        raise RuntimeError("the stored catalog version was not found")
    return version


def _activate(session: Session, version: CatalogVersion, now: datetime) -> None:
    """Activate a version unless it is active: later than every other, whatever the clock says."""
    newest = _newest(session)
    if newest is not None and newest.id == version.id:
        return
    if newest is not None and newest.active_at is not None:
        now = max(now, newest.active_at + timedelta(microseconds=1))
    version.active_at = now
    session.flush()


def _catalog(version: CatalogVersion) -> Catalog:
    return _parsed(version.id, version.content)


@lru_cache(maxsize=64)
def _parsed(version_id: str, content: str) -> Catalog:
    return parse(_document(content), file=f"catalog version {version_id}", version_id=version_id)


def _document(content: str) -> dict[str, object]:
    """Parse content that ``canonical_text`` wrote."""
    parsed: dict[str, object] = json.loads(content)
    return parsed
