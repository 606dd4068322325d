"""Signing up: an account, its welcome credits, and the confirmation of its address."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.accounts import tokens
from creditapp.accounts.email_address import Address, address_field
from creditapp.accounts.models import CreditedAddress, User
from creditapp.accounts.networks import Networks
from creditapp.accounts.passwords import NewPassword, new_password, password_problem
from creditapp.accounts.policy import AccountRules, SignedUp
from creditapp.accounts.profile import name_problem
from creditapp.accounts.throttle import Counter, count_try, counter, is_exhausted, network_counters
from creditapp.db import insert_once, update_if
from creditapp.errors import RateLimited, ValidationFailed
from creditapp.ids import new_id
from creditapp.rate_limits import (
    SIGN_UP_OF_NETWORK,
    TAKEN_OF_NETWORK,
    WELCOME_OF_NETWORK,
    welcome_of_everybody,
)


class EmailTaken(Exception):
    """The address has an account already, which the answer must not reveal.

    The page is that of a new account, and ``user`` gets an email.
    """

    def __init__(self, user: User) -> None:
        super().__init__("the address has an account")
        self.user = user


@dataclass(frozen=True)
class NewAccount:
    """A checked application, its password already hashed, or None to be chosen later."""

    address: Address
    password: NewPassword | None
    name: str

    def without_password(self) -> NewAccount:
        """Return the account that nobody can log in to before its address is confirmed."""
        return replace(self, password=None)


@dataclass(frozen=True)
class CreditedUser:
    """A user who signed up or confirmed the address, and the credits granted for it."""

    user: User
    granted_micro: int
    """0 also if the credits wait, or if the person got them in another account."""


@dataclass(frozen=True)
class Application:
    """A valid sign-up form; its password is not hashed yet."""

    address: Address
    password: str = field(repr=False)
    name: str

    def prepare(self) -> NewAccount:
        """Hash the password; takes about 35 ms, outside a transaction.

        The time is the same whether or not the address has an account.
        """
        hashed = new_password(self.password, address=self.address.key)
        return NewAccount(self.address, hashed, self.name)


def check_application(email: str, password: str, name: str = "") -> Application:
    """Check a sign-up form; quick, so that the try can be counted before the password is hashed.

    Raises ``ValidationFailed`` with every wrong field.
    """
    errors: dict[str, str] = {}
    address = None
    try:
        address = address_field(email)
    except ValidationFailed as refusal:
        errors |= refusal.by_field
    name = " ".join(name.split())
    if problem := name_problem(name):
        errors["name"] = problem
    if problem := password_problem(password, address=address.key if address else ""):
        errors["password"] = problem
    if errors or address is None:
        raise ValidationFailed.of_fields(errors)
    return Application(address, password, name)


def prepare_account(email: str, password: str, name: str = "") -> NewAccount:
    """Check and hash at once, where tries are not counted; raise ``ValidationFailed``."""
    return check_application(email, password, name).prepare()


def count_sign_up(
    session: Session, networks: Networks, rules: AccountRules, *, now: datetime
) -> None:
    """Count a sign-up, or a try at one; raise ``RateLimited`` for a network that opens too many.

    Each new address is worth the welcome credits, and each try could ask whether an address is
    known. In a transaction of its own, before the password is hashed, so that a refused try costs
    next to nothing, and before ``sign_up``, so that a taken address counts too.
    """
    sign_ups = network_counters("sign_up.network", SIGN_UP_OF_NETWORK, rules.secret, networks)
    count_try(session, sign_ups, now=now)


def hides_sign_ups(
    session: Session, networks: Networks, rules: AccountRules, *, now: datetime
) -> bool:
    """Return whether a network tried so many taken addresses that no answer may differ any more."""
    return is_exhausted(session, _taken_counters(networks, rules), now=now)


def count_taken(
    session: Session, networks: Networks, rules: AccountRules, *, now: datetime
) -> None:
    """Count a sign-up with an address that has an account."""
    with suppress(RateLimited):  # past the limit the answers are hidden already
        count_try(session, _taken_counters(networks, rules), now=now)


def _taken_counters(networks: Networks, rules: AccountRules) -> tuple[Counter, ...]:
    return network_counters("sign_up.taken", TAKEN_OF_NETWORK, rules.secret, networks)


def limit_welcome_credits(
    session: Session, networks: Networks, rules: AccountRules, *, now: datetime
) -> AccountRules:
    """Return the rules for one more sign-up of a network.

    Past the day's share of its networks or of everybody, its welcome credits wait until the address
    is confirmed: an invented address costs nothing, and each would be worth them.
    """
    try:
        count_try(session, _welcome_counters(networks, rules, now), now=now)
    except RateLimited:
        return replace(rules, credits=replace(rules.credits, hold_until_verified=True))
    return rules


def welcome_waits(
    session: Session, networks: Networks, rules: AccountRules, *, now: datetime
) -> bool:
    """Return whether a sign-up would get its welcome credits only when it is confirmed."""
    counters = _welcome_counters(networks, rules, now)
    return rules.credits.hold_until_verified or is_exhausted(session, counters, now=now)


def _welcome_counters(
    networks: Networks, rules: AccountRules, now: datetime
) -> tuple[Counter, ...]:
    credits = rules.credits
    counters = network_counters("welcome.network", WELCOME_OF_NETWORK, rules.secret, networks)
    if credits.daily_budget_micro is None or credits.welcome_micro == 0:
        return counters
    limit = welcome_of_everybody(credits.daily_budget_micro // credits.welcome_micro)
    today = now.astimezone(UTC).date().isoformat()
    # The last: all sign-ups of the site wait for whoever holds its row.
    return (*counters, counter("welcome.day", limit, rules.secret, today))


def sign_up(
    session: Session,
    new: NewAccount,
    rules: AccountRules,
    *,
    now: datetime,
    guest: str | None = None,
) -> CreditedUser:
    """Open an account with its wallet and, unless held back, its welcome credits.

    Raises ``EmailTaken`` before anything is written; of two sign-ups at the same moment one wins.
    ``guest`` is the guest cookie's id. The password must be hashed already (``prepare_account``).
    """
    user = _insert(session, new, rules, now)
    if user is None:
        taken = select(User).where(User.email_key == new.address.key)
        raise EmailTaken(session.execute(taken).scalar_one())
    connection = session.connection()
    ledger.ensure_wallet(connection, "user", user.id, now=now)
    granted_micro = 0
    if not rules.credits.hold_until_verified:
        granted_micro = _grant_once(session, user, "welcome", rules.credits.welcome_micro, now)
    for receiver in rules.signed_up:
        receiver(session, SignedUp(user, guest, now))
    return CreditedUser(user, granted_micro)


def find_by_verification_token(
    session: Session, token: str, rules: AccountRules, *, now: datetime
) -> User:
    """Return the user whose address this token confirms; changes nothing.

    Raises ``LinkExpired`` or ``LinkInvalid``. For the page with the button.
    """
    return tokens.read(session, token, "verify", rules.secret, now=now)


def waiting_credits_micro(session: Session, user: User, rules: AccountRules) -> int:
    """Return the microcredits that confirming this person's address would give now."""
    if user.verified or session.get(CreditedAddress, user.person_hash) is not None:
        return 0
    credits = {"welcome": rules.credits.welcome_micro, "free": rules.credits.free_micro}
    connection = session.connection()
    return sum(
        amount_micro
        for source, amount_micro in credits.items()
        if ledger.find_grant(connection, _origin(source, user)) is None
    )


