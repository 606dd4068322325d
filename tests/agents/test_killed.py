"""kill -9 between the payment and the grant: the payer gets the credits, once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from creditapp import agents
from creditapp.clock import StoppedClock
from creditapp.ledger.models import Grant
from tests.agents import dying_server
from tests.agents.conftest import AgentShop
from tests.agents.test_buy import BUY, claims_of
from tests.app_factory import Outbox, build_app, close_app, get_clock
from tests.processes import forked

STEPS = (
    dying_server.BEFORE_SETTLING,
    dying_server.BEFORE_GRANT,
    dying_server.BEFORE_COMMIT,
    dying_server.AFTER_COMMIT,
)


@pytest.fixture
def living(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """The app of another process on the same database."""
    app = build_app(database_url, tmp_path, clock=StoppedClock(datetime.now(UTC)), mailer=Outbox())
    yield app
    close_app(app)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("by", ["sweep", "payer"])
def test_a_killed_payment_is_granted_once(
    living: Flask, database_url: str, tmp_path: Path, step: str, by: str
) -> None:
    shop = AgentShop(living)
    with living.app_context():
        clock = get_clock()
    token = shop.token(3)
    child = forked.Process(
        target=dying_server.pay_and_die, args=(database_url, tmp_path, token, step)
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL

    clock.advance(timedelta(seconds=120))
    if by == "sweep":
        with living.app_context():
            agents.sweep(now=clock.now())
    else:
        again = shop.post(BUY, {"count": 3}, X_Sandbox_Payment=token)
        assert again.status_code == (403 if step == dying_server.AFTER_COMMIT else 200)
    if step == dying_server.BEFORE_SETTLING and by == "sweep":
        assert shop.request_row(claims_of(token)["id"]).state == "open", "nothing was paid"
        assert shop.pay(token).status_code == 200

    assert shop.claim(token).json["details"]["credits"] == 3
    assert shop.count(Grant) == 1
    shop.check_ledger()
