"""The studio: say what to see, see what it costs, make it, watch it being made."""

from __future__ import annotations

import re
import secrets
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, Response, make_response, request, session
from pydantic import ValidationError
from sqlalchemy import select

from creditapp.catalog import Catalog, Model
from creditapp.catalog.recommendations import recommend
from creditapp.db import reading
from creditapp.errors import AppError, ValidationFailed
from creditapp.generation import GenerationResult, assets_of, find, price
from creditapp.generation import cancel as cancel_generation
from creditapp.generation import delete as delete_generation
from creditapp.generation import submit as submit_generation
from creditapp.generation.models import Asset, Generation
from creditapp.generation.operations.text_to_image import ImageOrder
from creditapp.generation.orders import PROMPT_CHARACTERS_MAX
from creditapp.http.json_provider import validation_failed
from creditapp.http.policies import policy
from creditapp.http.rendering import go, page_or_block, render_block, render_page, wants_fragment
from creditapp.http.viewer import caller, forget_viewer, notify, safe_path, viewer
from creditapp.services import get
from creditapp.web import view_models

PAGE = "pages/studio/index.html"
RECENT = 12
_FIELDS = ("prompt", "model", "n", "size", "quality")

generation = Blueprint("generation", __name__)


@generation.get("/")
@policy("public")
def studio() -> str:
    """Show the studio, with a wish filled in where the address carries one."""
    wish = _wish(request.args)
    kept = session.get("choice", {})
    return render_page(PAGE, **_page({name: wish[name] or kept.get(name, "") for name in wish}))


@generation.post("/studio")
@policy("public")
def reprice() -> str:
    """Show the studio again with what was chosen: how prices change without JavaScript."""
    return render_page(PAGE, **_page(_keep_choice(_wish(request.form))))


@generation.get("/studio/till")
@policy("public")
def till() -> Response:
    """Answer a change of model or options with the new cost and what it does to the choices."""
    shown = request.args.get("shown_micro", "")
    was = int(shown) if shown.isdecimal() and len(shown) < 19 else None
    context = _choices(_keep_choice(_wish(request.args)), was_micro=was)
    parts = [
        render_block(PAGE, "till", **context),
        render_block(PAGE, "allowance", oob=True),
        render_block(context["operation_form"], "options", **context, oob=True),
    ]
    if request.headers.get("HX-Trigger") != "picker":
        parts.append(render_block(context["operation_form"], "picker", **context, oob=True))
    return make_response("".join(parts))


@generation.post("/generations")
@policy("public")
def submit() -> Response:
    """Make what the form asks for; the answer is its card, which then asks for news by itself."""
    wish = _keep_choice(_wish(request.form))
    try:
        order = _order(wish)
        made = submit_generation(
            order, caller(), key=_form_key(order), price_limit_micro=_shown_price_micro()
        )
    except AppError as refusal:
        if wants_fragment():
            raise
        page = render_page(PAGE, **_page(wish), **_refused(refusal))
        return make_response(page, refusal.status, refusal.headers)
    if not wants_fragment():
        return go(f"/generations/{made.generation.id}")
    forget_viewer()
    context = _choices(wish)
    body = render_block(PAGE, "job", job=view_models.job(made))
    body += render_block(PAGE, "till", **context, oob=True)
    body += render_block(PAGE, "allowance", oob=True)
    response = make_response(body, 202)
    response.headers["HX-Trigger-After-Settle"] = "balance-changed"
    return response


@generation.get("/generations/<generation_id>")
@policy("public")
def show(generation_id: str) -> Response:
    """Show one generation."""
    made = find(reading(), generation_id, caller())
    return page_or_block("pages/generation/index.html", "job", job=view_models.job(made))


@generation.get("/generations/<generation_id>/card")
@policy("public")
def card(generation_id: str) -> Response:
    """Answer a card that asks for news; the balance follows when it has just ended."""
    made = find(reading(), generation_id, caller())
    job = view_models.job(made)
    body = render_block(PAGE, "job", job=job)
    if not made.generation.finished:
        return make_response(body)
    # A finished card asks no more, so its end is told once: in words, and to the balance.
    response = make_response(body + render_block("layouts/fragments.html", "news", job=job))
    response.headers["HX-Trigger"] = "balance-changed"
    return response


@generation.post("/generations/<generation_id>/cancel")
@policy("public")
def cancel(generation_id: str) -> Response:
    """Stop a generation."""
    cancel_generation(generation_id, caller())
    if not wants_fragment():
        return go(f"/generations/{generation_id}")
    made = find(reading(), generation_id, caller())
    response = make_response(render_block(PAGE, "job", job=view_models.job(made)))
    response.headers["HX-Trigger"] = "balance-changed"
    return response


@generation.post("/generations/<generation_id>/delete")
@policy("public")
def delete(generation_id: str) -> Response:
    """Delete a finished generation with its pictures."""
    delete_generation(generation_id, caller())
    notify("deleted")
    wall = "/gallery" if viewer().kind == "user" else "/"
    return go(safe_path(request.form.get("next"), wall))


def _wish(source: Any) -> dict[str, str]:
    """Read what the form says, unchecked; ``choose`` overrides single fields of it."""
    wish = {name: source.get(name, "") for name in _FIELDS}
    chosen = dict(parse_qsl(source.get("choose", "")[:200]))
    wish.update({name: text for name, text in chosen.items() if name in _FIELDS})
    return wish


