"""The catalog: models, operations, prices, packs and plans, as an operator decides them.

Frozen data with look-ups by id. Amounts of credits are microcredits
(``…_micro``), money is minor units of its currency (``…_minor``). ``load`` builds it from a file,
``pricing`` and ``packs`` compute with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from creditapp.catalog.products import Agents, Pack, Plan

TEXT_TO_IMAGE = "text-to-image"
IMAGE_TO_IMAGE = "image-to-image"
IMAGE_OPERATIONS = (TEXT_TO_IMAGE, IMAGE_TO_IMAGE)
"""Priced by their model, for each image."""

MEDIA_OPERATIONS = ("upscale", "video", "audio", "lipsync")
"""Priced by the operation: for each result, or by its length in seconds."""

TOKEN_OPERATIONS = ("chat", "agent", "summarize", "embeddings")
"""Priced by their model's tokens."""

OPERATIONS = (*IMAGE_OPERATIONS, *MEDIA_OPERATIONS, *TOKEN_OPERATIONS)
"""Every operation, in the order of the pages; also the scopes of a grant."""

TIERS = ("budget", "standard", "premium")
"""From plain to best: a recommendation takes the best tier that the balance affords."""


@dataclass(frozen=True, slots=True)
class Served:
    """The provider of an entry: the adapter, the vendor's name of the model, its key and base URL.

    ``provider`` is ``openai`` (any OpenAI-compatible endpoint) or ``offline``. ``key_env`` and
    ``base_url_env`` name variables; ``base_url`` is the address when that variable is unset.
    ``gateway`` means that OpenAI itself does not serve the model: it needs a base URL.
    """

    provider: str
    provider_model: str
    key_env: str
    base_url_env: str
    base_url: str | None
    gateway: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """An image's aspect ratio, and the size in pixels to ask a provider for."""

    aspect: str
    width: int
    height: int

    @property
    def size(self) -> str:
        """The size as the API has it: ``1536x1024``."""
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Model(Served):
    """An image model.

    ``price_micro`` is the price of one image. Where ``prices_micro`` has a price for each quality,
    ``price_micro`` is the default quality's.
    """

    id: str
    name: str
    tier: str
    best_for: str
    operations: tuple[str, ...]
    shapes: tuple[Shape, ...]
    max_images: int
    price_micro: int
    prices_micro: Mapping[str, int] = field(hash=False)
    default_quality: str | None
    guests: bool
    typical_seconds: int
    native_n: bool
    """Whether one call may ask the provider for several images."""

    @property
    def qualities(self) -> tuple[str, ...]:
        """The qualities with a price of their own, in the catalog's order."""
        return tuple(self.prices_micro)

    @property
    def lowest_micro(self) -> int:
        """The price of its cheapest image."""
        return min(self.prices_micro.values(), default=self.price_micro)

    def can(self, operation: str) -> bool:
        """Whether the model does ``operation``."""
        return operation in self.operations

    def price_at(self, quality: str | None) -> int:
        """Return the price of one image; a quality without a price of its own changes nothing."""
        return self.prices_micro.get(quality or "", self.price_micro)

    def shape(self, size: str | None) -> Shape | None:
        """Return the shape ``3:2`` or ``1536x1024``; the first shape for ``None``."""
        if not size:
            return self.shapes[0]
        return next((shape for shape in self.shapes if size in (shape.aspect, shape.size)), None)


@dataclass(frozen=True, slots=True)
class LanguageModel(Served):
    """A model priced by the token, in millionths of a US dollar for a million tokens."""

    id: str
    name: str
    best_for: str
    operations: tuple[str, ...]
    input_micros_usd: int
    cached_input_micros_usd: int
    output_micros_usd: int
    max_output_tokens: int

    def can(self, operation: str) -> bool:
        """Whether the model does ``operation``."""
        return operation in self.operations


@dataclass(frozen=True, slots=True)
class Step:
    """The price of a result of at most ``up_to_seconds``."""

    up_to_seconds: int
    price_micro: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, with its price unless the model sets it.

    Exactly one of these holds: ``steps`` (video), ``block_seconds`` with ``price_micro`` (audio,
    lipsync), ``price_micro`` alone (upscale), or nothing (images and tokens: by model).
    """

    id: str
    name: str
    price_micro: int | None = None
    block_seconds: int | None = None
    steps: tuple[Step, ...] = ()
    max_seconds: int | None = None
    characters_per_second: int | None = None
    """The speed of speech, to estimate a length before the audio exists."""
    typical_seconds: int = 10
    voices: tuple[str, ...] = ()
    served: Served | None = None


@dataclass(frozen=True, slots=True)
class Catalog:
    """A whole catalog. ``version_id`` is set when it was read from the database."""

    name: str
    digest: str
    version_id: str | None
    unit: str
    """``credits``, or ``dollars`` where one credit is a dollar and shown as ``$12.34``."""
    currency: str
    api_key_mode: str
    """The API-key mode of a new account: ``credits`` (our keys) or ``own``."""
    credits_per_provider_dollar: int
    welcome_micro: int
    low_balance_micro: int
    token_minimum_micro: int
    """The balance below which no chat begins."""
    guest_limit: int
    guest_window_hours: int
    guest_daily_budget: int
    default_model: str
    recommended_images: int
    """How many images the balance must afford for a model to be recommended."""
    examples: tuple[str, ...]
    """The prompts that an empty studio offers."""
    models: tuple[Model, ...]
    language_models: tuple[LanguageModel, ...]
    operations: tuple[Operation, ...]
    packs: tuple[Pack, ...]
    plans: tuple[Plan, ...]
    agents: Agents

    @property
    def version(self) -> str:
        """The version that quotes and purchases pin: the row's id, or the digest of a file."""
        return self.version_id or self.digest

    @property
    def free_micro(self) -> int:
        """The free plan's credits, granted once when the email address is confirmed."""
        return self.plans[0].credits_micro

    @property
    def environment(self) -> tuple[str, ...]:
        """The environment variables that entries refer to, sorted."""
        served: list[Served] = [*self.models, *self.language_models]
        served += [operation.served for operation in self.operations if operation.served]
        prices = [pack.stripe_price_env for pack in self.packs]
        for plan in self.plans:
            prices += [plan.month.stripe_price_env, plan.year.stripe_price_env]
        names = {name for entry in served for name in (entry.key_env, entry.base_url_env)}
        return tuple(sorted(names | {name for name in prices if name}))

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies in which every pack is sold, the catalog's own first."""
        others = [set(pack.elsewhere_minor) for pack in self.packs]
        common = set.intersection(*others) if others else set()
        return (self.currency, *sorted(common))

    def model(self, model_id: str) -> Model | None:
        """Return the image model with this id."""
        return next((model for model in self.models if model.id == model_id), None)

    def language_model(self, language_model_id: str) -> LanguageModel | None:
        """Return the token-priced model with this id."""
        return next(
            (model for model in self.language_models if model.id == language_model_id), None
        )

    def operation(self, operation_id: str) -> Operation | None:
        """Return the operation with this id, if the catalog offers it."""
        return next(
            (operation for operation in self.operations if operation.id == operation_id), None
        )

    def pack(self, pack_id: str) -> Pack | None:
        """Return the pack with this id."""
        return next((pack for pack in self.packs if pack.id == pack_id), None)

    def plan(self, plan_id: str) -> Plan | None:
        """Return the plan with this id."""
        return next((plan for plan in self.plans if plan.id == plan_id), None)
