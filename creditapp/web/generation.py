"""One generation: all its images, its settings, delete and report."""

from __future__ import annotations

import structlog
from flask import Blueprint, Response

from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading, transaction
from creditapp.generation import delete as delete_generation
from creditapp.generation import feedback, find, queries
from creditapp.generation.sources import own_sources
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.rate_limiting import costly
from creditapp.http.rendering import go, page_or_block
from creditapp.http.viewer import caller, notify
from creditapp.services import get
from creditapp.web import view_models, wall
from creditapp.web.images import answer_deletion, send_archive

pages = Blueprint("page", __name__)
log = structlog.get_logger(__name__)


@pages.get("/generations/<generation_id>")
@policy("public")
def show(generation_id: str) -> Response:
    """Show one generation: its images and settings, or its job while it is made."""
    by, session = caller(), reading()
    result = find(session, generation_id, by)
    generation, together = result.generation, len(result.assets)
    sources = own_sources(session, by, view_models.source_ids(generation))
    newer, older = queries.neighbours(session, by, generation.id)
    return page_or_block(
        "pages/generation/index.html",
        "job",
        job=wall.jobs([result])[0],
        items=[view_models.image_card(generation, each, together) for each in result.assets],
        settings=view_models.generation_settings(generation, sources),
        link=f"{get(Settings).site_url}/generations/{generation.id}",
        previous_url=newer and f"/generations/{newer}",
        next_url=older and f"/generations/{older}",
    )


@pages.get("/generations/<generation_id>/zip")
@policy("public")
@costly
def download_all(generation_id: str) -> Response:
    """Send all images of a generation as one archive."""
    result = find(reading(), generation_id, caller())
    return send_archive([(result.generation, asset) for asset in result.assets])


@pages.post("/generations/<generation_id>/delete")
@policy("public")
def delete(generation_id: str) -> Response:
    """Delete a finished generation with its images; for some seconds it can be restored."""
    result = find(reading(), generation_id, caller())
    deletion = delete_generation(generation_id, caller(), now=now())
    assets = [asset.id for asset in result.assets]
    return answer_deletion(deletion.id, len(assets), assets)


@pages.post("/generations/<generation_id>/report")
@policy("public")
def report(generation_id: str) -> Response:
    """Report a problem with an image to the operator."""
    with transaction() as writing:
        text = forms.text("report", None)
        feedback.report(writing, generation_id, caller(), text, now=now())
    log.warning("image reported", generation=generation_id)
    notify("info", text="Thank you. We have received your report.")
    return go(forms.next_path(f"/generations/{generation_id}"))
