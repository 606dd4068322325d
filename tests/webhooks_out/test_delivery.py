"""Delivery: signed, at least once and under one id, retried, logged, and stopped at last."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select
from standardwebhooks import Webhook, WebhookVerificationError

from creditapp.clock import StoppedClock
from creditapp.db import snapshot, transaction
from creditapp.jobs.registry import handlers
from creditapp.runtime import tasks
from creditapp.webhooks_out import runs, transport
from creditapp.webhooks_out.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from tests.app_factory import Outbox, Person, Queue
from tests.web.steps import make
from tests.webhooks_out.hooks import PATH, Hooks, queue_again
from tests.webhooks_out.receiver import Json, Receiver

HOUR = timedelta(hours=1)


def send_test(person: Person, endpoint: Json) -> str:
    """Queue a test event; return the delivery's id."""
    answer = person.call("POST", f"{PATH}/{endpoint['id']}/test")
    assert answer.status_code == 202, answer.text
    return str(answer.json["id"])


def one_log(hooks: Hooks, person: Person, endpoint: Json) -> Json:
    """Return the only delivery to an endpoint."""
    (delivery,) = hooks.log(person, endpoint)
    return delivery


def test_a_generation_is_told_to_the_server_that_asked_for_it(
    alice: Person, queue: Queue, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "generation.succeeded")
    path = make(alice, queue, "a secret harbour")
    hooks.deliver()
    (event,) = receiver.received
    assert event["type"] == "generation.succeeded"
    assert event["data"]["id"] == path.rpartition("/")[2]
    assert event["data"]["creditsUsed"] == 0.5
    assert "secret harbour" not in receiver.bodies[0]
    delivery = one_log(hooks, alice, endpoint)
    assert (delivery["id"], delivery["state"]) == (receiver.ids[0], "delivered")
    assert [attempt["status"] for attempt in delivery["attempts"]] == [204]
    hooks.deliver()
    assert len(receiver.received) == 1


