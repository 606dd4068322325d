"""Files in a folder of this machine, or in one that every machine mounts."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from creditapp.media.keys import checked, is_key, new_key
from creditapp.media.store import Link


class FileMedia:
    """A folder of files, two levels deep so that no folder grows too large to list."""

    origin = ""

    def __init__(self, root: Path) -> None:
        self.root = root

    def store(self, data: bytes, mime_type: str) -> str:
        """Write a file under a new key and return the key. Raises ``MediaTypeUnknown``."""
        key = new_key(mime_type)
        self.put(key, data)
        return key

    def put(self, key: str, data: bytes) -> None:
        """Write a temporary file, sync it to the disk, then rename it.

        A reader that has the key always finds the whole file, even after a crash.
        """
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
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

    def open(self, key: str) -> BinaryIO:
        """Open the file for reading. Raises ``FileNotFoundError`` and ``MediaKeyInvalid``."""
        return open(self.path(key), "rb")

    def path(self, key: str) -> Path:
        """Return where the file is or would be. Raises ``MediaKeyInvalid``."""
        checked(key)
        return self.root / key[:2] / key[2:4] / key

    def location(self, key: str, disposition: str) -> Path | Link:
        """Return the path; the app itself sends the file, with a disposition of its own."""
        return self.path(key)

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
            if is_key(path.name):
                yield path.name


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
