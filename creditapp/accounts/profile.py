"""An account in use: profile, password, deletion."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from creditapp.accounts.email_address import find_address
from creditapp.accounts.login import Proof, verified_user
from creditapp.accounts.models import User
from creditapp.accounts.passwords import NewPassword
from creditapp.accounts.policy import AccountRules
from creditapp.accounts.sessions import end_sessions
from creditapp.db import update_if
from creditapp.errors import AuthenticationRequired, NotFound, ValidationFailed
from creditapp.units import MICRO_MAX

NAME_CHARACTERS_MAX = 40

# An email program makes a link of it. Of "J.R.R. Tolkien" it does not: no host ends in one letter.
_LINK = re.compile(r"://|www\.|\w\.\w{2}", re.IGNORECASE)

# Built once: every spend asks it.
_FOUND = select(User.id).where(User.id == bindparam("user_id"), User.deleted_at.is_(None))
_OPEN = _FOUND.with_for_update(key_share=True, read=True)
_OPEN_ALONE = _FOUND.with_for_update(key_share=True)


def find(session: Session, user_id: str) -> User | None:
    """Return the person with this id, or None when there is none or the account was deleted."""
    user = session.get(User, user_id)
    return user if user is not None and user.deleted_at is None else None


def find_by_email(session: Session, email: str) -> User | None:
    """Return the person with this address, however it is spelled; for the operator's commands."""
    address = find_address(email)
    if address is None:
        return None
    return session.execute(select(User).where(User.email_key == address.key)).scalar()


def change_profile(
    session: Session, user: User, *, name: str | None = None, low_balance_micro: int | None = None
) -> User:
    """Change what is given; ``low_balance_micro`` 0 is never warned, ``None`` is left as it is.

    Raises ``ValidationFailed``.
    """
    if name is not None:
        name = " ".join(name.split())
        if problem := name_problem(name):
            raise ValidationFailed.of("name", problem)
        user.name = name
    if low_balance_micro is not None:
        if not 0 <= low_balance_micro <= MICRO_MAX:
            raise ValidationFailed.of("low_balance", "Enter a number of credits from 0 upwards.")
        user.low_balance_micro = low_balance_micro
    session.flush()
    return user


def store_studio_settings(session: Session, user_id: str, settings: Mapping[str, object]) -> None:
    """Store what the person chose last in the studio's form, for the next page that shows it."""
    query = update(User).where(User.id == user_id, User.deleted_at.is_(None))
    session.execute(query.values(studio_settings=dict(settings)))


def change_password(session: Session, proof: Proof, new: NewPassword, *, now: datetime) -> User:
    """Set a new password after a proof of the old one, and end every session.

    Raises ``WrongCredentials``. The browser at hand goes on with a new session.
    """
    user = verified_user(session, proof)
    set_password(session, user, new, now=now)
    return user


def set_password(session: Session, user: User, new: NewPassword, *, now: datetime) -> None:
    """Replace the password without the old one; ends every session and emailed link."""
    user.password_hash = new.hash
    user.password_epoch = user.password_epoch + 1
    session.flush()
    end_sessions(session, user.id, now=now)


def require_open(session: Session, user_id: str, *, alone: bool = False) -> None:
    """Raise ``AuthenticationRequired`` for an account that was deleted.

    For verbs that store something of a person or begin a payment: their request was let in before
    their transaction began. A deletion waits for the transaction's end and then finds what it
    stored. With ``alone`` other transactions of the same person that ask for it wait too.
    """
    if not is_open(session, user_id, alone=alone):
        raise AuthenticationRequired


def is_open(session: Session, user_id: str, *, alone: bool = False) -> bool:
    """Return whether an account is not deleted; a deletion waits as for ``require_open``.

    For money that arrives. Ask before other rows are locked: a deletion locks the account first.
    """
    query = _OPEN_ALONE if alone else _OPEN
    return session.connection().execute(query, {"user_id": user_id}).first() is not None


def delete_account(session: Session, user: User, rules: AccountRules, *, now: datetime) -> None:
    """Erase the user; the row stays, with the hash that one-time credits are keyed by.

    The address is free for a new account, which gets no second welcome. Of two at once one raises
    ``NotFound``; ``Conflict`` is raised by a receiver that still needs the account.
    """
    nothing = ("email_key", "new_email", "password_hash", "verified_at", "low_balance_micro")
    erased: dict[str, Any] = dict.fromkeys((*nothing, "studio_settings"))
    erased |= {"email": "", "name": "", "is_admin": False, "deleted_at": now}
    if not update_if(session, user, User.deleted_at.is_(None), **erased):
        raise NotFound
    end_sessions(session, user.id, now=now)
    for receiver in rules.deleted:
        receiver(session, user.id)


def name_problem(name: str) -> str | None:
    """Return the sentence that says why a name cannot be shown, or None when it can."""
    if len(name) > NAME_CHARACTERS_MAX:
        return f"A name has at most {NAME_CHARACTERS_MAX} characters."
    # Control and format characters could reverse a line or hide in an email's header.
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co"} for character in name):
        return "A name has no control characters."
    if _LINK.search(unicodedata.normalize("NFKC", name).replace("。", ".")):
        return "A name has no web address. Put a space after a dot."
    return None
