"""Selection of the model and quality that a request names or leaves to the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.models import LanguageModel, Model, ServedModel
from creditapp.errors import ValidationFailed

M = TypeVar("M", bound=ServedModel)


def image_model(catalog: Catalog, operation: str, model_id: str | None) -> Model:
    """Return the named model, or the default; raise ``ValidationFailed`` if it cannot do this."""
    return _choose(catalog.models, operation, model_id or _default_model(catalog, operation))


def language_model(catalog: Catalog, operation: str, model_id: str | None) -> LanguageModel:
    """Return the named token-priced model, or the first; raise ``ValidationFailed`` likewise."""
    return _choose(catalog.language_models, operation, model_id)


def _choose(models: Sequence[M], operation: str, model_id: str | None) -> M:
    supporting = [model for model in models if model.can(operation)]
    if model_id is None:
        return supporting[0]
    model = next((model for model in models if model.id == model_id), None)
    if model is not None and model.can(operation):
        return model
    problem = (
        f"{model.name} does not do {operation}" if model else f"There is no model {model_id!r}"
    )
    choices = ", ".join(model.id for model in supporting)
    raise ValidationFailed.of("model", f"{problem}. Choose one of these: {choices}.")


def _default_model(catalog: Catalog, operation: str) -> str:
    """Return the default model, or the first that supports the operation if it does not."""
    default = catalog.model(catalog.default_model)
    if default is not None and default.can(operation):
        return default.id
    return next(model.id for model in catalog.models if model.can(operation))


def accepted_qualities(catalog: Catalog, model: Model) -> tuple[str, ...]:
    """Return the qualities that the model accepts.

    A model with one price accepts every quality of the catalog, because a form still sends the
    quality that was chosen for another model.
    """
    if model.qualities:
        return model.qualities
    return tuple(dict.fromkeys(name for other in catalog.models for name in other.qualities))
