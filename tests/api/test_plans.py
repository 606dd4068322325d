"""Plans by JSON, for a guest, for a member on Free, and for a subscriber."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from tests.api.contract import Program
from tests.app_factory import Person
from tests.flaky_gateway import cut
from tests.payments.plan_shop import PlanShop
from tests.shop_app import ShopApp
from tests.web.checkout import find_purchase

SAME = {"Sec-Fetch-Site": "same-origin"}
UPGRADE = "/api/upgrade-plan"
CHECKOUT = "/api/billing/checkout-session"


def post(person: Person, path: str, body: dict[str, Any], **headers: str) -> Any:
    return person.browser.post(path, json=body, headers={**SAME, **headers})


def test_a_guest_sees_the_plans(app: Flask) -> None:
    answer = app.test_client().get("/api/plans").json
    assert [plan["id"] for plan in answer["plans"]] == ["free", "basic", "premium"]
    assert answer["currentPlan"] is None
    premium = answer["plans"][2]
    assert premium["month"] == {"price": 29, "priceMinor": 2900}
    assert premium["yearSaving"] == {"price": 58, "priceMinor": 5800}
    assert answer["plans"][1]["yearSaving"] is None
    assert answer["plans"][1]["yearSurcharge"] == {"price": 30, "priceMinor": 3000}


def test_a_member_sees_their_own_plan(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    answer = alice.browser.get("/api/plans").json
    assert (answer["currentPlan"]["id"], answer["balance"]) == ("free", 50)
    has = alice.browser.get("/api/me/entitlements").json
    assert has["plan"]["status"] == "free"
    assert has["credits"] == {"balance": 50, "held": 0, "owed": 0, "lifetimeSpent": 0}
    assert "text-to-image" in has["features"]
    assert has["subscriptions"] == []


def test_guests_have_no_entitlements_and_no_portal(app: Flask) -> None:
    guest = app.test_client()
    assert guest.get("/api/me/entitlements").status_code == 401
    assert guest.get("/api/billing/portal-link").status_code == 401
    sent = guest.post("/api/upgrade-plan", json={"planId": "basic"}, headers=SAME)
    assert sent.status_code == 401


def test_bad_bodies_are_refused_by_field(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    for body, status in (
        ({}, 422),
        ({"planId": 7}, 422),
        ({"planId": "gold"}, 404),
        ({"planId": "basic", "cycle": "week"}, 422),
        ({"planId": "basic", "seats": True}, 422),
        ({"planId": "basic", "seats": 2}, 422),
        ({"planId": "free"}, 409),
    ):
        assert post(alice, "/api/upgrade-plan", body).status_code == status, body
    for body in ({}, {"packId": "pro", "planId": "basic"}, {"planId": "basic", "cycle": "x"}):
        assert post(alice, "/api/billing/checkout-session", body).status_code == 422, body


def test_a_key_opens_one_checkout(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    first = post(alice, "/api/upgrade-plan", {"planId": "basic"}, **{"Idempotency-Key": "one"})
    again = post(alice, "/api/upgrade-plan", {"planId": "basic"}, **{"Idempotency-Key": "one"})
    assert first.json == again.json
    assert first.json["outcome"] == "checkout"
    assert again.headers["Idempotent-Replayed"] == "true"
    other = post(alice, "/api/upgrade-plan", {"planId": "premium"}, **{"Idempotency-Key": "one"})
    assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused")


def test_a_plan_is_bought_and_changed_by_json(shop_app: ShopApp) -> None:
    plans = PlanShop(shop_app)
    alice = shop_app.person()
    sent = post(alice, "/api/billing/checkout-session", {"planId": "basic", "cycle": "year"})
    assert sent.status_code == 200
    shop_app.press(f"/pay/{sent.json['id']}", card="succeeds", email="alice@example.com")
    shop_app.sweep()
    plans.shop_app.sweep(timedelta(minutes=2))
    has = alice.browser.get("/api/me/entitlements").json
    assert (has["plan"]["id"], has["plan"]["cycle"]) == ("basic", "year")
    assert has["credits"]["balance"] == 550
    assert len(has["subscriptions"]) == 1
    refused = post(alice, "/api/billing/checkout-session", {"planId": "premium"})
    assert refused.status_code == 409
    upgraded = post(alice, "/api/upgrade-plan", {"planId": "premium", "cycle": "year"})
    assert (upgraded.json["outcome"], upgraded.json["plan"]["id"]) == ("upgraded", "premium")
    ends = post(alice, "/api/upgrade-plan", {"planId": "free"})
    assert ends.json["outcome"] == "will_end"
    assert ends.json["plan"]["endsAt"]


def subscribe(shop_app: ShopApp, person: Person, path: str, key: str) -> dict[str, Any]:
    """Buy Basic by the month with a key, pay, and send the events; return the response."""
    sent = post(person, path, {"planId": "basic"}, **{"Idempotency-Key": key})
    assert sent.status_code == 200, sent.text
    purchase = find_purchase(shop_app, sent.json["url"])
    shop_app.pay(purchase)
    shop_app.sync(purchase)
    return dict(sent.json)


def plan_of(person: Person) -> Any:
    return person.browser.get("/api/me/entitlements").json["plan"]


def test_a_key_changes_a_plan_once_and_returns_the_same_outcome(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    subscribe(shop_app, alice, UPGRADE, "buy")
    for plan, outcome in (("premium", "upgraded"), ("basic", "will_change"), ("free", "will_end")):
        key = {"Idempotency-Key": outcome}
        first = post(alice, UPGRADE, {"planId": plan}, **key)
        again = post(alice, UPGRADE, {"planId": plan}, **key)
        assert (first.status_code, first.json["outcome"]) == (200, outcome)
        assert "Idempotent-Replayed" not in first.headers
        next_one = (first.json["plan"].get("nextPlan"), first.json["plan"].get("nextSeats"))
        assert next_one == (("Basic", 1) if outcome == "will_change" else (None, None))
        assert (again.status_code, again.json) == (200, first.json)
        assert again.headers["Idempotent-Replayed"] == "true"
        other = post(alice, UPGRADE, {"planId": "basic", "cycle": "year"}, **key)
        assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused")
    in_body = post(alice, UPGRADE, {"planId": "free", "idempotencyKey": "will_end"})
    assert in_body.headers["Idempotent-Replayed"] == "true"
    assert plan_of(alice)["id"] == "premium"


def test_a_refused_change_can_be_retried_with_its_key(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    subscribe(shop_app, alice, UPGRADE, "buy")
    key = {"Idempotency-Key": "stay"}
    for _ in range(2):
        refused = post(alice, UPGRADE, {"planId": "basic"}, **key)
        assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    assert post(alice, UPGRADE, {"planId": "free"}).json["outcome"] == "will_end"
    assert post(alice, UPGRADE, {"planId": "basic"}, **key).json["outcome"] == "resumed"


@pytest.mark.parametrize("path", [UPGRADE, CHECKOUT])
def test_the_key_of_a_paid_plan_returns_its_checkout_again(shop_app: ShopApp, path: str) -> None:
    alice = shop_app.person()
    first = subscribe(shop_app, alice, path, "buy")
    again = post(alice, path, {"planId": "basic"}, **{"Idempotency-Key": "buy"})
    assert (again.status_code, again.json) == (200, first)
    assert again.headers["Idempotent-Replayed"] == "true"
    for body in ({"planId": "premium"}, {"planId": "basic", "cycle": "year"}):
        other = post(alice, path, body, **{"Idempotency-Key": "buy"})
        assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused"), body
    assert (plan_of(alice)["id"], plan_of(alice)["cycle"]) == ("basic", "month")


def test_a_checkout_session_never_changes_a_plan(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    subscribe(shop_app, alice, CHECKOUT, "buy")
    refused = post(alice, CHECKOUT, {"planId": "premium"}, **{"Idempotency-Key": "another"})
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    assert "POST /api/upgrade-plan" in refused.json["detail"]
    assert plan_of(alice)["id"] == "basic"
    pack = post(alice, CHECKOUT, {"packId": "creator"}, **{"Idempotency-Key": "another"})
    assert pack.status_code == 200, "a refusal leaves its key free"
    taken = post(alice, CHECKOUT, {"packId": "creator"}, **{"Idempotency-Key": "buy"})
    assert (taken.status_code, taken.json["code"]) == (409, "idempotency_key_reused")


def test_a_key_whose_purchase_ended_unopened_is_a_conflict(shop_app: ShopApp) -> None:
    PlanShop(shop_app)
    alice = shop_app.person()
    for path in (UPGRADE, CHECKOUT):
        key = {"Idempotency-Key": "ended"}
        shop_app.flaky_gateway.before = cut("create_plan_checkout")
        assert post(alice, path, {"planId": "basic"}, **key).status_code == 503
        shop_app.flaky_gateway.before = lambda name: None
        shop_app.clock.advance(timedelta(hours=25))
        late = post(alice, path, {"planId": "basic"}, **key)
        assert (late.status_code, late.json["code"]) == (409, "conflict")


def test_an_unknown_part_of_the_portal_is_refused_by_name(shop_app: ShopApp) -> None:
    program = Program(shop_app.person())
    for method in ("GET", "POST"):
        path = "/api/billing/portal-link?flow=everything"
        problem = program.refused(422, "validation_failed", method, path)
        assert [error["field"] for error in problem["errors"]] == ["flow"]


def test_the_portal_redirects_forms_and_returns_a_url_as_json(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    link = post(alice, "/api/billing/portal-link", {})
    assert "/portal/" in link.json["url"]
    led = alice.browser.get("/api/billing/portal-link?flow=card")
    assert (led.status_code, "/portal/" in led.headers["Location"]) == (303, True)
