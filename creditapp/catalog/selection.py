"""Selection of the model and quality that a request names or leaves to the catalog."""

from __future__ import annotations

from collections.abc import Sequence

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.models import LanguageModel, Model
from creditapp.errors import ValidationFailed


def image_model(catalog: Catalog, operation: str, model_id: str | None) -> Model:
    """Return the named model, or the default; raise ``ValidationFailed`` if it cannot do this."""
    model_id = model_id or _default_model(catalog, operation)
    model = catalog.model(model_id)
    supporting = [other for other in catalog.models if other.can(operation)]
    if model is None:
        raise ValidationFailed.of("model", _choose(f"There is no model {model_id!r}.", supporting))
    if model not in supporting:
        problem = f"{model.name} does not do {operation}."
        raise ValidationFailed.of("model", _choose(problem, supporting))
    return model


def language_model(catalog: Catalog, operation: str, model_id: str | None) -> LanguageModel:
    """Return the named token-priced model, or the first; raise ``ValidationFailed`` likewise."""
    supporting = [model for model in catalog.language_models if model.can(operation)]
    if model_id is None:
        return supporting[0]
    model = catalog.language_model(model_id)
    if model is None:
        raise ValidationFailed.of("model", _choose(f"There is no model {model_id!r}.", supporting))
    if model not in supporting:
        problem = f"{model.name} does not do {operation}."
        raise ValidationFailed.of("model", _choose(problem, supporting))
    return model


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


def _choose(problem: str, models: Sequence[Model | LanguageModel]) -> str:
    return f"{problem} Choose one of these: {', '.join(model.id for model in models)}."
