"""Jobs: generations on the wall of the studio, from the click to the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from creditapp.catalog import Catalog, Model, Operation
from creditapp.generation import GenerationResult
from creditapp.generation.models import Generation
from creditapp.generation.providers.offline import NO_SPEECH
from creditapp.services import get
from creditapp.web.view_models.images import Image, again_url, image


@dataclass(frozen=True)
class Failure:
    """Why a generation failed, and whether trying again can help."""

    text: str
    retry: bool


@dataclass(frozen=True)
class Job:
    """The ``job_card`` component."""

    generation: Generation
    title: str
    """The prompt, or the operation where there is none."""
    kind: str
    """``image``, ``audio`` or ``video``: what is made."""
    assets: Sequence[Image]
    starred: frozenset[str]
    """The ids of the assets that are favourites."""
    sources: Sequence[Image]
    width: int | None
    height: int | None
    ahead: int | None
    """How many are ahead in the queue; None once it runs."""
    elapsed_seconds: int | None
    """Since the order, or since the work began; None once it has ended."""
    typical_seconds: int | None
    failure: Failure | None
    again_url: str
    note: str | None
    """A sentence about a preview: a melody is no speech."""


@dataclass(frozen=True)
class Block:
    """Jobs shown together: one, or those of one prompt on several models."""

    jobs: Sequence[Job]
    newest: bool
    """Whether it is the first on the wall, which is large."""


def job(
    result: GenerationResult,
    *,
    now: datetime,
    sources: Sequence[Image] = (),
    ahead: int | None = None,
) -> Job:
    """Return one generation with its files, its place in the queue, and how long it takes."""
    generation = result.generation
    width, _, height = generation.size.partition("x")
    entry = _entry(generation)
    failure = None
    if generation.state == "failed":
        text = generation.error_text or "The image could not be made."
        failure = Failure(text, retry=generation.error_code != "prompt_rejected")
    return Job(
        generation=generation,
        title=generation.prompt or (entry.name if entry else generation.operation),
        kind=_KINDS.get(generation.operation, "image"),
        assets=[image(asset) for asset in result.assets],
        starred=frozenset(asset.id for asset in result.assets if asset.starred_at),
        sources=sources,
        width=int(width) if width else None,
        height=int(height) if height else None,
        ahead=ahead if generation.state == "queued" else None,
        elapsed_seconds=_elapsed_seconds(generation, now),
        typical_seconds=entry.typical_seconds if entry else None,
        failure=failure,
        again_url=again_url(generation),
        note=preview_note(generation),
    )


def blocks(jobs: Sequence[Job]) -> list[Block]:
    """Return the jobs, those of one batch together and in the order in which they were ordered."""
    groups = groupby(jobs, key=lambda each: each.generation.batch_id or each.generation.id)
    return [
        Block(sorted(group, key=lambda each: each.generation.id), newest=number == 0)
        for number, (_, group) in enumerate(groups)
    ]


def preview_note(generation: Generation) -> str | None:
    """Return a sentence about a preview of speech, None for everything else."""
    return NO_SPEECH if generation.preview and generation.operation == "audio" else None


_KINDS = {"audio": "audio", "video": "video", "lipsync": "video"}
"""The kind of file that an operation makes; images where it is not named."""


def _entry(generation: Generation) -> Model | Operation | None:
    catalog = get(Catalog)
    return catalog.model(generation.model) or catalog.operation(generation.operation)


def _elapsed_seconds(generation: Generation, now: datetime) -> int | None:
    if generation.finished:
        return None
    since = generation.provider_started_at or generation.created_at
    return max(0, int((now - since).total_seconds()))
