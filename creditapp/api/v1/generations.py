"""Order a generation and wait until it has ended, as a route that answers once has to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from creditapp.api.body_files import NO_PARTS, FormPart
from creditapp.api.generate import place_order
from creditapp.api.generations import ChargeAnswer, failure_of
from creditapp.api.waiting import await_end
from creditapp.db import reading
from creditapp.errors import AppError, Conflict, ValidationFailed
from creditapp.generation import Caller, GenerationResult, find
from creditapp.generation.models import Asset, Generation
from creditapp.generation.providers import GenerationTimeout
from creditapp.http.viewer import forget_viewer, viewer
from creditapp.media import Media
from creditapp.rate_limits import RESULT_WAIT_SECONDS
from creditapp.services import get


@dataclass(frozen=True)
class Ordered:
    """An order that was placed: its generation, and whose it is."""

    result: GenerationResult
    by: Caller

    @property
    def id(self) -> str:
        """The generation's id."""
        return self.result.generation.id


def place(
    operation: str,
    body: dict[str, Any],
    by: Caller,
    key: str,
    partial_image_count: int = 0,
    *,
    names: Mapping[str, str],
    parts: Mapping[str, FormPart] = NO_PARTS,
) -> Ordered:
    """Order a generation; ``names`` are those of OpenAI's shape for fields that are refused."""
    try:
        result = place_order(
            operation,
            body,
            by,
            lambda _: key,
            parts=parts,
            kinds=["image"],
            partial_image_count=partial_image_count,
        )
    except ValidationFailed as refusal:
        raise refusal.renamed(names) from None
    return Ordered(result, by)


def finish(ordered: Ordered) -> GenerationResult:
    """Wait for the end, in a slot that the caller holds; return what was delivered.

    Raises the failure of a generation that failed, ``Conflict`` where its owner canceled it, and
    ``GenerationTimeout`` where it takes longer than a client waits: it goes on.
    """
    if not ordered.result.generation.finished and not await_end(ordered.id, RESULT_WAIT_SECONDS):
        raise still_made(ordered.id)
    return delivered(ordered.id, ordered.by)


def delivered(generation_id: str, by: Caller) -> GenerationResult:
    """Return a finished generation; raise as ``finish``."""
    result = find(reading(), generation_id, by)
    if result.generation.state == "failed":
        raise failure_of(result.generation)
    if result.generation.state == "canceled":
        raise Conflict("This was canceled before anything was made. Nothing was charged.")
    return result


def still_made(generation_id: str) -> AppError:
    """Return the refusal of a request that waited long enough."""
    refusal = GenerationTimeout(
        "It is still being made. Send the same request with the same Idempotency-Key, or ask for "
        f"/api/generations/{generation_id}."
    )
    refusal.fields |= {"generationId": generation_id}
    return refusal


def charge_of(generation: Generation) -> ChargeAnswer:
    """Return what a finished generation cost, and what is left by now."""
    forget_viewer()
    remaining_micro = viewer().balance_micro
    return ChargeAnswer(used_micro=generation.charged_micro, remaining_micro=remaining_micro)


def read_file(asset: Asset) -> bytes:
    """Return the bytes of a delivered file."""
    with get(Media).open(asset.media_key) as file:
        return file.read()
