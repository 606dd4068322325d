"""A person's own keys: store, list, read, remove, and note that one stopped working."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from creditapp import accounts
from creditapp.credentials import encryption
from creditapp.credentials.models import ProviderKey
from creditapp.credentials.vendors import Vendor
from creditapp.db import insert
from creditapp.errors import AppError, ValidationFailed

SETTINGS_URL = "/settings#provider-keys"
_KEY = re.compile(r"[!-~]{16,400}")
"""Of printable ASCII, which any vendor's key is: nothing else can be sent in a header."""


class MissingApiKey(AppError):
    """The person pays with own keys and has none for the vendor of this model."""

    status, code, title = 400, "missing_api_key", "A key of yours is missing"

    def __init__(self, vendor: Vendor | None, detail: str | None = None) -> None:
        super().__init__(detail or _missing(vendor), settingsUrl=SETTINGS_URL, creditsCharged=0)
        if vendor is not None:
            self.fields["vendor"] = vendor.id


def parse_key(text: str, field: str) -> str:
    """Return a key without the spaces around it; raise ``ValidationFailed``, which quotes none."""
    key = text.strip()
    if not key:
        raise ValidationFailed.of(field, "Paste the key.")
    if not _KEY.fullmatch(key):
        raise ValidationFailed.of(field, "This is no key: copy it whole, without spaces.")
    return key


def store_key(
    session: Session,
    user_id: str,
    vendor: Vendor,
    key: str,
    *,
    checked_at: datetime | None,
    now: datetime,
) -> None:
    """Store a parsed key in place of the one before; of two at once the later stays.

    ``checked_at`` is when the vendor accepted it, None when the vendor could not be asked.
    """
    accounts.require_open(session, user_id)
    values = {
        "encrypted_key": encryption.encrypt(key, user_id, vendor.id),
        "last_characters": key[-4:],
        "created_at": now,
        "checked_at": checked_at,
        "problem": None,
        "problem_at": None,
    }
    statement = insert(session, ProviderKey).values(user_id=user_id, vendor=vendor.id, **values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[ProviderKey.user_id, ProviderKey.vendor], set_=values
        )
    )


def list_keys(session: Session, user_id: str) -> Sequence[ProviderKey]:
    """Return the person's keys, still encrypted."""
    query = select(ProviderKey).where(ProviderKey.user_id == user_id)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def list_vendors(session: Session, user_id: str) -> frozenset[str]:
    """Return the ids of the vendors that the person has a key of."""
    query = select(ProviderKey.vendor).where(ProviderKey.user_id == user_id)
    return frozenset(session.execute(query).scalars())


def find_key(session: Session, user_id: str, vendor: Vendor) -> str | None:
    """Return the person's key of a vendor, to be sent to that vendor alone.

    Raises ``MissingApiKey`` for one that does not decrypt, because the server's secret changed.
    """
    query = select(ProviderKey.encrypted_key).where(_is_of(user_id, vendor))
    encrypted = session.execute(query).scalar()
    if encrypted is None:
        return None
    try:
        return encryption.decrypt(encrypted, user_id, vendor.id)
    except encryption.Undecryptable:
        detail = f"Your {vendor.name} key can no longer be read. Enter it again in the settings."
        raise MissingApiKey(vendor, detail) from None


def remove_key(session: Session, user_id: str, vendor: Vendor) -> bool:
    """Erase the person's key of a vendor; return whether there was one."""
    erased = delete(ProviderKey).where(_is_of(user_id, vendor)).returning(ProviderKey.vendor)
    return session.execute(erased).first() is not None


def remove_keys(session: Session, user_id: str) -> None:
    """Erase all keys of a person whose account ends."""
    session.execute(delete(ProviderKey).where(ProviderKey.user_id == user_id))


def note_problem(
    session: Session, user_id: str, vendor: Vendor, key: str, problem: str | None, now: datetime
) -> None:
    """Note that the vendor refused ``key``, or with None that it works again.

    Does nothing when the person has entered another key since, or none.
    """
    row = session.get(ProviderKey, (user_id, vendor.id), populate_existing=True)
    if row is None or row.problem == problem or not _is_this_key(row, key):
        return
    at_the_same_key = _is_of(user_id, vendor), ProviderKey.encrypted_key == row.encrypted_key
    values = {"problem": problem, "problem_at": now if problem else None}
    if problem is None:
        values["checked_at"] = now
    session.execute(update(ProviderKey).where(*at_the_same_key).values(values))


def reencrypt_keys(session: Session) -> tuple[int, int]:
    """Encrypt every key under the current secret key; return how many, and how many were lost.

    A lost one was encrypted under a secret that is accepted no more; its owner has to enter it
    again.
    """
    renewed = lost = 0
    for row in session.scalars(select(ProviderKey).with_for_update()):
        try:
            row.encrypted_key = encryption.reencrypt(row.encrypted_key, row.user_id, row.vendor)
            renewed += 1
        except encryption.Undecryptable:
            lost += 1
    session.flush()
    return renewed, lost


def _is_of(user_id: str, vendor: Vendor) -> ColumnElement[bool]:
    return (ProviderKey.user_id == user_id) & (ProviderKey.vendor == vendor.id)


def _is_this_key(row: ProviderKey, key: str) -> bool:
    try:
        return encryption.decrypt(row.encrypted_key, row.user_id, row.vendor) == key
    except encryption.Undecryptable:
        return False


def _missing(vendor: Vendor | None) -> str:
    if vendor is None:
        return "No key of yours can pay for this model. Choose another one, or switch to credits."
    return (
        f"This model needs your {vendor.name} key. Enter it in the settings, or switch to credits."
    )