def verify_address(
    session: Session, token: str, rules: AccountRules, *, now: datetime
) -> CreditedUser:
    """Confirm the address that the emailed token was sent to, and grant Free's credits.

    Raises ``LinkExpired`` or ``LinkInvalid``; a token works once.
    """
    user = find_by_verification_token(session, token, rules, now=now)
    return confirm_address(session, user, rules, now=now)


def confirm_address(
    session: Session, user: User, rules: AccountRules, *, now: datetime
) -> CreditedUser:
    """Confirm the address, and grant the credits that waited for it, once for each person."""
    is_unverified = User.verified_at.is_(None) & User.deleted_at.is_(None)
    granted_micro = 0
    if update_if(session, user, is_unverified, verified_at=now):
        # Welcome as well: it may have been held back. The origin lets each through once a person.
        granted_micro += _grant_once(session, user, "welcome", rules.credits.welcome_micro, now)
        granted_micro += _grant_once(session, user, "free", rules.credits.free_micro, now)
    else:
        session.refresh(user)
    return CreditedUser(user, granted_micro)


def _insert(session: Session, new: NewAccount, rules: AccountRules, now: datetime) -> User | None:
    user = User(
        id=new_id("usr"),
        email=new.address.typed,
        email_key=new.address.key,
        person_hash=new.address.person_hash(rules.secret),
        name=new.name,
        password_hash=new.password.hash if new.password else None,
        created_at=now,
        api_key_mode=rules.api_key_mode,
    )
    return session.get(User, user.id) if insert_once(session, user, ["email_key"]) else None


def _grant_once(session: Session, user: User, source: str, amount_micro: int, now: datetime) -> int:
    """Grant one-time credits unless the person had them before; return the microcredits."""
    if amount_micro <= 0 or session.get(CreditedAddress, user.person_hash) is not None:
        return 0
    connection = session.connection()
    wallet_id = ledger.ensure_wallet(connection, "user", user.id, now=now)
    new = ledger.NewGrant(amount_micro=amount_micro, source=source, origin=_origin(source, user))
    return amount_micro if ledger.grant(connection, wallet_id, new, now=now) else 0


def _origin(source: str, user: User) -> str:
    return f"{source}:{user.person_hash}"
