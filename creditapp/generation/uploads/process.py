"""Runs the program that rewrites an uploaded file, with limits, and without the app's secrets."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import structlog

from creditapp.catalog import Catalog
from creditapp.errors import RateLimited
from creditapp.generation.providers.images import PIXELS_MAX, SIDE_MAX
from creditapp.generation.uploads.file_types import FileType
from creditapp.generation.uploads.refusals import refusal_of
from creditapp.rate_limits import UPLOADS_AT_ONCE
from creditapp.services import get

log = structlog.get_logger(__name__)

SECONDS_MAX: Final = 120
"""Of audio and video, where the catalog has no lipsync: that says how long a voice may be."""

THUMBNAIL_SIDE: Final = 384

FRAME_PIXELS_MAX: Final = 4096 * 2304
"""Of a video: 4K, as the widest cameras have it."""

CPU_SECONDS_MAX: Final = 20
WALL_SECONDS_MAX: Final = 30
MEMORY_BYTES_MAX: Final = 1024**3
OUTPUT_BYTES_MAX: Final = 96 * 1024**2

PROGRAM: Final = Path(__file__).with_name("rewriter.py")

_seats = threading.BoundedSemaphore(UPLOADS_AT_ONCE)


def rewrite(
    file_type: FileType, source: IO[bytes], target: IO[bytes], thumbnail: IO[bytes]
) -> dict[str, Any]:
    """Let the program rewrite the file; return what it found, or raise why it is refused.

    It gets no environment: a flaw in a decoder must find no secret. It is killed after
    ``WALL_SECONDS_MAX``, and by the system at its limits.
    """
    lipsync = get(Catalog).operation("lipsync")
    task = {
        "container": file_type.container,
        "source": source.fileno(),
        "target": target.fileno(),
        "thumbnail": thumbnail.fileno(),
        "side_max": SIDE_MAX,
        "pixels_max": PIXELS_MAX,
        "frame_pixels_max": FRAME_PIXELS_MAX,
        "seconds_max": (lipsync.max_seconds if lipsync else None) or SECONDS_MAX,
        "thumbnail_side": THUMBNAIL_SIDE,
        "limits": _limits(),
    }
    with _seat():
        facts = _run(task, (source.fileno(), target.fileno(), thumbnail.fileno()))
    if "refused" in facts:
        raise refusal_of(facts | {"seconds_max": task["seconds_max"]})
    return facts


def _limits() -> dict[str, int]:
    """Return the limits that the program sets for itself before it opens the file."""
    return {
        "memory_bytes": MEMORY_BYTES_MAX,
        "cpu_seconds": CPU_SECONDS_MAX,
        "output_bytes": OUTPUT_BYTES_MAX,
    }


def _run(task: dict[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
    try:
        ended = subprocess.run(  # noqa: S603  # our own program, no shell
            [sys.executable, "-I", str(PROGRAM), json.dumps(task)],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=descriptors,
            timeout=WALL_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        log.warning("upload rewriter killed", container=task["container"], reason="time")
        return {"refused": "costly"}
    if ended.returncode:
        log.warning("upload rewriter ended", container=task["container"], status=ended.returncode)
        return {"refused": "costly"}
    facts: dict[str, Any] = json.loads(ended.stdout)
    if "error_type" in facts:
        log.warning(
            "upload unreadable",
            container=task["container"],
            error_type=facts["error_type"],
            at=facts["at"],
        )
    return facts


@contextmanager
def _seat() -> Iterator[None]:
    """Hold one of the seats of this process; raise ``RateLimited`` when all are taken."""
    if not _seats.acquire(blocking=False):
        raise RateLimited.after(3, "Many files are being checked. Try again in a few seconds.")
    try:
        yield
    finally:
        _seats.release()
