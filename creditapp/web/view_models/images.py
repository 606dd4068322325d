"""What was made, and what is being made, for the job card and the gallery."""

from __future__ import annotations

from urllib.parse import urlencode

from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.generation import GenerationResult
from creditapp.generation.models import Asset
from creditapp.services import get
from creditapp.web.view_models.view_model import ViewModel


def job(made: GenerationResult) -> ViewModel:
    """Return one generation as the job card shows it."""
    generation = made.generation
    width, _, height = generation.size.partition("x")
    failure = None
    if generation.state == "failed":
        failure = {
            "text": generation.error_text or "It could not be made.",
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
        "assets": [asset(each) for each in made.assets],
        "progress": generation.progress,
        "eta_seconds": _seconds_left(made),
        "ahead": None,
        "funding": generation.funding,
        "held_micro": generation.quoted_micro,
        "charged_micro": generation.charged_micro,
        "created_at": generation.created_at,
        "failure": failure,
        "preview": generation.preview,
        "cancel_requested": generation.cancel_requested_at is not None,
        "again_url": again_url(made),
        "again_micro": generation.quoted_micro,
    }


def asset(stored: Asset) -> ViewModel:
    """Return one picture's addresses and size."""
    url = f"/media/{stored.id}"
    return {
        "url": url,
        "download_url": f"{url}?download=1",
        "width": stored.width,
        "height": stored.height,
        "seconds": None,
    }


def item(made: GenerationResult, stored: Asset) -> ViewModel:
    """Return one picture as the gallery shows it."""
    generation = made.generation
    return {
        "generation_id": generation.id,
        "asset": asset(stored),
        "prompt": generation.prompt,
        "model_name": generation.model_name,
        "charged_micro": generation.charged_micro,
        "images": generation.delivered,
        "funding": generation.funding,
        "created_at": generation.created_at,
        "preview": generation.preview,
        "again_url": again_url(made),
        "starred": generation.starred_at is not None,
    }


def again_url(made: GenerationResult) -> str:
    """Return the studio's address with the same wish filled in."""
    generation = made.generation
    wish = {
        "prompt": generation.prompt,
        "model": generation.model,
        "n": generation.n,
        "size": generation.size,
        "quality": generation.quality,
    }
    return "/?" + urlencode({name: value for name, value in wish.items() if value})


def _seconds_left(made: GenerationResult) -> int | None:
    generation = made.generation
    if generation.state != "running" or generation.provider_started_at is None:
        return None
    model = get(Catalog).model(generation.model)
    if model is None:
        return None
    spent = (now() - generation.provider_started_at).total_seconds()
    left = model.typical_seconds - int(spent)
    return left if left > 1 else None
