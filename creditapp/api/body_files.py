"""Files that a body brings, in ``data:`` URLs or as parts of a form: uploads of the caller."""

from __future__ import annotations

import binascii
import copy
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Any, Self

from creditapp.clock import now
from creditapp.errors import NotFound, ValidationFailed
from creditapp.generation.funding import Caller
from creditapp.generation.uploads import delete_upload, store_upload
from creditapp.ids import new_id

_FILES = ("images", "image", "mask", "audio", "voice", "video", "face")
"""The members of a body that name files to start from."""
_DATA_URL = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)


def has_data_url(body: dict[str, Any]) -> bool:
    """Return whether a body brings a file."""
    return any(True for _ in _data_urls(body))


@dataclass(frozen=True, slots=True)
class FormPart:
    """A file of a form, and the member of the body that names it."""

    field: str
    data: bytes


NO_PARTS: Mapping[str, FormPart] = {}


class FilesInBody:
    """The files that a body brings, as uploads that are deleted again unless an order uses them.

    A context manager: ``store`` stores the files, ``keep`` keeps them when it ends. ``body`` names
    them by ids, which are those of no file before ``store``, and ``digests`` are theirs by these
    ids. ``parts`` are files that came beside the body, by the names that it has for them. Raises
    ``ValidationFailed`` for a URL that cannot be read.
    """

    def __init__(
        self, body: dict[str, Any], by: Caller, parts: Mapping[str, FormPart] = NO_PARTS
    ) -> None:
        self._sent = body
        self._by = by
        self._fields = dict(_data_urls(body))
        self._data = {url: _decoded(url, field) for url, field in self._fields.items()}
        for name, part in parts.items():
            self._fields[name], self._data[name] = part.field, part.data
        self._stored: list[str] = []
        self._kept = False
        self._name({url: new_id("upl") for url in self._fields})

    def _name(self, ids: dict[str, str]) -> None:
        self.body = _with_ids(self._sent, ids)
        self.digests = {
            ids[url]: hashlib.sha256(data).hexdigest() for url, data in self._data.items()
        }

    def __enter__(self) -> Self:
        """Return these files."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Delete what was stored, unless it is kept."""
        if not self._kept:
            for upload_id in self._stored:
                with suppress(NotFound):  # the caller may have deleted it since
                    delete_upload(upload_id, self._by)

    def __len__(self) -> int:
        """Return how many files the body brings."""
        return len(self._fields)

    def store(self, kinds: Sequence[str] = ()) -> None:
        """Store the files, of these kinds if there are any. Owns its transactions.

        Raises what ``store_upload`` raises; a ``ValidationFailed`` names the member.
        """
        ids = {}
        for url, data in self._data.items():
            try:
                upload = store_upload(BytesIO(data), self._by, kinds=kinds, now=now())
            except ValidationFailed as refusal:
                raise ValidationFailed.of(self._fields[url], refusal.detail) from None
            self._stored.append(upload.id)
            ids[url] = upload.id
        self._name(ids)

    def keep(self) -> None:
        """Keep the stored files: an order uses them."""
        self._kept = True


def _data_urls(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each data URL of a body with the name of its member."""
    for name in _FILES:
        value = body.get(name)
        if isinstance(value, list):
            named = [(f"{name}.{number}", each) for number, each in enumerate(value)]
        else:
            named = [(name, value)]
        for field, each in named:
            if isinstance(each, str) and _DATA_URL.match(each):
                yield each, field
    for field, image in _images_of_messages(body):
        if _DATA_URL.match(image["url"]):
            yield image["url"], field


def _images_of_messages(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the ``image_url`` of each part of the messages, with the name of its message's text."""
    messages = body.get("messages")
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            image = part.get("image_url") if isinstance(part, dict) else None
            if isinstance(image, dict) and isinstance(image.get("url"), str):
                yield f"messages.{number}.content", image


def _with_ids(body: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    def id_of(value: Any) -> Any:
        return ids.get(value, value) if isinstance(value, str) else value

    named = {
        name: [id_of(each) for each in value] if isinstance(value, list) else id_of(value)
        for name, value in body.items()
    }
    if any(True for _ in _images_of_messages(named)):
        named["messages"] = copy.deepcopy(named["messages"])
        for _, image in _images_of_messages(named):
            image["url"] = id_of(image["url"])
    return named


def _decoded(url: str, field: str) -> bytes:
    try:
        return binascii.a2b_base64(url.partition(",")[2], strict_mode=True)
    except ValueError:
        raise ValidationFailed.of(field, "The data of this URL is not base64.") from None
