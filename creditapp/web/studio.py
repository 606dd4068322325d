"""Studio: describe an image, see its price, generate it, and follow its progress."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, make_response

from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.errors import AppError, ValidationFailed
from creditapp.generation import GenerationResult, submit_batch
from creditapp.generation import submit as submit_order
from creditapp.generation.orders import PROMPT_CHARACTERS_MAX
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.problems import form_page
from creditapp.http.rendering import go, render_block, render_page, wants_fragment
from creditapp.http.viewer import caller, forget_viewer, viewer
from creditapp.services import get
from creditapp.web import studio_form, studio_pricing, view_models, wall
from creditapp.web.studio_form import Form

PAGE = "pages/studio/index.html"
FORM = "pages/studio/form.html"
MODELS = "pages/studio/models.html"
PLACED = {"prompt", "negativePrompt", "seed", "images", "mask", "image", "audio", "seconds"}
"""The fields that show what is wrong with them; the panel shows what is wrong with others."""

generation = Blueprint("generation", __name__)


@generation.get("/")
@policy("public")
def studio() -> str:
    """Show the studio, with the form filled in from the query."""
    form = studio_form.with_remembered_settings(studio_form.parse())
    return render_page(PAGE, **_page(form))


@generation.post("/studio")
@policy("public")
def reshow() -> Response:
    """Show another operation's form, or without JavaScript the form with its new price."""
    form = studio_form.with_remembered_settings(studio_form.parse())
    studio_form.remember_settings(form)
    if wants_fragment():
        return make_response(render_block(FORM, "form", **_form(form)))
    return page_of(form)


def page_of(form: Form, refusal: AppError | None = None) -> Response:
    """Return the studio with a form as it is, and with what is wrong with it."""
    return _refused(form, refusal) if refusal else make_response(render_page(PAGE, **_page(form)))


@generation.post("/studio/price")
@policy("public")
def price_panel() -> Response:
    """Return the cost after a change, with the choices that depend on it, and keep the settings."""
    form = studio_form.remember_settings(studio_form.parse())
    context = _form(form, was_micro=forms.whole("shown_micro"))
    parts = [
        render_block(FORM, "price_panel", **context),
        render_block(FORM, "allowance", oob=True),
        render_block(context["operation_form"], "options", **context, oob=True),
    ]
    if context["models"]:
        parts += [render_block(MODELS, name, **context, oob=True) for name in ("chosen", "list")]
    return make_response("".join(parts))


@generation.post("/generations")
@policy("public")
def submit() -> Response:
    """Submit the form; the response is the card of each job, which then polls for changes."""
    form = studio_form.remember_settings(studio_form.parse())
    try:
        results = _submit(form)
    except AppError as refusal:
        if wants_fragment():
            raise
        return _refused(form, refusal)
    if not wants_fragment():
        return go(f"/generations/{results[0].generation.id}" if len(results) == 1 else "/#results")
    forget_viewer()
    body = wall.new_cards(results)
    body += render_block(FORM, "price_panel", **_form(form), oob=True)
    body += render_block(FORM, "allowance", oob=True)
    response = make_response(body, 202)
    response.headers["HX-Trigger-After-Settle"] = "balance-changed"
    return response


def _submit(form: Form) -> Sequence[GenerationResult]:
    """Submit the form's order, or one for each compared model: all of them, or none."""
    orders = studio_form.to_orders(form)
    key = forms.idempotency_key(studio_form.digest(orders))
    limit_micro = forms.whole("shown_micro")
    if form.compared:
        return submit_batch(orders, caller(), key=key, now=now(), price_limit_micro=limit_micro)
    (order,) = orders
    return [submit_order(order, caller(), key=key, now=now(), price_limit_micro=limit_micro)]


def _refused(form: Form, refusal: AppError) -> Response:
    """Return the page with each error at its field, and what has no field in the panel."""
    context = _page(form)
    errors = refusal.errors if isinstance(refusal, ValidationFailed) else []
    others = [error for error in errors if error["field"] not in PLACED]
    if others:
        context["problem"] = view_models.problem(ValidationFailed(others))
    if isinstance(refusal, ValidationFailed):
        context["errors"] = {**context["errors"], **refusal.by_field}
    return form_page(PAGE, refusal, **context)


def _form(form: Form, was_micro: int | None = None) -> dict[str, Any]:
    """Return the context of the form: its tabs, its fields with their options, and its price."""
    current_viewer = viewer()
    priced_form = studio_pricing.price_form(form)
    priced = priced_form.priced
    options = view_models.options(priced, current_viewer)
    fields = studio_pricing.shown_fields(priced_form, options)
    return {
        "operation": priced[0].priced,
        "operation_form": f"pages/studio/operations/{form.operation.replace('-', '_')}.html",
        "tabs": view_models.tabs(),
        "form": {**fields, "operation": form.operation, "nonce": secrets.token_urlsafe(16)},
        "pickers": view_models.pickers(form.operation, fields, options),
        "models": view_models.models(priced[0], current_viewer) if priced_form.models else [],
        "chosen": [model.id for model in priced_form.models],
        "comparing": bool(form.compared),
        "compared_max": studio_form.COMPARED_MAX,
        "options": options,
        "quote": view_models.price_panel(priced, current_viewer, was_micro),
        "prompt_max": PROMPT_CHARACTERS_MAX,
        "errors": dict(priced_form.wrong),
    }


def _page(form: Form) -> dict[str, Any]:
    """Return the context of the page."""
    return {**_form(form), **wall.context(), "examples": get(Catalog).examples}
