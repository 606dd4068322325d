"""The API-key mode of an account: who pays the vendors."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.accounts.models import API_KEY_MODES
from creditapp.errors import ValidationFailed


def choose_mode(session: Session, user_id: str, mode: str) -> None:
    """Let the person pay with ``credits`` or with ``own`` keys from the next order on.

    Keys stay stored in either mode; raises ``ValidationFailed``.
    """
    if mode not in API_KEY_MODES:
        raise ValidationFailed.of("api_key_mode", "Choose your own keys or credits.")
    session.execute(
        update(User)
        .where(User.id == user_id, User.deleted_at.is_(None))
        .values(api_key_mode=mode)
        .execution_options(synchronize_session=False)
    )
