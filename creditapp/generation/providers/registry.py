"""Registry of providers: the route to a model of the catalog, or why there is none.

The catalog's entry names the adapter and the variables of its key and address; their values come
from the settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from creditapp.catalog.models import Model, Operation
from creditapp.catalog.served import OFFLINE
from creditapp.generation.providers import key_check
from creditapp.generation.providers.access import Access
from creditapp.generation.providers.fal import FalProvider
from creditapp.generation.providers.google import GoogleProvider
from creditapp.generation.providers.key_check import KeyState
from creditapp.generation.providers.openai import OpenAIProvider
from creditapp.generation.providers.protocol import (
    ImageRequest,
    ProducedFile,
    Provider,
    ProviderUnavailable,
    Request,
    VideoRequest,
    Work,
)

TIMEOUT_SECONDS = 120.0
"""The longest wait for one answer of a vendor."""


class Adapter(Protocol):
    """Makes the provider of one key and address; ``None`` is the vendor's own address."""

    def __call__(self, *, api_key: str, base_url: str | None, timeout_seconds: float) -> Provider:
        """Return the provider."""
        ...


ADAPTERS: Final[Mapping[str, Adapter]] = {
    "openai": OpenAIProvider,
    "google": GoogleProvider,
    "fal": FalProvider,
}
"""The adapters by the names that a catalog writes; ``catalog/served.py`` has their variables."""

ServedModel = Model | Operation
"""An entry of the catalog that names its provider: a model, or an operation with its own price."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No provider serves the model: the reason, for users, and the variable that is missing."""

    reason: str
    variable: str


@dataclass(frozen=True, slots=True)
class Route:
    """The provider of one model, with its own name for the model."""

    provider: Provider
    model: str
    """The vendor's name for the model; the catalog's id for a preview."""
    preview: bool
    """Whether the offline provider draws instead of the model's vendor."""
    served: ServedModel
    """The catalog's entry, which says what the model takes."""

    @property
    def name(self) -> str:
        """The provider's name, stored with the generation."""
        return self.provider.name

    @property
    def repeatable(self) -> bool:
        """Whether the same request may be repeated."""
        return self.provider.repeatable

    def make(self, request: Request, work: Work) -> Iterator[ProducedFile]:
        """Yield the provider's files, with the vendor's model and parameters in the request.

        Raises ``ProviderUnavailable`` for a kind of request that the provider does not take.
        """
        if type(request) not in self.provider.makes:
            detail = "This model has not been set up for this on this server."
            raise ProviderUnavailable(detail, permanent=True, reason="not_made_here")
        request = replace(request, provider_model=self.model)
        if not self.preview:
            request = self._for_the_model(request)
        return self.provider.make(request, work)

    def _for_the_model(self, request: Request) -> Request:
        """Return the request with what the entry says, and without what it does not take."""
        served = self.served
        from_image = request.starts_from_image
        model = (served.image_model if from_image else None) or self.model
        request = replace(
            request,
            provider_model=model,
            answers_as=served.answers_as or model,
            parameters=served.image_parameters if from_image else served.parameters,
        )
        if isinstance(request, ImageRequest):
            sends_partial = isinstance(served, Model) and served.sends_partial_images
            takes_negative = isinstance(served, Model) and served.takes_negative_prompt
            return replace(
                request,
                quality=served.provider_quality(request.quality),
                takes_size=served.takes_size,
                takes_seed=served.takes_seed,
                negative_prompt=request.negative_prompt if takes_negative else None,
                partial_images=request.partial_images if sends_partial else 0,
                one_call_each=request.one_call_each or not served.native_n,
            )
        if isinstance(request, VideoRequest) and isinstance(served, Operation):
            lengths = [each for each in served.provider_seconds if each >= request.seconds]
            return replace(request, seconds=min(lengths, default=request.seconds))
        return request


class Providers:
    """Find the route to a model.

    ``values`` maps names of variables to their values. ``offline`` serves every model that lacks a
    key or an address (demo and testing); without it such a model is unavailable (production).
    """

    def __init__(
        self,
        values: Mapping[str, str],
        *,
        offline: Provider | None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._access = Access(values)
        self._offline = offline
        self._timeout_seconds = timeout_seconds

    def __repr__(self) -> str:
        """Return no value: they are keys."""
        return f"Providers(offline={self._offline is not None})"

    def find(self, model: ServedModel, *, own_key: str | None = None) -> Route | Unavailable:
        """Return the route to ``model``, or why there is none.

        ``own_key`` is the user's own key of the vendor. With it there is no preview, and neither
        is the server's key used, whatever the own one is.
        """
        if model.provider not in (*ADAPTERS, OFFLINE):
            return Unavailable("This version of CreditApp cannot reach this model.", "")
        missing = self._access.missing_variable(model, own_key)
        if missing is None:
            adapter = ADAPTERS[model.provider]
            provider = adapter(
                api_key=self._access.key(model) if own_key is None else own_key,
                base_url=self._access.address(model),
                timeout_seconds=self._timeout_seconds,
            )
            return Route(provider, model.provider_model, preview=False, served=model)
        if self._offline is not None and own_key is None:
            return Route(self._offline, model.id, preview=True, served=model)
        return Unavailable("This model has not been set up on this server.", missing)

    def require(self, model: ServedModel, *, own_key: str | None = None) -> Route:
        """Return the route to ``model``; raise ``ProviderUnavailable`` when there is none."""
        route = self.find(model, own_key=own_key)
        if isinstance(route, Unavailable):
            raise ProviderUnavailable(route.reason, permanent=True, reason="not_configured")
        return route

    def check_key(self, vendor: str, key: str) -> KeyState:
        """Ask a vendor whether it accepts a person's own key."""
        return key_check.check_key(vendor, key, self._access.values)
