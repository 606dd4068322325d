"""Changing a profile and a password, and getting back in without one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Engine

from creditapp import accounts, emails
from creditapp.accounts import AccountRules, LinkInvalid, User, WrongCredentials
from creditapp.accounts.profile import name_problem
from creditapp.db import transaction
from creditapp.errors import RateLimited, ValidationFailed
from creditapp.http.sessions import find_member
from tests.accounts.conftest import NOW, PASSWORD, Join, home
from tests.databases import at_once

NEW = "another long walk by the sea"


def reset(engine: Engine, rules: AccountRules, token: str, password: str = NEW) -> User:
    """Use the form behind the emailed link."""
    with transaction(engine) as session:
        user = accounts.find_by_reset_token(session, token, rules, now=NOW)
    new = accounts.new_password(password, address=user.email)
    with transaction(engine) as session:
        return accounts.reset_password(session, token, new, rules, now=NOW)


def test_a_forgotten_password_is_set_again_by_link_and_ends_every_session(
    engine: Engine, rules: AccountRules, join: Join, enter: Join
) -> None:
    alice = join()
    with transaction(engine) as session:
        before = accounts.begin_session(session, alice, "a phone", now=NOW)
        asked = accounts.request_reset(session, "Alice@Example.com", home(), rules, now=NOW)
    assert asked is not None
    token = accounts.mint_token(asked, "reset", rules.secret, now=NOW)
    changed = reset(engine, rules, token)
    assert changed.verified_at == NOW
    assert enter(password=NEW).id == alice.id
    with pytest.raises(WrongCredentials):
        enter()
    with transaction(engine) as session:
        assert find_member(session, before) is None
        after = accounts.begin_session(session, changed, "a phone", now=NOW)
        assert find_member(session, after) is not None
    with pytest.raises(LinkInvalid):
        reset(engine, rules, token, "a third long walk")


def test_two_uses_of_one_link_at_one_moment_set_one_password(
    engine: Engine, rules: AccountRules, join: Join
) -> None:
    token = accounts.mint_token(join(), "reset", rules.secret, now=NOW)
    outcomes = at_once(4, lambda n: reset(engine, rules, token, f"long walk number {n}"))
    assert sum(isinstance(each, User) for each in outcomes) == 1, outcomes
    assert sum(isinstance(each, LinkInvalid) for each in outcomes) == 3


def test_a_link_dies_when_the_password_changes(
    engine: Engine, rules: AccountRules, join: Join
) -> None:
    alice = join()
    links = [accounts.mint_token(alice, "reset", rules.secret, now=NOW) for _ in range(2)]
    reset(engine, rules, links[0])
    with pytest.raises(LinkInvalid), transaction(engine) as session:
        accounts.find_by_reset_token(session, links[1], rules, now=NOW)


def test_a_link_for_a_reset_lasts_an_hour(engine: Engine, rules: AccountRules, join: Join) -> None:
    token = accounts.mint_token(join(), "reset", rules.secret, now=NOW)
    with transaction(engine) as session:
        accounts.find_by_reset_token(session, token, rules, now=NOW + timedelta(minutes=59))
        with pytest.raises(LinkInvalid) as refused:
            accounts.find_by_reset_token(session, token, rules, now=NOW + timedelta(minutes=61))
    assert refused.value.code == "token_expired"


def test_asking_for_a_reset_tells_nobody_who_has_an_account(
    engine: Engine, rules: AccountRules, join: Join
) -> None:
    join()
    users = []
    for _ in range(5):
        with transaction(engine) as session:
            users.append(
                accounts.request_reset(session, "alice@example.com", home(), rules, now=NOW)
            )
    assert [user is not None for user in users] == [True, True, True, False, False]
    with transaction(engine) as session:
        assert (
            accounts.request_reset(session, "nobody@example.com", home("x"), rules, now=NOW) is None
        )
        assert accounts.request_reset(session, "no address", home("x"), rules, now=NOW) is None


def test_a_network_that_asks_too_often_is_refused(engine: Engine, rules: AccountRules) -> None:
    for number in range(20):
        with transaction(engine) as session:
            accounts.request_reset(session, f"a{number}@example.com", home(), rules, now=NOW)
    with pytest.raises(RateLimited), transaction(engine) as session:
        accounts.request_reset(session, "b@example.com", home(), rules, now=NOW)


def test_changing_the_password_needs_the_old_one(
    engine: Engine, rules: AccountRules, join: Join, enter: Join
) -> None:
    alice = join()

    def change(current: str) -> User:
        with transaction(engine) as session:
            attempt = accounts.begin_log_in(session, alice.email, home(), rules, now=NOW)
        proof = attempt.check(current)
        new = accounts.new_password(NEW, address=alice.email, field_name="newPassword")
        with transaction(engine) as session:
            return accounts.change_password(session, proof, new, now=NOW)

    with pytest.raises(WrongCredentials):
        change("a wrong password")
    changed = change(PASSWORD)
    assert changed.password_epoch == 2
    assert enter(password=NEW).id == alice.id


def test_deleting_an_account_erases_the_person(
    engine: Engine, rules: AccountRules, join: Join
) -> None:
    alice = join()
    with transaction(engine) as session:
        accounts.delete_account(session, session.merge(alice), rules, now=NOW)
    with transaction(engine) as session:
        row = session.get_one(User, alice.id)
        assert (row.email, row.email_key, row.name, row.password_hash) == ("", None, "", None)
        assert row.person_hash == alice.person_hash
        assert row.deleted_at == NOW


def test_a_profile_takes_a_name_and_a_threshold(engine: Engine, join: Join) -> None:
    alice = join()
    with transaction(engine) as session:
        mine = session.merge(alice)
        accounts.change_profile(session, mine, name="  Alice   Берг ", low_balance_micro=0)
        assert (mine.name, mine.low_balance_micro) == ("Alice Берг", 0)
        for wrong in ("x" * 41, "Alice\x07", "Al\u202eice"):
            with pytest.raises(ValidationFailed):
                accounts.change_profile(session, mine, name=wrong)
        with pytest.raises(ValidationFailed):
            accounts.change_profile(session, mine, low_balance_micro=-1)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "name",
    [
        "Your account is locked. Unlock at http://evil.example/login now",
        "https://a",
        "WWW.evil",
        "evil.example",
        "Pay at t.co",
        "evil．example",
        "evil。example",
        "192.168.0.10",
    ],
)
def test_a_name_cannot_be_read_as_a_link(name: str) -> None:
    assert name_problem(name) is not None


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("name", ["J.R.R. Tolkien", "Dr. Ann Lee", "Берг", "O'Neil-Søren", ""])
def test_names_of_people_are_taken(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.databases("postgresql")
def test_a_reset_and_a_log_in_do_not_block_what_refers_to_the_user(
    engine: Engine, rules: AccountRules, join: Join
) -> None:
    """A payment locks the wallet and then queues an email; a reset locks the user, then the wallet.

    If the email waited for the user's row, the two would deadlock.
    """
    alice = join()
    token = accounts.mint_token(alice, "reset", rules.secret, now=NOW)
    new = accounts.new_password(NEW)

    def unsubscribe(event: str) -> None:
        with transaction(engine) as other:
            other.execute(text("SET LOCAL lock_timeout = '2s'"))
            emails.unsubscribe(other, alice.id, event, now=NOW)

    with transaction(engine) as session:
        accounts.reset_password(session, token, new, rules, now=NOW)
        unsubscribe("low_balance")
    with transaction(engine) as session:
        attempt = accounts.begin_log_in(session, alice.email, home(), rules, now=NOW)
    proof = attempt.check(NEW)
    with transaction(engine) as session:
        accounts.log_in(session, proof, now=NOW)
        unsubscribe("card_expiring")
