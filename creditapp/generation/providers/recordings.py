"""Verify audio and video files that a vendor sent, and measure them.

A file counts as delivered after its container was read to the end and its first frame decoded. Its
type follows from its first bytes, and only that container is tried: others of the library name
further files and addresses. The vendor's bytes are kept.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

BYTES_MAX = 256 * 1024 * 1024
SECONDS_MAX = 7200
SIDE_MAX = 8192

Kind = Literal["audio", "video"]


class NotARecording(Exception):
    """The bytes are no acceptable audio or video; ``reason`` is a short code for logs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Recording:
    """The type, the length and for video the size in pixels that a file's own bytes have."""

    mime_type: str
    milliseconds: int
    width: int | None = None
    height: int | None = None


def inspect(data: bytes, kind: Kind) -> Recording:
    """Return what ``data`` is; raise ``NotARecording`` for anything but audio or video as asked."""
    import av

    if not data:
        raise NotARecording("empty")
    if len(data) > BYTES_MAX:
        raise NotARecording("too_many_bytes")
    container_format, mime_type = _type_of(data, kind)
    try:
        with av.open(io.BytesIO(data), "r", format=container_format) as container:
            streams = container.streams.video if kind == "video" else container.streams.audio
            if not streams:
                raise NotARecording(f"no_{kind}")
            stream = streams[0]
            milliseconds = _milliseconds(container, stream)
        with av.open(io.BytesIO(data), "r", format=container_format) as container:
            width, height = _first_frame(container, kind)
    except NotARecording:
        raise
    except Exception as error:
        # The library raises its own errors, and those of Python for what its parsers meet.
        raise NotARecording("unreadable") from error
    return Recording(mime_type, milliseconds, width, height)


def _type_of(data: bytes, kind: Kind) -> tuple[str, str]:
    """Return the library's name of the container and the MIME type, by the first bytes."""
    head = data[:16]
    found = None
    if head[4:8] == b"ftyp":
        found = "mp4", f"{kind}/mp4"
    elif head.startswith(b"\x1a\x45\xdf\xa3"):
        found = "matroska", f"{kind}/webm"
    elif kind == "audio" and head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        found = "wav", "audio/wav"
    elif kind == "audio" and head.startswith(b"OggS"):
        found = "ogg", "audio/ogg"
    elif kind == "audio" and head.startswith(b"fLaC"):
        found = "flac", "audio/flac"
    elif kind == "audio" and _is_adts(head):
        found = "aac", "audio/aac"
    elif kind == "audio" and _is_mp3(head):
        found = "mp3", "audio/mpeg"
    if found is None:
        raise NotARecording("unknown_type")
    return found


def _is_adts(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def _is_mp3(head: bytes) -> bool:
    return head.startswith(b"ID3") or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2)


def _milliseconds(container: InputContainer, stream: Stream) -> int:
    """Return the length by the packets: the header of a streamed file does not know it."""
    first = end = None
    for packet in container.demux(stream):
        if packet.pts is None or packet.time_base is None:
            continue
        start = packet.pts * packet.time_base
        first = start if first is None else min(first, start)
        after = start + (packet.duration or 0) * packet.time_base
        end = after if end is None else max(end, after)
        if end - first > SECONDS_MAX:
            raise NotARecording("too_long")
    milliseconds = 0 if first is None or end is None else round((end - first) * 1000)
    if milliseconds <= 0:
        raise NotARecording("no_length")
    return milliseconds


def _first_frame(container: InputContainer, kind: Kind) -> tuple[int | None, int | None]:
    if kind == "audio":
        next(container.decode(audio=0))
        return None, None
    stream = container.streams.video[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    if not width or not height or max(width, height) > SIDE_MAX:
        raise NotARecording("bad_size")
    next(container.decode(video=0))
    return width, height
