"""One generation: all its images, its settings, delete and report."""

from __future__ import annotations

import structlog
from flask import Blueprint, Response

from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.generation import delete as delete_generation
from creditapp.generation import feedback, find
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.rendering import go, page_or_block
from creditapp.http.viewer import caller, notify
from creditapp.web import view_models
from creditapp.web.images import answer_deletion

pages = Blueprint("page", __name__)
log = structlog.get_logger(__name__)


@pages.get("/generations/<generation_id>")
@policy("public")
def show(generation_id: str) -> Response:
    """Show one generation."""
    result = find(reading(), generation_id, caller())
    return page_or_block(
        "pages/generation/index.html", "job", job=view_models.job(result, now=now())
    )


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
