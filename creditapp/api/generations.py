"""Making pictures by JSON: ask, wait or be told where to look, look, cancel, delete."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

from flask import Response, request
from pydantic import ValidationError
from sqlalchemy import select

from creditapp.api import api
from creditapp.api.credits import guest_info, limit_asked, reply
from creditapp.api.models import (
    AssetAnswer,
    ChargeAnswer,
    GenerationAnswer,
    GenerationError,
    GenerationPage,
    credits,
)
from creditapp.api.waiting import wait_for_end
from creditapp.db import reading
from creditapp.errors import AppError, ValidationFailed
from creditapp.generation import GenerationResult, assets_of, cancel, delete, find, submit
from creditapp.generation.models import Generation
from creditapp.generation.operations.text_to_image import ImageOrder
from creditapp.generation.providers import (
    GenerationFailed,
    GenerationTimeout,
    PromptRejected,
    ProviderUnavailable,
)
from creditapp.generation.submit import ONCE
from creditapp.http.json_provider import read_json, rfc3339, validation_failed
from creditapp.http.openapi import documented
from creditapp.http.security import policy
from creditapp.http.viewer import caller, forget_viewer, viewer

PAGE_SIZE = 25

_failures: Mapping[str, type[AppError]] = {
    kind.code: kind
    for kind in (GenerationFailed, GenerationTimeout, PromptRejected, ProviderUnavailable)
}
_CURSOR = re.compile(r"gen_[0-9a-z]{26}")


@api.post("/generate-image")
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


@api.post("/generate-nano-banana")
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


@api.get("/generations")
@policy("public")
@documented("The caller's generations, newest first", GenerationPage, query=["cursor", "limit"])
def list_generations() -> Response:
    """Return a page of what the caller made."""
    limit, cursor = limit_asked(PAGE_SIZE), request.args.get("cursor")
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
    return reply(GenerationPage(items=items, next_cursor=page[-1].id if more else None))


@api.get("/generations/<generation_id>")
@policy("public")
@documented("One generation", GenerationAnswer)
def show_generation(generation_id: str) -> Response:
    """Return state, progress and result of one generation."""
    made = find(reading(), generation_id, caller())
    return reply(_answer(made, with_balance=True))


@api.delete("/generations/<generation_id>")
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
    return reply(_answer(made, with_balance=True), 200 if made.generation.finished else 202)


def _generate(route: str, **defaults: str) -> Response:
    by = caller()
    try:
        order = ImageOrder.model_validate({**defaults, **_named(read_json())})
    except ValidationError as error:
        raise validation_failed(error) from None
    made = submit(order, by, key=_request_key(route, order))
    headers = {"Idempotent-Replayed": "true"} if made.replayed else {}
    if not made.generation.finished and wait_for_end(made.generation.id):
        made = find(reading(), made.generation.id, by)
    forget_viewer()
    if not made.generation.finished:
        location = f"/api/generations/{made.generation.id}"
        headers |= {"Location": location, "Retry-After": "1"}
        return reply(_answer(made, with_balance=True), 202, headers)
    if made.generation.state == "failed":
        refusal = _failure(made.generation)
        refusal.headers.update(headers)
        raise refusal
    return reply(_answer(made, with_balance=True), 200, headers)


def _named(body: dict[str, Any]) -> dict[str, Any]:
    """Let ``model`` win over the older ``aiModel`` when a client sends both."""
    if "aiModel" in body and "model" not in body:
        body["model"] = body["aiModel"]
    body.pop("aiModel", None)
    return body


def _request_key(route: str, order: ImageOrder) -> str:
    """Return the caller's key for this route, or a fresh one: without a key nothing repeats."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        given = order.idempotency_key
    if given is None:
        return f"{ONCE}{secrets.token_hex(16)}"
    if not 1 <= len(given) <= 100 or not given.isprintable() or not given.isascii():
        raise ValidationFailed.of("Idempotency-Key", "A key is 1 to 100 printable ASCII letters.")
    return f"{route}:{given}"


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
    used = credits(made.generation.charged_micro)
    if made.available_micro is not None:
        # The hold has told it; nothing else was read or written since.
        found.credits = ChargeAnswer(used=used, remaining=credits(made.available_micro))
        return
    looks = viewer()
    if looks.kind == "guest":
        found.guest_info = guest_info(looks)
    elif looks.wallet_id is not None:
        found.credits = ChargeAnswer(used=used, remaining=credits(looks.balance_micro))
