"""Plans by JSON, for a guest, for somebody on Free, and for a subscriber."""

from __future__ import annotations

from typing import Any

from flask import Flask

from tests.conftest import Person
from tests.payments.plan_till import PlanTill
from tests.payments.till import Till, house, till

__all__ = ["house", "till"]

SAME = {"Sec-Fetch-Site": "same-origin"}


def post(person: Person, path: str, body: dict[str, Any], **headers: str) -> Any:
    return person.browser.post(path, json=body, headers={**SAME, **headers})


def test_a_guest_sees_the_plans(sqlite_app: Flask) -> None:
    answer = sqlite_app.test_client().get("/api/plans").json
    assert [plan["id"] for plan in answer["plans"]] == ["free", "basic", "premium"]
    assert "currentPlan" not in answer
    premium = answer["plans"][2]
    assert premium["month"] == {"price": 29, "priceMinor": 2900}
    assert premium["yearSaving"] == {"price": 58, "priceMinor": 5800}
    assert "yearSaving" not in answer["plans"][1]


def test_a_member_sees_their_own(sqlite_app: Flask) -> None:
    alice = Person(sqlite_app).sign_up("alice@example.com")
    answer = alice.browser.get("/api/plans").json
    assert (answer["currentPlan"]["id"], answer["balance"]) == ("free", 50)
    has = alice.browser.get("/api/me/entitlements").json
    assert has["plan"]["status"] == "free"
    assert has["credits"] == {"balance": 50, "held": 0, "owed": 0, "lifetimeSpent": 0}
    assert "text-to-image" in has["features"]
    assert has["subscriptions"] == []


def test_guests_have_no_entitlements_and_no_portal(sqlite_app: Flask) -> None:
    guest = sqlite_app.test_client()
    assert guest.get("/api/me/entitlements").status_code == 401
    assert guest.get("/api/billing/portal-link").status_code == 401
    sent = guest.post("/api/upgrade-plan", json={"planId": "basic"}, headers=SAME)
    assert sent.status_code == 401


def test_bad_bodies_are_refused_by_field(sqlite_app: Flask) -> None:
    alice = Person(sqlite_app).sign_up("alice@example.com")
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


def test_a_key_opens_one_checkout(till: Till) -> None:
    alice = till.person()
    first = post(alice, "/api/upgrade-plan", {"planId": "basic"}, **{"Idempotency-Key": "one"})
    again = post(alice, "/api/upgrade-plan", {"planId": "basic"}, **{"Idempotency-Key": "one"})
    assert first.json == again.json
    assert first.json["outcome"] == "checkout"
    assert again.headers["Idempotent-Replayed"] == "true"
    other = post(alice, "/api/upgrade-plan", {"planId": "premium"}, **{"Idempotency-Key": "one"})
    assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused")


def test_a_plan_is_bought_and_changed_by_json(till: Till) -> None:
    plans = PlanTill(till)
    alice = till.person()
    sent = post(alice, "/api/billing/checkout-session", {"planId": "basic", "cycle": "year"})
    assert sent.status_code == 200
    till.press(f"/pay/{sent.json['id']}", card="succeeds", email="alice@example.com")
    till.sweep()
    plans.till.sweep(__import__("datetime").timedelta(minutes=2))
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


def test_the_portal_answers_each_caller_in_its_form(till: Till) -> None:
    alice = till.person()
    link = post(alice, "/api/billing/portal-link", {})
    assert "/portal/" in link.json["url"]
    led = alice.browser.get("/api/billing/portal-link?flow=card")
    assert (led.status_code, "/portal/" in led.headers["Location"]) == (303, True)
