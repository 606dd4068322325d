"""``/v1/images``: images from a text, or from images; whole or as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from flask import Blueprint, Response, request

from creditapp.api.body_files import NO_PARTS, FormPart
from creditapp.api.requests import credit_headers, replay_headers
from creditapp.api.v1.documented import ANSWER_HEADERS, documents_spending
from creditapp.api.v1.generations import finish, place
from creditapp.api.v1.image_answers import images_answer
from creditapp.api.v1.image_schemas import ImageParameters, ImagesAnswer, V1EditBody, V1ImageBody
from creditapp.api.v1.image_stream import stream_response
from creditapp.api.v1.requests import begin, find_model, parse
from creditapp.api.waiting import take_slot
from creditapp.catalog import IMAGE_TO_IMAGE, TEXT_TO_IMAGE, Catalog, Model
from creditapp.catalog.selection import image_model
from creditapp.errors import (
    MalformedRequest,
    UnsupportedMediaType,
    UnsupportedParameter,
    ValidationFailed,
)
from creditapp.generation import Caller
from creditapp.http.json_provider import json_response, quoted, read_json
from creditapp.http.policies import policy
from creditapp.ids import new_id
from creditapp.rate_limits import UPLOAD_BODY_BYTES_MAX
from creditapp.services import get

routes = Blueprint("v1_images", __name__)

_NAMES = {"images": "image", "mask": "mask"}
_NUMBERS = ("n", "seed", "partial_images", "output_compression")


@routes.post("/images/generations")
@policy("user", scope="generate")
@documents_spending(
    "Make images from a text",
    ImagesAnswer,
    body=V1ImageBody,
    answer_headers=[*ANSWER_HEADERS, "X-Credits-Held"],
    streams=True,
)
def generate_images() -> Response:
    """Make images from a text."""
    members = read_json()
    by, key = begin(members, "v1-images")
    body = parse(V1ImageBody, members)
    model = _model(body, TEXT_TO_IMAGE)
    return _make(TEXT_TO_IMAGE, body, body.order() | {"model": model.id}, by, key)


@routes.post("/images/edits")
@policy("user", scope="generate", body_bytes_max=UPLOAD_BODY_BYTES_MAX)
@documents_spending(
    "Make images from images",
    ImagesAnswer,
    body=V1EditBody,
    takes_form=True,
    answer_headers=[*ANSWER_HEADERS, "X-Credits-Held"],
    streams=True,
)
def edit_images() -> Response:
    """Make images from the images of a form."""
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send a multipart form with the part image.")
    members, parts = _form()
    by, key = begin(members, "v1-edits")
    body = parse(V1EditBody, members)
    model = _model(body, IMAGE_TO_IMAGE)
    order = body.order() | {"model": model.id, "images": body.image}
    order |= {} if body.mask is None else {"mask": body.mask}
    return _make(IMAGE_TO_IMAGE, body, order, by, key, parts)


def _make(
    operation: str,
    body: ImageParameters,
    order: dict[str, Any],
    by: Caller,
    key: str,
    parts: Mapping[str, FormPart] = NO_PARTS,
) -> Response:
    """Order images and answer when they are there; a stream gives its slot back at its end."""
    free = take_slot(by.owner)
    with ExitStack() as held:
        held.callback(free)
        ordered = place(operation, order, by, key, body.partial_images, names=_NAMES, parts=parts)
        if body.stream:
            response = stream_response(ordered, free)
            held.pop_all()
            return response
        answer = images_answer(finish(ordered), body.response_format)
    headers = credit_headers(answer.credits.used_micro, answer.credits.remaining_micro)
    return json_response(answer, headers=headers | replay_headers(replayed=ordered.result.replayed))


def _model(body: ImageParameters, operation: str) -> Model:
    """Return the model of a body; raise for a kind of file that it does not make."""
    catalog = get(Catalog)
    if body.model is None:
        model = image_model(catalog, operation, None)
    else:
        model = find_model(catalog.models, body.model, operation)
    fixed = model.parameters.get("output_format")
    if body.output_format is not None and body.output_format != fixed:
        detail = f"{model.name} makes {fixed} files." if fixed else f"{model.name} chooses its own."
        raise UnsupportedParameter("output_format", f"output_format: {detail}")
    return model


def _form() -> tuple[dict[str, Any], dict[str, FormPart]]:
    """Return the members of a form, and its files by the names that the members have for them."""
    members: dict[str, Any] = {}
    for name, texts in request.form.lists():
        if len(texts) > 1:
            raise MalformedRequest(f"The form has the field {quoted(name)} twice.")
        if name == "image":
            raise ValidationFailed.of("image", "image is a file of the form.")
        members[name] = _as_number(texts[0]) if name in _NUMBERS else texts[0]
    parts = {}
    for name, file in request.files.items(multi=True):
        field = name.removesuffix("[]")
        if field not in ("image", "mask") or (field == "mask" and "mask" in members):
            raise UnsupportedParameter(name[:80])
        upload_id = new_id("upl")
        parts[upload_id] = FormPart("images" if field == "image" else "mask", file.read())
        if field == "image":
            members.setdefault("image", []).append(upload_id)
        else:
            members["mask"] = upload_id
    return members, parts


def _as_number(text: str) -> int | str:
    """Return the whole number that a form's field says; any other text as it is."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else text
