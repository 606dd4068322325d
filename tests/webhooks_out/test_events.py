"""Events: each is sent for its cause alone, once, in the shape that the page documents."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta

import pytest
from flask import Flask

from creditapp import accounts, ledger
from creditapp.clock import StoppedClock, now
from creditapp.db import transaction
from creditapp.generation.providers import GenerationFailed, Providers
from creditapp.runtime import tasks
from creditapp.services import provide
from creditapp.webhooks_out import EVENTS
from creditapp.webhooks_out.events import TEST
from tests.api.contract import Program
from tests.app_factory import Person, Queue
from tests.generation.studio import Scripted
from tests.payments.plan_shop import PlanShop
from tests.shop_app import ShopApp
from tests.web.steps import make, queries, submit
from tests.webhooks_out.examples import check_shape, documented
from tests.webhooks_out.hooks import PATH, Hooks
from tests.webhooks_out.receiver import Receiver

CREDIT = 1_000_000


def charge(person: Person, count: float, *, low: int = 0) -> ledger.Charge:
    """Spend a person's credits at once."""
    with person.app.app_context(), transaction() as session:
        user = accounts.find_by_email(session, person.email)
        assert user is not None
        connection = session.connection()
        new = ledger.NewCharge(
            amount_micro=int(count * CREDIT),
            key=secrets.token_hex(8),
            digest="",
            operation="text-to-image",
            actor=user.id,
            low_micro=low * CREDIT,
        )
        wallet_id = ledger.ensure_wallet(connection, "user", user.id, now=now())
        return ledger.spend(connection, wallet_id, new, now=now())


def give(person: Person, count: int, ends_in: timedelta) -> None:
    """Give a person credits."""
    with person.app.app_context(), transaction() as session:
        user = accounts.find_by_email(session, person.email)
        assert user is not None
        connection = session.connection()
        new = ledger.NewGrant(
            amount_micro=count * CREDIT,
            source="promotion",
            origin=f"promotion:{secrets.token_hex(8)}",
            expires_at=now() + ends_in,
        )
        wallet_id = ledger.ensure_wallet(connection, "user", user.id, now=now())
        assert ledger.grant(connection, wallet_id, new, now=now())


def test_the_page_documents_every_event() -> None:
    assert set(documented()) == {*EVENTS, TEST}


def test_a_charge_and_a_grant_are_told_to_the_microcredit(
    alice: Person, hooks: Hooks, receiver: Receiver, clock: StoppedClock
) -> None:
    charge(alice, 1)  # before there was an endpoint
    hooks.endpoint(alice, receiver, "credits.spent", "credits.granted")
    charge(alice, 0.000001)
    clock.advance(timedelta(seconds=1))
    give(alice, 7, timedelta(days=90))
    clock.advance(timedelta(seconds=1))
    charge(alice, 0.5)
    hooks.deliver()
    assert receiver.types() == ["credits.spent", "credits.granted", "credits.spent"]
    assert '"amount":0.000001,' in receiver.bodies[0]
    first, granted, last = (event["data"] for event in receiver.received)
    assert granted["amount"] == 7
    assert granted["source"] == "promotion"
    assert (last["amount"], last["balanceAfter"]) == (0.5, 55.499999)
    history = Program(alice).get("/api/credits/transactions")["items"]
    assert [first["id"], granted["id"], last["id"]] == [line["id"] for line in history[2::-1]]
    for event in receiver.received:
        check_shape(event)
    hooks.deliver()
    assert len(receiver.received) == 3


