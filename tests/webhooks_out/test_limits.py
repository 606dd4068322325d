"""Limits of what one member makes the deliveries do: rows, and a share of the threads."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from creditapp import jobs
from creditapp.db import transaction
from creditapp.rate_limits import WEBHOOK_TESTS
from creditapp.runtime import tasks
from creditapp.webhooks_out import WebhookDelivery, runs
from creditapp.webhooks_out.log import ATTEMPTS_MAX
from tests.api.contract import Program
from tests.app_factory import Person
from tests.webhooks_out.hooks import PATH, Hooks
from tests.webhooks_out.receiver import Receiver


def test_a_slow_receiver_holds_a_thread_for_some_seconds_alone(
    alice: Person, hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that answers each event just in time ends its run; the sweep goes on with it."""
    monkeypatch.setattr(runs, "RUN_SECONDS", 0.0)
    endpoint = hooks.endpoint(alice, receiver, "credits.spent")
    for number in range(3):
        body = {"amount": 1, "feature": "a", "idempotencyKey": f"key-{number}"}
        assert Program(alice).call("POST", "/api/credits/spend", body).status_code == 200
    for sent in (1, 2, 3, 3):
        hooks.deliver()
        assert len(receiver.received) == sent
    assert {each["state"] for each in hooks.log(alice, endpoint)} == {"delivered"}


def test_the_endpoints_of_a_member_share_two_runs_at_once(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitions: list[str] = []
    made = [hooks.endpoint(alice, receiver, "credits.spent") for _ in range(3)]
    for endpoint in made:
        assert Program(alice).call("POST", f"{PATH}/{endpoint['id']}/test").status_code == 202
    with app.app_context():
        monkeypatch.setattr(
            jobs, "enqueue", lambda _name, _id, *, partition: partitions.append(partition)
        )
        tasks.sweep_webhooks()
    assert len(partitions) == 3
    assert len(set(partitions)) == 1, "a partition has two jobs at once"
    assert partitions[0].startswith("webhooks/")
    receiver.secret = ""


def test_an_event_is_sent_again_a_bounded_number_of_times(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.spent")
    member = Program(alice)
    sent = member.call("POST", f"{PATH}/{endpoint['id']}/test").json
    assert sent is not None
    hooks.deliver()
    again = f"{PATH}/{endpoint['id']}/deliveries/{sent['id']}/redeliver"
    assert member.call("POST", again).status_code == 202
    hooks.deliver()
    with app.app_context(), transaction() as session:
        session.execute(update(WebhookDelivery).values(attempts=ATTEMPTS_MAX))
    refused = member.call("POST", again)
    assert (refused.status_code, refused.json and refused.json["code"]) == (409, "conflict")
    hooks.deliver()
    assert len(receiver.received) == 2


def test_an_endpoint_gets_some_test_events_in_an_hour(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.spent")
    member, path = Program(alice), f"{PATH}/{endpoint['id']}/test"
    for _ in range(WEBHOOK_TESTS.limit):
        assert member.call("POST", path).status_code == 202
        hooks.deliver()
    refused = member.call("POST", path)
    assert (refused.status_code, refused.json and refused.json["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 0
    hooks.clock.advance(timedelta(hours=1, seconds=1))
    assert member.call("POST", path).status_code == 202
