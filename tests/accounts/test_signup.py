"""Signing up, confirming the address, and the credits that a person gets once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from creditapp import accounts
from creditapp.accounts import AccountRules, EmailTaken, LinkInvalid, SignedUp, User
from creditapp.db import transaction
from creditapp.errors import RateLimited, ValidationFailed
from creditapp.units import MICRO_PER_CREDIT
from tests.accounts.conftest import NOW, PASSWORD, Join, home
from tests.databases import at_once

Balance = Callable[[User], float]


def verify(engine: Engine, user: User, rules: AccountRules, token: str | None = None) -> User:
    """Follow the link in the email."""
    token = token or accounts.mint_token(user, "verify", rules.secret, now=NOW)
    with transaction(engine) as session:
        return accounts.verify_address(session, token, rules, now=NOW).user


def test_a_new_account_has_its_welcome_credits_at_once(join: Join, balance: Balance) -> None:
    alice = join(" Alice@Example.com ")
    assert alice.id.startswith("usr_")
    assert (alice.email, alice.email_key) == ("Alice@Example.com", "alice@example.com")
    assert alice.created_at == NOW
    assert not alice.verified
    assert not alice.is_admin
    assert PASSWORD not in (alice.password_hash or "")
    assert balance(alice) == 50


def test_confirming_the_address_gives_frees_credits_once(
    engine: Engine, rules: AccountRules, join: Join, balance: Balance
) -> None:
    alice = join()
    token = accounts.mint_token(alice, "verify", rules.secret, now=NOW)
    assert verify(engine, alice, rules, token).verified_at == NOW
    assert balance(alice) == 110
    with pytest.raises(LinkInvalid):
        verify(engine, alice, rules, token)
    assert balance(alice) == 110


def test_a_setting_holds_both_back_until_the_address_is_confirmed(
    engine: Engine, rules: AccountRules, join: Join, balance: Balance
) -> None:
    holding = replace(rules, credits=replace(rules.credits, hold_until_verified=True))
    alice = join(rules=holding)
    assert balance(alice) == 0
    verify(engine, alice, holding)
    assert balance(alice) == 110


def test_a_house_without_gifts_gives_none(
    engine: Engine, rules: AccountRules, join: Join, balance: Balance
) -> None:
    plain = replace(rules, credits=accounts.SignUpCredits(welcome_micro=0, free_micro=0))
    alice = join(rules=plain)
    verify(engine, alice, plain)
    assert balance(alice) == 0


def test_one_person_with_many_addresses_is_welcomed_once(
    engine: Engine, rules: AccountRules, join: Join, balance: Balance
) -> None:
    mine = [join(text) for text in ("al.ice@gmail.com", "alice+2@gmail.com", "alice@gmail.com")]
    assert [balance(user) for user in mine] == [50, 0, 0]
    for user in reversed(mine):
        verify(engine, user, rules)
    assert [balance(user) for user in mine] == [50, 0, 60]


def test_joining_and_confirming_say_what_they_really_gave(
    engine: Engine, rules: AccountRules
) -> None:
    def join(email: str, rules: AccountRules) -> tuple[User, float, float]:
        new = accounts.prepare_account(email, PASSWORD)
        with transaction(engine) as session:
            joined = accounts.sign_up(session, new, rules, now=NOW)
            waiting = accounts.waiting_credits_micro(session, joined.user, rules)
        return joined.user, joined.granted_micro / MICRO_PER_CREDIT, waiting / MICRO_PER_CREDIT

    def confirm(user: User) -> tuple[float, float]:
        with transaction(engine) as session:
            mine = session.get_one(User, user.id)
            waiting = accounts.waiting_credits_micro(session, mine, rules)
            confirmed = accounts.confirm_address(session, mine, rules, now=NOW)
            assert accounts.waiting_credits_micro(session, mine, rules) == 0
        return waiting / MICRO_PER_CREDIT, confirmed.granted_micro / MICRO_PER_CREDIT

    holding = replace(rules, credits=replace(rules.credits, hold_until_verified=True))
    alice, *said = join("alice@example.com", rules)
    assert said == [50, 60]
    tagged, *said = join("alice+2@example.com", rules)
    assert said == [0, 60]
    assert confirm(alice) == (60, 60)
    assert confirm(alice) == (0, 0)
    assert confirm(tagged) == (0, 0)
    _, *said = join("alice+3@example.com", rules)
    assert said == [0, 0]
    bob, *said = join("bob@example.com", holding)
    assert said == [0, 110]
    assert confirm(bob) == (110, 110)


def test_a_person_who_deletes_the_account_and_returns_is_not_welcomed_again(
    engine: Engine, rules: AccountRules, join: Join, balance: Balance
) -> None:
    first = join()
    verify(engine, first, rules)
    with transaction(engine) as session:
        accounts.delete_account(session, session.merge(first), rules, now=NOW)
    again = join("ALICE@example.com")
    assert again.id != first.id
    verify(engine, again, rules)
    assert balance(again) == 0


def test_a_taken_address_is_told_to_the_door_alone(
    engine: Engine, join: Join, balance: Balance
) -> None:
    alice = join()
    with pytest.raises(EmailTaken) as taken:
        join("ALICE@EXAMPLE.COM", "quite another password")
    assert taken.value.user.id == alice.id
    assert "alice" not in str(taken.value).lower()
    assert balance(alice) == 50
    with transaction(engine) as session:
        assert session.scalar(select(func.count()).select_from(User)) == 1


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(ValidationFailed) as refusal:
        accounts.prepare_account("alice", "short", "x" * 41)
    assert [error["field"] for error in refusal.value.errors] == ["email", "name", "password"]


def test_the_password_may_not_be_the_address() -> None:
    with pytest.raises(ValidationFailed):
        accounts.prepare_account("alice.berger@example.com", "Alice.Berger@example.com")


def test_two_sign_ups_at_one_moment_make_one_account(join: Join, balance: Balance) -> None:
    outcomes = at_once(6, lambda _: join())
    made = [each for each in outcomes if isinstance(each, User)]
    taken = [each for each in outcomes if isinstance(each, EmailTaken)]
    assert (len(made), len(taken)) == (1, 5)
    assert balance(made[0]) == 50


def test_one_person_signing_up_often_at_one_moment_is_welcomed_once(
    join: Join, balance: Balance
) -> None:
    outcomes = at_once(6, lambda number: join(f"alice+{number}@example.com"))
    made = [each for each in outcomes if isinstance(each, User)]
    assert len(made) == 6, outcomes
    assert sorted(balance(user) for user in made) == [0, 0, 0, 0, 0, 50]


def test_a_double_click_on_the_link_confirms_once(
    engine: Engine, rules: AccountRules, join: Join, balance: Balance
) -> None:
    alice = join()
    token = accounts.mint_token(alice, "verify", rules.secret, now=NOW)
    outcomes = at_once(4, lambda _: verify(engine, alice, rules, token))
    assert all(isinstance(each, User | LinkInvalid) for each in outcomes), outcomes
    assert balance(alice) == 110


def test_a_network_that_opens_account_after_account_is_slowed(
    engine: Engine, rules: AccountRules
) -> None:
    def count(network: str = "home") -> None:
        with transaction(engine) as session:
            accounts.count_sign_up(session, home(network), rules, now=NOW)

    for _ in range(20):
        count()
    with pytest.raises(RateLimited):
        count()
    count("elsewhere")


def test_a_sign_up_hook_runs_in_the_same_transaction(
    engine: Engine, rules: AccountRules, join: Join
) -> None:
    heard: list[tuple[str, str | None]] = []

    def listener(session: Session, event: SignedUp) -> None:
        heard.append((event.user.id, event.guest))
        assert session.in_transaction()

    def failing(session: Session, event: SignedUp) -> None:
        raise RuntimeError("the pictures cannot be moved")

    alice = join(rules=replace(rules, signed_up=(listener,)), guest="cookie-1")
    assert heard == [(alice.id, "cookie-1")]
    with pytest.raises(RuntimeError):
        join("bob@example.com", rules=replace(rules, signed_up=(failing,)))
    with transaction(engine) as session:
        assert accounts.find_by_email(session, "bob@example.com") is None


def test_a_link_dies_with_age_alteration_purpose_and_secret(
    engine: Engine, rules: AccountRules, join: Join
) -> None:
    alice = join()
    token = accounts.mint_token(alice, "verify", rules.secret, now=NOW)

    def refusal(text: str, *, secret: str = rules.secret, days: float = 0) -> str:
        later = NOW + timedelta(days=days)
        with pytest.raises(LinkInvalid) as refused, transaction(engine) as session:
            accounts.verify_address(session, text, replace(rules, secret=secret), now=later)
        assert refused.value.status == 401
        return refused.value.code

    assert refusal(token, days=7.01) == "token_expired"
    assert refusal(token[:-9] + ("A" if token[-9] != "A" else "B") + token[-8:]) == "token_invalid"
    assert refusal(token, secret="another") == "token_invalid"
    for garbage in ("", ".", "a.b.c", "x" * 5000, "\ud800", "é", token + "\0"):
        assert refusal(garbage) == "token_invalid"
    reset = accounts.mint_token(alice, "reset", rules.secret, now=NOW)
    assert refusal(reset) == "token_invalid"
    assert alice.email not in token
    assert verify(engine, alice, rules, token).verified
