"""A forgotten password: the request for a link, and its use."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.accounts import tokens
from creditapp.accounts.email_address import find_address
from creditapp.accounts.login import tries_of_address
from creditapp.accounts.models import User
from creditapp.accounts.networks import Networks
from creditapp.accounts.passwords import NewPassword
from creditapp.accounts.policy import AccountRules
from creditapp.accounts.profile import set_password
from creditapp.accounts.signup import confirm_address
from creditapp.accounts.throttle import count_try, counter, network_counters, reset_tries
from creditapp.errors import RateLimited
from creditapp.rate_limits import RESET_OF_ADDRESS, RESET_OF_NETWORK, RESET_USES


def request_reset(
    session: Session, email: str, networks: Networks, rules: AccountRules, *, now: datetime
) -> User | None:
    """Return the user to email a link to, or None; the page is the same for both.

    The email goes to the address of the account, never to the one that was typed. Raises
    ``RateLimited`` for a network that asks too often. An address gets at most three emails an
    hour, and no refusal after them, because that would reveal that it exists.
    """
    of_networks = network_counters("reset.network", RESET_OF_NETWORK, rules.secret, networks)
    count_try(session, of_networks, now=now)
    address = find_address(email)
    if address is None:
        return None
    of_address = counter("reset.address", RESET_OF_ADDRESS, rules.secret, address.key)
    try:
        count_try(session, [of_address], now=now)
    except RateLimited:
        return None
    query = select(User).where(User.email_key == address.key, User.frozen_at.is_(None))
    return session.execute(query).scalar()


def find_by_reset_token(
    session: Session, token: str, rules: AccountRules, *, now: datetime
) -> User:
    """Return the user who may choose a new password with this token; changes nothing.

    Raises ``LinkExpired`` or ``LinkInvalid``. For the page with the form, and to check and hash
    the new password (``new_password(text, address=user.email)``) before ``reset_password``.
    """
    return tokens.read(session, token, "reset", rules.secret, now=now)


def count_reset(session: Session, user: User, rules: AccountRules, *, now: datetime) -> None:
    """Count a use of a reset link before its new password is hashed; raise ``RateLimited``.

    One link sets one password, but many requests with it at the same moment would all hash.
    """
    count_try(session, [counter("reset.use", RESET_USES, rules.secret, user.id)], now=now)


def reset_password(
    session: Session, token: str, new: NewPassword, rules: AccountRules, *, now: datetime
) -> User:
    """Set a new password by an emailed link, end every session, and confirm the address.

    Raises ``LinkExpired`` or ``LinkInvalid``; of two uses at the same moment one succeeds. The
    email was read at the address, so it counts as confirmed.
    """
    user_id = tokens.read(session, token, "reset", rules.secret, now=now).id
    # Read again under the lock: another use of the same link may have come first.
    row = select(User.id).where(User.id == user_id)
    session.execute(row.with_for_update(key_share=True))  # emails and payments may refer to it
    user = tokens.read(session, token, "reset", rules.secret, now=now)
    set_password(session, user, new, now=now)
    if user.email_key:
        reset_tries(session, [tries_of_address(rules, user.email_key)])
    return confirm_address(session, user, rules, now=now).user
