"""Logging in, and being kept from guessing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from sqlalchemy import select
from sqlalchemy.engine import Engine

from creditapp import accounts
from creditapp.accounts import (
    AccountRules,
    AccountSuspended,
    Throttle,
    User,
    WrongCredentials,
    passwords,
)
from creditapp.accounts.throttle import count_try, counter
from creditapp.db import transaction
from creditapp.errors import RateLimited
from creditapp.rate_limits import RateLimit
from tests.accounts.conftest import NOW, PASSWORD, Join, home
from tests.databases import at_once


def test_the_right_password_opens_the_account(join: Join, enter: Join) -> None:
    alice = join()
    assert enter("ALICE@Example.com").id == alice.id


def test_an_unknown_address_and_a_wrong_password_get_the_same_words(
    join: Join, enter: Join
) -> None:
    join()
    refusals = []
    for email, password in [
        ("alice@example.com", "a wrong password"),
        ("nobody@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("", ""),
    ]:
        with pytest.raises(WrongCredentials) as refused:
            enter(email, password)
        refusals.append((str(refused.value), refused.value.status, refused.value.fields))
    assert all(each == refusals[0] for each in refusals)
    assert refusals[0][1] == 401


def test_a_guesser_is_stopped_and_told_when_to_return(join: Join, enter: Join) -> None:
    join()
    for _ in range(10):
        with pytest.raises(WrongCredentials):
            enter(password="a wrong password")
    with pytest.raises(RateLimited) as refused:
        enter(now=NOW + timedelta(minutes=5))
    assert refused.value.headers["Retry-After"] == "600"
    assert enter(network="another place").email == "alice@example.com"
    assert enter(now=NOW + timedelta(minutes=15)).email == "alice@example.com"


def test_an_unknown_address_is_stopped_just_the_same(enter: Join) -> None:
    for _ in range(10):
        with pytest.raises(WrongCredentials):
            enter("nobody@example.com")
    with pytest.raises(RateLimited):
        enter("nobody@example.com")


def test_many_networks_guess_at_one_address_together(engine: Engine, rules: AccountRules) -> None:
    outcomes = []
    for number in range(40):
        try:
            with transaction(engine) as session:
                accounts.begin_log_in(
                    session, "alice@example.com", home(f"n{number}"), rules, now=NOW
                )
            outcomes.append(True)
        except RateLimited:
            outcomes.append(False)
    assert outcomes == [True] * 30 + [False] * 10


def test_one_network_guesses_at_many_addresses(engine: Engine, rules: AccountRules) -> None:
    passed = 0
    for number in range(110):
        try:
            with transaction(engine) as session:
                accounts.begin_log_in(
                    session, f"a{number}@example.com", home("net"), rules, now=NOW
                )
            passed += 1
        except RateLimited:
            pass
    assert passed == 100


def test_tries_at_one_moment_all_count(engine: Engine) -> None:
    tries = counter("test", RateLimit(5, timedelta(minutes=1), "name"), "secret", "alice")

    def attempt(_: int) -> bool:
        with transaction(engine) as session:
            count_try(session, [tries], now=NOW)
        return True

    outcomes = at_once(16, attempt)
    assert outcomes.count(True) == 5
    assert sum(isinstance(each, RateLimited) for each in outcomes) == 11


def test_success_forgets_the_tries_but_not_the_networks(
    engine: Engine, join: Join, enter: Join
) -> None:
    join()
    for _ in range(9):
        with pytest.raises(WrongCredentials):
            enter(password="a wrong password")
    enter()
    with transaction(engine) as session:
        left = {row.key.partition(":")[0]: row.tries for row in session.scalars(select(Throttle))}
    assert left == {"log_in.network": 9}


def test_counted_attempts_store_no_address(engine: Engine, enter: Join) -> None:
    with pytest.raises(WrongCredentials):
        enter("alice@example.com", network="192.0.2.1")
    with transaction(engine) as session:
        kept = " ".join(row.key for row in session.scalars(select(Throttle)))
    assert "alice" not in kept
    assert "192.0.2.1" not in kept


def test_old_counts_are_swept(engine: Engine, enter: Join) -> None:
    with pytest.raises(WrongCredentials):
        enter()
    with transaction(engine) as session:
        accounts.sweep_tries(session, now=NOW + timedelta(hours=1))
        assert session.scalars(select(Throttle)).all()
        accounts.sweep_tries(session, now=NOW + timedelta(days=2))
        assert not session.scalars(select(Throttle)).all()


def test_a_password_changed_while_it_was_compared_opens_nothing(
    engine: Engine, rules: AccountRules, join: Join
) -> None:
    alice = join()
    with transaction(engine) as session:
        attempt = accounts.begin_log_in(session, alice.email, home(), rules, now=NOW)
    proof = attempt.check(PASSWORD)
    new = accounts.new_password("another long walk")
    with transaction(engine) as session:
        accounts.set_password(session, session.merge(alice), new, now=NOW)
    with pytest.raises(WrongCredentials), transaction(engine) as session:
        accounts.log_in(session, proof, now=NOW)


def test_an_old_hash_is_renewed_and_sessions_go_on(engine: Engine, join: Join, enter: Join) -> None:
    alice = join()
    weak = Argon2id(salt=b"s" * 16, length=32, iterations=1, lanes=1, memory_cost=8192)
    with transaction(engine) as session:
        session.merge(alice).password_hash = weak.derive_phc_encoded(PASSWORD.encode())
    renewed = enter()
    assert renewed.password_hash is not None
    assert not passwords.needs_rehash(renewed.password_hash)
    assert renewed.password_epoch == 1
    assert enter().id == alice.id


def test_a_suspended_account_is_told_so_only_with_its_password(
    engine: Engine, join: Join, enter: Join
) -> None:
    alice = join()
    with transaction(engine) as session:
        session.merge(alice).frozen_at = NOW
    with pytest.raises(WrongCredentials):
        enter(password="a wrong password")
    with pytest.raises(AccountSuspended) as refused:
        enter()
    assert (refused.value.status, refused.value.code) == (403, "account_frozen")


def test_a_deleted_account_cannot_be_entered(
    engine: Engine, rules: AccountRules, join: Join, enter: Join
) -> None:
    alice = join()
    with transaction(engine) as session:
        accounts.delete_account(session, session.merge(alice), rules, now=NOW)
    with pytest.raises(WrongCredentials):
        enter()


def test_nothing_of_a_person_reaches_the_logs(
    caplog: pytest.LogCaptureFixture, join: Join, enter: Join
) -> None:
    caplog.set_level("DEBUG")
    join("Alice.Secret@example.com")
    enter("Alice.Secret@example.com")
    with pytest.raises(WrongCredentials):
        enter("Alice.Secret@example.com", "a wrong password")
    for word in ("secret@example", PASSWORD, "a wrong password", "$argon2id"):
        assert word.lower() not in caplog.text.lower()


def test_nothing_secret_is_in_a_repr(
    engine: Engine, rules: AccountRules, join: Callable[..., User]
) -> None:
    alice = join()
    with transaction(engine) as session:
        attempt = accounts.begin_log_in(session, alice.email, home(), rules, now=NOW)
    shown = f"{attempt} {attempt.check(PASSWORD)} {rules} {alice!r}"
    shown += repr(accounts.check_application("bob@example.com", PASSWORD))
    shown += repr(accounts.prepare_account("bob@example.com", PASSWORD))
    for word in ("argon2id", PASSWORD, rules.secret):
        assert word not in shown
