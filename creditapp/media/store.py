"""Interface of a store of files, and the error of one that does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from creditapp.errors import AppError


class MediaUnavailable(AppError):
    """The store of files did not answer, or refused. Trying again can help."""

    status, code, title = 503, "media_unavailable", "Files are not available right now"

    def __init__(self, reason: str) -> None:
        super().__init__(
            "The store of files did not answer. Try again in a moment.",
            headers={"Retry-After": "30"},
        )
        self.reason = reason
        """The store's own error code, for operators."""


@dataclass(frozen=True, slots=True)
class Link:
    """A signed address of one file: whoever has it can read the file until it expires."""

    url: str = field(repr=False)
    fresh_seconds: int
    """For how long a browser may remember it; it is valid for longer."""


class Media(Protocol):
    """A store of files. The file of a key never changes; it can only be deleted.

    Each method raises ``MediaKeyInvalid`` for a text that is no key, and ``MediaUnavailable``.
    """

    @property
    def origin(self) -> str:
        """The origin that links lead to, for the content security policy; empty without links."""

    def store(self, data: bytes, mime_type: str) -> str:
        """Store ``data`` durably and return its new key. Raises ``MediaTypeUnknown``."""

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` durably under a key of another store; what was there is replaced."""

    def open(self, key: str) -> BinaryIO:
        """Open the file for reading. Raises ``FileNotFoundError``."""

    def location(self, key: str, disposition: str) -> Path | Link:
        """Return where to send the file from: a local path, or a link to redirect to.

        ``disposition`` is the Content-Disposition of the link's answer. The file may not exist.
        """

    def size(self, key: str) -> int:
        """Return the number of bytes. Raises ``FileNotFoundError``."""

    def delete(self, key: str) -> bool:
        """Delete the file and return whether it existed, if the store knows. Idempotent."""

    def keys(self) -> Iterator[str]:
        """Yield the key of every whole file, in no order."""
