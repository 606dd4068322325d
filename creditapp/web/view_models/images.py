"""Generations and their images, for the job card and the gallery."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict
from urllib.parse import urlencode

from creditapp.catalog import Catalog
from creditapp.generation import GenerationResult
from creditapp.generation.models import Asset, Generation
from creditapp.services import get


class Image(TypedDict):
    """Addresses and size of one image."""

    url: str
    download_url: str
    width: int
    height: int
    seconds: None


class Failure(TypedDict):
    """Why a generation failed, and whether trying again can help."""

    text: str
    retry: bool


class Job(TypedDict):
    """The ``job_card`` component."""

    id: str
    state: str
    prompt: str
    model_name: str
    n: int
    quality: str | None
    width: int
    height: int
    assets: list[Image]
    progress: int | None
    eta_seconds: int | None
    ahead: int | None
    funding: str
    held_micro: int
    charged_micro: int
    created_at: datetime
    failure: Failure | None
    preview: bool
    cancel_requested: bool
    again_url: str
    again_micro: int


class ImageCard(TypedDict):
    """The ``image_card`` component."""

    generation_id: str
    asset: Image
    prompt: str
    model_name: str
    charged_micro: int
    images: int
    funding: str
    created_at: datetime
    preview: bool
    again_url: str
    starred: bool


def job(result: GenerationResult, *, now: datetime) -> Job:
    """Return one generation with its images, and how long it still takes."""
    generation = result.generation
    width, _, height = generation.size.partition("x")
    failure: Failure | None = None
    if generation.state == "failed":
        failure = {
            "text": generation.error_text or "The image could not be made.",
            "retry": generation.error_code != "prompt_rejected",
        }
    return {
        "id": generation.id,
        "state": generation.state,
        "prompt": generation.prompt,
        "model_name": generation.model_name,
        "n": generation.n,
        "quality": generation.quality,
        "width": int(width),
        "height": int(height),
        "assets": [image(asset) for asset in result.assets],
        "progress": generation.progress,
        "eta_seconds": _seconds_left(result.generation, now),
        "ahead": None,
        "funding": generation.funding,
        "held_micro": generation.quoted_micro,
        "charged_micro": generation.charged_micro,
        "created_at": generation.created_at,
        "failure": failure,
        "preview": generation.preview,
        "cancel_requested": generation.cancel_requested_at is not None,
        "again_url": again_url(result),
        "again_micro": generation.quoted_micro,
    }


def image(asset: Asset) -> Image:
    """Return the addresses and the size of one image."""
    url = f"/media/{asset.id}"
    return {
        "url": url,
        "download_url": f"{url}?download=1",
        "width": asset.width,
        "height": asset.height,
        "seconds": None,
    }


def image_card(result: GenerationResult, asset: Asset) -> ImageCard:
    """Return one image of the gallery."""
    generation = result.generation
    return {
        "generation_id": generation.id,
        "asset": image(asset),
        "prompt": generation.prompt,
        "model_name": generation.model_name,
        "charged_micro": generation.charged_micro,
        "images": generation.delivered,
        "funding": generation.funding,
        "created_at": generation.created_at,
        "preview": generation.preview,
        "again_url": again_url(result),
        "starred": generation.starred_at is not None,
    }


def again_url(result: GenerationResult) -> str:
    """Return the studio's address with the form filled in like this generation."""
    generation = result.generation
    form = {
        "prompt": generation.prompt,
        "model": generation.model,
        "n": generation.n,
        "size": generation.size,
        "quality": generation.quality,
    }
    return "/?" + urlencode({name: value for name, value in form.items() if value})


def _seconds_left(generation: Generation, now: datetime) -> int | None:
    model = get(Catalog).model(generation.model)
    if model is None or generation.state != "running" or generation.provider_started_at is None:
        return None
    left = model.typical_seconds - int((now - generation.provider_started_at).total_seconds())
    return left if left > 1 else None