def test_a_hold_tells_its_capture_and_nothing_when_it_is_released(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    hooks.endpoint(alice, receiver, "credits.spent", "credits.granted")
    program = Program(alice)
    key = KeyOf(alice)
    for amount, end in ((4, {"amount": 1.5}), (3, None)):
        hold = key.call("/api/credits/holds", {"amount": amount, "feature": "export"})
        if end:
            key.call(f"/api/credits/holds/{hold['id']}/capture", end)
        else:
            key.call(f"/api/credits/holds/{hold['id']}/release", {})
    hooks.deliver()
    (event,) = receiver.received
    check_shape(event)
    assert (event["data"]["amount"], event["data"]["feature"]) == (1.5, "export")
    assert event["data"]["apiKeyId"] == program.get("/api/keys")["items"][0]["id"]


class KeyOf:
    """A person's API key that may spend."""

    def __init__(self, person: Person) -> None:
        self.client = person.app.test_client()
        body = {"name": "Builder", "scopes": ["read", "spend"]}
        self.key = person.call("POST", "/api/keys", body).json["key"]

    def call(self, path: str, body: dict[str, object]) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": secrets.token_hex(8)}
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        made: dict[str, str] = answer.json
        return made


def test_a_low_balance_and_expiring_credits_are_told_beside_their_emails(
    app: Flask, alice: Person, hooks: Hooks, receiver: Receiver, clock: StoppedClock
) -> None:
    hooks.endpoint(alice, receiver, "credits.low", "credits.expiring")
    alice.post("/settings/notifications", {})  # no emails: the webhooks come all the same
    give(alice, 5, timedelta(days=40))
    clock.advance(timedelta(days=33))
    for count in (0, 50, 0):
        if count:
            charge(alice, count, low=10)
        for _ in range(2):
            with app.app_context():
                tasks.warn_of_expiry()
                tasks.warn_low_balance()
            hooks.deliver()
    assert sorted(receiver.types()) == ["credits.expiring", "credits.low"]
    by_type = {event["type"]: event["data"] for event in receiver.received}
    assert by_type["credits.low"] == {"balance": 5, "threshold": 10}
    assert (by_type["credits.expiring"]["days"], by_type["credits.expiring"]["total"]) == (7, 5)
    for event in receiver.received:
        check_shape(event)


def test_a_purchase_is_told_when_paid_and_when_refunded_each_once(
    shop_app: ShopApp, hooks: Hooks, receiver: Receiver
) -> None:
    buyer = shop_app.person()
    user = shop_app.user_of(buyer)
    hooks.endpoint(buyer, receiver, "purchase.paid", "purchase.refunded", "credits.granted")
    purchase = shop_app.start_checkout(user)
    shop_app.sync(purchase)
    hooks.deliver()
    assert receiver.received == [], "nothing is paid yet"
    shop_app.pay(purchase)
    for _ in range(2):
        shop_app.deliver(purchase)
        shop_app.sync(purchase)
    hooks.deliver()
    assert sorted(receiver.types()) == ["credits.granted", "purchase.paid"]
    shop_app.refund(purchase, "4.99")
    for _ in range(2):
        shop_app.deliver(purchase)
    hooks.deliver()
    assert receiver.types()[2:] == ["purchase.refunded"]
    paid = next(event for event in receiver.received if event["type"] == "purchase.paid")
    refunded = receiver.received[2]
    assert (paid["data"]["totalMinor"], paid["data"]["refundedMinor"]) == (1499, 0)
    assert refunded["data"]["refundedMinor"] == 499
    assert refunded["data"]["id"] == paid["data"]["id"] == purchase.id
    for event in receiver.received:
        check_shape(event)


def test_a_plan_is_told_when_it_begins_is_canceled_and_renews(
    shop_app: ShopApp, hooks: Hooks, receiver: Receiver
) -> None:
    plans, buyer = PlanShop(shop_app), shop_app.person()
    hooks.endpoint(buyer, receiver, "subscription.changed")
    subscription = plans.subscribe(shop_app.user_of(buyer))
    for _ in range(2):
        plans.sync(subscription)
    hooks.deliver()
    (began,) = receiver.received
    check_shape(began)
    assert (began["data"]["status"], began["data"]["planId"]) == ("active", "basic")
    plans.pass_months(subscription, 1)
    hooks.deliver()
    assert len(receiver.received) == 2
    assert receiver.received[1]["data"]["periodEnd"] > began["data"]["periodEnd"]
    shop_app.gateway.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    plans.sync(subscription)
    hooks.deliver()
    assert receiver.received[2]["data"]["cancelAt"] is not None
    assert len({*receiver.ids}) == 3


def test_a_generation_is_told_when_it_succeeds_or_fails_and_not_when_it_is_canceled(
    app: Flask, alice: Person, queue: Queue, hooks: Hooks, receiver: Receiver
) -> None:
    provider = Scripted()
    provide(app, Providers, Providers({}, offline=provider))
    hooks.endpoint(alice, receiver, "generation.succeeded", "generation.failed")
    made = make(alice, queue, "a harbour with secrets")
    provider.script = [GenerationFailed("No.", permanent=True)]
    failed = make(alice, queue)
    canceled = str(submit(alice, model="nano-banana").location)
    alice.post(f"{canceled}/cancel", {"next": "/"})
    queue.run()
    hooks.deliver()
    assert receiver.types() == ["generation.succeeded", "generation.failed"]
    ids = [event["data"]["id"] for event in receiver.received]
    assert [f"/generations/{id_}" for id_ in ids] == [made, failed]
    assert receiver.received[1]["data"]["errorCode"] == "generation_failed"
    assert receiver.received[1]["data"]["creditsUsed"] == 0
    for event, body in zip(receiver.received, receiver.bodies, strict=True):
        check_shape(event)
        assert "harbour" not in body
        assert json.loads(body)["data"]["url"].startswith("/api/generations/")


def test_only_its_member_and_what_was_chosen_reaches_an_endpoint(
    alice: Person, charlie: Person, queue: Queue, hooks: Hooks, receiver: Receiver
) -> None:
    hooks.endpoint(alice, receiver, "credits.low")
    make(alice, queue)
    make(charlie, queue)
    charge(charlie, 45, low=10)
    with hooks.app.app_context():
        tasks.warn_low_balance()
    hooks.deliver()
    assert receiver.received == []


def test_an_endpoint_that_was_off_hears_nothing_of_that_time(
    alice: Person, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.spent", enabled=False)
    path = f"{PATH}/{endpoint['id']}"
    charge(alice, 1)
    hooks.deliver()
    assert alice.call("PATCH", path, {"enabled": True}).json["enabled"] is True
    charge(alice, 2)
    hooks.deliver()
    assert [event["data"]["amount"] for event in receiver.received] == [2]
    alice.call("PATCH", path, {"events": ["credits.low"]})
    charge(alice, 3)
    hooks.deliver()
    alice.call("PATCH", path, {"events": ["credits.spent", "credits.low"]})
    charge(alice, 4)
    hooks.deliver()
    assert [event["data"]["amount"] for event in receiver.received] == [2, 4]


def test_spending_asks_the_database_no_more_with_a_listener_than_without(
    app: Flask, alice: Person, charlie: Person, hooks: Hooks, receiver: Receiver
) -> None:
    hooks.endpoint(alice, receiver, "credits.spent")
    asked = []
    for person in (alice, charlie):
        charge(person, 1)
        with queries(app) as seen:
            charge(person, 1)
        assert not any("webhook" in statement for statement in seen)
        asked.append(len(seen))
    assert asked[0] == asked[1]


def test_a_generation_asks_once_whether_anybody_listens(
    app: Flask, alice: Person, queue: Queue
) -> None:
    with queries(app) as seen:
        make(alice, queue)
    assert sum("webhook" in statement for statement in seen) == 1


def test_many_entries_are_all_told_in_their_order(
    alice: Person,
    hooks: Hooks,
    receiver: Receiver,
    clock: StoppedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("creditapp.webhooks_out.outgoing._ENTRIES", 3)
    hooks.endpoint(alice, receiver, "credits.spent")
    for _ in range(8):
        clock.advance(timedelta(seconds=1))
        charge(alice, 1)
    for _ in range(3):
        hooks.deliver()
    assert [event["data"]["balanceAfter"] for event in receiver.received] == [*range(49, 41, -1)]
