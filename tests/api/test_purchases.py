"""Buying by JSON: by a pack's id or its exact price, with and without a key."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from creditapp.catalog import Catalog
from creditapp.services import get, provide
from tests.app_factory import Person
from tests.flaky_gateway import cut
from tests.shop_app import ShopApp
from tests.web.checkout import find_purchase


@pytest.fixture
def alice(shop_app: ShopApp) -> Person:
    return shop_app.person()


# --- by JSON ----------------------------------------------------------------------------------


def test_a_checkout_session_by_json(shop_app: ShopApp, alice: Person) -> None:
    answer = alice.call("POST", "/api/billing/checkout-session", {"packId": "creator"})
    assert answer.status_code == 200
    assert answer.json
    assert set(answer.json) == {"id", "url"}
    purchase = find_purchase(shop_app, answer.json["url"])
    assert purchase.checkout_id == answer.json["id"]
    shop_app.pay(purchase)
    shop_app.deliver(purchase)
    assert alice.balance() == 160


@pytest.mark.parametrize("amount", [14.99, 4.99, 49.99])
def test_a_checkout_by_its_exact_price(shop_app: ShopApp, alice: Person, amount: float) -> None:
    answer = alice.call("POST", "/api/stripe/create-checkout", {"amount": amount})
    assert answer.status_code == 200
    assert answer.json
    assert set(answer.json) == {"url"}
    purchase = find_purchase(shop_app, answer.json["url"])
    assert purchase.price_minor == round(amount * 100)


@pytest.mark.parametrize(
    "amount", [14.98, 15, 0, -4.99, 1e300, 4.990001, True, "14.99", None, [14.99], {}]
)
def test_any_other_amount_is_refused(shop_app: ShopApp, alice: Person, amount: object) -> None:
    answer = alice.call("POST", "/api/stripe/create-checkout", {"amount": amount})
    assert answer.status_code == 422
    assert answer.json
    assert answer.json["code"] == "validation_failed"
    assert answer.json["errors"][0]["field"] == "amount"


def test_a_price_that_two_packs_share_is_refused(shop_app: ShopApp, alice: Person) -> None:
    with shop_app.app.app_context():
        catalog = get(Catalog)
    pack = catalog.packs[0]
    provide(shop_app.app, Catalog, type("Twins", (), {"packs": (pack, pack), "digest": "x"})())
    try:
        answer = alice.call("POST", "/api/stripe/create-checkout", {"amount": 4.99})
    finally:
        provide(shop_app.app, Catalog, catalog)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "validation_failed"),
        ({"packId": "creator", "priceId": "price_1"}, 422, "validation_failed"),
        ({"packId": 7}, 422, "validation_failed"),
        ({"packId": "no-such-pack"}, 404, "not_found"),
        ({"packId": "x" * 5000}, 404, "not_found"),
        ({"packId": "a\u0000b"}, 404, "not_found"),
        ({"priceId": "price_unknown"}, 404, "not_found"),
        ({"priceId": ""}, 404, "not_found"),
        ({"packId": "creator", "idempotencyKey": ""}, 422, "validation_failed"),
        ([], 400, "malformed_request"),
    ],
)
def test_other_bodies_are_refused(
    shop_app: ShopApp, alice: Person, body: object, status: int, code: str
) -> None:
    answer = alice.call("POST", "/api/billing/checkout-session", body)
    assert answer.json
    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_the_same_key_and_body_return_the_same_checkout(shop_app: ShopApp, alice: Person) -> None:
    path, key = "/api/billing/checkout-session", {"Idempotency-Key": "k1"}
    first = alice.call("POST", path, {"packId": "creator"}, **key)
    again = alice.call("POST", path, {"packId": "creator"}, **key)
    assert first.json == again.json
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    other = alice.call("POST", path, {"packId": "pro"}, **key)
    assert other.json
    assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused")
    in_body = alice.call("POST", path, {"packId": "creator", "idempotencyKey": "k1"})
    assert in_body.json == first.json
    elsewhere = alice.call("POST", "/api/stripe/create-checkout", {"amount": 14.99}, **key)
    assert elsewhere.json
    assert first.json
    assert elsewhere.json["url"] != first.json["url"], "a key belongs to its route"
    charlie = shop_app.person().call("POST", path, {"packId": "creator"}, **key)
    assert charlie.json != first.json, "and to its caller"


def test_a_reused_key_with_a_lone_surrogate_buys_nothing(shop_app: ShopApp, alice: Person) -> None:
    key = {"Idempotency_Key": "half-a-letter"}
    path = "/api/billing/checkout-session"
    assert alice.call("POST", path, {"packId": "creator"}, **key).status_code == 200
    again = alice.browser.post(
        path,
        data=b'{"packId": "\\ud800"}',
        content_type="application/json",
        headers={"Sec-Fetch-Site": "same-origin", "Idempotency-Key": "half-a-letter"},
    )
    assert (again.status_code, again.json["code"]) == (409, "idempotency_key_reused")


def test_without_a_key_each_call_opens_another_checkout(shop_app: ShopApp, alice: Person) -> None:
    calls = [
        alice.call("POST", "/api/billing/checkout-session", {"packId": "pro"}).json
        for _ in range(2)
    ]
    assert calls[0] != calls[1]


@pytest.mark.parametrize("key", ["x" * 101, "ü", "a\tb"])
def test_an_invalid_key_is_refused(shop_app: ShopApp, alice: Person, key: str) -> None:
    body = {"packId": "creator", "idempotencyKey": key}
    assert alice.call("POST", "/api/billing/checkout-session", body).status_code == 422


def test_a_key_whose_purchase_ended_unopened_is_a_conflict(
    shop_app: ShopApp, alice: Person
) -> None:
    path, key = "/api/billing/checkout-session", {"Idempotency-Key": "ended"}
    shop_app.flaky_gateway.before = cut("create_checkout")
    down = alice.call("POST", path, {"packId": "creator"}, **key)
    assert down.json
    assert (down.status_code, down.json["code"]) == (503, "provider_unavailable")
    shop_app.flaky_gateway.before = lambda name: None
    shop_app.clock.advance(timedelta(hours=25))
    late = alice.call("POST", path, {"packId": "creator"}, **key)
    assert late.json
    assert (late.status_code, late.json["code"]) == (409, "conflict")


@pytest.mark.parametrize("path", ["/api/billing/checkout-session", "/api/stripe/create-checkout"])
def test_buying_by_json_needs_an_account_and_our_own_page(
    shop_app: ShopApp, alice: Person, path: str
) -> None:
    body = {"packId": "creator", "amount": 14.99}
    nobody = Person(shop_app.app).call("POST", path, body)
    assert nobody.json
    assert (nobody.status_code, nobody.json["code"]) == (401, "authentication_required")
    foreign = alice.browser.post(path, json=body, headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.json
    assert (foreign.status_code, foreign.json["code"]) == (403, "csrf_failed")
    assert alice.browser.get(path).status_code == 405
    text = alice.browser.post(
        path, data=json.dumps(body), content_type="text/plain", headers={"Sec-Fetch-Site": "none"}
    )
    assert text.status_code == 415
