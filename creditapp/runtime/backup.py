"""Backup of a running CreditApp: database, images, seals, and a demo's payment sandbox.

A backup is a folder. It is written under a temporary name, its manifest last, and renamed when it
is whole. The jobs are not in it: unfinished work is found in the database. Nor is ``SECRET_KEY``.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, cast

from sqlalchemy import Connection, text

from creditapp import ledger
from creditapp.agents import ledger_check as agents_ledger_check
from creditapp.config import Settings, SettingsInvalid
from creditapp.media import Media, open_media
from creditapp.payments.reconciliation import ledger_check
from creditapp.runtime import database_copy, manifest, migrate
from creditapp.runtime.manifest import FileRecord, Manifest

BUSY_SECONDS_MAX = 20.0

MEDIA_KEYS = text(
    "SELECT media_key FROM assets WHERE deletion_id IS NULL"
    " UNION ALL SELECT thumbnail_key FROM assets"
    " WHERE deletion_id IS NULL AND thumbnail_key IS NOT NULL"
    " UNION ALL SELECT media_key FROM uploads"
    " UNION ALL SELECT thumbnail_key FROM uploads WHERE thumbnail_key IS NOT NULL"
)
DELETED_KEYS = text("SELECT media_key, thumbnail_key FROM assets WHERE deletion_id IS NOT NULL")
"""Of images that their owner deleted and the next sweep erases: a backup must not keep them."""

Progress = Callable[[str], None]
"""Called with what happens now, for people who wait."""


@dataclass(frozen=True)
class Summary:
    """Figures of a finished backup or restore."""

    folder: Path
    rows: int
    tables: int
    files: int
    bytes: int
    images_missing: int
    """Images whose row is there and whose file is not."""
    ledger_whole: bool
    seconds: float

    @classmethod
    def of(
        cls,
        contents: Manifest,
        folder: Path,
        *,
        images_missing: int,
        ledger_whole: bool,
        seconds: float,
    ) -> Summary:
        """Return the figures of a backup with these contents."""
        return cls(
            folder=folder,
            rows=sum(contents.rows.values()),
            tables=len(contents.rows),
            files=len(contents.files),
            bytes=sum(record.bytes for record in contents.files.values()),
            images_missing=images_missing,
            ledger_whole=ledger_whole,
            seconds=seconds,
        )

    def as_dict(self) -> dict[str, object]:
        """Return the figures for scripts."""
        return {
            "folder": str(self.folder),
            "rows": self.rows,
            "tables": self.tables,
            "files": self.files,
            "bytes": self.bytes,
            "imagesMissing": self.images_missing,
            "ledgerWhole": self.ledger_whole,
            "seconds": round(self.seconds, 2),
        }

    def as_text(self, done: str) -> str:
        """Return the figures for people."""
        lines = [
            f"{done} {self.rows} rows of {self.tables} tables and {self.files} files "
            f"({self.bytes / 1e6:.1f} MB) in {self.seconds:.1f} s."
        ]
        if self.images_missing:
            lines.append(f"{self.images_missing} images have no file.")
        lines.append("The ledger is whole." if self.ledger_whole else "The ledger is NOT whole.")
        return "\n".join(lines)


def back_up(settings: Settings, target: Path, progress: Progress, *, now: datetime) -> Summary:
    """Write a backup to the new folder ``target``.

    The app may run meanwhile. Raises ``SettingsInvalid``, ``CopyFailed`` and ``OSError``.
    """
    began = time.monotonic()
    target = target.absolute()
    if target.exists():
        raise SettingsInvalid(f"{target} exists already: name a new folder.")
    if not target.parent.is_dir():
        raise SettingsInvalid(f"{target.parent} is not a folder.")
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    partial.mkdir(mode=0o700)
    try:
        written, images_missing = _write(settings, partial, progress, now)
        written.write(partial)
        partial.rename(target)
        manifest.sync(target.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return Summary.of(
        written,
        target,
        images_missing=images_missing,
        ledger_whole=written.ledger_whole,
        seconds=time.monotonic() - began,
    )


def _write(
    settings: Settings, folder: Path, progress: Progress, now: datetime
) -> tuple[Manifest, int]:
    """Copy everything; return the manifest and the number of images without a file."""
    files = dict[str, FileRecord]()
    # Before the database, so that the file has no seal that the database lacks.
    seals = settings.data_dir / manifest.SEALS
    if seals.exists():
        files[manifest.SEALS] = manifest.copy_file(seals, folder / manifest.SEALS)
    with _one_moment(settings) as (connection, sandbox):
        revision = migrate.revision_of(connection)
        if revision is None:
            raise SettingsInvalid("The database is empty: there is nothing to back up.")
        progress("checking the ledger")
        ledger_whole = is_ledger_whole(connection, folder / manifest.SEALS, revision)
        rows = database_copy.count_rows(connection)
        media_keys = set(connection.scalars(MEDIA_KEYS))
        deleted_keys = {key for row in connection.execute(DELETED_KEYS) for key in row}
        written = Manifest(
            made_at=now,
            revision=revision,
            database=cast(Literal["sqlite", "postgresql"], connection.dialect.name),
            server_version=database_copy.server_version(connection),
            ledger_whole=ledger_whole,
            key_check=key_check(settings),
            rows=rows,
            files=files,
        )
        progress("copying the database")
        database = folder / written.database_file
        database_copy.copy(connection, database, settings.environ)
        manifest.sync(database)
        files[database.name] = manifest.record_of(database)
        if sandbox is not None:
            copied = folder / manifest.SANDBOX
            os.close(os.open(copied, os.O_CREAT | os.O_EXCL, 0o600))
            database_copy.copy_sqlite(sandbox, copied)
            manifest.sync(copied)
            files[copied.name] = manifest.record_of(copied)
    # After the database, so that every row of an image has its file.
    files |= _copy_media(open_media(settings), folder, deleted_keys, progress)
    # pydantic copied the mapping when it validated it.
    written = written.model_copy(update={"files": files})
    return written, len(media_keys - written.media_keys.keys())


def is_ledger_whole(connection: Connection, seals: Path, revision: str) -> bool:
    """Return whether every invariant of the ledger and every seal holds.

    ``seals`` is the file of exported seals as it was before the snapshot, if there is one.
    Only this version's schema can be checked: an older one is as it was before its migration.
    """
    if revision != migrate.newest():
        return True
    exported = ledger.exported_seals(seals)
    report = ledger.proof.check(connection, with_seals=True, exported=exported)
    report.results.append(ledger_check.check(connection))
    report.results.append(agents_ledger_check.check(connection))
    return report.ok


def key_check(settings: Settings) -> str:
    """Return a text that is the same for the same ``SECRET_KEY``."""
    return settings.derived_key("backup")[:16]


@contextmanager
def _one_moment(settings: Settings) -> Iterator[tuple[Connection, sqlite3.Connection | None]]:
    """Yield the database, and the payment sandbox of a demo, as of the same moment.

    The sandbox is locked while both snapshots begin. Otherwise the copy of one would lack a
    purchase that is in the other's.
    """
    path = settings.data_dir / manifest.SANDBOX
    if not settings.sandbox or not path.exists():
        with database_copy.snapshot_of(settings.database_url) as connection:
            yield connection, None
        return
    with closing(_open(path)) as lock, closing(_open(path)) as sandbox:
        lock.execute("BEGIN IMMEDIATE")
        sandbox.execute("BEGIN")
        sandbox.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        with database_copy.snapshot_of(settings.database_url) as connection:
            lock.execute("ROLLBACK")
            yield connection, sandbox


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS_MAX, isolation_level=None)


def _copy_media(
    media: Media, folder: Path, deleted_keys: set[str], progress: Progress
) -> dict[str, FileRecord]:
    files = {}
    for key in media.keys():  # noqa: SIM118  # no mapping
        if key in deleted_keys:
            continue
        # Two levels, as in the media folder itself.
        name = f"{manifest.MEDIA}/{key[:2]}/{key[2:4]}/{key}"
        try:
            with media.open(key) as file:
                files[name] = manifest.copy_stream(file, folder / name)
        except FileNotFoundError:
            continue  # its owner deleted it meanwhile
        progress(f"copying images: {len(files)}")
    return files
