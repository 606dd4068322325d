"""Served: which provider makes what an entry of the catalog sells, and how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, Field

from creditapp.catalog.fields import Address, Name, Table, Variable
from creditapp.catalog.provider_costs import ProviderCost
from creditapp.catalog.provider_parameters import Parameters


class Vendor(NamedTuple):
    """The variables of a vendor's key and address, unless an entry names its own."""

    key_env: str
    base_url_env: str


VENDORS: Final[Mapping[str, Vendor]] = {
    "openai": Vendor("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "google": Vendor("GEMINI_API_KEY", "GEMINI_BASE_URL"),
    "fal": Vendor("FAL_KEY", "FAL_BASE_URL"),
    "anthropic": Vendor("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
}
"""The vendors by the names of their adapters, which the registries of ``generation`` and ``chat``
list."""

OFFLINE: Final = "offline"
"""The provider that draws previews; it needs no key."""


def _known(name: str) -> str:
    if name not in (*VENDORS, OFFLINE):
        raise ValueError(f"must be one of {', '.join((*VENDORS, OFFLINE))}")
    return name


def _key_env(data: dict[str, Any]) -> str:
    return VENDORS.get(data.get("provider", ""), VENDORS["openai"]).key_env


def _base_url_env(data: dict[str, Any]) -> str:
    return VENDORS.get(data.get("provider", ""), VENDORS["openai"]).base_url_env


class Served(Table):
    """The provider of an entry: the adapter, the vendor's name of the model, its key and base URL.

    ``provider`` is ``openai`` (any OpenAI-compatible endpoint), ``google``, ``fal``, ``anthropic``
    (chat) or ``offline``.
    ``image_model`` is the vendor's name of the model for orders that start from an image, where it
    differs; it may have ``image_parameters`` of its own. ``answers_as`` is the name under which the
    model answers, where it differs.
    ``key_env`` and ``base_url_env`` name variables; ``base_url`` is the address when that variable
    is unset. ``gateway`` means that OpenAI itself does not serve the model: it needs a base URL.
    ``parameters`` are sent with every request as they are: endpoints with the same API differ in
    what they take, and a model's name does not tell, because gateways put a prefix before it.
    """

    provider: Annotated[str, AfterValidator(_known)] = "openai"
    provider_model: Name = ""
    image_model: Name | None = None
    answers_as: Name | None = None
    key_env: Variable = Field(default_factory=_key_env)
    base_url_env: Variable = Field(default_factory=_base_url_env)
    base_url: Address | None = None
    gateway: bool = False
    takes_size: bool = True
    takes_seed: bool = False
    parameters: Parameters = Field(default_factory=dict)
    image_parameters: Parameters = Field(default_factory=lambda data: data.get("parameters", {}))
    provider_cost: ProviderCost | None = None
