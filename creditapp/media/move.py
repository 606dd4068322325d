"""Moves all files from one store to another, verified byte for byte.

A move that was cut is run again: it goes on after the files that are there. Nothing is deleted
before every file was found in the target with the digest that it has in the source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal

from creditapp.media.keys import new_key
from creditapp.media.store import Media

THREADS: Final = 8
"""Files at once: a bucket answers each within a tenth of a second or so."""

Outcome = Literal["moved", "present", "gone", "different"]
Progress = Callable[[int, int], None]
"""Called with the number of files that are done, and of all."""


@dataclass
class Moved:
    """Figures of a move."""

    files: int = 0
    """Files in the source, without those that their owner deleted meanwhile."""
    moved: int = 0
    """Of them, written by this run."""
    bytes: int = 0
    different: int = 0
    """Files that could not be read back as they were written."""
    only_in_target: int = 0
    deleted: int = 0

    @property
    def complete(self) -> bool:
        """Whether every file is in the target."""
        return not self.different

    def as_dict(self) -> dict[str, object]:
        """Return the figures for scripts."""
        return {
            "files": self.files,
            "moved": self.moved,
            "bytes": self.bytes,
            "different": self.different,
            "onlyInTarget": self.only_in_target,
            "deleted": self.deleted,
            "complete": self.complete,
        }

    def as_text(self) -> str:
        """Return the figures for people."""
        lines = [
            f"{self.files - self.different} of {self.files} files are in the target "
            f"({self.bytes / 1e6:.1f} MB read), {self.moved} of them new."
        ]
        if self.different:
            lines.append(f"{self.different} files differ there: run the same command again.")
        if self.only_in_target:
            lines.append(f"{self.only_in_target} files are in the target alone.")
        if self.deleted:
            lines.append(f"{self.deleted} files were deleted from the source.")
        return "\n".join(lines)


def same_place(one: Media, other: Media) -> bool:
    """Return whether two stores are the same one, whatever their URLs; writes a file for it."""
    key = new_key("image/png")
    other.put(key, b"is this the same place?")
    try:
        one.size(key)
    except FileNotFoundError:
        return False
    finally:
        other.delete(key)
    return True


def move(source: Media, target: Media, progress: Progress, *, delete: bool) -> Moved:
    """Copy every file that the target lacks, and compare every file.

    ``delete`` empties the source afterwards, if all are there. The stores must not be the same.
    Raises ``MediaUnavailable`` and ``OSError``: what was moved by then stays.
    """
    keys, present = list(source.keys()), set(target.keys())
    done = Moved(only_in_target=len(present.difference(keys)))

    def move_one(key: str) -> tuple[Outcome, int]:
        return _move_one(key, source, target, is_present=key in present)

    with ThreadPoolExecutor(THREADS) as threads:
        outcomes = threads.map(move_one, keys)
        try:
            for number, (outcome, size) in enumerate(outcomes, start=1):
                done.files += outcome != "gone"
                done.moved += outcome == "moved"
                done.different += outcome == "different"
                done.bytes += size
                progress(number, len(keys))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    if delete and done.complete:
        with ThreadPoolExecutor(THREADS) as threads:
            done.deleted = sum(threads.map(source.delete, keys))
    return done


def _move_one(key: str, source: Media, target: Media, *, is_present: bool) -> tuple[Outcome, int]:
    try:
        with source.open(key) as file:
            data = file.read()
    except FileNotFoundError:
        return "gone", 0  # its owner deleted it meanwhile
    if is_present and _is_same(target, key, data):
        return "present", len(data)
    target.put(key, data)
    return "moved" if _is_same(target, key, data) else "different", len(data)


def _is_same(target: Media, key: str, data: bytes) -> bool:
    """Return whether the target's file has the digest of ``data``, read from the target."""
    try:
        with target.open(key) as file:
            digest = hashlib.sha256(file.read()).digest()
    except FileNotFoundError:
        return False
    return digest == hashlib.sha256(data).digest()
