"""A member's own keys of vendors, as the settings show them: never more than four characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from creditapp.credentials import VENDORS, ProviderKey, Vendor


@dataclass(frozen=True)
class ProviderKeyView:
    """The ``provider_key`` component: a vendor, and what is known of the key stored for it."""

    vendor: Vendor
    last_characters: str | None
    """None without a key."""
    checked_at: datetime | None
    problem: str | None
    problem_at: datetime | None


def provider_keys(rows: Sequence[ProviderKey]) -> list[ProviderKeyView]:
    """Return every vendor with the key that is stored for it."""
    stored: Mapping[str, ProviderKey] = {row.vendor: row for row in rows}
    return [_view(vendor, stored.get(vendor.id)) for vendor in VENDORS.values()]


def _view(vendor: Vendor, row: ProviderKey | None) -> ProviderKeyView:
    if row is None:
        return ProviderKeyView(vendor, None, None, None, None)
    return ProviderKeyView(vendor, row.last_characters, row.checked_at, row.problem, row.problem_at)
