"""Child processes that are killed during a payment, at a step that the test chooses.

A step is the moment before or after a statement, a commit or a call to Stripe. The fork server
builds the app once and forks a child for each action, because two hundred processes would otherwise
spend minutes importing. An action that nobody kills it runs itself, so that its children find the
statements compiled; no connection is open when it forks.
"""

from __future__ import annotations

import os
import secrets
import signal
import traceback
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
from creditapp.payments.purchases import checkout, packs
from creditapp.payments.purchases.packs import Order
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.subscriptions import plans, scheduled_grants
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.services import get, provide
from tests.flaky_gateway import FlakyGateway

NEVER_KILLED = 0


@dataclass(frozen=True)
class Action:
    """An action by name, and the step at which its process is killed, or ``NEVER_KILLED``."""

    name: str
    arguments: tuple[Any, ...]
    dies_at: int
    at: datetime | None = None
    """The child's time, if the test advanced it; the real time otherwise."""


class Steps:
    """Counts the steps of this process and kills it at one of them."""

    def __init__(self) -> None:
        self.taken = 0
        self._dies_at = NEVER_KILLED

    def begin(self, dies_at: int) -> None:
        """Count from zero, until the step at which this process is killed."""
        self.taken, self._dies_at = 0, dies_at

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
        """Count two steps for each statement, commit and call to Stripe."""
        engine = db.engine
        event.listen(engine, "before_cursor_execute", self.step)
        event.listen(engine, "after_cursor_execute", self.step)
        engine.dialect.do_commit = self.around(engine.dialect.do_commit)  # type: ignore[method-assign]
        gateway = FlakyGateway(get(StripeGateway))
        gateway.before = gateway.after = self.step
        provide(app, StripeGateway, gateway)


def _sync(purchase_id: str) -> None:
    checkout.sync_purchase(purchase_id)


def _receive(body: bytes, signed: str) -> None:
    webhooks.receive_webhook(body, signed)


def _start_checkout(user_id: str, key: str) -> None:
    with snapshot() as session:
        buyer = session.get(User, user_id)
    assert buyer
    packs.start_checkout(Order("creator", ""), buyer, key=key)


def _sync_plan(subscription_id: str) -> None:
    subscription_sync.sync_subscription(subscription_id)


def _upgrade(user_id: str, plan: str) -> None:
    with snapshot() as session:
        buyer = session.get(User, user_id)
    assert buyer
    # A new key each time: the claim of a killed request lasts for a minute.
    plans.choose_plan(PlanOrder(plan), buyer, key=secrets.token_hex(8))


def _grant_months() -> None:
    scheduled_grants.sweep_due_grants()


ACTIONS: dict[str, Callable[..., None]] = {
    "sync": _sync,
    "receive": _receive,
    "start": _start_checkout,
    "sync of a plan": _sync_plan,
    "upgrade": _upgrade,
    "grant sweep": _grant_months,
}


def fork_server(pipe: Connection, environ: dict[str, str], folder: Path) -> None:
    """Answer each action's signal (0: it ended by itself) and its steps."""
    app = create_app(load_settings({**environ, "CREDITAPP_DATA": str(folder)}))
    import stripe

    steps, to_stripe = Steps(), stripe.RequestsClient()
    with app.app_context():
        gateway = get(StripeGateway)
        gateway.http_client = lambda: to_stripe  # type: ignore[method-assign]  # to close it
        steps.watch(app)
    while (action := pipe.recv()) is not None:
        if action.dies_at == NEVER_KILLED:
            _run(app, steps, action)
            with app.app_context():
                db.engine.dispose()
            to_stripe.close()
            pipe.send((0, steps.taken))
        else:
            pipe.send((_run_in_a_child(app, steps, action), action.dies_at))


def _run_in_a_child(app: Flask, steps: Steps, action: Action) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _run(app, steps, action)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)


def _run(app: Flask, steps: Steps, action: Action) -> None:
    provide(app, Clock, Clock() if action.at is None else StoppedClock(action.at))
    steps.begin(action.dies_at)
    with app.app_context():
        ACTIONS[action.name](*action.arguments)
