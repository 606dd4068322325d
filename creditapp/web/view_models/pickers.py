"""Source pickers of the studio's forms: the files that each operation starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from creditapp.catalog import Catalog
from creditapp.services import get
from creditapp.web.view_models.choices import Options
from creditapp.web.view_models.sources import SourcePicker, source_picker


@dataclass(frozen=True)
class _Field:
    """A field of an operation's order that names files."""

    name: str
    label: str
    kinds: Sequence[str]
    hint: str = ""
    required: bool = True


_FIELDS: Mapping[str, Sequence[_Field]] = {
    "image-to-image": (
        _Field("images", "Start from", ["image"]),
        _Field("mask", "Mask", ["mask"], "A PNG, transparent where it may change.", required=False),
    ),
    "upscale": (_Field("image", "Image", ["image"]),),
    "video": (_Field("images", "First frame", ["image"], required=False),),
    "lipsync": (
        _Field("image", "Face", ["image", "video"], "An image or a video of one face."),
        _Field("audio", "Voice", ["audio"]),
    ),
}


def pickers(operation: str, fields: Mapping[str, Any], options: Options) -> dict[str, SourcePicker]:
    """Return the pickers of an operation's form by their fields; none for most operations."""
    shown = [
        field
        for field in _FIELDS.get(operation, ())
        if field.name != "mask" or options["takes_mask"]
    ]
    return {field.name: _picker(operation, field, fields[field.name]) for field in shown}


def _picker(operation: str, field: _Field, chosen: str | Sequence[str]) -> SourcePicker:
    chosen_ids = [chosen] if isinstance(chosen, str) else chosen
    most = 1
    if (operation, field.name) == ("image-to-image", "images"):
        # Of all models: a model that takes fewer refuses the rest, and nothing chosen is lost.
        able = [model for model in get(Catalog).models if model.can(operation)]
        most = max(model.sources_max for model in able)
    return source_picker(
        field.name,
        field.label,
        field.kinds,
        [each for each in chosen_ids if each],
        hint=field.hint,
        most=most,
        required=field.required,
    )
