"""Keys of stored files: unguessable, with an extension that tells the type."""

from __future__ import annotations

import re
import secrets

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


def new_key(mime_type: str) -> str:
    """Return a key for a new file. Raises ``MediaTypeUnknown``."""
    extension = EXTENSIONS.get(mime_type)
    if extension is None:
        raise MediaTypeUnknown(f"files of type {mime_type!r} are not stored")
    return f"{secrets.token_hex(16)}.{extension}"


def is_key(text: str) -> bool:
    """Return whether a text has the form of a key."""
    return _KEY.fullmatch(text) is not None


def checked(key: str) -> str:
    """Return the key. Raises ``MediaKeyInvalid``."""
    if not is_key(key):
        raise MediaKeyInvalid("this is not the key of a media file")
    return key


def mime_type_of(key: str) -> str:
    """Return the MIME type of a key's file. Raises ``MediaKeyInvalid``."""
    return _MIME_TYPES[checked(key).rpartition(".")[2]]
