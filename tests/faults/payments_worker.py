"""A process that is to be killed in the middle of a payment, at a step that the test chooses.

A step is the moment before or after a statement, a commit or a call to Stripe. The mother builds
the app once, opens nothing, and forks a child for each deed, because two hundred of them would
otherwise spend minutes importing.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import event

from creditapp import create_app
from creditapp.accounts import User
from creditapp.clock import Clock, StoppedClock
from creditapp.config import load_settings
from creditapp.db import db, snapshot
from creditapp.payments import webhooks
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.checkout import Order
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.subscriptions import plans, scheduled_grants
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.services import get, provide
from tests.flaky_gateway import FlakyGateway

NEVER_KILLED = 0


@dataclass(frozen=True)
class Deed:
    """What a child does, and at which step it dies; ``NEVER_KILLED`` lets it live."""

    name: str
    arguments: tuple[Any, ...]
    dies_at: int
    at: datetime | None = None
    """The child's moment, where time was moved on; else it goes by the real one."""


class Steps:
    """Counts the steps of this process and ends it at one of them."""

    def __init__(self, dies_at: int) -> None:
        self.taken = 0
        self._dies_at = dies_at

    def step(self, *_what: object, **_more: object) -> None:
        self.taken += 1
        if self.taken == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **given: Any) -> Any:
            self.step()
            answer = function(*args, **given)
            self.step()
            return answer

        return stepped

    def watch(self, app: Flask) -> None:
        """Make every statement, commit and call to Stripe two steps."""
        engine = db.engine
        event.listen(engine, "before_cursor_execute", self.step)
        event.listen(engine, "after_cursor_execute", self.step)
        engine.dialect.do_commit = self.around(engine.dialect.do_commit)  # type: ignore[method-assign]
        line = FlakyGateway(get(StripeGateway))
        line.before = line.after = self.step
        provide(app, StripeGateway, line)


def _sync(purchase_id: str) -> None:
    checkout.sync_purchase(purchase_id)


def _receive(body: bytes, signed: str) -> None:
    webhooks.receive_webhook(body, signed)


def _start(user_id: str, key: str) -> None:
    with snapshot() as session:
        buyer = session.get(User, user_id)
    assert buyer
    checkout.start_checkout(Order("creator", ""), buyer, key=key)


def _sync_plan(subscription_id: str) -> None:
    subscription_sync.sync_subscription(subscription_id)


def _upgrade(user_id: str, plan: str) -> None:
    with snapshot() as session:
        buyer = session.get(User, user_id)
    assert buyer
    # A key of its own each time: one that was killed keeps its claim for a minute.
    plans.choose_plan(PlanOrder(plan), buyer, key=secrets.token_hex(8))


def _grant_months() -> None:
    scheduled_grants.sweep_due_grants()


DEEDS: dict[str, Callable[..., None]] = {
    "sync": _sync,
    "receive": _receive,
    "start": _start,
    "sync of a plan": _sync_plan,
    "upgrade": _upgrade,
    "grant sweep": _grant_months,
}


def mother(pipe: Connection, environ: dict[str, str], folder: Path) -> None:
    """Fork a child for each deed that comes; answer its signal (0: it lived) and its steps."""
    app = create_app(load_settings({**environ, "CREDITAPP_DATA": str(folder)}))
    import stripe

    assert stripe.VERSION, "imported here, so that no child has to"
    while (deed := pipe.recv()) is not None:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _act(app, deed, writing)
        os.close(writing)
        _, status = os.waitpid(pid, 0)
        told = os.read(reading, 16)
        os.close(reading)
        ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
        pipe.send((ended, int(told or b"0")))


def _act(app: Flask, deed: Deed, writing: int) -> None:
    steps = Steps(deed.dies_at)
    try:
        if deed.at is not None:
            provide(app, Clock, StoppedClock(deed.at))
        with app.app_context():
            steps.watch(app)
            DEEDS[deed.name](*deed.arguments)
        os.write(writing, str(steps.taken).encode())
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
