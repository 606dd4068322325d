"""Secrets that a demo makes for itself at its first start and keeps in its data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Make the data folder, which holds hashes, prompts and emails, for this user alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def stored_secret(folder: Path, name: str, *, random_bytes: int) -> str:
    """Return the secret of a file, which is made once.

    Raises ``OSError`` for a folder that cannot be written, and ``ValueError`` for a damaged file.
    """
    path = folder / name
    make_private_folder(folder)
    if not path.exists():
        _write_once(path, secrets.token_urlsafe(random_bytes))
    secret = path.read_text()
    if len(secret) < 32:
        raise ValueError(f"{name} is damaged")
    return secret


def _write_once(path: Path, text: str) -> None:
    """Create a file that only this user can read; of two processes at once, one creates it.

    It gets its name when it is complete, so that no process reads half of it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with open(temporary, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        temporary.unlink()
