"""Vendors whose keys people may bring, and the vendor of an entry of the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor: its id, its name for people, and where it shows its keys."""

    id: str
    name: str
    keys_url: str
    header: str | None = None
    """The header in which a caller of the API may send a key for one request."""


VENDORS: Final[Mapping[str, Vendor]] = {
    vendor.id: vendor
    for vendor in (
        Vendor("openai", "OpenAI", "https://platform.openai.com/api-keys", "x-openai-api-key"),
        Vendor(
            "anthropic",
            "Anthropic",
            "https://console.anthropic.com/settings/keys",
            "x-anthropic-api-key",
        ),
        Vendor("google", "Google", "https://aistudio.google.com/apikey"),
        Vendor("fal", "fal", "https://fal.ai/dashboard/keys"),
    )
}
"""The vendors by their ids, in the order of the settings."""

_OWN_VARIABLES: Final[Mapping[tuple[str, str], str]] = {
    ("OPENAI_API_KEY", "OPENAI_BASE_URL"): "openai",
    ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"): "anthropic",
    ("GEMINI_API_KEY", "GEMINI_BASE_URL"): "google",
    ("FAL_KEY", "FAL_BASE_URL"): "fal",
}


class CatalogEntry(Protocol):
    """An entry of the catalog that names the variables of its vendor's key and address."""

    @property
    def key_env(self) -> str:
        """The variable of the key."""
        ...

    @property
    def base_url_env(self) -> str:
        """The variable of the address."""
        ...

    @property
    def gateway(self) -> bool:
        """Whether somebody else than the vendor serves it."""
        ...


def vendor_of(entry: CatalogEntry) -> Vendor | None:
    """Return the vendor whose own key pays for ``entry``; None when no person's key may.

    A gateway, or an entry with variables of its own, is an address that the operator chose: a
    person's key for the vendor is not sent there.
    """
    vendor_id = _OWN_VARIABLES.get((entry.key_env, entry.base_url_env))
    return None if vendor_id is None or entry.gateway else VENDORS[vendor_id]
