"""Calls paid with a person's own key of the vendor: no hold, no charge, no other key.

The key is in memory while the vendor answers, and nowhere else: a turn of a process that died is
not asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy.orm import Session

from creditapp import credentials
from creditapp.accounts import Member
from creditapp.catalog.models import LanguageModel
from creditapp.credentials import MissingApiKey, Vendor, vendor_of
from creditapp.db import transaction
from creditapp.generation.own_keys import problem_of, reworded
from creditapp.generation.providers import ProviderError

NO_KEYS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A person's key of a vendor."""

    vendor: Vendor
    key: str = field(repr=False)

    def explain(self, error: ProviderError) -> ProviderError:
        """Return the error in the words for the owner of the key, where it is about the key."""
        return reworded(error, self.vendor)

    def note_outcome(self, user_id: str, error: ProviderError | None, *, now: datetime) -> None:
        """Note on the stored key whether the vendor took it. Owns its transaction."""
        problem = problem_of(error)
        if error is not None and problem is None:
            return
        with transaction() as session:
            credentials.note_problem(session, user_id, self.vendor, self.key, problem, now)


def find(
    session: Session, by: Member, model: LanguageModel, request_keys: Mapping[str, str]
) -> OwnKey | None:
    """Return the key that pays for ``model``; None for a member who pays with credits.

    A key of the request comes before the stored one. Raises ``MissingApiKey``.
    """
    if by.api_key_mode != "own":
        return None
    vendor = vendor_of(model)
    if vendor is None:
        raise MissingApiKey(None)
    key = request_keys.get(vendor.id) or credentials.find_key(session, by.id, vendor)
    if not key:
        raise MissingApiKey(vendor)
    return OwnKey(vendor, key)
