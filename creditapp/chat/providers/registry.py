"""Registry of chat providers: the route to a language model, or why there is none."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from creditapp.catalog.models import LanguageModel
from creditapp.chat.providers import anthropic, openai
from creditapp.chat.providers.anthropic import AnthropicChat
from creditapp.chat.providers.offline import OfflineChat
from creditapp.chat.providers.openai import OpenAIChat
from creditapp.chat.providers.protocol import ChatEvent, ChatProvider, ChatRequest, Embedded
from creditapp.errors import UnsupportedParameter
from creditapp.generation.providers import ProviderUnavailable
from creditapp.generation.providers.access import Access

TIMEOUT_SECONDS: Final = 120.0
"""The longest silence of a vendor: models that reason write nothing for a while."""


class ChatAdapter(Protocol):
    """Makes the provider of one key and address; ``None`` is the vendor's own address."""

    def __call__(
        self, *, api_key: str, base_url: str | None, timeout_seconds: float
    ) -> ChatProvider:
        """Return the provider."""
        ...


CHAT_ADAPTERS: Final[Mapping[str, ChatAdapter]] = {"openai": OpenAIChat, "anthropic": AnthropicChat}
"""The adapters by the names that a catalog writes; ``catalog/served.py`` has their variables."""


_OPTIONS: Final[Mapping[str, Collection[str]]] = {"anthropic": anthropic.OPTIONS}


@dataclass(frozen=True, slots=True)
class ChatRoute:
    """The provider of one language model."""

    provider: ChatProvider
    entry: LanguageModel
    preview: bool
    """Whether the demonstration answers instead of the model."""

    @property
    def name(self) -> str:
        """The provider's name, stored with the usage."""
        return self.provider.name

    def require_options(self, options: Mapping[str, object]) -> None:
        """Raise ``UnsupportedParameter`` for a choice that the vendor does not take."""
        taken = _OPTIONS.get(self.entry.provider, openai.OPTIONS)
        for name in options:
            if name not in taken:
                detail = f"{self.entry.name} takes no {name}; leave it out."
                raise UnsupportedParameter(name, detail)
        temperature = options.get("temperature")
        is_hot = isinstance(temperature, float) and temperature > anthropic.TEMPERATURE_MAX
        if is_hot and self.entry.provider == "anthropic":
            detail = f"{self.entry.name} takes at most {anthropic.TEMPERATURE_MAX}."
            raise UnsupportedParameter("temperature", detail)

    def stream(self, request: ChatRequest) -> Iterator[ChatEvent]:
        """Yield the answer; raise ``ProviderError``, also in the middle."""
        return self.provider.stream(self._for_the_model(request))

    def embed(self, request: ChatRequest) -> Embedded:
        """Return the vector of each message's text; raise ``ProviderError``."""
        return self.provider.embed(self._for_the_model(request))

    def _for_the_model(self, request: ChatRequest) -> ChatRequest:
        entry = self.entry
        return replace(
            request,
            model=entry.id if self.preview else entry.provider_model,
            answers_as=entry.answers_as or entry.provider_model,
            parameters=entry.parameters,
            is_openais_own=entry.base_url is None and not entry.gateway,
        )


class ChatProviders:
    """Find the route to a language model.

    ``values`` maps names of variables to their values. With ``offline`` the demonstration answers
    for every model that lacks a key (demo and testing); without it such a model is unavailable.
    """

    def __init__(
        self, values: Mapping[str, str], *, offline: bool, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._access = Access(values)
        self._offline = offline
        self._timeout_seconds = timeout_seconds

    def __repr__(self) -> str:
        """Return no value: they are keys."""
        return f"ChatProviders(offline={self._offline})"

    def require(self, entry: LanguageModel, *, own_key: str | None = None) -> ChatRoute:
        """Return the route to a model; raise ``ProviderUnavailable`` when there is none.

        ``own_key`` is the user's own key for the same address; with it there is no demonstration.
        """
        adapter = CHAT_ADAPTERS.get(entry.provider)
        is_missing = adapter is None or self._access.missing_variable(entry, own_key) is not None
        if adapter is not None and not is_missing:
            provider = adapter(
                api_key=self._access.key(entry) if own_key is None else own_key,
                base_url=self._access.address(entry),
                timeout_seconds=self._timeout_seconds,
            )
            return ChatRoute(provider, entry, preview=False)
        if self._offline and own_key is None:
            return ChatRoute(OfflineChat(), entry, preview=True)
        detail = "This model has not been set up on this server."
        raise ProviderUnavailable(detail, permanent=True, reason="not_configured")
