"""Logging in, in three steps, so that no transaction is open while the password is compared.

with transaction() as session:
    attempt = accounts.begin_log_in(session, email, networks, rules, now=now())
proof = attempt.check(password)
with transaction() as session:
    user = accounts.log_in(session, proof, now=now())
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.accounts import passwords
from creditapp.accounts.email_address import find_address
from creditapp.accounts.models import User
from creditapp.accounts.networks import Networks
from creditapp.accounts.policy import AccountRules
from creditapp.accounts.throttle import (
    Counter,
    count_try,
    counter,
    network_counters,
    reset_tries,
    uncount_try,
)
from creditapp.errors import AppError, AuthenticationRequired
from creditapp.rate_limits import LOG_IN, LOG_IN_OF_ADDRESS, LOG_IN_OF_BROWSER, LOG_IN_OF_NETWORK


class WrongCredentials(AuthenticationRequired):
    """The address is unknown or the password is wrong; the answer does not say which."""

    title = "The address or the password is wrong"


class AccountSuspended(AppError):
    """An operator suspended the account; shown only after the right password."""

    status, code, title = 403, "account_frozen", "This account is suspended"


@dataclass(frozen=True)
class Attempt:
    """A try that was counted and may be made."""

    user_id: str | None
    stored_hash: str | None = field(repr=False)
    of_address: tuple[Counter, ...] = field(repr=False)
    of_networks: tuple[Counter, ...] = field(repr=False)

    def check(self, password: str) -> Proof:
        """Compare the password; takes the same time for an unknown address (about 35 ms)."""
        matched = passwords.verify(password, self.stored_hash)
        better = None
        if matched and self.stored_hash and passwords.needs_rehash(self.stored_hash):
            better = passwords.rehash(password)
        return Proof(self, matched, better)


@dataclass(frozen=True)
class Proof:
    """The result of comparing a password."""

    attempt: Attempt
    matched: bool
    better: passwords.NewPassword | None = field(repr=False)
    """A new hash of the same password, where the stored one has older parameters."""

    def require(self) -> None:
        """Raise ``WrongCredentials`` unless the password was right."""
        if not self.matched:
            raise WrongCredentials("The address or the password is wrong.")


def begin_log_in(
    session: Session,
    email: str,
    networks: Networks,
    rules: AccountRules,
    *,
    now: datetime,
    browser: str | None = None,
) -> Attempt:
    """Count a try and look the address up; raise ``RateLimited`` when there were too many.

    ``networks`` are those of the request (``networks_of``), ``browser`` is the mark of one that
    logged in to this address before (``known_browser``). The try is counted before the password
    is compared, so that tries at the same moment all count. Let the transaction commit before
    ``Attempt.check``.
    """
    address = find_address(email)
    subject = address.key if address else email.strip().lower()[:300]
    # The pair stops a guesser quickly; the address alone is laxer, because strangers who exhaust
    # it lock the owner out of new browsers; the network is laxest, because an office shares one.
    of_address = (
        counter("log_in", LOG_IN, rules.secret, subject, networks[0].key),
        tries_of_address(rules, subject)
        if browser is None
        else counter("log_in.browser", LOG_IN_OF_BROWSER, rules.secret, subject, browser),
    )
    of_networks = network_counters("log_in.network", LOG_IN_OF_NETWORK, rules.secret, networks)
    count_try(session, (*of_address, *of_networks), now=now)
    found = None
    if address:
        query = select(User.id, User.password_hash).where(User.email_key == address.key)
        found = session.execute(query).first()
    user_id, stored_hash = found or (None, None)
    return Attempt(user_id, stored_hash, of_address, of_networks)


def tries_of_address(rules: AccountRules, address_key: str) -> Counter:
    """Return the counter of the tries to log in with one address, from any network."""
    return counter("log_in.address", LOG_IN_OF_ADDRESS, rules.secret, address_key)


def log_in(session: Session, proof: Proof, *, now: datetime) -> User:
    """Return the user who logged in, and reset the tries; ``begin_session`` follows.

    Raises ``WrongCredentials`` in the same words for an unknown address, a wrong password and a
    password that was changed meanwhile, and ``AccountSuspended``.
    """
    user = verified_user(session, proof)
    if user.frozen_at is not None:
        raise AccountSuspended("This account is suspended. Write to support if this is a mistake.")
    reset_tries(session, proof.attempt.of_address)
    # The networks' other tries stay counted: one's own account must not buy tries at others'.
    uncount_try(session, proof.attempt.of_networks)
    if proof.better is not None:
        user.password_hash = proof.better.hash
        session.flush()
    return user


def verified_user(session: Session, proof: Proof) -> User:
    """Return the user of a proof, with the row locked; raise ``WrongCredentials``."""
    attempt = proof.attempt
    user = None
    if proof.matched and attempt.user_id is not None:
        user = session.execute(
            select(User)
            .where(
                User.id == attempt.user_id,
                User.password_hash == attempt.stored_hash,
                User.deleted_at.is_(None),
            )
            .with_for_update(key_share=True)  # emails and payments may refer to the row
            .execution_options(populate_existing=True)
        ).scalar()
    if user is None:
        raise WrongCredentials("The address or the password is wrong.")
    return user
