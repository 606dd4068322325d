"""One image with everything about it, for the viewer and the page of its generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from creditapp.catalog import Catalog
from creditapp.generation import gallery
from creditapp.generation.models import Asset, Generation
from creditapp.generation.sources import Source, Sources
from creditapp.http.rendering import with_query
from creditapp.services import get
from creditapp.web.view_models.images import Image, again_url, image
from creditapp.web.view_models.jobs import preview_note

COMPARED = ("image-to-image", "upscale")
"""Operations whose result is shown beside the image that it started from."""


@dataclass(frozen=True)
class GenerationSettings:
    """The ``image_facts`` component: what a generation was ordered with, None where nothing was."""

    operation: str
    model: str
    quality: str | None
    aspect: str | None
    style: str | None
    negative_prompt: str | None
    seed: int | None
    voice: str | None
    seconds: int | None
    """The length that was ordered."""
    took_seconds: int | None
    sources: Sequence[Image]


@dataclass(frozen=True)
class Step:
    """A link to the studio that goes on from this image."""

    label: str
    icon: str
    href: str


@dataclass(frozen=True)
class Viewed:
    """The ``viewer`` component."""

    generation: Generation
    asset: Image
    starred: bool
    price_micro: int
    together: int
    settings: GenerationSettings
    before: Image | None
    steps: Sequence[Step]
    again_url: str
    page_url: str
    note: str | None
    """A sentence about a preview: a melody is no speech."""
    previous_url: str | None
    next_url: str | None
    close_url: str


def viewed(
    generation: Generation,
    asset: Asset,
    sources: Sources,
    *,
    together: int,
    neighbours: tuple[str | None, str | None],
    query: str,
) -> Viewed:
    """Return one image for the viewer; ``query`` has the filters of the list it is seen in."""
    suffix = f"?{query}" if query else ""
    previous_url, next_url = (each and f"/images/{each}{suffix}" for each in neighbours)
    settings = generation_settings(generation, sources)
    before = settings.sources[0] if settings.sources else None
    is_compared = generation.operation in COMPARED and before and before.kind == "image"
    return Viewed(
        generation=generation,
        asset=image(asset),
        starred=asset.starred_at is not None,
        price_micro=gallery.price_micro(generation, asset),
        together=together,
        settings=settings,
        before=before if is_compared else None,
        steps=_steps(generation, asset),
        again_url=again_url(generation),
        page_url=f"/images/{asset.id}{suffix}",
        note=preview_note(generation),
        previous_url=previous_url,
        next_url=next_url,
        close_url=f"/gallery{suffix}" if query else f"/generations/{generation.id}",
    )


def generation_settings(generation: Generation, sources: Sources) -> GenerationSettings:
    """Return what a generation was ordered with; ``sources`` are those that still exist."""
    values, operation = generation.parameters, get(Catalog).operation(generation.operation)
    shown = [sources[each] for each in source_ids(generation) if each in sources]
    started_at, finished_at = generation.provider_started_at, generation.finished_at
    took = finished_at - started_at if started_at and finished_at else None
    return GenerationSettings(
        operation=operation.name if operation else generation.operation,
        model=generation.model_name,
        quality=generation.quality,
        aspect=_aspect(generation),
        style=generation.style,
        negative_prompt=generation.negative_prompt,
        # Speech has no seed that anything could be made again with.
        seed=generation.seed if generation.operation != "audio" else None,
        voice=values.get("voice"),
        seconds=values.get("seconds"),
        took_seconds=max(1, round(took.total_seconds())) if took is not None else None,
        sources=[source_image(each) for each in shown],
    )


def source_ids(generation: Generation) -> list[str]:
    """Return the ids of the files that a generation started from, its mask aside."""
    values = generation.parameters
    ids = [*values.get("images", []), values.get("image"), values.get("audio")]
    return [each for each in dict.fromkeys(ids) if each]


def source_image(source: Source) -> Image:
    """Return how a file that a generation started from is shown."""
    is_upload = source.id.startswith("upl_")
    url = f"/uploads/{source.id}" if is_upload else f"/media/{source.id}"
    return Image(
        id=source.id,
        url=url,
        page_url=url if is_upload else f"/images/{source.id}",
        thumbnail_url=url if source.kind == "image" else None,
        download_url=f"{url}?download=1",
        mime_type=source.mime_type,
        width=source.width,
        height=source.height,
        milliseconds=source.milliseconds,
    )


def _aspect(generation: Generation) -> str | None:
    model = get(Catalog).model(generation.model)
    shape = model.shape(generation.size) if model and generation.size else None
    return shape.aspect if shape else None


def _steps(generation: Generation, asset: Asset) -> list[Step]:
    """Return what the studio can make from this file, of the operations that the catalog has."""

    def step(label: str, icon: str, operation: str, **fields: str) -> Step:
        return Step(label, icon, with_query("/", {"operation": operation, **fields}))

    sold = {operation.id for operation in get(Catalog).operations}
    steps = []
    if asset.kind == "image":
        edit = "image-to-image"
        if edit in sold:
            prompt = generation.prompt
            steps = [
                step("Make variations", "copy-plus", edit, images=asset.id, prompt=prompt),
                step("Use as source", "image-up", edit, images=asset.id),
            ]
        if "upscale" in sold:
            steps.append(step("Upscale", "scaling", "upscale", image=asset.id))
        if "video" in sold:
            steps.append(step("Make a video", "clapperboard", "video", images=asset.id))
    if asset.kind in ("image", "video") and "lipsync" in sold:
        steps.append(step("Make it speak", "mic", "lipsync", image=asset.id))
    if asset.kind == "audio" and "lipsync" in sold:
        steps.append(step("Use as a voice", "mic", "lipsync", audio=asset.id))
    return steps
