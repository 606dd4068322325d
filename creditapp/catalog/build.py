"""Build a ``Catalog`` from validated tables, with the rules that span several tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import gcd
from types import MappingProxyType
from typing import TypedDict

from creditapp.catalog import build_products
from creditapp.catalog.models import (
    IMAGE_OPERATIONS,
    MEDIA_OPERATIONS,
    TEXT_TO_IMAGE,
    TOKEN_OPERATIONS,
    Catalog,
    LanguageModel,
    Model,
    Operation,
    Served,
    Shape,
    Step,
)
from creditapp.catalog.refusals import Report
from creditapp.catalog.schema import (
    CatalogTable,
    LanguageModelTable,
    ModelTable,
    OperationTable,
    ServedTable,
)

NAMES = {
    "text-to-image": "Text to image",
    "image-to-image": "Image to image",
    "chat": "Chat",
    "agent": "Agent",
    "summarize": "Summarize",
    "embeddings": "Embeddings",
}
"""Names of the operations without a table of their own."""


def catalog(table: CatalogTable, *, file: str, digest: str, version_id: str | None) -> Catalog:
    """Return the catalog; raise ``CatalogInvalid`` where tables contradict each other."""
    return _Builder(table, file).build(digest, version_id)


class _Builder:
    def __init__(self, table: CatalogTable, file: str) -> None:
        self.table = table
        self.report = Report(file, table.currency)
        self.refuse = self.report.refuse
        self.shapes = self._shapes(table.studio.shapes, "studio.shapes")

    def build(self, digest: str, version_id: str | None) -> Catalog:
        table = self.table
        self._refuse_repeated("models", [entry.id for entry in table.models])
        self._refuse_repeated("language_models", [entry.id for entry in table.language_models])
        self._refuse_repeated("packs", [entry.id for entry in table.packs])
        self._refuse_repeated("plans", [entry.id for entry in table.plans])
        models = tuple(self._model(entry) for entry in table.models)
        language_models = tuple(self._language_model(entry) for entry in table.language_models)
        self._check_default_model(models)
        return Catalog(
            name=table.name,
            digest=digest,
            version_id=version_id,
            unit=table.unit,
            currency=table.currency,
            api_key_mode=table.api_key_mode,
            credits_per_provider_dollar=table.credits_per_provider_dollar,
            welcome_micro=table.welcome,
            low_balance_micro=table.low_balance,
            token_minimum_micro=table.token_minimum,
            guest_limit=table.guests.limit,
            guest_window_hours=table.guests.window_hours,
            guest_daily_budget=table.guests.daily_budget,
            default_model=table.studio.default_model,
            recommended_images=table.studio.recommended_images,
            examples=tuple(table.studio.examples),
            models=models,
            language_models=language_models,
            operations=self._operations(models, language_models),
            packs=build_products.packs(table, self.report),
            plans=build_products.plans(table, self.report),
            agents=build_products.agents(table.agents, models, self.report),
        )

    def _refuse_repeated(self, key: str, values: Sequence[str]) -> None:
        for value, times in Counter(values).items():
            if times > 1:
                raise self.refuse(f"{key}.{value}.id", f"stands {times} times; ids are unique")

    # ---- models

    def _model(self, entry: ModelTable) -> Model:
        key = f"models.{entry.id}"
        prices, price, default = self._prices(entry, key)
        if entry.guests and TEXT_TO_IMAGE not in entry.operations:
            raise self.refuse(f"{key}.guests", "guests make images from text; this model does not")
        return Model(
            **_served(entry),
            id=entry.id,
            name=entry.name,
            tier=entry.tier,
            best_for=entry.best_for,
            operations=tuple(entry.operations),
            shapes=self._shapes(entry.shapes, f"{key}.shapes") if entry.shapes else self.shapes,
            max_images=entry.max_images,
            price_micro=price,
            prices_micro=MappingProxyType(prices),
            default_quality=default,
            guests=entry.guests,
            typical_seconds=entry.typical_seconds,
            native_n=entry.native_n,
        )

    def _prices(self, entry: ModelTable, key: str) -> tuple[dict[str, int], int, str | None]:
        if (entry.price is None) == (entry.prices is None):
            raise self.refuse(f"{key}.price", "give either price, or prices by quality")
        if entry.price is not None:
            if entry.default_quality is not None:
                raise self.refuse(f"{key}.default_quality", "needs prices by quality")
            return {}, entry.price, None
        prices = dict(entry.prices or {})
        default = entry.default_quality
        if default is None or default not in prices:
            raise self.refuse(f"{key}.default_quality", "must be one of the qualities in prices")
        return prices, prices[default], default

    def _shapes(self, table: Mapping[str, str], key: str) -> tuple[Shape, ...]:
        shapes = []
        for aspect, size in table.items():
            width, height = (int(side) for side in size.split("x"))
            across, down = (int(side) for side in aspect.split(":"))
            # Vendors round sides to steps of 16, so 16:9 need not be exact.
            if gcd(across, down) != 1 or abs(width * down - height * across) > 32 * (across + down):
                raise self.refuse(f"{key}.{aspect}", f"{size} does not have this shape")
            shapes.append(Shape(aspect, width, height))
        return tuple(shapes)

    def _language_model(self, entry: LanguageModelTable) -> LanguageModel:
        cached = entry.input if entry.cached_input is None else entry.cached_input
        if cached > entry.input:
            raise self.refuse(
                f"language_models.{entry.id}.cached_input", "must not be dearer than input"
            )
        if entry.input == 0:
            raise self.refuse(f"language_models.{entry.id}.input", "must be greater than zero")
        return LanguageModel(
            **_served(entry),
            id=entry.id,
            name=entry.name,
            best_for=entry.best_for,
            operations=tuple(entry.operations),
            input_micros_usd=entry.input,
            cached_input_micros_usd=cached,
            output_micros_usd=entry.output,
            max_output_tokens=entry.max_output_tokens,
        )

    def _check_default_model(self, models: tuple[Model, ...]) -> None:
        wanted = self.table.studio.default_model
        chosen = next((model for model in models if model.id == wanted), None)
        if chosen is None or not chosen.can(TEXT_TO_IMAGE):
            raise self.refuse("studio.default_model", f"no model {wanted} makes images from text")

    # ---- operations

    def _operations(
        self, models: tuple[Model, ...], language_models: tuple[LanguageModel, ...]
    ) -> tuple[Operation, ...]:
        """Return what this catalog offers, in the order of ``OPERATIONS``."""
        offered = [
            Operation(name, NAMES[name])
            for name in IMAGE_OPERATIONS
            if any(model.can(name) for model in models)
        ]
        for name in MEDIA_OPERATIONS:
            entry: OperationTable | None = getattr(self.table.operations, name)
            if entry is not None:
                offered.append(self._media(name, entry))
        offered += [
            Operation(name, NAMES[name])
            for name in TOKEN_OPERATIONS
            if any(model.can(name) for model in language_models)
        ]
        return tuple(offered)

    def _media(self, name: str, entry: OperationTable) -> Operation:
        key = f"operations.{name}"
        if (entry.price is None) == (entry.steps is None):
            raise self.refuse(f"{key}.price", "give either price, or steps by length")
        if entry.per_seconds is not None and entry.price is None:
            raise self.refuse(f"{key}.per_seconds", "needs price, and no steps")
        if entry.per_seconds is not None and entry.max_seconds is None:
            raise self.refuse(f"{key}.max_seconds", "is missing: say how long a piece may be")
        if name == "audio" and entry.per_seconds and entry.characters_per_second is None:
            raise self.refuse(
                f"{key}.characters_per_second", "is missing: a text's length is estimated with it"
            )
        steps = tuple(Step(step.up_to_seconds, step.price) for step in entry.steps or ())
        for one, next_one in pairwise(steps):
            longer = next_one.up_to_seconds > one.up_to_seconds
            if not longer or next_one.price_micro < one.price_micro:
                raise self.refuse(f"{key}.steps", "must rise: each longer and not cheaper")
        longest = steps[-1].up_to_seconds if steps else entry.max_seconds
        return Operation(
            name,
            entry.name,
            price_micro=entry.price,
            block_seconds=entry.per_seconds,
            steps=steps,
            max_seconds=longest if steps or entry.per_seconds else None,
            characters_per_second=entry.characters_per_second,
            typical_seconds=entry.typical_seconds,
            voices=tuple(entry.voices),
            served=Served(**_served(entry)) if entry.provider_model else None,
        )


class _ServedFields(TypedDict):
    provider: str
    provider_model: str
    key_env: str
    base_url_env: str
    base_url: str | None
    gateway: bool


def _served(entry: ServedTable) -> _ServedFields:
    return {
        "provider": entry.provider,
        "provider_model": entry.provider_model,
        "key_env": entry.key_env,
        "base_url_env": entry.base_url_env,
        "base_url": entry.base_url,
        "gateway": entry.gateway,
    }
