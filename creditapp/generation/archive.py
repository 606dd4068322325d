"""Names of downloaded files, and many files as one ZIP archive, sent while it is written."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import structlog

from creditapp.errors import ValidationFailed
from creditapp.generation.gallery import Row
from creditapp.generation.models import Asset, Generation
from creditapp.media import Media
from creditapp.rate_limits import ARCHIVE_BYTES_MAX

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

WORDS_MAX: Final = 8
_CHUNK_BYTES: Final = 1 << 18

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Member:
    """One file of an archive."""

    name: str
    media_key: str
    created_at: datetime


def file_name(generation: Generation, asset: Asset) -> str:
    """Return the name of a downloaded file: words of its prompt, and its place among several."""
    words = "".join(c if c.isalnum() and c.isascii() else " " for c in generation.prompt).split()
    name = "-".join(words[:WORDS_MAX]).lower()[:60] or asset.kind
    number = f"-{asset.position + 1}" if generation.delivered > 1 else ""
    return f"{name}{number}.{asset.media_key.rpartition('.')[2]}"


def members(rows: Sequence[Row], media: Media) -> list[Member]:
    """Return the files of an archive with names that differ; files that are lost are left out.

    Raises ``ValidationFailed`` when they are more than ``ARCHIVE_BYTES_MAX`` together.
    """
    files, size, names = [], 0, set[str]()
    for generation, asset in rows:
        try:
            size += media.size(asset.media_key)
        except FileNotFoundError:
            log.warning("file missing", asset=asset.id)
            continue
        name = _unused(file_name(generation, asset), names)
        names.add(name)
        files.append(Member(name, asset.media_key, asset.created_at))
    if size > ARCHIVE_BYTES_MAX:
        limit = f"{ARCHIVE_BYTES_MAX // 2**30} GB"
        raise ValidationFailed.of("images", f"These are more than {limit} together; select fewer.")
    return files


def stream(files: Sequence[Member], media: Media) -> Iterator[bytes]:
    """Yield a ZIP archive piece by piece, so that it is never whole in memory or on the disk.

    The files are stored as they are: images, audio and video are compressed already.
    """
    pieces = _Pieces()
    with ZipFile(pieces, "w", ZIP_STORED) as archive:
        for file in files:
            info = ZipInfo(file.name, date_time=file.created_at.timetuple()[:6])
            info.external_attr = 0o644 << 16
            try:
                source = media.open(file.media_key)
            except FileNotFoundError:
                log.warning("file deleted while it was sent", key=file.media_key)
                continue
            with source, archive.open(info, "w") as target:
                while chunk := source.read(_CHUNK_BYTES):
                    target.write(chunk)
                    yield pieces.take()
    yield pieces.take()


class _Pieces(io.RawIOBase):
    """A file that can only be written, as a socket can; what was written is taken away."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: ReadableBuffer) -> int:
        self._written += data
        return memoryview(data).nbytes

    def take(self) -> bytes:
        data = bytes(self._written)
        self._written.clear()
        return data


def _unused(name: str, names: set[str]) -> str:
    stem, _, extension = name.rpartition(".")
    number, candidate = 2, name
    while candidate in names:
        candidate, number = f"{stem}-{number}.{extension}", number + 1
    return candidate
