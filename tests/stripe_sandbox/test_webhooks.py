"""Webhook deliveries: signatures, retries, repeated, late and dropped events, killed processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import stripe

from creditapp.stripe_sandbox import deliveries
from creditapp.stripe_sandbox.state import State
from tests.stripe_sandbox.sandbox_kit import SECRET, Sandbox, Shop, wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "RETRY_SECONDS", (0.05, 0.1, 0.1))
    monkeypatch.setattr(deliveries, "POLL_SECONDS", 0.05)


def test_webhooks_are_signed_as_stripe_signs_them(sandbox: Sandbox, shop: Shop) -> None:
    sandbox.deliver()
    session = sandbox.open_checkout()
    sandbox.pay(session.id)

    (received,) = shop.wait_for("checkout.session.completed")

    event = stripe.Webhook.construct_event(received.body, received.signature, SECRET)
    assert event.data.object.id == session.id
    assert event.data.object.metadata["purchase_id"] == "pur_1"
    assert event.livemode is False
    for body, secret in ((received.body + b" ", SECRET), (received.body, "whsec_other")):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, received.signature, secret)


def test_a_failed_delivery_is_retried(sandbox: Sandbox, shop: Shop) -> None:
    shop.answers.extend([500, 302, 200])
    sandbox.deliver()
    sandbox.stripe.v1.customers.create({"email": "a@x.test"})
    tries = shop.wait_for("customer.created", 3)
    assert [each.answered for each in tries] == [500, 302, 200]
    assert len({each.event["id"] for each in tries}) == 1
    wait_until(lambda: "Delivered" in sandbox.get("/").text, "the log")
    time.sleep(0.3)
    assert len(shop.received) == 3, "delivered is done"


def test_a_delivery_fails_after_its_last_retry(sandbox: Sandbox, shop: Shop) -> None:
    shop.answers.extend([500] * 20)
    sandbox.deliver()
    sandbox.stripe.v1.customers.create({"email": "a@x.test"})
    wait_until(lambda: "Given up" in sandbox.get("/").text, "the end of the tries")
    assert len(shop.received) == 4


def test_an_admin_action_sends_an_event_again(sandbox: Sandbox, shop: Shop) -> None:
    sandbox.deliver()
    sandbox.stripe.v1.customers.create({"email": "a@x.test"})
    (first,) = shop.wait_for("customer.created")
    sandbox.press(f"/events/{first.event['id']}/send")
    second = shop.wait_for("customer.created", 2)[1]
    assert second.event["id"] == first.event["id"]
    assert "sent again" in sandbox.get(f"/events/{first.event['id']}").text


def test_an_admin_action_sends_an_event_late(sandbox: Sandbox, shop: Shop) -> None:
    sandbox.deliver()
    sandbox.stripe.v1.customers.create({"email": "a@x.test"})
    (first,) = shop.wait_for("customer.created")
    pressed = time.time()
    sandbox.press(f"/events/{first.event['id']}/send", delay="1")
    shop.wait_for("customer.created", 2)
    assert time.time() - pressed >= 1
    for wrong in ("99999", "-1", "²", "9" * 5000):
        answer = sandbox.press(f"/events/{first.event['id']}/send", delay=wrong)
        assert "refused" in answer.location, wrong


def test_held_webhooks_wait_until_they_are_released(sandbox: Sandbox, shop: Shop) -> None:
    sandbox.deliver()
    sandbox.press("/webhooks/mode", mode="hold")
    sandbox.stripe.v1.customers.create({"email": "a@x.test"})
    time.sleep(0.3)
    assert shop.received == []
    assert "1 held" in sandbox.get("/").text
    sandbox.press("/webhooks/deliver")
    shop.wait_for("customer.created")
    sandbox.stripe.v1.customers.create({"email": "b@x.test"})
    sandbox.press("/webhooks/mode", mode="send")
    shop.wait_for("customer.created", 2)


def test_dropped_webhooks_are_not_sent_but_the_event_is_stored(
    sandbox: Sandbox, shop: Shop
) -> None:
    sandbox.deliver()
    sandbox.press("/webhooks/mode", mode="drop")
    sandbox.stripe.v1.customers.create({"email": "a@x.test"})
    sandbox.press("/webhooks/mode", mode="send")
    sandbox.press("/webhooks/deliver")
    time.sleep(0.3)
    assert shop.received == []
    assert sandbox.event_types() == ["customer.created"]
    assert "refused" in sandbox.press("/webhooks/mode", mode="nonsense").location


def test_undelivered_events_are_delivered_after_a_restart(sandbox: Sandbox, shop: Shop) -> None:
    sandbox.stripe.v1.customers.create({"email": "a@x.test"})
    with State.of(sandbox.app).transaction() as store:
        # The state left by a process that was killed while sending.
        store.connection.execute("UPDATE deliveries SET state = 'sending', due_at = due_at + 999")
    sandbox.stop()
    assert shop.received == []
    sandbox.start()
    sandbox.deliver()
    shop.wait_for("customer.created")


def test_a_shop_receives_its_webhooks_after_downtime(sandbox: Sandbox, shop: Shop) -> None:
    State.of(sandbox.app).webhook_url = "http://127.0.0.1:9/nobody"
    sandbox.deliver()
    sandbox.stripe.v1.customers.create({"email": "a@x.test"})
    wait_until(lambda: "ConnectionRefused" in sandbox.get("/").text, "a failed try")
    State.of(sandbox.app).webhook_url = shop.url
    received = shop.wait_for("customer.created")
    assert received, "the webhook came when the shop was back"


_WRITER = """
import sys
from pathlib import Path
from creditapp.stripe_sandbox.objects import customer
from creditapp.stripe_sandbox.store import Database
database = Database(Path(sys.argv[1]))
while True:
    with database.transaction() as store:
        created = customer.create(store, {"email": "a@x.test"})
    print(created["id"], flush=True)
"""


def test_a_killed_process_loses_no_confirmed_object(tmp_path: Path, shop: Shop) -> None:
    path = tmp_path / "sandbox.sqlite"
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, cwd=ROOT
        )
        assert writer.stdout
        confirmed = [writer.stdout.readline().strip().decode() for _ in range(20)]
        os.kill(writer.pid, signal.SIGKILL)
        confirmed += [line.strip().decode() for line in writer.stdout if line.endswith(b"\n")]
        writer.wait()
        sandbox = Sandbox(path, shop)
        with State.of(sandbox.app).transaction() as store:
            known = {each["id"] for each in store.find("customer", limit=10**6)}
            told = store.find("event", limit=10**6)
            posted = store.connection.execute("SELECT count(*) FROM deliveries").fetchone()[0]
        sandbox.stop()
        assert set(confirmed) <= known
        assert len(known) == len(told) == posted, "an object, its event and its post are one"
