"""Webhooks of a test: endpoints by the API, and the jobs that deliver, run by the test."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Flask
from sqlalchemy import func, select

from creditapp.clock import StoppedClock
from creditapp.db import transaction
from creditapp.runtime import tasks
from creditapp.webhooks_out import WebhookDelivery, WebhookEndpoint, outgoing
from tests.api.contract import Program
from tests.app_factory import Person, Queue, get_clock, get_queue
from tests.webhooks_out.receiver import Json, Receiver

PATH = "/api/webhook-endpoints"


class Hooks:
    """One app with its members' endpoints."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        with app.app_context():
            self.queue: Queue = get_queue()
            self.clock: StoppedClock = get_clock()

    def endpoint(self, person: Person, receiver: Receiver, *events: str, **settings: Any) -> Json:
        """Create an endpoint at the receiver, which gets its secret."""
        body = {"url": receiver.url, "events": list(events), **settings}
        answer = Program(person).call("POST", PATH, body)
        assert answer.status_code == 201, answer.text
        receiver.secret = answer.json["secret"]
        made: Json = answer.json
        return made

    def deliver(self, after: timedelta = timedelta(0)) -> None:
        """Advance the clock, then run the sweep and every job that it starts."""
        self.clock.advance(after)
        self.queue.run()
        with self.app.app_context():
            tasks.sweep_webhooks()
        self.queue.run()

    def log(self, person: Person, endpoint: Json) -> list[Json]:
        """Return the deliveries to an endpoint, the newest first."""
        items: list[Json] = Program(person).get(f"{PATH}/{endpoint['id']}/deliveries")["items"]
        return items


def queue_again(hooks: Hooks, endpoint: Json) -> None:
    """Queue one event more for an endpoint."""
    with hooks.app.app_context(), transaction() as session:
        row = session.get_one(WebhookEndpoint, endpoint["id"])
        count = session.scalar(select(func.count()).select_from(WebhookDelivery))
        outgoing._insert(session, row, "credits.low", {}, f"test-{count}", now=hooks.clock.now())
