"""Stripe webhooks: stored once, retried until done; other applications' events are ignored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from creditapp.db import snapshot
from creditapp.payments import webhooks
from creditapp.payments.webhooks import StripeEvent
from tests.flaky_gateway import cut
from tests.shop_app import COMPLETED, CREATOR, Json, ShopApp, values


def state(shop_app: ShopApp, event: Json) -> str:
    stored = shop_app.stored_event(event)
    assert stored
    return stored.state


def fake_event(number: str, kind: str, thing: Json, **more: Any) -> Json:
    """Return an event that the sandbox never sent."""
    return {
        "id": f"evt_{number}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_795_000_000,
        "livemode": False,
        "type": kind,
        "data": {"object": thing},
        **more,
    }


def test_a_repeated_event_is_stored_once(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    event = shop_app.event(purchase, COMPLETED)
    answers = values(shop_app.at_once(*[lambda: shop_app.send(event).status_code] * 5))
    assert answers == [200] * 5
    with shop_app.app.app_context(), snapshot() as session:
        query = select(func.count()).where(StripeEvent.id == event["id"])
        assert session.execute(query).scalar_one() == 1
    assert state(shop_app, event) == "done"
    assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (1, CREATOR)


def test_an_event_is_retried_after_stripe_was_down(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    event = shop_app.event(purchase, COMPLETED)
    shop_app.flaky_gateway.before = cut("retrieve_checkout")
    assert shop_app.send(event).status_code == 200, "it is stored, so Stripe need not send it again"
    assert (state(shop_app, event), shop_app.credits(alice)) == ("received", 0)
    shop_app.sweep(after=timedelta(seconds=4))
    stored = shop_app.stored_event(event)
    assert stored
    assert (stored.attempts, stored.last_error) == (1, "GatewayError")

    shop_app.flaky_gateway.before = lambda name: None
    shop_app.sweep(after=timedelta(seconds=2))
    assert (state(shop_app, event), shop_app.credits(alice)) == ("done", CREATOR)


def test_an_event_a_day_late_is_processed(shop_app: ShopApp) -> None:
    """Stripe signs each retry anew, so an old event has a recent signature."""
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    event = shop_app.event(purchase, COMPLETED) | {"created": 1_700_000_000}
    shop_app.clock.advance(timedelta(days=1))
    assert shop_app.send(event).status_code == 200
    assert shop_app.credits(alice) == CREATOR


def test_an_event_of_an_unknown_purchase_is_retried_then_dead(shop_app: ShopApp) -> None:
    metadata = {"purchase_id": "pur_" + "0" * 26}
    thing = {"id": "cs_unknown", "object": "checkout.session", "metadata": metadata}
    event = fake_event(f"unknown_{shop_app.settings.database_url[:6]}", COMPLETED, thing)
    with capture_logs() as logs:
        assert shop_app.send(event).status_code == 200
        for attempts, seconds in enumerate(webhooks.RETRY_SECONDS, 1):
            stored = shop_app.stored_event(event)
            assert stored
            assert (stored.state, stored.attempts) == ("received", attempts)
            assert stored.next_try_at - shop_app.clock.now() == timedelta(seconds=seconds)
            shop_app.sweep(after=timedelta(seconds=seconds))
    assert state(shop_app, event) == "dead"
    (alarm,) = [each for each in logs if each["log_level"] == "error"]
    assert alarm["reason"] == "unknown purchase"


def test_an_event_before_its_purchase_is_processed_later(shop_app: ShopApp) -> None:
    """The event was stored before the purchase's commit was visible."""
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    event = shop_app.event(purchase, COMPLETED)
    real, webhooks.checkout.sync_purchase = webhooks.checkout.sync_purchase, _not_found  # type: ignore[assignment]
    try:
        assert shop_app.send(event).status_code == 200
    finally:
        webhooks.checkout.sync_purchase = real
    assert state(shop_app, event) == "received"
    shop_app.sweep(after=timedelta(seconds=6))
    assert (state(shop_app, event), shop_app.credits(alice)) == ("done", CREATOR)


def _not_found(*_args: object, **_given: object) -> None:
    from creditapp.errors import NotFound

    raise NotFound


@pytest.mark.parametrize(
    ("number", "kind", "thing"),
    [
        ("other_shop", COMPLETED, {"id": "cs_x", "metadata": {"purchase_id": "order 7"}}),
        ("long_mark", COMPLETED, {"id": "cs_y", "metadata": {"purchase_id": "pur_" + "x" * 490}}),
        ("no_mark", COMPLETED, {"id": "cs_z", "metadata": {}}),
        ("no_metadata", "payment_intent.succeeded", {"id": "pi_x", "metadata": None}),
        ("other_kind", "customer.created", {"id": "cus_x", "metadata": {"purchase_id": "pur_1"}}),
        ("new_kind", "v9.never.heard.of", {"id": "x"}),
        ("long_id", "customer.created", {"id": "c" * 255}),
        ("no_id", "balance.available", {}),
        ("other_mode", COMPLETED, {"id": "cs_live", "metadata": {"purchase_id": "MINE"}}),
    ],
)
def test_foreign_events_are_accepted_and_ignored(
    shop_app: ShopApp, number: str, kind: str, thing: Json
) -> None:
    purchase = shop_app.start_checkout(shop_app.member())
    if number == "other_mode":
        thing = {**thing, "metadata": {"purchase_id": purchase.id}}
    event = fake_event(number, kind, {"object": "thing", **thing}, livemode=number == "other_mode")
    assert shop_app.send(event).json == {"received": True}
    assert state(shop_app, event) == "ignored"
    assert shop_app.flaky_gateway.calls["retrieve_checkout"] == 0


def test_a_refund_of_a_foreign_payment_is_retried_for_a_minute_then_ignored(
    shop_app: ShopApp,
) -> None:
    thing = {"id": "re_x", "object": "refund", "metadata": {}, "payment_intent": "pi_not_ours"}
    event = fake_event("stray_refund", "refund.created", thing)
    with capture_logs() as logs:
        assert shop_app.send(event).status_code == 200
        for seconds in (5, 15, 60):
            assert state(shop_app, event) == "received"
            shop_app.sweep(after=timedelta(seconds=seconds))
    assert state(shop_app, event) == "ignored"
    assert not [each for each in logs if each["log_level"] == "error"]


@pytest.mark.parametrize("expanded", [False, True])
def test_an_event_finds_its_purchase_by_each_known_id(shop_app: ShopApp, expanded: bool) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.refund(purchase)
    intent: object = shop_app.payment_intent_id(purchase)
    if expanded:
        intent = {"id": intent, "object": "payment_intent"}
    thing = {"id": "re_y", "object": "refund", "metadata": {}, "payment_intent": intent}
    event = fake_event(f"by_intent_{expanded}", "refund.updated", thing)
    assert shop_app.send(event).status_code == 200
    assert (state(shop_app, event), shop_app.credits(alice)) == ("done", 0)


def test_one_failing_event_does_not_delay_the_others(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    first, second = shop_app.start_checkout(alice), shop_app.start_checkout(alice)
    shop_app.flaky_gateway.before = cut("retrieve_checkout")
    for purchase in (first, second):
        shop_app.pay(purchase)
        shop_app.deliver(purchase, COMPLETED)
    calls: list[str] = []

    def fail_first(name: str) -> None:
        calls.append(name)
        if len(calls) == 1:
            raise RuntimeError

    shop_app.flaky_gateway.before = fail_first
    with shop_app.app.app_context():
        shop_app.clock.advance(timedelta(seconds=6))
        webhooks.sweep_events()
    assert shop_app.credits(alice) == CREATOR
