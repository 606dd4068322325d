"""``/v1/models``: every model that a caller may use, with its prices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from creditapp.accounts import Member
from creditapp.api.v1.requests import no_such_model
from creditapp.catalog import IMAGE_TO_IMAGE, TEXT_TO_IMAGE, Catalog, Operation, credit_costs
from creditapp.catalog.models import LanguageModel, Model
from creditapp.catalog.price_list import OperationCost
from creditapp.chat import ChatProviders
from creditapp.errors import ModelNotFound
from creditapp.generation.providers import Providers, ProviderUnavailable
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.openai_errors import OpenAIError
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits
from creditapp.http.sessions import require_member
from creditapp.services import get

routes = Blueprint("v1_models", __name__)

AUDIO = "audio"
_ROUTES = {
    TEXT_TO_IMAGE: "images/generations",
    IMAGE_TO_IMAGE: "images/edits",
    "chat": "chat/completions",
    "embeddings": "embeddings",
    AUDIO: "audio/speech",
}
"""The operations that routes here serve, with these routes."""


class ModelPrice(BaseModel):
    """The price of a model on one route."""

    route: str = Field(description="Below /v1.")
    credits: Credits | None = Field(description="Of one image or block; null by the token.")
    by_quality: dict[str, Credits] | None = Field(serialization_alias="byQuality")
    description: str


class ModelAnswer(BaseModel):
    """A model as OpenAI's clients read it; the members from ``name`` on are ours."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str
    name: str
    available: bool = Field(description="Whether it has been set up on this server.")
    prices: list[ModelPrice]


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelAnswer]


@routes.get("/models")
@policy("user", scope="generate")
@Documented("The models and their prices", ModelList, error=OpenAIError)
def list_models() -> Response:
    """Return the models that the caller's key may use."""
    return json_response(ModelList(data=list(_models(require_member()))))


@routes.get("/models/<model_id>")
@policy("user", scope="generate")
@Documented("One model and its prices", ModelAnswer, refuses=[ModelNotFound], error=OpenAIError)
def show_model(model_id: str) -> Response:
    """Return one model, by its id here or its vendor's name."""
    models = {model.id: model for model in _models(require_member())}
    ids = {entry.provider_model: entry.id for entry in reversed(_entries(get(Catalog)))}
    for each in (model_id, ids.get(model_id, "")):
        if each in models:
            return json_response(models[each])
    raise no_such_model(model_id, "your key")


def _entries(catalog: Catalog) -> list[Model | LanguageModel | Operation]:
    """Return what routes here name as a model."""
    audio = catalog.operation(AUDIO)
    return [*catalog.models, *catalog.language_models, *([audio] if audio else [])]


def _models(member: Member) -> Iterator[ModelAnswer]:
    catalog = get(Catalog)
    costs = [cost for cost in credit_costs(catalog) if cost.operation in _ROUTES]
    allowed = member.key.models if member.key is not None else None
    for entry in _entries(catalog):
        prices = list(_prices(entry, costs))
        if prices and (allowed is None or entry.id in allowed):
            yield ModelAnswer(
                id=entry.id,
                owned_by=entry.provider,
                name=entry.name,
                available=_is_available(entry),
                prices=prices,
            )


def _prices(
    entry: Model | LanguageModel | Operation, costs: Sequence[OperationCost]
) -> Iterator[ModelPrice]:
    for cost in costs:
        if cost.operation == entry.id:
            yield ModelPrice(
                route=_ROUTES[cost.operation],
                credits=cost.cost_micro,
                by_quality=None,
                description=cost.sentence,
            )
        for each in cost.models:
            if each.model == entry.id:
                yield ModelPrice(
                    route=_ROUTES[cost.operation],
                    credits=each.cost_micro,
                    by_quality=dict(each.prices_micro) if each.prices_micro else None,
                    description=each.sentence,
                )


def _is_available(entry: Model | LanguageModel | Operation) -> bool:
    try:
        if isinstance(entry, LanguageModel):
            get(ChatProviders).require(entry)
        else:
            get(Providers).require(entry)
    except ProviderUnavailable:
        return False
    return True