def test_a_receiver_that_fails_gets_the_same_event_again_for_a_day(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    receiver.status = 500
    sent = send_test(alice, endpoint)
    begun, waits = hooks.clock.now(), []
    hooks.deliver()
    while (delivery := one_log(hooks, alice, endpoint))["state"] == "pending":
        before = hooks.clock.now()
        while len(receiver.ids) == len(delivery["attempts"]):
            hooks.deliver(max(timedelta(seconds=1), (hooks.clock.now() - before) / 50))
        waits.append(hooks.clock.now() - before)
    assert set(receiver.ids) == {sent}
    assert set(receiver.bodies) == {receiver.bodies[0]}
    assert len(receiver.ids) == len(runs.RETRIES) + 1 == 9
    for wait, planned in zip(waits, runs.RETRIES, strict=True):
        assert planned * 0.8 <= wait <= planned * 1.3
    assert timedelta(hours=18) < hooks.clock.now() - begun < timedelta(hours=30)
    assert delivery["state"] == "failed"
    assert [attempt["number"] for attempt in delivery["attempts"]] == [*range(1, 10)]
    assert {attempt["status"] for attempt in delivery["attempts"]} == {500}
    hooks.deliver(48 * HOUR)
    assert len(receiver.ids) == 9


def test_a_receiver_that_recovers_gets_what_it_missed_and_no_more(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    receiver.status = 503
    send_test(alice, endpoint)
    hooks.deliver()
    receiver.status = 200
    hooks.deliver(timedelta(seconds=4))
    assert len(receiver.ids) == 1, "it is not due yet"
    hooks.deliver(timedelta(seconds=10))
    hooks.deliver(24 * HOUR)
    assert len(receiver.ids) == 2
    delivery = one_log(hooks, alice, endpoint)
    assert delivery["state"] == "delivered"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [503, 200]
    listed = alice.call("GET", PATH).json["items"][0]
    assert listed["failingSince"] is None


def test_a_redirect_is_a_failure_and_is_not_followed(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    other = Receiver()
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    receiver.status, receiver.headers = 307, {"Location": other.url}
    send_test(alice, endpoint)
    hooks.deliver()
    (attempt,) = one_log(hooks, alice, endpoint)["attempts"]
    assert (attempt["status"], attempt["problem"]) == (307, "redirect")
    assert other.received == []
    other.close()


def test_no_proxy_of_the_environment_sees_a_webhook(
    alice: Person, hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    send_test(alice, endpoint)
    hooks.deliver()
    assert len(receiver.ids) == 1


def test_a_slow_answer_ends_after_its_time_however_it_drips(
    alice: Person, hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 0.5)
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    over = threading.Event()
    receiver.before = lambda: over.wait(10)
    send_test(alice, endpoint)
    started = time.monotonic()
    hooks.deliver()
    assert time.monotonic() - started < 5
    over.set()
    (attempt,) = one_log(hooks, alice, endpoint)["attempts"]
    assert (attempt["status"], attempt["problem"]) == (None, "timeout")
    assert 400 <= attempt["milliseconds"] < 4000


def test_headers_that_drip_end_with_the_deadline(
    alice: Person, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte arrives within the library's own timeout, and never the end of the headers."""
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 0.6)
    receiver, over = Dripping(), threading.Event()
    threading.Thread(target=receiver.drip, args=(over,), daemon=True).start()
    started = time.monotonic()
    outcome = transport.post(receiver.url, b"{}", {}, loopback=True)
    over.set()
    assert outcome.problem == "timeout"
    assert time.monotonic() - started < 3
    receiver.socket.close()


class Dripping:
    """A receiver that sends one byte of its headers after the other."""

    def __init__(self) -> None:
        import socket

        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"

    def drip(self, over: threading.Event) -> None:
        connection, _ = self.socket.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nx-long: ")
            while not over.wait(0.1):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return


def test_an_answer_is_read_only_so_far_and_kept_nowhere(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    send_test(alice, endpoint)
    hooks.deliver()
    with app.app_context(), snapshot() as session:
        columns = set(WebhookAttempt.__table__.columns.keys())
        assert session.scalar(select(func.count()).select_from(WebhookAttempt)) == 1
    assert columns == {"delivery_id", "number", "started_at", "milliseconds", "status", "problem"}


def test_a_hanging_receiver_delays_no_other_and_is_called_by_one_job(
    app: Flask, alice: Person, charlie: Person, hooks: Hooks, receiver: Receiver
) -> None:
    """The jobs run in threads, as they do in a worker."""
    hanging, over = Receiver(), threading.Event()
    hanging.before = lambda: over.wait(20)
    slow = hooks.endpoint(alice, hanging, "credits.low")
    hooks.endpoint(charlie, receiver, "credits.spent")
    send_test(alice, slow)
    for _ in range(5):
        queue_again(hooks, slow)
    send_test(charlie, charlie.call("GET", PATH).json["items"][0])
    with app.app_context():
        tasks.sweep_webhooks()
    jobs = [job for job in hooks.queue.waiting if job[0] == "webhooks"]
    hooks.queue.waiting.clear()
    assert len(jobs) == 2, "one for each endpoint"

    def work(row_id: str) -> None:
        with app.app_context():
            handlers["webhooks"].work(row_id)

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(work, row_id) for _, row_id in jobs]
        receiver.wait_for(1)
        hanging.wait_for(1)
        assert not all(future.done() for future in done)
        with app.app_context():
            tasks.sweep_webhooks()
        assert "webhooks" not in dict(hooks.queue.waiting), "its lease holds, nobody else calls it"
        over.set()
        for future in done:
            future.result()
    hanging.close()


def test_a_failure_ends_the_run_and_the_rest_follows_when_it_recovers(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    for _ in range(5):
        queue_again(hooks, endpoint)
    receiver.status = 500
    hooks.deliver()
    assert len(receiver.ids) == 1
    receiver.status = 200
    hooks.deliver(timedelta(seconds=6))
    assert len(set(receiver.ids)) == 5
    hooks.deliver(timedelta(seconds=10))
    assert len(receiver.ids) == 6


def test_a_delivery_is_sent_again_under_its_id_and_its_body(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    sent = send_test(alice, endpoint)
    hooks.deliver()
    answer = alice.call("POST", f"{PATH}/{endpoint['id']}/deliveries/{sent}/redeliver")
    assert (answer.status_code, answer.json["state"]) == (202, "pending")
    hooks.deliver()
    assert receiver.ids == [sent, sent]
    assert receiver.bodies[0] == receiver.bodies[1]
    delivery = one_log(hooks, alice, endpoint)
    assert [attempt["number"] for attempt in delivery["attempts"]] == [1, 2]


def test_after_a_rotation_both_secrets_verify_for_a_day(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    old, path = endpoint["secret"], f"{PATH}/{endpoint['id']}"
    receiver.secret = ""  # verified below, with both
    kept: list[tuple[dict[str, str], str]] = []
    receiver.take = lambda headers, body: kept.append((headers, body))  # type: ignore[method-assign]  # for this test
    new = alice.call("POST", f"{path}/rotate").json["secret"]
    send_test(alice, endpoint)
    hooks.deliver()
    headers, body = kept[-1]
    assert headers["webhook-signature"].count("v1,") == 2
    for secret in (old, new):
        assert Webhook(secret).verify(body, headers)["type"] == "webhook.test"
    hooks.clock.advance(24 * HOUR)
    send_test(alice, endpoint)
    hooks.deliver()
    headers, body = kept[-1]
    assert Webhook(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(body, headers)


def test_days_of_failure_switch_it_off_with_one_email(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver, outbox: Outbox
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low", description="Builder")
    receiver.status = 500
    for _ in range(4):
        send_test(alice, endpoint)
        for _ in range(40):
            hooks.deliver(HOUR)
        if not alice.call("GET", PATH).json["items"][0]["enabled"]:
            break
    (listed,) = alice.call("GET", PATH).json["items"]
    assert (listed["enabled"], listed["disabledReason"]) == (False, "failing")
    with app.app_context():
        tasks.sweep_emails()
    emails = [email for email in outbox.sent if email.event == "webhook_stopped"]
    assert [email.to for email in emails] == ["alice@example.com"]
    assert "127.0.0.1" in emails[0].text
    assert f"/settings/webhooks/{endpoint['id']}" in emails[0].text
    assert "Switched off" in alice.page("/settings/webhooks").one(".webhook-endpoint").text
    assert {each["state"] for each in hooks.log(alice, endpoint)} == {"failed"}
    count = len(receiver.ids)
    refused = alice.call("POST", f"{PATH}/{endpoint['id']}/test")
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    hooks.deliver(HOUR)
    assert len(receiver.ids) == count
    alice.call("PATCH", f"{PATH}/{endpoint['id']}", {"enabled": True})
    receiver.status = 200
    send_test(alice, endpoint)
    hooks.deliver()
    assert len(receiver.ids) == count + 1


def test_an_answer_that_it_is_gone_switches_it_off_at_once(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver, outbox: Outbox
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    receiver.status = 410
    send_test(alice, endpoint)
    hooks.deliver()
    (listed,) = alice.call("GET", PATH).json["items"]
    assert (listed["enabled"], listed["disabledReason"]) == (False, "gone")
    with app.app_context():
        tasks.sweep_emails()
    assert [email.event for email in outbox.sent].count("webhook_stopped") == 1


def test_a_secret_that_cannot_be_read_is_a_failure_that_a_rotation_ends(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    with app.app_context(), transaction() as session:
        session.get_one(WebhookEndpoint, endpoint["id"]).encrypted_secret = "damaged"
    send_test(alice, endpoint)
    hooks.deliver()
    assert one_log(hooks, alice, endpoint)["attempts"][0]["problem"] == "secret_unreadable"
    answer = alice.call("POST", f"{PATH}/{endpoint['id']}/rotate")
    receiver.secret = answer.json["secret"]
    hooks.deliver(timedelta(seconds=15))
    assert one_log(hooks, alice, endpoint)["state"] == "delivered"
    assert receiver.signatures[0].count("v1,") == 1


def test_an_endpoint_that_is_deleted_during_its_call_leaves_nothing(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    receiver.before = lambda: alice.call("DELETE", f"{PATH}/{endpoint['id']}")
    send_test(alice, endpoint)
    hooks.deliver()
    assert len(receiver.ids) == 1
    assert rows_left(app) == [0, 0, 0]


def test_a_deleted_account_leaves_no_endpoint_no_log_and_nothing_that_waits(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    receiver.status = 500
    send_test(alice, endpoint)
    hooks.deliver()
    assert rows_left(app) == [1, 1, 1]
    answer = alice.post("/settings/delete", {"current_password": "correct horse battery"})
    assert answer.status_code == 303, answer.text
    assert rows_left(app) == [0, 0, 0]
    hooks.deliver(HOUR)
    assert len(receiver.ids) == 1


def rows_left(app: Flask) -> list[int]:
    """Return how many endpoints, deliveries and attempts are stored."""
    with app.app_context(), snapshot() as session:
        return [
            session.scalars(select(func.count()).select_from(model)).one()
            for model in (WebhookEndpoint, WebhookDelivery, WebhookAttempt)
        ]


def test_the_log_is_kept_for_a_week(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver, clock: StoppedClock
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    send_test(alice, endpoint)
    hooks.deliver()
    clock.advance(timedelta(days=6))
    queue_again(hooks, endpoint)
    with app.app_context():
        tasks.forget()
    assert rows_left(app) == [1, 2, 1]
    clock.advance(timedelta(days=2))
    with app.app_context():
        tasks.forget()
    assert rows_left(app) == [1, 1, 0]
    clock.advance(timedelta(days=7))
    with app.app_context():
        tasks.forget()
    assert rows_left(app) == [1, 1, 0], "what waits is not lost"
    hooks.deliver()
    assert json.loads(receiver.bodies[-1])["type"] == "credits.low"


def test_a_run_that_was_replaced_sends_nothing(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    """A worker that froze wakes after its lease, when the sweep has started another run."""
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    send_test(alice, endpoint)
    with app.app_context():
        tasks.sweep_webhooks()
    (frozen,) = [job for job in hooks.queue.waiting if job[0] == "webhooks"]
    hooks.queue.waiting.clear()
    hooks.deliver(timedelta(minutes=3))
    assert len(receiver.ids) == 1
    queue_again(hooks, endpoint)
    with app.app_context():
        handlers["webhooks"].work(frozen[1])
    assert len(receiver.ids) == 1
    hooks.deliver()
    assert len(receiver.ids) == 2
