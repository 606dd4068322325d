"""Gallery, and the image files, which only their owner may see."""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, send_file
from sqlalchemy import select

from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import NotFound
from creditapp.generation import GenerationResult, feedback, queries
from creditapp.generation.models import Asset, Generation
from creditapp.generation.queries import GalleryFilter
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.rendering import go, page_or_block, with_query
from creditapp.http.viewer import caller, notify
from creditapp.media import Media
from creditapp.services import get
from creditapp.web import view_models

PAGE_SIZE = 24

pages = Blueprint("gallery", __name__)
log = structlog.get_logger(__name__)


@pages.get("/gallery")
@policy("user")
def gallery() -> Response:
    """Show a member's images, newest first, with a search in the prompts."""
    by, session = caller(), reading()
    search = forms.text("q", 200).strip()
    chosen = GalleryFilter(search, starred=forms.ticked("starred"))
    page = queries.list_images(session, by, chosen, PAGE_SIZE, forms.text("cursor"))
    filters = {"q": search, "starred": "1" if chosen.starred else ""}
    return page_or_block(
        "pages/gallery/index.html",
        "grid",
        items=[view_models.image_card(GenerationResult(row), asset) for row, asset in page.rows],
        q=search,
        starred=chosen.starred,
        here=with_query("/gallery", filters),
        next_url=page.next_cursor
        and with_query("/gallery", {**filters, "cursor": page.next_cursor}),
        total=queries.count_images(session, by, chosen) if search else None,
    )


@pages.post("/generations/<generation_id>/star")
@policy("user")
def star(generation_id: str) -> Response:
    """Add an image to the favourites or remove it, and return to its page."""
    with transaction() as writing:
        starred = forms.ticked("starred")
        feedback.star(writing, generation_id, caller(), starred=starred, now=now())
    return go(forms.next_path("/gallery"))


@pages.post("/generations/<generation_id>/report")
@policy("public")
def report(generation_id: str) -> Response:
    """Report a problem with an image to the operator."""
    with transaction() as writing:
        text = forms.text("report", None)
        feedback.report(writing, generation_id, caller(), text, now=now())
    log.warning("image reported", generation=generation_id)
    notify("info", text="Thank you. We have received your report.")
    return go(f"/generations/{generation_id}")


@pages.get("/media/<asset_id>")
@policy("public")
def media(asset_id: str) -> Response:
    """Send an image to its owner; 404 for everyone else."""
    query = (
        select(Asset, Generation.prompt)
        .join(Generation, Asset.generation_id == Generation.id)
        .where(Asset.id == asset_id, *queries.owned(caller()))
    )
    row = reading().execute(query).first()
    if row is None:
        raise NotFound("There is no such image here.")
    asset, prompt = row
    try:
        response = send_file(
            get(Media).path(asset.media_key),
            mimetype=asset.mime_type,
            as_attachment=forms.ticked("download"),
            download_name=f"{_file_name(prompt)}.{asset.mime_type.partition('/')[2]}",
            conditional=True,
            max_age=31536000,
        )
    except FileNotFoundError:
        # Deleted after the row was read, or lost with a disk.
        raise NotFound("This image no longer exists.") from None
    # Private: a shared cache must never serve one user's image to another.
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    return response


def _file_name(prompt: str) -> str:
    words = "".join(c if c.isalnum() and c.isascii() else " " for c in prompt).split()
    return "-".join(words[:8]).lower()[:60] or "image"
