"""Wall of the studio: the cards of jobs, which poll for changes until the job has ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

from flask import Blueprint, Response, make_response, request

from creditapp.clock import now
from creditapp.db import reading
from creditapp.generation import GenerationResult, find, queries
from creditapp.generation import cancel as cancel_generation
from creditapp.generation.gallery import GalleryFilter, list_images
from creditapp.generation.sources import own_sources
from creditapp.http.policies import policy
from creditapp.http.rendering import go, render_block, wants_fragment
from creditapp.http.viewer import caller
from creditapp.web import view_models
from creditapp.web.view_models import Job

RECENT = 12
"""Generations on the wall; a batch is shown whole."""
FRAGMENTS = "layouts/fragments.html"
RESULTS = "pages/studio/results.html"

routes = Blueprint("wall", __name__)


@routes.get("/generations/<generation_id>/card")
@policy("public")
def card(generation_id: str) -> Response:
    """Return the card of a generation that is polled; once it has ended, update the balance too."""
    (job,) = jobs([find(reading(), generation_id, caller())])
    body = _card(job)
    if not job.generation.finished:
        return make_response(body)
    # A finished card stops polling, so screen readers and the balance learn of its end only once.
    response = make_response(body + render_block(FRAGMENTS, "news", job=job))
    ended = {"id": job.generation.id, "state": job.generation.state}
    response.headers["HX-Trigger"] = json.dumps({"balance-changed": {}, "job-ended": ended})
    return response


@routes.post("/generations/<generation_id>/cancel")
@policy("public")
def cancel(generation_id: str) -> Response:
    """Cancel a generation."""
    cancel_generation(generation_id, caller(), now=now())
    if not wants_fragment():
        return go(f"/generations/{generation_id}")
    (job,) = jobs([find(reading(), generation_id, caller())])
    response = make_response(_card(job))
    response.headers["HX-Trigger"] = "balance-changed"
    return response


def context() -> dict[str, Any]:
    """Return the context of the wall: at most seven queries."""
    by, session = caller(), reading()
    results = queries.list_recent(session, by, RECENT)
    has_images = any(result.assets for result in results)
    if not has_images and len(results) >= RECENT:  # all failed; older ones may have images
        has_images = bool(list_images(session, by, GalleryFilter(), 1).rows)
    return {"blocks": view_models.blocks(jobs(results)), "has_images": has_images}


def new_cards(results: Sequence[GenerationResult]) -> str:
    """Return the cards of one order, for the top of the wall."""
    (block,) = view_models.blocks(jobs(results))
    return render_block(RESULTS, "together", block=block)


def jobs(results: Sequence[GenerationResult]) -> list[Job]:
    """Return the view of the caller's generations.

    At most three queries: for places in the queue, and for the uploads and the assets that some
    started from.
    """
    session, generations = reading(), [result.generation for result in results]
    ahead = queries.places_in_queue(session, generations)
    ids = {each.id: view_models.source_ids(each) for each in generations}
    sources = own_sources(session, caller(), list(chain.from_iterable(ids.values())))
    moment = now()
    return [
        view_models.job(
            result,
            now=moment,
            sources=[
                view_models.source_image(sources[each])
                for each in ids[result.generation.id]
                if each in sources
            ],
            ahead=ahead.get(result.generation.id),
        )
        for result in results
    ]


def _card(job: Job) -> str:
    alone = request.args.get("alone") == "1"
    compared = bool(job.generation.batch_id) and not alone
    return render_block(FRAGMENTS, "card", job=job, alone=alone, compared=compared)
