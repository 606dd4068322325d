"""Images: the viewer, the files, which only their owner may see, favourites, deletion, undo."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flask import Blueprint, Response, make_response

from creditapp.clock import now
from creditapp.db import reading, stop_reading, transaction
from creditapp.errors import NotFound, ValidationFailed
from creditapp.generation import archive, deletion, feedback
from creditapp.generation import gallery as gallery_queries
from creditapp.generation.sources import own_sources
from creditapp.http import exports, forms
from creditapp.http.media_files import send_media
from creditapp.http.policies import policy
from creditapp.http.rate_limiting import costly
from creditapp.http.rendering import go, page_or_block, render_block, wants_fragment
from creditapp.http.viewer import caller, notify, viewer
from creditapp.media import Media
from creditapp.rate_limits import SELECTED_IMAGES_MAX, SELECTION_FIELDS_MAX
from creditapp.services import get
from creditapp.web import gallery_filter, view_models

FRAGMENTS = "layouts/fragments.html"

pages = Blueprint("images", __name__)


@pages.get("/images/<asset_id>")
@policy("public")
def show(asset_id: str) -> Response:
    """Show one image whole: over another page for HTMX, else as a page of its own."""
    by, session = caller(), reading()
    generation, asset = gallery_queries.find_image(session, by, asset_id)
    chosen, query = gallery_filter.of_viewer()
    viewed = view_models.viewed(
        generation,
        asset,
        own_sources(session, by, view_models.source_ids(generation)),
        together=gallery_queries.count_together(session, [generation.id]).get(generation.id, 1),
        neighbours=gallery_queries.neighbours(session, by, chosen, asset),
        query=query,
    )
    return page_or_block("pages/images/index.html", "modal", viewed=viewed)


@pages.post("/images/star")
@policy("user", fields_max=SELECTION_FIELDS_MAX)
def star() -> Response:
    """Add images to the favourites or remove them; a fragment is their buttons."""
    asset_ids, starred = selected_images(), forms.ticked("starred")
    with transaction() as writing:
        feedback.star(writing, asset_ids, caller(), starred=starred, now=now())
    if not wants_fragment():
        return go(forms.next_path("/gallery"))
    button = {"starred": starred, "place": forms.text("place"), "next": forms.next_path("/gallery")}
    body = [render_block(FRAGMENTS, "favourite", asset_id=each, **button) for each in asset_ids]
    response = make_response("".join(body))
    event = {"images-starred": {"images": asset_ids, "starred": starred}}
    response.headers["HX-Trigger-After-Swap"] = json.dumps(event)
    return response


@pages.post("/images/delete")
@policy("public", fields_max=SELECTION_FIELDS_MAX)
def delete() -> Response:
    """Delete images; for some seconds they can be restored."""
    asset_ids = selected_images()
    deleted, count = deletion.delete_images(asset_ids, caller(), now=now())
    return answer_deletion(deleted.id, count, asset_ids)


@pages.post("/images/restore")
@policy("public")
def restore() -> Response:
    """Restore what a deletion hid."""
    count = deletion.undo(forms.text("deletion"), caller(), now=now())
    notify("restored", count=count)
    return go(forms.next_path(_home()))


@pages.post("/images/zip")
@policy("user", fields_max=SELECTION_FIELDS_MAX)
@costly
def download_selected() -> Response:
    """Send the selected images as one archive."""
    return send_archive(gallery_queries.find_images(reading(), caller(), selected_images()))


@pages.get("/media/<asset_id>")
@policy("public", scope="read")
def media(asset_id: str) -> Response:
    """Send a file to its owner, or its thumbnail (``size=small``); 404 for everyone else."""
    generation, asset = gallery_queries.find_image(reading(), caller(), asset_id)
    is_small = forms.text("size") == "small" and not forms.ticked("download")
    # Without a thumbnail, the file itself.
    small_key = asset.thumbnail_key if is_small else None
    try:
        return send_media(
            small_key or asset.media_key,
            "image/webp" if small_key else asset.mime_type,
            archive.file_name(generation, asset),
            as_attachment=forms.ticked("download"),
        )
    except FileNotFoundError:
        # Deleted after the row was read, or lost with a disk.
        raise NotFound("This image no longer exists.") from None


def selected_images() -> list[str]:
    """Return the ids of the images that a form names; raise ``ValidationFailed`` for none."""
    asset_ids = list(dict.fromkeys(forms.several("images")))
    if not asset_ids:
        raise ValidationFailed.of("images", "Select at least one image.")
    if len(asset_ids) > SELECTED_IMAGES_MAX:
        raise ValidationFailed.of("images", f"Select at most {SELECTED_IMAGES_MAX} images.")
    return asset_ids


def send_archive(rows: Sequence[gallery_queries.Row]) -> Response:
    """Send the files of some images as one archive; raise ``NotFound`` if none is left."""
    stop_reading()
    files = archive.members(rows, get(Media))
    if not files:
        raise NotFound("These images no longer exist.")
    pieces = archive.stream(files, get(Media))
    return exports.send(pieces, "images.zip", "application/zip", caller=caller().owner)


def answer_deletion(deletion_id: str, count: int, asset_ids: Sequence[str]) -> Response:
    """Return to the page with a notice that offers to undo; for HTMX the notice alone.

    The event ``images-deleted`` tells the page which images to remove.
    """
    notice = {"deletion": deletion_id, "count": count, "next": forms.next_path(_home())}
    if not wants_fragment():
        notify("deleted", **notice)
        return go(forms.next_path(_home()))
    response = make_response(render_block(FRAGMENTS, "toast", notice={"code": "deleted", **notice}))
    response.headers["HX-Reswap"] = "none"
    # After the swap: the form that asked is removed with its image, and htmx needs it until then.
    event = {"images-deleted": {"images": list(asset_ids)}}
    response.headers["HX-Trigger-After-Swap"] = json.dumps(event)
    return response


def _home() -> str:
    return "/gallery" if viewer().kind == "user" else "/"
