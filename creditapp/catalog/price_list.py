"""Price list: the cost of every operation and model, each with a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.formatting import amount, count
from creditapp.catalog.models import (
    IMAGE_OPERATIONS,
    TOKEN_OPERATIONS,
    LanguageModel,
    Model,
    Operation,
)
from creditapp.catalog.token_prices import TokenPrices
from creditapp.catalog.tokens import million_tokens


@dataclass(frozen=True, slots=True)
class ModelCost:
    """A model's cost. ``cost_micro`` is the price of its cheapest image; tokens have none."""

    model: str
    name: str
    cost_micro: int | None
    prices_micro: Mapping[str, int] | None
    """The price at each quality, where the quality changes it."""
    sentence: str


@dataclass(frozen=True, slots=True)
class OperationCost:
    """An operation's cost. ``cost_micro`` is the lowest; tokens have none."""

    operation: str
    name: str
    cost_micro: int | None
    sentence: str
    models: tuple[ModelCost, ...]


def credit_costs(catalog: Catalog) -> tuple[OperationCost, ...]:
    """Return the price list, in the order of the pages."""
    return tuple(_operation_cost(catalog, operation) for operation in catalog.operations)


def _operation_cost(catalog: Catalog, operation: Operation) -> OperationCost:
    if operation.id in IMAGE_OPERATIONS:
        models = tuple(
            _model_cost(catalog, model) for model in catalog.models if model.can(operation.id)
        )
        least = min(model.cost_micro or 0 for model in models)
        sentence = f"From {amount(catalog, least)} an image, by model."
        return OperationCost(operation.id, operation.name, least, sentence, models)
    if operation.id in TOKEN_OPERATIONS:
        by_token = tuple(
            _language_model_cost(catalog, model)
            for model in catalog.language_models
            if model.can(operation.id)
        )
        sentence = f"By the tokens read and written, {_rate(catalog)}."
        return OperationCost(operation.id, operation.name, None, sentence, by_token)
    least, sentence = _media_cost(catalog, operation)
    return OperationCost(operation.id, operation.name, least, sentence, ())


def _media_cost(catalog: Catalog, operation: Operation) -> tuple[int, str]:
    if operation.steps:
        parts = [
            f"{amount(catalog, step.price_micro)} for {span}"
            for step, span in zip(operation.steps, operation.spans, strict=True)
        ]
        return operation.steps[0].price_micro, f"{', '.join(parts)}."
    price_micro = operation.price_micro or 0
    if operation.block_seconds:
        price = amount(catalog, price_micro)
        return price_micro, f"{price} for each started {operation.block_seconds} s."
    return price_micro, f"{amount(catalog, price_micro)} each."


def _model_cost(catalog: Catalog, model: Model) -> ModelCost:
    if model.qualities:
        prices = [
            f"{amount(catalog, price)} in {quality} quality"
            for quality, price in model.prices_micro.items()
        ]
        sentence = f"{model.name}: an image is {', '.join(prices)}."
    else:
        sentence = f"{model.name}: {amount(catalog, model.price_micro)} an image."
    return ModelCost(model.id, model.name, model.lowest_micro, model.prices_micro or None, sentence)


def _language_model_cost(catalog: Catalog, model: LanguageModel) -> ModelCost:
    prices = [_token_prices(catalog, model)]
    for tier in model.tiers:
        prices.append(
            f"in requests above {tier.above_tokens:,} tokens {_token_prices(catalog, tier)}"
        )
    return ModelCost(model.id, model.name, None, None, f"{model.name}: {'; '.join(prices)}.")


def _token_prices(catalog: Catalog, prices: TokenPrices) -> str:
    million = million_tokens(catalog, prices)
    parts = [f"{amount(catalog, million.input_micro)} for a million tokens read"]
    if million.output_micro:
        parts.append(f"{amount(catalog, million.output_micro)} for a million written")
    return ", ".join(parts)


def _rate(catalog: Catalog) -> str:
    rate = catalog.credits_per_provider_dollar
    if catalog.unit == "dollars" and rate == 1:
        return "at the provider's price"
    return f"{count(rate, 'credit')} for each dollar of the provider's price"
