"""Making pictures by JSON: ask, wait or be told where to look, look, cancel, delete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from flask import Blueprint, Response, request
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    WithJsonSchema,
    model_serializer,
)
from sqlalchemy import select

from creditapp.api.credits import GuestInfo, guest_info
from creditapp.api.requests import idempotency_key, page_size, replay_headers
from creditapp.api.waiting import wait_for_end
from creditapp.db import reading
from creditapp.errors import AppError, ValidationFailed
from creditapp.generation import GenerationResult, assets_of, cancel, delete, find, submit
from creditapp.generation.models import STATES, Generation
from creditapp.generation.operations.text_to_image import ImageOrder
from creditapp.generation.providers import (
    GenerationFailed,
    GenerationTimeout,
    PromptRejected,
    ProviderUnavailable,
)
from creditapp.http.json_provider import json_response, read_json, rfc3339, validation_failed
from creditapp.http.openapi import documented
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Moment, Schema
from creditapp.http.viewer import caller, forget_viewer, viewer
from creditapp.units import credits_number

routes = Blueprint("generations", __name__)

PAGE_SIZE = 25

_failures: Mapping[str, type[AppError]] = {
    kind.code: kind
    for kind in (GenerationFailed, GenerationTimeout, PromptRejected, ProviderUnavailable)
}
_CURSOR = re.compile(r"gen_[0-9a-z]{26}")


OneOfStates = Annotated[str, WithJsonSchema({"type": "string", "enum": list(STATES)})]


class AssetAnswer(Schema):
    """One file that was made. What its kind does not have is null: an image has no seconds."""

    url: str
    mime_type: str
    width: int | None = None
    height: int | None = None
    seconds: int | None = None

    @model_serializer(mode="wrap")
    def _whole(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        return {**dict.fromkeys(("url", "mimeType", "width", "height", "seconds")), **written}


class ChargeAnswer(Schema):
    """What a generation cost, and what is left."""

    used: Credits
    remaining: Credits


class GenerationError(Schema):
    """Why a generation made nothing."""

    code: str
    detail: str


class GenerationAnswer(Schema):
    """A generation: its state, and once it succeeded its assets."""

    id: str
    status: OneOfStates
    operation: str
    model: str
    prompt: str
    progress: int = Field(description="Percent.")
    preview: bool
    created_at: Moment
    assets: list[AssetAnswer]
    image_url: str | None = None
    credits: ChargeAnswer | None = None
    guest_info: GuestInfo | None = None
    error: GenerationError | None = None


class GenerationPage(Schema):
    """A page of generations, the newest first."""

    items: list[GenerationAnswer]
    next_cursor: str | None = None


@routes.post("/generate-image")
@policy("public")
@documented(
    "Make images from a text",
    GenerationAnswer,
    body=ImageOrder,
    headers=["Idempotency-Key", "Prefer"],
    also={202: "Still being made; look at Location"},
)
def generate_image() -> Response:
    """Make images; 200 with the result when it comes within the wait, else 202."""
    return _generate("image")


@routes.post("/generate-nano-banana")
@policy("public")
@documented(
    "Make images with Nano Banana",
    GenerationAnswer,
    body=ImageOrder,
    headers=["Idempotency-Key", "Prefer"],
    also={202: "Still being made; look at Location"},
)
def generate_nano_banana() -> Response:
    """Make images with the model that the path names, unless the body names another."""
    return _generate("nano-banana", model="nano-banana")


@routes.get("/generations")
@policy("public")
@documented("The caller's generations, newest first", GenerationPage, query=["cursor", "limit"])
def list_generations() -> Response:
    """Return a page of what the caller made."""
    limit, cursor = page_size(PAGE_SIZE), request.args.get("cursor")
    if cursor is not None and _CURSOR.fullmatch(cursor) is None:
        raise ValidationFailed.of("cursor", "Send the nextCursor of the page before.")
    kind, owner_id = caller().owner
    session = reading()
    query = (
        select(Generation)
        .where(
            Generation.owner_kind == kind,
            Generation.owner_id == owner_id,
            Generation.deleted_at.is_(None),
        )
        .order_by(Generation.id.desc())
        .limit(limit + 1)
    )
    if cursor:
        query = query.where(Generation.id < cursor)
    rows = session.scalars(query).all()
    page = rows[:limit]
    assets = assets_of(session, page)
    items = [_answer(GenerationResult(each, assets.get(each.id, ()))) for each in page]
    more = len(rows) > limit
    return json_response(GenerationPage(items=items, next_cursor=page[-1].id if more else None))


@routes.get("/generations/<generation_id>")
@policy("public")
@documented("One generation", GenerationAnswer)
def show_generation(generation_id: str) -> Response:
    """Return state, progress and result of one generation."""
    made = find(reading(), generation_id, caller())
    return json_response(_answer(made, with_balance=True))


@routes.delete("/generations/<generation_id>")
@policy("public")
@documented(
    "Cancel or delete a generation",
    GenerationAnswer,
    also={202: "Asked to stop; what was delivered is kept", 204: "Deleted with its media"},
)
def delete_generation(generation_id: str) -> Response:
    """Cancel what is queued (200), stop what runs (202), delete what has ended (204)."""
    by = caller()
    if find(reading(), generation_id, by).generation.finished:
        delete(generation_id, by)
        return Response(status=204)
    cancel(generation_id, by)
    made = find(reading(), generation_id, by)
    return json_response(_answer(made, with_balance=True), 200 if made.generation.finished else 202)


def _generate(route: str, **defaults: str) -> Response:
    by = caller()
    try:
        order = ImageOrder.model_validate({**defaults, **_named(read_json())})
    except ValidationError as error:
        raise validation_failed(error) from None
    made = submit(order, by, key=idempotency_key(order.idempotency_key, route))
    headers = replay_headers(replayed=made.replayed)
    if not made.generation.finished and wait_for_end(made.generation.id):
        made = find(reading(), made.generation.id, by)
    forget_viewer()
    if not made.generation.finished:
        location = f"/api/generations/{made.generation.id}"
        headers |= {"Location": location, "Retry-After": "1"}
        return json_response(_answer(made, with_balance=True), 202, headers)
    if made.generation.state == "failed":
        refusal = _failure(made.generation)
        refusal.headers.update(headers)
        raise refusal
    return json_response(_answer(made, with_balance=True), 200, headers)


def _named(body: dict[str, Any]) -> dict[str, Any]:
    """Let ``model`` win over the older ``aiModel`` when a client sends both."""
    if "aiModel" in body and "model" not in body:
        body["model"] = body["aiModel"]
    body.pop("aiModel", None)
    return body


def _failure(generation: Generation) -> AppError:
    kind = _failures.get(generation.error_code or "", GenerationFailed)
    refusal = kind(generation.error_text)
    refusal.fields |= {"creditsCharged": 0, "generationId": generation.id}
    return refusal


def _answer(made: GenerationResult, *, with_balance: bool = False) -> GenerationAnswer:
    generation = made.generation
    assets = [
        AssetAnswer(
            url=f"/media/{asset.id}",
            mime_type=asset.mime_type,
            width=asset.width,
            height=asset.height,
        )
        for asset in made.assets
    ]
    error = None
    if generation.state == "failed":
        error = GenerationError(
            code=generation.error_code or "generation_failed",
            detail=generation.error_text or "It could not be made.",
        )
    found = GenerationAnswer(
        id=generation.id,
        status=generation.state,
        operation=generation.operation,
        model=generation.model,
        prompt=generation.prompt,
        progress=generation.progress,
        preview=generation.preview,
        created_at=rfc3339(generation.created_at),
        assets=assets,
        image_url=assets[0].url if assets else None,
        error=error,
    )
    if with_balance:
        _add_balance(found, made)
    return found


def _add_balance(found: GenerationAnswer, made: GenerationResult) -> None:
    used = credits_number(made.generation.charged_micro)
    if made.available_micro is not None:
        # The hold has told it; nothing else was read or written since.
        found.credits = ChargeAnswer(used=used, remaining=credits_number(made.available_micro))
        return
    looks = viewer()
    if looks.kind == "guest":
        found.guest_info = guest_info(looks)
    elif looks.wallet_id is not None:
        found.credits = ChargeAnswer(used=used, remaining=credits_number(looks.balance_micro))
