"""Uploads: a member's own files, to start generations from."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, request
from werkzeug.datastructures import FileStorage

from creditapp.clock import now
from creditapp.db import reading
from creditapp.errors import AppError, NotFound, ValidationFailed
from creditapp.generation.models import Upload
from creditapp.generation.sources import Source, as_source, find_sources
from creditapp.generation.uploads import (
    delete_upload,
    find_upload,
    list_uploads,
    refusal_of,
    store_upload,
)
from creditapp.http import forms
from creditapp.http.headers import FILE_POLICY
from creditapp.http.media_files import send_media
from creditapp.http.policies import policy
from creditapp.http.problems import wants_json
from creditapp.http.rendering import go, page_or_block, render_block, wants_fragment, with_query
from creditapp.http.viewer import caller, notify
from creditapp.media import EXTENSIONS
from creditapp.rate_limits import UPLOAD_BODY_BYTES_MAX, UPLOAD_BYTES_MAX, UPLOAD_DAYS
from creditapp.web import studio, studio_form, view_models

PAGE_SIZE = 24

pages = Blueprint("uploads", __name__)


@pages.get("/uploads")
@policy("user")
def uploads() -> Response:
    """Show a member's uploads, newest first."""
    page = list_uploads(reading(), caller(), PAGE_SIZE, forms.text("cursor"))
    return page_or_block(
        "pages/uploads/index.html",
        "grid",
        items=[view_models.source_tile(as_source(each)) for each in page.rows],
        next_url=page.next_cursor and with_query("/uploads", {"cursor": page.next_cursor}),
        days=UPLOAD_DAYS,
    )


@pages.post("/uploads")
@policy("user", body_bytes_max=UPLOAD_BODY_BYTES_MAX)
def upload() -> Response:
    """Store a file. The response is its tile in the source picker of the field ``add_to``.

    Without JavaScript the studio's form is posted here whole, and shown again with the file chosen:
    not by a redirect, which would have the prompt in an address.
    """
    field = forms.text("add_to")
    file = request.files.get("file") or request.files.get(f"file_{field}")
    kinds = forms.text("kinds") or forms.text(f"kinds_{field}")
    try:
        row = _store(file, kinds)
    except AppError as refusal:
        if wants_fragment() or wants_json():
            raise
        # Beside the field, whatever it is: the rest of the form is as it was.
        return studio.page_of(studio_form.parse(), ValidationFailed.of(field, refusal.detail))
    single = forms.ticked("single") or request.args.get("single") == "1"
    if not wants_fragment():
        form = studio_form.with_source(studio_form.parse(), field, row.id, single=single)
        return studio.page_of(form)
    return make_response(_tile(as_source(row), field, single=single), 201)


@pages.get("/sources/<source_id>")
@policy("user")
def tile(source_id: str) -> str:
    """Return the tile of one of the member's own files, which was dragged from the page."""
    source = find_sources(reading(), caller(), [source_id])[source_id]
    kinds = _media_kinds(forms.text("kinds"))
    if kinds and source.kind not in kinds:
        raise refusal_of({"refused": "kind", "kind": source.kind, "kinds": kinds})
    return _tile(source, forms.text("add_to"), single=forms.ticked("single"))


def _tile(source: Source, field: str, *, single: bool) -> str:
    return render_block(
        "layouts/fragments.html",
        "source_tile",
        tile=view_models.source_tile(source),
        name=field,
        single=single,
    )


def _media_kinds(kinds: str) -> list[str]:
    """Return the known kinds of a field; a mask is an image with transparent parts."""
    return [kind for kind in kinds.replace("mask", "image").split(",") if kind in UPLOAD_BYTES_MAX]


def _store(file: FileStorage | None, kinds: str) -> Upload:
    if file is None or not file.filename:
        raise ValidationFailed.of("file", "Choose a file first.")
    return store_upload(file.stream, caller(), kinds=_media_kinds(kinds), now=now())


@pages.get("/uploads/<upload_id>")
@policy("user", scope="read")
def file(upload_id: str) -> Response:
    """Send an upload to its owner; 404 for everyone else."""
    row = find_upload(reading(), upload_id, caller())
    return _send(row.media_key, row.mime_type)


@pages.get("/uploads/<upload_id>/thumbnail")
@policy("user")
def thumbnail(upload_id: str) -> Response:
    """Send the small image of an upload to its owner."""
    row = find_upload(reading(), upload_id, caller())
    if row.thumbnail_key is None:
        raise NotFound("A sound has no image.")
    return _send(row.thumbnail_key, "image/webp")


@pages.post("/uploads/<upload_id>/delete")
@policy("user")
def delete(upload_id: str) -> Response:
    """Delete an upload with its file."""
    delete_upload(upload_id, caller())
    notify("info", text="The upload is deleted.")
    return go(forms.next_path("/uploads"))


def _send(media_key: str, mime_type: str) -> Response:
    try:
        # Pages embed it; opened by itself it is saved, and never shown as a page of ours.
        name = f"upload.{EXTENSIONS[mime_type]}"
        response = send_media(media_key, mime_type, name, as_attachment=True)
    except FileNotFoundError:
        raise NotFound("This file no longer exists.") from None
    response.headers["Content-Security-Policy"] = FILE_POLICY
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
