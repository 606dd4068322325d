"""``/api/generations``: state, progress and result of generations, to list, show and delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import Field

from creditapp.api.credits import GuestInfo, guest_info
from creditapp.api.requests import page_size
from creditapp.clock import now
from creditapp.credentials import MissingApiKey
from creditapp.db import reading
from creditapp.errors import AppError, Conflict, NotFound
from creditapp.generation import GenerationResult, cancel, delete, erase, find, queries
from creditapp.generation.models import STATES, Generation
from creditapp.generation.moderation import ModerationUnavailable
from creditapp.generation.providers import (
    GenerationFailed,
    GenerationTimeout,
    PromptRejected,
    ProviderUnavailable,
)
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Moment, Schema, one_of
from creditapp.http.viewer import caller, viewer
from creditapp.media.store import MediaUnavailable
from creditapp.pagination import parse_cursor

routes = Blueprint("generations", __name__)

FAILURES: Mapping[str, type[AppError]] = {
    kind.code: kind
    for kind in (GenerationFailed, GenerationTimeout, PromptRejected, ProviderUnavailable)
}
"""The errors of vendors by their codes, as rows have them."""

REFUSALS: Sequence[type[AppError]] = (
    *FAILURES.values(),
    *(Conflict, MediaUnavailable, MissingApiKey, ModerationUnavailable, NotFound),
)
"""The errors of every order that a vendor may serve."""


class AssetAnswer(Schema):
    """One generated file. Members that its kind lacks are null: an image has no seconds."""

    url: str
    mime_type: str
    width: int | None = None
    height: int | None = None
    seconds: float | None = None


class ChargeAnswer(Schema):
    """The cost of a generation and the credits left."""

    used_micro: Credits
    remaining_micro: Credits = Field(
        description="What can be spent; in the repeated answer of a generation or a chat, by now."
    )


class GenerationError(Schema):
    """The reason why a generation failed."""

    code: str
    detail: str


class GenerationAnswer(Schema):
    """A generation with its state and, when it succeeded, its assets."""

    id: str
    status: Annotated[str, one_of(STATES)]
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
    """A page of generations, newest first."""

    items: list[GenerationAnswer]
    next_cursor: str | None = None


@routes.get("/generations")
@policy("public", scope="read")
@Documented("The caller's generations, newest first", GenerationPage, query=["cursor", "limit"])
def list_generations() -> Response:
    """Return a page of the caller's generations."""
    cursor = parse_cursor(request.args.get("cursor"), queries.ID)
    page = queries.list_generations(reading(), caller(), page_size(), cursor)
    items = [answer_of(result) for result in page.rows]
    return json_response(GenerationPage(items=items, next_cursor=page.next_cursor))


@routes.get("/generations/<generation_id>")
@policy("public", scope="read")
@Documented("One generation", GenerationAnswer)
def show_generation(generation_id: str) -> Response:
    """Return state, progress and result of one generation."""
    result = find(reading(), generation_id, caller())
    return json_response(answer_of(result, with_balance=True))


@routes.delete("/generations/<generation_id>")
@policy("public", scope="generate")
@Documented(
    "Cancel or delete a generation",
    GenerationAnswer,
    also={202: "Asked to stop; delivered images are kept", 204: "Deleted with its media"},
    refuses=[Conflict],
)
def delete_generation(generation_id: str) -> Response:
    """Cancel a queued (200), stop a running (202) or delete a finished generation (204)."""
    by = caller()
    if find(reading(), generation_id, by).generation.finished:
        # Nobody can undo it here, so it is erased at once.
        erase(delete(generation_id, by, now=now()).id, now=now())
        return Response(status=204)
    cancel(generation_id, by, now=now())
    result = find(reading(), generation_id, by)
    return json_response(
        answer_of(result, with_balance=True), 200 if result.generation.finished else 202
    )


def failure_of(generation: Generation) -> AppError:
    """Return the error that a failed generation is answered with."""
    kind = FAILURES.get(generation.error_code or "", GenerationFailed)
    refusal = kind(generation.error_text)
    refusal.fields |= {"creditsCharged": 0, "generationId": generation.id}
    return refusal


def answer_of(result: GenerationResult, *, with_balance: bool = False) -> GenerationAnswer:
    """Return a generation as JSON; ``with_balance`` adds what it cost and what is left."""
    generation = result.generation
    assets = [
        AssetAnswer(
            url=f"/media/{asset.id}",
            mime_type=asset.mime_type,
            width=asset.width,
            height=asset.height,
            seconds=None if asset.milliseconds is None else asset.milliseconds / 1000,
        )
        for asset in result.assets
    ]
    error = None
    if generation.state == "failed":
        error = GenerationError(
            code=generation.error_code or "generation_failed",
            detail=generation.error_text or "The generation failed.",
        )
    answer = GenerationAnswer(
        id=generation.id,
        status=generation.state,
        operation=generation.operation,
        model=generation.model,
        prompt=generation.prompt,
        progress=generation.progress,
        preview=generation.preview,
        created_at=generation.created_at,
        assets=assets,
        image_url=next((a.url for a in assets if a.mime_type.startswith("image/")), None),
        error=error,
    )
    if with_balance:
        _add_balance(answer, result)
    return answer


def _add_balance(answer: GenerationAnswer, result: GenerationResult) -> None:
    used_micro, remaining_micro = result.generation.charged_micro, result.available_micro
    # The hold returned the balance, and nothing was spent in this request since.
    if remaining_micro is None:
        current_viewer = viewer()
        if current_viewer.kind == "guest":
            answer.guest_info = guest_info(current_viewer)
            return
        remaining_micro = current_viewer.balance_micro if current_viewer.wallet_id else None
    if remaining_micro is not None:
        answer.credits = ChargeAnswer(used_micro=used_micro, remaining_micro=remaining_micro)
