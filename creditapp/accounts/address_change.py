"""A new email address: asked for with the password, confirmed before it counts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from creditapp.accounts import tokens
from creditapp.accounts.email_address import AddressInvalid, parse_address
from creditapp.accounts.login import Proof, verified_user
from creditapp.accounts.models import CreditedAddress, User
from creditapp.accounts.policy import AccountRules
from creditapp.accounts.throttle import count_try, counter
from creditapp.db import insert_once
from creditapp.errors import ValidationFailed
from creditapp.rate_limits import ADDRESS_CHANGES


def request_change(
    session: Session, proof: Proof, email: str, rules: AccountRules, *, now: datetime
) -> tuple[User, User | None]:
    """Note the new address of the user; return the user, and the account that has it already.

    Nothing else changes before ``confirm_change``. Raises ``WrongCredentials``, ``RateLimited`` or
    ``ValidationFailed`` for ``new_email``. Callers do not show whether the address is taken.
    """
    user = verified_user(session, proof)
    try:
        address = parse_address(email)
    except AddressInvalid as error:
        raise ValidationFailed.of("new_email", str(error)) from None
    if address.key == user.email_key:
        raise ValidationFailed.of("new_email", "This is your email address already.")
    count_try(session, [counter("address_change", ADDRESS_CHANGES, rules.secret, user.id)], now=now)
    user.new_email = address.typed
    session.flush()
    taken = session.execute(select(User).where(User.email_key == address.key)).scalar()
    return user, taken


def find_by_change_token(
    session: Session, token: str, rules: AccountRules, *, now: datetime
) -> User:
    """Return the user whose new address this token confirms; changes nothing.

    Raises ``LinkExpired`` or ``LinkInvalid``. For the page with the button.
    """
    return tokens.read(session, token, "change", rules.secret, now=now)


def confirm_change(session: Session, token: str, rules: AccountRules, *, now: datetime) -> User:
    """Replace the address by the confirmed new one.

    It gives no credits, and none to a later account with it. Raises ``LinkExpired`` or
    ``LinkInvalid``, also for an address that has an account by now.
    """
    user = find_by_change_token(session, token, rules, now=now)
    address = parse_address(user.new_email or "")
    try:
        with session.begin_nested():
            user.email, user.email_key, user.new_email = address.typed, address.key, None
            user.verified_at = now
            session.flush()
    except IntegrityError:
        raise tokens.LinkInvalid("This address has an account already.") from None
    insert_once(session, CreditedAddress(person_hash=address.person_hash(rules.secret)))
    return user
