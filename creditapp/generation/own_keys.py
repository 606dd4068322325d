"""Generations paid with a person's own key of the vendor: no hold, no charge, no other key.

The key is fixed at submit: it is stored with the generation, encrypted for it alone, and erased
when the generation ends. Where it cannot be used, the generation fails: neither credits nor the
server's own key take its place, and nothing is drawn as a preview.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from creditapp import credentials
from creditapp.accounts.throttle import count_try, counter
from creditapp.catalog import Catalog
from creditapp.config import Settings
from creditapp.credentials import EMPTY, REFUSED, MissingApiKey, Undecryptable, Vendor, vendor_of
from creditapp.db import transaction
from creditapp.generation.funding import Caller
from creditapp.generation.models import OWN_KEY, Generation
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.providers import (
    AccountEmpty,
    KeyRefused,
    ProviderError,
    ProviderUnavailable,
    ServedModel,
)
from creditapp.rate_limits import OWN_KEY_ORDERS
from creditapp.services import get

_PROBLEMS: Final[dict[type[ProviderError], str]] = {KeyRefused: REFUSED, AccountEmpty: EMPTY}


def find_key(session: Session, by: Caller, served: ServedModel, now: datetime) -> str | None:
    """Return the key that pays for a new order of ``served``; None for who pays otherwise.

    A key of the request comes before the stored one. Raises ``MissingApiKey``, and ``RateLimited``
    for someone who orders a lot.
    """
    if by.member is None or by.funding != OWN_KEY:
        return None
    vendor = vendor_of(served)
    key = vendor and (
        by.request_keys.get(vendor.id) or credentials.find_key(session, by.member.id, vendor)
    )
    if not key:
        raise MissingApiKey(vendor)
    limit = counter("own_key", OWN_KEY_ORDERS, get(Settings).derived_key("orders"), by.member.id)
    count_try(session, [limit], now=now, detail="You ordered a lot on your own keys.")
    return key


def attach(generation: Generation, served: ServedModel, key: str) -> None:
    """Store the key with a new generation, encrypted for it alone."""
    generation.encrypted_key = credentials.encrypt(key, *_binding(generation, _vendor(served)))


def read_key(generation: Generation, served: ServedModel) -> str | None:
    """Return the key of the generation; None where the server's own pays.

    Raises ``ProviderUnavailable`` when it cannot be read.
    """
    if generation.funding != OWN_KEY:
        return None
    vendor = _vendor(served)
    try:
        return credentials.decrypt(generation.encrypted_key or "", *_binding(generation, vendor))
    except Undecryptable:
        detail = f"Your {vendor.name} key can no longer be read. Enter it again in the settings."
        raise ProviderUnavailable(detail, permanent=True, reason="own_key_unreadable") from None


def explain(error: ProviderError, generation: Generation, served: ServedModel) -> ProviderError:
    """Return the error in the words for the owner of the key, where it is about the key."""
    return error if generation.funding != OWN_KEY else reworded(error, _vendor(served))


def reworded(error: ProviderError, vendor: Vendor) -> ProviderError:
    """Return an error about a person's own key in the words for its owner, any other as it is."""
    if problem_of(error) is None:
        return error
    name = vendor.name
    detail = (
        f"{name} does not accept your key. Enter another one in the settings."
        if isinstance(error, KeyRefused)
        else f"Your account at {name} is empty. Add to it there, or switch to credits."
    )
    return type(error)(detail, permanent=True, reason=error.reason)


def problem_of(error: ProviderError | None) -> str | None:
    """Return the problem of the key that an error tells about, if it does."""
    return _PROBLEMS.get(type(error)) if error else None


def note_outcome(generation: Generation, error: ProviderError | None, *, now: datetime) -> None:
    """Note on the stored key whether the vendor took it. Owns its transaction."""
    problem = problem_of(error)
    if generation.funding != OWN_KEY or not (problem or generation.delivered):
        return
    served = OPERATIONS[generation.operation].served_by(get(Catalog), generation.model)
    key = read_key(generation, served) if served else None
    if served and key:
        vendor = _vendor(served)
        with transaction() as session:
            credentials.note_problem(session, generation.owner_id, vendor, key, problem, now)


def _vendor(served: ServedModel) -> Vendor:
    vendor = vendor_of(served)
    if vendor is None:
        raise ProviderUnavailable(permanent=True, reason="vendor_changed")
    return vendor


def _binding(generation: Generation, vendor: Vendor) -> tuple[str, ...]:
    return "generation", generation.id, generation.owner_id, vendor.id