def _keep_choice(wish: dict[str, str]) -> dict[str, str]:
    """Remember all but the words: who goes to pay for a model comes back to that model."""
    choice = {name: text[:64] for name, text in wish.items() if name != "prompt"}
    if session.get("choice") != choice:
        session["choice"] = choice
    return wish


def _order(wish: dict[str, str]) -> ImageOrder:
    """Turn the form's texts into an order; raise ``ValidationFailed`` naming each wrong field."""
    values: dict[str, Any] = {name: text for name, text in wish.items() if text}
    values.setdefault("prompt", "")
    if values.get("n", "").isdecimal() and len(values["n"]) < 5:
        values["n"] = int(values["n"])
    model = get(Catalog).model(values.get("model", ""))
    if model is not None and not model.qualities:
        values.pop("quality", None)  # the form sends it, and this model does not tell it apart
    try:
        return ImageOrder.model_validate(values)
    except ValidationError as error:
        raise validation_failed(error) from None


def _priced_order(wish: dict[str, str]) -> ImageOrder:
    """Return the order whose price a page shows, whatever is missing or wrong in the form."""
    catalog = get(Catalog)
    model = catalog.model(wish["model"]) or _first_choice()
    n = int(wish["n"]) if wish["n"].isdecimal() and len(wish["n"]) < 5 else 1
    if viewer().kind == "guest":
        n = 1
    quality = wish["quality"] if wish["quality"] in model.qualities else model.default_quality
    shape = model.shape(wish["size"]) or model.shapes[0]
    return ImageOrder.model_construct(
        prompt=wish["prompt"],
        model=model.id,
        n=max(1, min(n, model.max_images)),
        size=shape.size,
        quality=quality,
    )


def _first_choice() -> Model:
    """Return the model that a fresh page has chosen: the recommended one, else the catalog's."""
    catalog = get(Catalog)
    looks = viewer()
    balance = looks.balance_micro if looks.kind == "user" else None
    advice = recommend(catalog, balance, view_models.available_ids())
    if advice is not None:
        return advice.model
    return catalog.model(catalog.default_model) or catalog.models[0]


def _choices(wish: dict[str, str], was_micro: int | None = None) -> dict[str, Any]:
    """Return what the till, the options and the picker show."""
    looks = viewer()
    order = _priced_order(wish)
    priced = price(order)
    model = priced.model or _first_choice()
    return {
        "operation_form": f"pages/studio/operations/{order.operation.replace('-', '_')}.html",
        "form": {
            "prompt": wish["prompt"],
            "model": order.model,
            "n": order.n,
            "size": order.size,
            "quality": order.quality or "",
            "nonce": secrets.token_urlsafe(16),
        },
        "models": view_models.models(order, looks),
        "sizes": view_models.sizes(model),
        "qualities": view_models.qualities(model),
        "counts": view_models.counts(model, order.quality, looks),
        "quote": view_models.till(order, priced.quote, looks, was_micro),
    }


def _page(wish: dict[str, str]) -> dict[str, Any]:
    """Return everything that the studio shows; four queries beside the viewer's."""
    by = caller()
    kind, owner_id = by.owner
    read = reading()
    owned = (
        Generation.owner_kind == kind,
        Generation.owner_id == owner_id,
        Generation.deleted_at.is_(None),
    )
    generations = read.scalars(
        select(Generation).where(*owned).order_by(Generation.created_at.desc()).limit(RECENT)
    ).all()
    assets = assets_of(read, generations)
    has_pictures = bool(assets)
    if not has_pictures and len(generations) == RECENT:  # the newest all failed; older ones may not
        of_owner = select(Asset.id).join(Generation, Asset.generation_id == Generation.id)
        has_pictures = read.scalar(of_owner.where(*owned).limit(1)) is not None
    made = [GenerationResult(each, assets.get(each.id, ())) for each in generations]
    return {
        **_choices(wish),
        "jobs": [view_models.job(each) for each in made],
        "has_pictures": has_pictures,
        "prompt_max": PROMPT_CHARACTERS_MAX,
        "examples": get(Catalog).examples,
    }


def _refused(refusal: AppError) -> dict[str, Any]:
    """Return where a refusal shows: what is wrong with the prompt at its field, the rest below."""
    if not isinstance(refusal, ValidationFailed):
        return {"problem": view_models.problem(refusal)}
    errors = {each["field"]: each["message"] for each in refusal.errors}
    rest = [each for each in refusal.errors if each["field"] != "prompt"]
    problem = view_models.problem(ValidationFailed(rest)) if rest else None
    return {"errors": errors, "problem": problem}


def _shown_price_micro() -> int | None:
    """Return the price on the button that was pressed: a higher one is refused."""
    shown = request.form.get("shown_micro", "")
    return int(shown) if shown.isdecimal() and len(shown) < 19 else None


def _form_key(order: ImageOrder) -> str:
    """Return the form's own key: its nonce and its words, so that an edited one is a new wish."""
    nonce = request.form.get("nonce", "")
    if re.fullmatch(r"[A-Za-z0-9_-]{8,64}", nonce) is None:
        raise ValidationFailed.of("nonce", "Reload the page and try again.")
    return f"form:{nonce}:{order.digest()[:32]}"
