"""Studio: describe an image, see its price, generate it, and follow its progress."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, Response, make_response, request

from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.db import reading
from creditapp.errors import AppError, ValidationFailed
from creditapp.generation import cancel as cancel_generation
from creditapp.generation import find, price, queries
from creditapp.generation import submit as submit_generation
from creditapp.generation.gallery import GalleryFilter, list_images
from creditapp.generation.orders import PROMPT_CHARACTERS_MAX
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.problems import form_page
from creditapp.http.rendering import go, render_block, render_page, wants_fragment
from creditapp.http.viewer import caller, forget_viewer, viewer
from creditapp.services import get
from creditapp.web import studio_form, view_models
from creditapp.web.studio_form import Form

PAGE = "pages/studio/index.html"
FORM = "pages/studio/form.html"
RESULTS = "pages/studio/results.html"
RECENT = 12

generation = Blueprint("generation", __name__)


@generation.get("/")
@policy("public")
def studio() -> str:
    """Show the studio, with the form filled in from the query."""
    form = studio_form.with_remembered_settings(studio_form.parse())
    return render_page(PAGE, **_page(form))


@generation.post("/studio")
@policy("public")
def reprice() -> str:
    """Show the studio with the new price: without JavaScript, a change posts the form here."""
    form = studio_form.remember_settings(studio_form.parse())
    return render_page(PAGE, **_page(form))


@generation.get("/studio/price")
@policy("public")
def price_panel() -> Response:
    """Return the cost after a change of model or options, with the choices that depend on it."""
    form = studio_form.remember_settings(studio_form.parse())
    context = _choices(form, was_micro=forms.whole("shown_micro"))
    parts = [
        render_block(FORM, "price_panel", **context),
        render_block(FORM, "allowance", oob=True),
        render_block(context["operation_form"], "options", **context, oob=True),
    ]
    if request.headers.get("HX-Trigger") != "picker":
        parts.append(render_block(context["operation_form"], "picker", **context, oob=True))
    return make_response("".join(parts))


@generation.post("/generations")
@policy("public")
def submit() -> Response:
    """Submit the form; the response is the job's card, which then polls for changes."""
    form = studio_form.remember_settings(studio_form.parse())
    try:
        order = studio_form.to_order(form)
        result = submit_generation(
            order,
            caller(),
            key=forms.idempotency_key(order.digest()),
            now=now(),
            price_limit_micro=forms.whole("shown_micro"),
        )
    except AppError as refusal:
        if wants_fragment():
            raise
        return form_page(PAGE, refusal, **_page(form), **_beside_the_prompt(refusal))
    if not wants_fragment():
        return go(f"/generations/{result.generation.id}")
    forget_viewer()
    context = _choices(form)
    body = render_block(RESULTS, "job", job=view_models.job(result, now=now()))
    body += render_block(FORM, "price_panel", **context, oob=True)
    body += render_block(FORM, "allowance", oob=True)
    response = make_response(body, 202)
    response.headers["HX-Trigger-After-Settle"] = "balance-changed"
    return response


@generation.get("/generations/<generation_id>/card")
@policy("public")
def card(generation_id: str) -> Response:
    """Return the card of a generation that is polled; once it has ended, update the balance too."""
    result = find(reading(), generation_id, caller())
    job = view_models.job(result, now=now())
    body = render_block(RESULTS, "job", job=job)
    if not result.generation.finished:
        return make_response(body)
    # A finished card stops polling, so screen readers and the balance learn of its end only once.
    response = make_response(body + render_block("layouts/fragments.html", "news", job=job))
    response.headers["HX-Trigger"] = "balance-changed"
    return response


@generation.post("/generations/<generation_id>/cancel")
@policy("public")
def cancel(generation_id: str) -> Response:
    """Cancel a generation."""
    cancel_generation(generation_id, caller(), now=now())
    if not wants_fragment():
        return go(f"/generations/{generation_id}")
    result = find(reading(), generation_id, caller())
    response = make_response(render_block(RESULTS, "job", job=view_models.job(result, now=now())))
    response.headers["HX-Trigger"] = "balance-changed"
    return response


def _choices(form: Form, was_micro: int | None = None) -> dict[str, Any]:
    """Return the context of the price panel, the options and the picker."""
    current_viewer = viewer()
    order = studio_form.to_priced_order(form)
    priced = price(order)
    model = priced.model or studio_form.default_model()
    return {
        "operation_form": f"pages/studio/operations/{order.operation.replace('-', '_')}.html",
        "form": {
            "prompt": form["prompt"],
            "model": order.model,
            "n": order.n,
            "size": order.size,
            "quality": order.quality or "",
            "nonce": secrets.token_urlsafe(16),
        },
        "models": view_models.models(order, current_viewer),
        "sizes": view_models.sizes(model),
        "qualities": view_models.qualities(model),
        "counts": view_models.counts(model, order.quality, current_viewer),
        "quote": view_models.price_panel(order, priced.quote, current_viewer, was_micro),
    }


def _page(form: Form) -> dict[str, Any]:
    """Return the context of the page; four queries beside the viewer's."""
    by, db_session = caller(), reading()
    results = queries.list_generations(db_session, by, RECENT).rows
    has_images = any(result.assets for result in results)
    if not has_images and len(results) == RECENT:  # all failed; older ones may have images
        has_images = bool(list_images(db_session, by, GalleryFilter(), 1).rows)
    return {
        **_choices(form),
        "jobs": [view_models.job(result, now=now()) for result in results],
        "has_images": has_images,
        "prompt_max": PROMPT_CHARACTERS_MAX,
        "examples": get(Catalog).examples,
    }


def _beside_the_prompt(refusal: AppError) -> dict[str, Any]:
    """Return the errors of fields other than the prompt, which show as a problem in the panel."""
    errors = refusal.errors if isinstance(refusal, ValidationFailed) else []
    others = [error for error in errors if error["field"] != "prompt"]
    return {"problem": view_models.problem(ValidationFailed(others))} if others else {}
