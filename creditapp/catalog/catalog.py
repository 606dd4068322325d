"""The catalog: models, operations, prices, packs and plans, as an operator decides them.

``Catalog`` and its parts are the tables of a catalog file: frozen, validated, with look-ups by id.
Amounts of credits are microcredits (``…_micro``), money is minor units of its currency
(``…_minor``). ``load`` reads a file, ``pricing`` and ``packs`` compute with the catalog.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from creditapp.catalog.fields import (
    Computed,
    CreditsOrNone,
    Currency,
    Id,
    KeyInvalid,
    Line,
    Many,
    Table,
)
from creditapp.catalog.models import (
    OPERATIONS,
    TEXT_TO_IMAGE,
    LanguageModel,
    MediaOperations,
    Model,
    Operation,
    Shapes,
)
from creditapp.catalog.products import FREE_PLAN, Agents, Pack, Plan
from creditapp.catalog.served import Served


class Catalog(Table):
    """A whole file. ``version_id`` is set when it was read from the database."""

    name: Id
    digest: Computed[str] = ""
    version_id: Computed[str | None] = None
    unit: Literal["credits", "dollars"]
    """``credits``, or ``dollars`` where one credit is a dollar and shown as ``$12.34``."""
    currency: Currency
    api_key_mode: Literal["credits", "own"]
    """The API-key mode of a new account: ``credits`` (our keys) or ``own``."""
    credits_per_provider_dollar: Annotated[int, Field(ge=1, le=1_000_000)]
    tokens_sold_below: Line | None = None
    """Why tokens are sold for less than they cost, where that is meant."""
    welcome_micro: CreditsOrNone = Field(alias="welcome")
    welcome_daily_budget_micro: CreditsOrNone = Field(alias="welcome_daily_budget")
    """The welcome credits of one day to unconfirmed addresses; past it they wait."""
    low_balance_micro: CreditsOrNone = Field(alias="low_balance")
    token_minimum_micro: CreditsOrNone = Field(alias="token_minimum")
    """The balance below which no chat begins."""
    guest_limit: int = Field(alias="guests.limit", ge=0, le=1000)
    """The free generations without an account in ``guest_window_hours``."""
    guest_window_hours: int = Field(alias="guests.window_hours", ge=1, le=24 * 30)
    guest_daily_budget: int = Field(alias="guests.daily_budget", ge=0, le=10_000_000)
    default_model: Id = Field(alias="studio.default_model")
    recommended_images: int = Field(20, alias="studio.recommended_images", ge=1, le=1000)
    """How many images the balance must afford for a model to be recommended."""
    examples: Many[Line] = Field(alias="studio.examples", min_length=3, max_length=3)
    """The prompts that an empty studio offers."""
    shapes: Shapes = Field(alias="studio.shapes")
    models: Annotated[Many[Model], Field(min_length=1)]
    language_models: Many[LanguageModel] = ()
    media: MediaOperations = Field(MediaOperations(), alias="operations")
    packs: Many[Pack] = ()
    plans: Annotated[Many[Plan], Field(min_length=1)]
    agents: Agents

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make the keys of ``[guests]`` and ``[studio]`` keys of the catalog: ``guests.limit``."""
        flat = dict(document)
        for table in ("guests", "studio"):
            if isinstance(flat.get(table, {}), Mapping):
                flat |= {f"{table}.{key}": value for key, value in flat.pop(table, {}).items()}
            else:
                raise KeyInvalid(table, "must be a table")
        return flat

    @field_validator("models", "language_models", "packs", "plans")
    @classmethod
    def _refuse_repeated_ids(cls, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        for value, times in Counter(entry.id for entry in entries).items():
            if times > 1:
                raise KeyInvalid(f"{value}.id", f"stands {times} times; ids are unique")
        return entries

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Check the rules that span several tables."""
        models = {"studio.default_model": self.default_model, "agents.model": self.agents.model}
        for key, model_id in models.items():
            model = self.model(model_id)
            if model is None or not model.can(TEXT_TO_IMAGE):
                raise KeyInvalid(key, f"no model {model_id} makes images from text")
        for pack in self.packs:
            if self.currency in pack.prices:
                reason = f"the price in {self.currency} is the pack's own price"
                raise KeyInvalid(f"packs.{pack.id}.prices", reason)
        if sum(pack.best_value for pack in self.packs) > 1:
            raise KeyInvalid("packs", "only one pack can be the best value")
        # A checkout may name a pack by its price.
        for price, times in Counter(pack.price_minor for pack in self.packs).items():
            if times > 1:
                raise KeyInvalid("packs", f"{times} packs cost the same ({price} minor units)")
        first = self.plans[0]
        if not first.free or first.month_minor or first.year_minor:
            raise KeyInvalid("plans", f"the first plan is {FREE_PLAN}, and costs nothing")
        return self

    @model_validator(mode="after")
    def _share(self) -> Self:
        """Give every product the catalog's currency, and its shapes to models without their own."""
        currency = {"currency": self.currency}
        shapes = {"shapes": self.shapes}
        return self.model_copy(
            update={
                "models": tuple(
                    model if model.shapes else model.model_copy(update=shapes)
                    for model in self.models
                ),
                "packs": tuple(pack.model_copy(update=currency) for pack in self.packs),
                "plans": tuple(plan.model_copy(update=currency) for plan in self.plans),
                "agents": self.agents.model_copy(update=currency),
            }
        )

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """The offered operations, in the order of ``OPERATIONS``."""
        offered: list[Operation] = []
        for name in OPERATIONS:
            media: Operation | None = getattr(self.media, name, None)
            if media is not None:
                offered.append(media.model_copy(update={"id": name}))
            elif any(model.can(name) for model in (*self.models, *self.language_models)):
                title = name.replace("-", " ").capitalize()
                offered.append(Operation.model_construct(id=name, name=title))
        return tuple(offered)

    @cached_property
    def model_names(self) -> Mapping[str, str]:
        """The names, by id, of all that is sold: models, and operations with their own price."""
        entries: list[Model | LanguageModel | Operation] = [*self.models, *self.language_models]
        entries += [each for each in self.operations if each.price_micro or each.steps]
        return {entry.id: entry.name for entry in entries}

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
        served += [operation for operation in self.operations if operation.provider_model]
        prices = [pack.stripe_price_env for pack in self.packs]
        for plan in self.plans:
            prices += [plan.stripe_month_env, plan.stripe_year_env]
        names = {name for entry in served for name in (entry.key_env, entry.base_url_env)}
        return tuple(sorted(names | {name for name in prices if name}))

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies in which every pack is sold, the catalog's own first."""
        others = [set(pack.prices) for pack in self.packs]
        common = set.intersection(*others) if others else set()
        return (self.currency, *sorted(common))

    def model(self, model_id: str) -> Model | None:
        """Return the image model with this id."""
        return _find(self.models, model_id)

    def language_model(self, language_model_id: str) -> LanguageModel | None:
        """Return the token-priced model with this id."""
        return _find(self.language_models, language_model_id)

    def operation(self, operation_id: str) -> Operation | None:
        """Return the operation with this id, if the catalog offers it."""
        return _find(self.operations, operation_id)

    def pack(self, pack_id: str) -> Pack | None:
        """Return the pack with this id."""
        return _find(self.packs, pack_id)

    def plan(self, plan_id: str) -> Plan | None:
        """Return the plan with this id."""
        return _find(self.plans, plan_id)


E = TypeVar("E", Model, LanguageModel, Operation, Pack, Plan)


def _find(entries: Iterable[E], entry_id: str) -> E | None:
    return next((entry for entry in entries if entry.id == entry_id), None)
