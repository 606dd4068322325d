"""Storage of generated images, audio and video under unguessable keys.

Access is not decided here: the row that holds the key has an owner, and the route that serves the
file checks it. A key shows only the type of file, so it may be logged.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from creditapp.config import SettingsInvalid

EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/mp4": "m4a",
    "video/mp4": "mp4",
    "video/webm": "webm",
}
"""The types of file that are stored: not SVG and HTML, which can run scripts."""

_MIME_TYPES = {extension: mime_type for mime_type, extension in EXTENSIONS.items()}
_KEY = re.compile(rf"[0-9a-f]{{32}}\.({'|'.join(_MIME_TYPES)})", re.ASCII)


class MediaKeyInvalid(ValueError):
    """The text is not a key that ``store`` returned."""


class MediaTypeUnknown(ValueError):
    """Files of this MIME type are not stored."""


class Media(Protocol):
    """A store of files. The file of a key never changes; it can only be deleted."""

    def store(self, data: bytes, mime_type: str) -> str:
        """Store ``data`` durably and return its new key. Raises ``MediaTypeUnknown``."""

    def open(self, key: str) -> BinaryIO:
        """Open the file for reading. Raises ``FileNotFoundError`` and ``MediaKeyInvalid``."""

    def path(self, key: str) -> Path:
        """Return a local path to send the file from; the file may not exist."""

    def size(self, key: str) -> int:
        """Return the number of bytes. Raises ``FileNotFoundError`` and ``MediaKeyInvalid``."""

    def delete(self, key: str) -> bool:
        """Delete the file and return whether it existed. Idempotent."""

    def keys(self) -> Iterator[str]:
        """Yield the key of every file, in no order."""


def open_media(url: str) -> Media:
    """Return the store that ``MEDIA_URL`` names; raise ``SettingsInvalid`` for an unknown kind."""
    if url.startswith("file:"):
        # file:/srv/media and file:///srv/media mean the same (RFC 8089).
        return FileMedia(Path(re.sub(r"^//(?=/)", "", url.removeprefix("file:"))))
    if url.startswith("s3:"):
        raise SettingsInvalid("MEDIA_URL: s3: is not yet available; use file:/path/to/a/folder")
    raise SettingsInvalid("MEDIA_URL must start with file: and name a folder")


def mime_type_of(key: str) -> str:
    """Return the MIME type of a key's file. Raises ``MediaKeyInvalid``."""
    return _MIME_TYPES[_checked(key).group(1)]


class FileMedia:
    """A folder of files, two levels deep so that no folder grows too large to list."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def store(self, data: bytes, mime_type: str) -> str:
        """Write a temporary file, sync it to the disk, then rename it.

        A reader that has the key always finds the whole file, even after a crash.
        """
        extension = EXTENSIONS.get(mime_type)
        if extension is None:
            raise MediaTypeUnknown(f"files of type {mime_type!r} are not stored")
        key = f"{secrets.token_hex(16)}.{extension}"
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(f".{path.name}.part")
        try:
            with open(partial, "xb", opener=_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        # A new name, of the file or of a folder, is durable once its folder is.
        for folder in (path.parent, path.parent.parent, self.root):
            _sync_folder(folder)
        return key

    def open(self, key: str) -> BinaryIO:
        """Open the file for reading. Raises ``FileNotFoundError`` and ``MediaKeyInvalid``."""
        return open(self.path(key), "rb")

    def path(self, key: str) -> Path:
        """Return where the file is or would be. Raises ``MediaKeyInvalid``."""
        _checked(key)
        return self.root / key[:2] / key[2:4] / key

    def size(self, key: str) -> int:
        """Return the number of bytes. Raises ``FileNotFoundError`` and ``MediaKeyInvalid``."""
        return self.path(key).stat().st_size

    def delete(self, key: str) -> bool:
        """Delete the file and return whether it existed. Idempotent."""
        try:
            self.path(key).unlink()
        except FileNotFoundError:
            return False
        return True

    def keys(self) -> Iterator[str]:
        """Yield the key of every whole file, in no order."""
        for path in self.root.glob("??/??/*"):
            if _KEY.fullmatch(path.name):
                yield path.name


def _checked(key: str) -> re.Match[str]:
    match = _KEY.fullmatch(key)
    if match is None:
        raise MediaKeyInvalid("this is not the key of a media file")
    return match


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
