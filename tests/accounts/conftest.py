"""Alice, the rules of the house, and a database of each kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy.engine import Engine

from creditapp import accounts, ledger
from creditapp.accounts import AccountRules, Network, Networks, SignUpCredits, User
from creditapp.db import transaction
from creditapp.units import MICRO_PER_CREDIT

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PASSWORD = "a long walk by the sea"


def home(name: str = "home") -> Networks:
    """Return the networks of a subscriber with one address."""
    return (Network(name),)


@pytest.fixture
def rules() -> AccountRules:
    return AccountRules(
        secret="the secret of the tests, and of nothing else",
        credits=SignUpCredits(
            welcome_micro=50 * MICRO_PER_CREDIT, free_micro=60 * MICRO_PER_CREDIT
        ),
    )


Join = Callable[..., User]


@pytest.fixture
def join(engine: Engine, rules: AccountRules) -> Join:
    """Sign somebody up as the route does."""

    def sign_up(
        email: str = "alice@example.com",
        password: str = PASSWORD,
        *,
        rules: AccountRules = rules,
        **more: object,
    ) -> User:
        new = accounts.prepare_account(email, password)
        with transaction(engine) as session:
            welcomed = accounts.sign_up(session, new, rules, now=NOW, **more)  # type: ignore[arg-type]
            return welcomed.user

    return sign_up


@pytest.fixture
def balance(engine: Engine) -> Callable[[User], float]:
    """The credits that a person can spend."""

    def available(user: User) -> float:
        with transaction(engine) as session:
            connection = session.connection()
            wallet_id = ledger.find_wallet(connection, "user", user.id)
            assert wallet_id is not None
            found = ledger.balance(connection, wallet_id, now=NOW)
            return found.available_micro / MICRO_PER_CREDIT

    return available


@pytest.fixture
def enter(engine: Engine, rules: AccountRules) -> Join:
    """Log somebody in as the route does."""

    def log_in(
        email: str = "alice@example.com",
        password: str = PASSWORD,
        *,
        network: str = "home",
        now: datetime = NOW,
    ) -> User:
        with transaction(engine) as session:
            attempt = accounts.begin_log_in(session, email, home(network), rules, now=now)
        proof = attempt.check(password)
        with transaction(engine) as session:
            return accounts.log_in(session, proof, now=now)

    return log_in
