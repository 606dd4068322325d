"""Filters of the gallery in an address: parsed, and written again for its links."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlencode

from creditapp.catalog.models import OPERATIONS
from creditapp.generation.gallery import KINDS, SHAPES, GalleryFilter
from creditapp.http import forms

SEARCH_CHARACTERS_MAX = 200


def parse() -> GalleryFilter:
    """Return the filters of the request; a value that is none of its kind shows all."""
    return GalleryFilter(
        search=forms.text("q", SEARCH_CHARACTERS_MAX).strip(),
        starred=forms.ticked("starred"),
        model=forms.text("model"),
        operation=_one_of("operation", OPERATIONS),
        kind=_one_of("kind", KINDS),
        shape=_one_of("shape", SHAPES),
        since=_day("since"),
        until=_day("until"),
    )


def fields(chosen: GalleryFilter) -> dict[str, str]:
    """Return the filters that are set, as the fields of an address."""
    values = {
        "q": chosen.search,
        "starred": "1" if chosen.starred else "",
        "model": chosen.model,
        "operation": chosen.operation,
        "kind": chosen.kind,
        "shape": chosen.shape,
        "since": chosen.since.isoformat() if chosen.since else "",
        "until": chosen.until.isoformat() if chosen.until else "",
    }
    return {name: value for name, value in values.items() if value}


def viewer_query(chosen: GalleryFilter) -> str:
    """Return the query that lets the viewer turn the pages of this list."""
    return urlencode({"list": "gallery", **fields(chosen)})


def of_viewer() -> tuple[GalleryFilter, str]:
    """Return the list that the viewer was opened from, and its query; all images for none."""
    if forms.text("list") != "gallery":
        return GalleryFilter(), ""
    chosen = parse()
    return chosen, viewer_query(chosen)


def _one_of(name: str, values: tuple[str, ...]) -> str:
    value = forms.text(name)
    return value if value in values else ""


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(forms.text(name, 10))
    except ValueError:
        return None
