"""Manifest of a backup: what it contains, with the digest of each file.

It is written last, so a folder without one is not a whole backup.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from creditapp.config import SettingsInvalid

NAME: Final = "manifest.json"
FORMAT: Final = 1
SANDBOX: Final = "sandbox.sqlite"
SEALS: Final = "seals.log"
MEDIA: Final = "media"

_CHUNK_BYTES: Final = 1 << 20


class FileRecord(BaseModel):
    """Size and digest of one file."""

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """Contents of a backup, stored as JSON."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    format: Literal[1] = FORMAT
    made_at: datetime
    revision: str
    """The schema: the migration that made it."""
    database: Literal["sqlite", "postgresql"]
    server_version: int
    ledger_whole: bool
    """Whether every invariant of the ledger held when the backup was made."""
    key_check: str
    """Derived from SECRET_KEY; tells another key from the same one, and nothing about it."""
    rows: dict[str, int]
    """The number of rows of every table."""
    files: dict[str, FileRecord]
    """By path in the backup's folder."""

    @property
    def database_file(self) -> str:
        """The name of the database's copy."""
        return "creditapp.sqlite" if self.database == "sqlite" else "creditapp.dump"

    @property
    def media_keys(self) -> dict[str, FileRecord]:
        """The media files by key."""
        return {
            Path(name).name: record
            for name, record in self.files.items()
            if name.startswith(f"{MEDIA}/")
        }

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a backup's manifest; raise ``SettingsInvalid`` if it is not a whole backup."""
        try:
            content = (folder / NAME).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise SettingsInvalid(
                f"{folder} is not a whole backup: it has no {NAME}, which is written last."
            ) from None
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            field = ".".join(map(str, error.errors()[0]["loc"]))
            raise SettingsInvalid(
                f"{folder / NAME} cannot be read by this version of CreditApp: {field}."
            ) from None

    def write(self, folder: Path) -> None:
        """Write the manifest."""
        with open(folder / NAME, "x", opener=private) as file:
            file.write(self.model_dump_json(by_alias=True, indent=1))
            file.flush()
            os.fsync(file.fileno())


def private(path: str, flags: int) -> int:
    """Open a file, as an opener of ``open``, that only this user can read."""
    return os.open(path, flags, 0o600)


def record_of(path: Path) -> FileRecord:
    """Return size and digest of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileRecord(bytes=file.tell(), sha256=digest.hexdigest())


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def copy_file(source: Path, target: Path) -> FileRecord:
    """Copy a file durably to a new one, with its folders; return its size and digest."""
    with source.open("rb") as original:
        return copy_stream(original, target)


def copy_stream(original: BinaryIO, target: Path) -> FileRecord:
    """Copy an open file durably to a new one, with its folders; return its size and digest."""
    digest, size = hashlib.sha256(), 0
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(target, "xb", opener=private) as copied:
        while chunk := original.read(_CHUNK_BYTES):
            digest.update(chunk)
            copied.write(chunk)
            size += len(chunk)
        copied.flush()
        os.fsync(copied.fileno())
    return FileRecord(bytes=size, sha256=digest.hexdigest())
