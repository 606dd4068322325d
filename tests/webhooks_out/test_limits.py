"""Limits of what one member makes the deliveries do: rows, and a share of the threads."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from creditapp import jobs
from creditapp.clock import rfc3339
from creditapp.db import transaction
from creditapp.rate_limits import WEBHOOK_ADDRESSES, WEBHOOK_RESENDS, WEBHOOK_TESTS
from creditapp.runtime import tasks
from creditapp.webhooks_out import WebhookDelivery, WebhookEndpoint, limits, log, outgoing, runs
from creditapp.webhooks_out.log import ATTEMPTS_MAX
from tests.api.contract import Program
from tests.app_factory import Person
from tests.webhooks_out.hooks import PATH, Hooks, queue_again
from tests.webhooks_out.receiver import Receiver
from tests.webhooks_out.test_events import charge


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


def test_a_member_sends_some_test_events_in_an_hour_whatever_they_delete(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    member = Program(alice)
    for number in range(WEBHOOK_TESTS.limit):
        if number % 10 == 0:
            endpoint = hooks.endpoint(alice, receiver, "credits.spent")
        path = f"{PATH}/{endpoint['id']}"
        assert member.call("POST", f"{path}/test").status_code == 202
        hooks.deliver()
        if number % 10 == 9:
            assert member.call("DELETE", path).status_code == 204
    endpoint = hooks.endpoint(alice, receiver, "credits.spent")
    path = f"{PATH}/{endpoint['id']}/test"
    refused = member.call("POST", path)
    assert (refused.status_code, refused.json and refused.json["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 0
    hooks.clock.advance(timedelta(hours=1, seconds=1))
    assert member.call("POST", path).status_code == 202


def test_a_member_enters_some_addresses_in_an_hour(alice: Person) -> None:
    member = Program(alice)
    body = {"url": "https://hooks.example.com/0", "events": ["credits.spent"]}
    made = member.call("POST", PATH, body).json
    assert made is not None
    path = f"{PATH}/{made['id']}"
    for number in range(1, WEBHOOK_ADDRESSES.limit):
        changed = member.call("PATCH", path, {"url": f"https://hooks.example.com/{number}"})
        assert changed.status_code == 200
    assert member.call("POST", PATH, body).status_code == 429
    assert member.call("PATCH", path, {"url": "https://hooks.example.com/x"}).status_code == 429
    assert member.call("PATCH", path, {"description": "the same address"}).status_code == 200
    assert member.call("DELETE", path).status_code == 204
    assert member.call("POST", PATH, body).status_code == 429


def test_a_member_sends_some_events_again_in_an_hour(
    alice: Person, hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_RESENDS", replace(WEBHOOK_RESENDS, limit=2))
    endpoint = hooks.endpoint(alice, receiver, "credits.spent")
    member, path = Program(alice), f"{PATH}/{endpoint['id']}"
    sent = member.call("POST", f"{path}/test").json
    assert sent is not None
    again = f"{path}/deliveries/{sent['id']}/redeliver"
    statuses = [member.call("POST", again).status_code for _ in range(3)]
    assert statuses == [202, 202, 429]


def test_a_busy_endpoint_gets_a_bounded_number_of_requests_from_each_sweep(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    for _ in range(runs.ATTEMPTS_MAX + 5):
        queue_again(hooks, endpoint)
    hooks.deliver()
    assert len(receiver.ids) == runs.ATTEMPTS_MAX
    hooks.deliver()
    assert len(set(receiver.ids)) == runs.ATTEMPTS_MAX + 5


def test_an_endpoint_that_fails_is_called_less_and_less_whatever_waits_for_it(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    """The third party behind a wrong address gets a few requests an hour."""
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    for _ in range(60):
        queue_again(hooks, endpoint)
    receiver.status = 404
    counts = []
    for _ in range(3):
        before = len(receiver.ids)
        for _ in range(360):
            hooks.deliver(timedelta(seconds=10))
        counts.append(len(receiver.ids) - before)
    assert counts[0] <= 25
    assert counts[1] <= 6
    assert counts[2] <= 6
    receiver.status = 204
    hooks.deliver(runs.PAUSE_MAX)
    hooks.deliver()
    assert len(set(receiver.ids)) > 2 * runs.ATTEMPTS_MAX, "what waited follows at once"


def test_a_test_event_is_sent_at_once_before_what_waits_for_an_endpoint_that_fails(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    for _ in range(40):
        queue_again(hooks, endpoint)
    receiver.status = 500
    for _ in range(30):
        hooks.deliver(timedelta(seconds=30))
    receiver.status = 204
    hooks.deliver(timedelta(seconds=1))
    count = len(receiver.ids)
    path = f"{PATH}/{endpoint['id']}"
    sent = alice.call("POST", f"{path}/test").json
    hooks.deliver()
    assert receiver.ids[count] == sent["id"]
    assert len(receiver.ids) == count + runs.ATTEMPTS_MAX, "the others follow"


def test_the_log_tells_the_end_of_a_pause_as_the_next_attempt(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    for _ in range(3):
        queue_again(hooks, endpoint)
    receiver.status, receiver.headers = 429, {"Retry-After": "600"}
    hooks.deliver()
    until = hooks.clock.now() + timedelta(seconds=600)
    assert {each["nextAttemptAt"] for each in hooks.log(alice, endpoint)} == {rfc3339(until)}


def test_beyond_many_that_wait_an_event_is_not_sent_until_its_member_asks(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "WAITING_MAX", 2)
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    receiver.status = 500
    with app.app_context(), transaction() as session:
        owner = session.get_one(WebhookEndpoint, endpoint["id"]).user_id
        for number in range(4):
            outgoing.queue(
                session, owner, "credits.low", {}, f"low-{number}", now=hooks.clock.now()
            )
    sent = hooks.log(alice, endpoint)
    assert [each["state"] for each in sent] == ["not_sent", "not_sent", "pending", "pending"]
    assert sent[0]["nextAttemptAt"] is None
    page = alice.page(f"/settings/webhooks/{endpoint['id']}")
    assert "events are waiting" in page.one(".webhook-state").text
    assert "Not sent, because too many were waiting" in page.all(".webhook-delivery")[0].text
    receiver.status = 204
    hooks.deliver()
    assert len(receiver.ids) == 2
    page = alice.page(f"/settings/webhooks/{endpoint['id']}")
    assert not page.all(".webhook-state")
    again = page.all('.webhook-delivery form[action$="/redeliver"]')[0]["action"]
    assert alice.post(again).status_code == 303
    queue_again(hooks, endpoint)
    hooks.deliver()
    assert set(receiver.ids) == {sent[0]["id"], sent[2]["id"], sent[3]["id"], receiver.ids[-1]}
    states = [each["state"] for each in hooks.log(alice, endpoint)]
    assert states == ["delivered", "delivered", "not_sent", "delivered", "delivered"]


def test_charges_wait_in_the_ledger_while_many_wait_for_an_endpoint_and_none_is_lost(
    alice: Person,
    charlie: Person,
    hooks: Hooks,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The events of other members are queued meanwhile, however many endpoints are full."""
    monkeypatch.setattr(outgoing, "HISTORY_WAITING_MAX", 2)
    monkeypatch.setattr(outgoing, "_ENTRIES", 1)
    monkeypatch.setattr(outgoing, "_ENDPOINTS", 1)
    receiver.status = 500
    endpoint = hooks.endpoint(alice, receiver, "credits.spent")
    other = hooks.endpoint(charlie, receiver, "credits.spent")
    receiver.secret = ""  # of neither
    for _ in range(5):
        charge(alice, 0.5)
    for _ in range(4):
        hooks.deliver()
    assert len(hooks.log(alice, endpoint)) == 2
    charge(charlie, 0.5)
    hooks.deliver()
    assert len(hooks.log(charlie, other)) == 1
    receiver.status = 204
    for _ in range(10):
        hooks.deliver(timedelta(minutes=1))
    sent = hooks.log(alice, endpoint)
    assert [each["state"] for each in sent] == ["delivered"] * 5
    assert len({each["id"] for each in sent} & set(receiver.ids)) == 5
