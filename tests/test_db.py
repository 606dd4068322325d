"""Reading and writing: only ``transaction()`` writes, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import delete, insert, text, update
from sqlalchemy.orm import Session

from creditapp import accounts, emails, ledger
from creditapp.accounts import AccountRules, User
from creditapp.clock import now
from creditapp.db import WriteOutsideTransaction, db, reading, snapshot, transaction
from creditapp.guests.models import GuestWindow

pytestmark = pytest.mark.databases("sqlite", "postgresql")

RULE = "writes need `with transaction\\(\\) as session`"


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    """The app's context, in which ``reading`` finds its session."""
    with app.app_context():
        yield


def a_window() -> GuestWindow:
    return GuestWindow(key="cookie:1", started_at=now(), used=1)


def windows() -> list[int]:
    with snapshot() as session:
        return list(session.scalars(db.select(GuestWindow.used)))


def test_a_row_added_to_the_read_session_is_refused_at_commit() -> None:
    db.session.add(a_window())
    with pytest.raises(WriteOutsideTransaction, match=RULE):
        db.session.commit()
    db.session.rollback()
    assert windows() == []


def test_a_row_changed_or_deleted_in_the_read_session_is_refused() -> None:
    with transaction() as session:
        session.add(a_window())
    reading().get_one(GuestWindow, "cookie:1").used = 0
    with pytest.raises(WriteOutsideTransaction, match=RULE):
        reading().scalars(db.select(GuestWindow.used)).all()  # the query flushes first
    reading().rollback()
    reading().delete(reading().get_one(GuestWindow, "cookie:1"))
    with pytest.raises(WriteOutsideTransaction, match=RULE):
        reading().flush()
    reading().rollback()
    assert windows() == [1]


STATEMENTS: dict[str, Callable[[], object]] = {
    "insert": lambda: insert(GuestWindow).values(key="c", started_at=now(), used=1),
    "update": lambda: update(GuestWindow).values(used=0),
    "delete": lambda: delete(GuestWindow),
    "text": lambda: text("\n  update guest_windows set used = 0"),
}


@pytest.mark.parametrize("kind", STATEMENTS)
def test_a_statement_that_writes_is_refused_outside_a_transaction(kind: str) -> None:
    with transaction() as session:
        session.add(a_window())
    statement = STATEMENTS[kind]()
    with pytest.raises(WriteOutsideTransaction, match=RULE):
        reading().execute(statement)  # type: ignore[call-overload]
    with snapshot() as session, pytest.raises(WriteOutsideTransaction, match=RULE):
        session.execute(statement)  # type: ignore[call-overload]
    with Session(db.engine) as session, pytest.raises(WriteOutsideTransaction, match=RULE):
        session.execute(statement)  # type: ignore[call-overload]
    assert windows() == [1]


def sign_up(session: Session, name: str) -> User:
    account = accounts.prepare_account(f"{name}@example.com", "correct horse battery")
    credits = accounts.SignUpCredits(welcome_micro=5, free_micro=0)
    return accounts.sign_up(session, account, AccountRules("secret", credits), now=now()).user


VERBS: dict[str, Callable[[Session, int, str], object]] = {
    "sign up": lambda session, wallet_id, user_id: sign_up(session, "alice"),
    "spend": lambda session, wallet_id, user_id: ledger.spend(
        session.connection(),
        wallet_id,
        ledger.NewCharge(amount_micro=1, key="k", digest="d", operation="image"),
        now=now(),
    ),
    "hold": lambda session, wallet_id, user_id: ledger.hold(
        session.connection(),
        wallet_id,
        ledger.NewCharge(amount_micro=1, key="k", digest="d", operation="image"),
        now=now(),
    ),
    "freeze": lambda session, wallet_id, user_id: ledger.freeze_wallet(
        session.connection(), wallet_id, now=now()
    ),
    "unsubscribe": lambda session, wallet_id, user_id: emails.unsubscribe(
        session, user_id, "low_balance", now=now()
    ),
}


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_refuses_the_read_session(name: str) -> None:
    with transaction() as session:
        user = sign_up(session, "bob")
        wallet_id = ledger.ensure_wallet(session.connection(), "user", user.id, now=now())
    with pytest.raises(WriteOutsideTransaction, match=RULE):
        VERBS[name](reading(), wallet_id, user.id)
    reading().rollback()
    with transaction() as session:
        assert ledger.balance(session.connection(), wallet_id, now=now()).available_micro == 5
        VERBS[name](session, wallet_id, user.id)
