"""Gallery: a member's images, newest first, by filters."""

from __future__ import annotations

from flask import Blueprint, Response, session

from creditapp.catalog import Catalog
from creditapp.catalog.models import IMAGE_OPERATIONS, MEDIA_OPERATIONS
from creditapp.db import reading
from creditapp.generation.gallery import (
    COUNT_MAX,
    GalleryFilter,
    count_images,
    count_together,
    list_images,
)
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.rendering import page_or_block, wants_fragment, with_query
from creditapp.http.viewer import caller
from creditapp.services import get
from creditapp.web import gallery_filter, view_models

PAGE_SIZE = 24
TILES = ("small", "medium", "large")
"""Sizes of the images, which this browser keeps."""

pages = Blueprint("gallery", __name__)


@pages.get("/gallery")
@policy("user")
def gallery() -> Response:
    """Show a member's images, newest first, by filters."""
    by, reads = caller(), reading()
    chosen, cursor = gallery_filter.parse(), forms.text("cursor")
    page = list_images(reads, by, chosen, PAGE_SIZE, cursor)
    several = {row.id for row, _ in page.rows if row.delivered > 1}
    together = count_together(reads, list(several)) if several else {}
    fields = gallery_filter.fields(chosen)
    here = with_query("/gallery", fields)
    response = page_or_block(
        "pages/gallery/index.html",
        "grid",
        items=[
            view_models.image_card(generation, asset, together.get(generation.id, 1))
            for generation, asset in page.rows
        ],
        chosen=chosen,
        choices=_choices(chosen),
        tiles=_tiles(),
        here=here,
        filters=fields,
        viewer_query=gallery_filter.viewer_query(chosen),
        next_url=page.next_cursor
        and with_query("/gallery", {**fields, "cursor": page.next_cursor}),
        total=count_images(reads, by, chosen) if fields and not cursor else None,
        total_max=COUNT_MAX,
    )
    if wants_fragment() and not cursor:
        response.headers["HX-Push-Url"] = here
    return response


def _choices(chosen: GalleryFilter) -> dict[str, list[tuple[str, str]]]:
    """Return the values and names that the filters offer, from the catalog."""
    catalog = get(Catalog)
    models = [(model.id, model.name) for model in catalog.models]
    if chosen.model and chosen.model not in dict(models):
        models.append((chosen.model, chosen.model))  # no longer in the catalog
    made = (*IMAGE_OPERATIONS, *MEDIA_OPERATIONS)
    operations = [(each.id, each.name) for each in catalog.operations if each.id in made]
    return {"model": models, "operation": operations}


def _tiles() -> str:
    """Return the size of the images; a choice in the address is kept in this browser."""
    if forms.text("tiles") in TILES:
        session["gallery_tiles"] = forms.text("tiles")
    kept: str = session.get("gallery_tiles", "medium")
    return kept
