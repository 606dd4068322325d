"""Sources of an order, for the ``source_picker`` and ``source_tile`` components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from creditapp.db import reading
from creditapp.generation.sources import Source, own_sources, recent_sources
from creditapp.http.viewer import caller, viewer
from creditapp.rate_limits import UPLOAD_BYTES_MAX

RECENT = 12
PROMPT_CHARACTERS_MAX = 120

_MIME_TYPES = {
    "image": ("image/png", "image/jpeg", "image/webp"),
    "mask": ("image/png",),
    "audio": ("audio/mpeg", "audio/wav", "audio/ogg", "audio/mp4", ".m4a"),
    "video": ("video/mp4", "video/webm"),
}
"""By kind, what the browser's file dialog offers; a mask is an image with transparent parts."""


@dataclass(frozen=True)
class SourceTile:
    """The ``source_tile`` component: one file that an order may start from."""

    id: str
    kind: str
    url: str
    thumbnail_url: str | None
    text: str
    """The prompt that made it, or that it is an upload."""
    size: str
    """In pixels, or its length."""


@dataclass(frozen=True)
class SourcePicker:
    """The ``source_picker`` component."""

    name: str
    label: str
    kinds: Sequence[str]
    chosen: Sequence[SourceTile]
    recent: Sequence[SourceTile]
    hint: str = ""
    most: int = 1
    required: bool = True
    may_upload: bool = True
    bytes_max: int = 0

    @property
    def accept(self) -> str:
        """The ``accept`` attribute of its file field."""
        return ",".join(each for kind in self.kinds for each in _MIME_TYPES[kind])


def source_picker(
    name: str,
    label: str,
    kinds: Sequence[str],
    chosen_ids: Sequence[str] = (),
    *,
    hint: str = "",
    most: int = 1,
    required: bool = True,
) -> SourcePicker:
    """Return the picker of one field of an order; at most three queries.

    ``name`` is the order's field. ``kinds`` are ``image``, ``audio``, ``video``, or ``mask``, for
    which nothing but an upload is offered. Of ``chosen_ids`` those that are not the viewer's own
    are left out, and those beyond ``most``.
    """
    by, session = caller(), reading()
    ids = list(dict.fromkeys(chosen_ids))[:most]
    found = own_sources(session, by, ids)
    media_kinds = [kind for kind in kinds if kind != "mask"]
    recent = recent_sources(session, by, media_kinds, RECENT) if media_kinds else []
    return SourcePicker(
        name=name,
        label=label,
        kinds=kinds,
        chosen=[source_tile(found[each]) for each in ids if each in found],
        recent=[source_tile(each) for each in recent if each.id not in found],
        hint=hint,
        most=most,
        required=required,
        may_upload=viewer().kind == "user",
        bytes_max=max(UPLOAD_BYTES_MAX[kind] for kind in media_kinds or ("image",)),
    )


def source_tile(source: Source) -> SourceTile:
    """Return one file of the viewer's own."""
    uploaded = source.id.startswith("upl_")
    url = f"/uploads/{source.id}" if uploaded else f"/media/{source.id}"
    thumbnail_url = url if source.kind == "image" else None
    if source.has_thumbnail:
        thumbnail_url = f"{url}/thumbnail" if uploaded else f"{url}?size=small"
    size = f"{source.width} × {source.height}" if source.width else ""
    if source.milliseconds is not None:
        minutes, seconds = divmod(-(-source.milliseconds // 1000), 60)
        size = f"{minutes}:{seconds:02d}"
    return SourceTile(
        id=source.id,
        kind=source.kind,
        url=url,
        thumbnail_url=thumbnail_url,
        text=source.prompt[:PROMPT_CHARACTERS_MAX] or "Upload",
        size=size,
    )
