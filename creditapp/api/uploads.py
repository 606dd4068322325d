"""``/api/uploads``: a member's own files, to start generations from."""

from __future__ import annotations

from typing import IO

from flask import Blueprint, Response, request

from creditapp.api.requests import page_size
from creditapp.clock import now
from creditapp.db import reading
from creditapp.errors import Conflict, ValidationFailed
from creditapp.generation.models import Upload
from creditapp.generation.sources import UPLOAD_ID
from creditapp.generation.uploads import delete_upload, list_uploads, store_upload
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Moment, Schema
from creditapp.http.viewer import caller
from creditapp.media.store import MediaUnavailable
from creditapp.pagination import parse_cursor
from creditapp.rate_limits import UPLOAD_BODY_BYTES_MAX

routes = Blueprint("uploads", __name__)


class UploadAnswer(Schema):
    """An uploaded file. Members that its kind lacks are null: an image has no seconds."""

    id: str
    url: str
    mime_type: str
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    created_at: Moment


class UploadPage(Schema):
    """A page of uploads, newest first."""

    items: list[UploadAnswer]
    next_cursor: str | None = None


@routes.post("/uploads")
@policy("user", scope="generate", body_bytes_max=UPLOAD_BODY_BYTES_MAX)
@Documented(
    "Upload a file to start from",
    UploadAnswer,
    takes_file=True,
    status=201,
    answer_headers=["Location"],
    refuses=[Conflict, MediaUnavailable],
)
def create_upload() -> Response:
    """Store the file that is the body, or the part ``file`` of a form; 201 with its id."""
    row = store_upload(_file(), caller(), now=now())
    return json_response(_answer(row), 201, {"Location": f"/uploads/{row.id}"})


@routes.get("/uploads")
@policy("user", scope="read")
@Documented("The member's uploads, newest first", UploadPage, query=["cursor", "limit"])
def list_own_uploads() -> Response:
    """Return a page of the member's uploads."""
    cursor = parse_cursor(request.args.get("cursor"), UPLOAD_ID)
    page = list_uploads(reading(), caller(), page_size(), cursor)
    items = [_answer(row) for row in page.rows]
    return json_response(UploadPage(items=items, next_cursor=page.next_cursor))


@routes.delete("/uploads/<upload_id>")
@policy("user", scope="generate")
@Documented(
    "Delete an upload", None, also={204: "Deleted with its file"}, refuses=[MediaUnavailable]
)
def remove_upload(upload_id: str) -> Response:
    """Delete one upload with its file."""
    delete_upload(upload_id, caller())
    return Response(status=204)


def _file() -> IO[bytes]:
    if request.mimetype != "multipart/form-data":
        return request.stream
    file = request.files.get("file")
    if file is None:
        raise ValidationFailed.of("file", "The form has no part named file.")
    return file.stream


def _answer(row: Upload) -> UploadAnswer:
    return UploadAnswer(
        id=row.id,
        url=f"/uploads/{row.id}",
        mime_type=row.mime_type,
        width=row.width,
        height=row.height,
        seconds=None if row.milliseconds is None else row.milliseconds / 1000,
        created_at=row.created_at,
    )
