"""The routes that order a generation: one for each operation; ``/api/chat`` takes them by type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from creditapp.api.body_files import NO_PARTS, FilesInBody, FormPart
from creditapp.api.generations import REFUSALS, GenerationAnswer, answer_of, failure_of
from creditapp.api.requests import (
    CREDIT_HEADERS,
    credit_headers,
    idempotency_key,
    operation_of,
    pop_max_micro,
    replay_headers,
    with_model,
)
from creditapp.api.waiting import wait_for_end
from creditapp.clock import now
from creditapp.db import reading
from creditapp.errors import AuthenticationRequired, ValidationFailed
from creditapp.generation import Caller, GenerationResult, find, queries, submit
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.operations.audio import AudioOrder
from creditapp.generation.operations.image_to_image import EditOrder
from creditapp.generation.operations.lipsync import LipsyncOrder
from creditapp.generation.operations.upscale import UpscaleOrder
from creditapp.generation.operations.video import VideoOrder
from creditapp.generation.orders import Order, SourceId
from creditapp.guests.claims import GuestBudgetReached, GuestLimitReached
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response, parse_members, read_json
from creditapp.http.policies import policy
from creditapp.http.viewer import caller, forget_viewer

routes = Blueprint("generate", __name__)

NANO_BANANA: Final = "nano-banana"


class ImageBody(EditOrder):
    """An order of images from a text, or with ``images`` from images."""

    images: Annotated[list[SourceId], Field(max_length=16)] = Field(
        default=[], description="Images to start from; without any, images are made from the text."
    )


def _documented(summary: str, body: type[BaseModel]) -> Documented:
    return Documented(
        summary,
        GenerationAnswer,
        body=body,
        headers=["Idempotency-Key", "Prefer", "X-Max-Credits", "x-openai-api-key"],
        answer_headers=[*CREDIT_HEADERS, "Idempotent-Replayed"],
        also={202: "Not finished yet; poll Location"},
        refuses=[*REFUSALS, AuthenticationRequired, GuestLimitReached, GuestBudgetReached],
    )


@routes.post("/generate-image")
@policy("public", scope="generate")
@_documented("Generate images from a text, or from images", ImageBody)
def generate_image() -> Response:
    """Generate images; 200 with the result if it is ready within the wait, else 202."""
    body = read_json()
    return _generate("image", operation_of(body), body)


@routes.post("/generate-nano-banana")
@policy("public", scope="generate")
@_documented("Generate images with Nano Banana", ImageBody)
def generate_nano_banana() -> Response:
    """Generate images with the model of the path, unless the body names another."""
    body = read_json()
    return _generate(NANO_BANANA, operation_of(body), {"model": NANO_BANANA, **with_model(body)})


@routes.post("/upscale-image")
@policy("public", scope="generate")
@_documented("Make an image larger", UpscaleOrder)
def upscale_image() -> Response:
    """Make a larger version of one of the caller's images."""
    return _generate("upscale", "upscale", read_json())


@routes.post("/generate-video")
@policy("public", scope="generate")
@_documented("Generate a video from a text, or from an image and a text", VideoOrder)
def generate_video() -> Response:
    """Generate a video of some seconds."""
    return _generate("video", "video", read_json())


@routes.post("/generate-audio")
@policy("public", scope="generate")
@_documented("Speak a text", AudioOrder)
def generate_audio() -> Response:
    """Speak a text; the estimate is held, the real length is charged."""
    return _generate("audio", "audio", read_json())


@routes.post("/generate-lipsync")
@policy("public", scope="generate")
@_documented("Let a face speak with a voice", LipsyncOrder)
def generate_lipsync() -> Response:
    """Generate a video of a face whose mouth follows a voice."""
    return _generate("lipsync", "lipsync", read_json())


def generate_by_type(body: dict[str, Any]) -> Response:
    """Generate what ``type`` names, at that operation's price and with its answer."""
    operation = body.pop("type", None)
    if not isinstance(operation, str) or operation not in OPERATIONS:
        types = ", ".join(OPERATIONS)
        raise ValidationFailed.of("type", f"Send a type, which is one of {types}.")
    return _generate("chat", operation, body)


def _generate(route: str, operation: str, body: dict[str, Any]) -> Response:
    """Order, wait for the end and answer; ``route`` is what an idempotency key belongs to."""
    by = caller(pop_max_micro(body))
    result = place_order(operation, body, by, lambda key: idempotency_key(key, route))
    headers = replay_headers(replayed=result.replayed)
    if not result.generation.finished and wait_for_end(by.owner, result.generation.id):
        result = find(reading(), result.generation.id, by)
    forget_viewer()
    if result.generation.state == "failed":
        refusal = failure_of(result.generation)
        refusal.headers.update(headers)
        raise refusal
    return _respond(result, headers)


def place_order(
    operation: str,
    body: dict[str, Any],
    by: Caller,
    key_of: Callable[[str | None], str],
    *,
    parts: Mapping[str, FormPart] = NO_PARTS,
    kinds: Sequence[str] = (),
    partial_image_count: int = 0,
) -> GenerationResult:
    """Submit the order of a body, with the files that it brings. Owns its transactions.

    ``key_of`` returns the idempotency key of a body with this ``idempotencyKey``. ``parts`` are
    files that came beside the body; of files only these ``kinds`` are stored, or all without any.
    Raises ``ValidationFailed`` for a body that is no order, and what ``submit`` raises.
    """
    with FilesInBody(with_model(body), by, parts) as files:
        order = _order(operation, files)
        key = key_of(order.idempotency_key)
        # A repeated request finds what the first one stored.
        if files and queries.find_by_key(reading(), by, key) is None:
            files.store(kinds)
            order = _order(operation, files)
        order.ask_partial_images(partial_image_count)
        result = submit(order, by, key=key, now=now())
        if not result.replayed:
            files.keep()
    return result


def _order(operation: str, files: FilesInBody) -> Order:
    order = parse_members(OPERATIONS[operation].order, files.body)
    order.note_digests(files.digests)
    return order


def _respond(result: GenerationResult, headers: dict[str, str]) -> Response:
    generation = result.generation
    answer = answer_of(result, with_balance=True)
    status, cost_micro = 200, generation.charged_micro
    if not generation.finished:
        status, cost_micro = 202, generation.quoted_micro
        headers |= {"Location": f"/api/generations/{generation.id}", "Retry-After": "1"}
    if answer.credits is not None:
        headers |= credit_headers(cost_micro, answer.credits.remaining_micro)
    return json_response(answer, status, headers)
