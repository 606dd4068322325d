"""Buying by HTTP 402: the offer, the payment, the receipt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jwt
import pytest

from creditapp.agents import Rails, rails_of
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.catalog import Catalog
from creditapp.catalog.products import BulkTier
from creditapp.clock import StoppedClock
from creditapp.config import Settings, SettingsInvalid
from creditapp.ledger.models import Grant
from creditapp.runtime.server import refuse_demo_money
from creditapp.services import get, provide
from tests.agents.conftest import ACCEPT_JSON, AgentShop

BUY = "/api/images/buy"


def claims_of(token: str) -> dict[str, Any]:
    """Return what a token says, unverified."""
    return dict(jwt.decode(token, options={"verify_signature": False}))


@pytest.mark.parametrize("path", ["/api/images/buy", "/images/buy"])
def test_buying_three_credits_answers_402_with_a_token(agent_shop: AgentShop, path: str) -> None:
    answer = agent_shop.post(path, {"count": 3})

    assert answer.status_code == 402
    assert answer.mimetype == "text/plain"
    assert answer.headers["Cache-Control"] == "no-store"
    claims = claims_of(answer.text)
    row = agent_shop.request_row(claims["id"])
    assert claims["sub"] == row.id
    assert claims["description"] == "Purchase of 3 image generation credits"
    option = claims["paymentOptions"][0]
    assert (option["amount"], option["decimals"], option["currency"]) == (300, 2, "USD")
    assert claims["exp"] - claims["iat"] == 15 * 60
    assert (row.count, row.price_minor, row.state) == (3, 300, "open")


def test_json_has_the_token_and_what_it_says(agent_shop: AgentShop) -> None:
    answer = agent_shop.post(BUY, {"count": 1}, **ACCEPT_JSON)

    assert answer.status_code == 402
    claims = claims_of(answer.json["paymentRequestToken"])
    assert answer.json["paymentRequest"]["id"] == claims["id"]
    assert answer.json["paymentRequest"]["description"] == "Purchase of 1 image generation credit"
    assert answer.json["error"] is None


@pytest.mark.parametrize("count", [0, -1, 0.5, True, "3", None, 1001, 10**9, [3]])
def test_only_whole_counts_that_are_sold_can_be_bought(agent_shop: AgentShop, count: Any) -> None:
    answer = agent_shop.post(BUY, {"count": count})

    assert answer.status_code == 422
    (error,) = answer.json["errors"]
    assert error["field"] == "count"
    if type(count) is int:
        assert error["message"] == "count is a whole number from 1 to 1,000."
    assert agent_shop.count(PaymentRequest) == 0


def test_a_key_returns_the_same_offer(agent_shop: AgentShop) -> None:
    first = agent_shop.post(BUY, {"count": 3}, Idempotency_Key="k")
    again = agent_shop.post(BUY, {"count": 3}, Idempotency_Key="k")
    other = agent_shop.post(BUY, {"count": 4}, Idempotency_Key="k")

    assert first.text == again.text
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.json["code"] == "idempotency_key_reused"
    assert agent_shop.count(PaymentRequest) == 1


def test_a_paid_request_gives_its_receipt(agent_shop: AgentShop) -> None:
    token = agent_shop.token(3)
    assert agent_shop.claim(token).json["code"] == "settlement_unknown"

    paid = agent_shop.pay(token)
    claimed = agent_shop.claim(token)

    assert paid.json["livemode"] is False
    assert "No real money" in paid.json["notice"]
    assert claimed.json["details"]["credits"] == 3
    balance = agent_shop.balance(claimed.json["receipt"])
    assert (balance["initial"], balance["remaining"], balance["status"]) == (3, 3, "active")
    assert agent_shop.claim(token).json["receipt"] == claimed.json["receipt"]


def test_a_paid_header_buys_at_once(agent_shop: AgentShop) -> None:
    token = agent_shop.token(3)

    answer = agent_shop.post(BUY, {"count": 3}, X_Sandbox_Payment=token)

    assert answer.status_code == 200
    assert answer.json["credits"] == answer.json["remaining"] == 3
    assert agent_shop.balance(answer.json["receipt"])["remaining"] == 3


def test_a_payment_sent_again_grants_nothing(agent_shop: AgentShop) -> None:
    token = agent_shop.token(3)
    agent_shop.post(BUY, {"count": 3}, X_Sandbox_Payment=token)

    again = agent_shop.post(BUY, {"count": 3}, X_Sandbox_Payment=token)

    assert (again.status_code, again.json["code"]) == (403, "credential_replayed")
    assert agent_shop.count(Grant) == 1


def test_a_payment_sent_again_with_its_key_gets_the_first_answer(agent_shop: AgentShop) -> None:
    token = agent_shop.token(3)
    sent = {"X_Sandbox_Payment": token, "Idempotency_Key": "k"}
    first = agent_shop.post(BUY, {"count": 3}, **sent)

    again = agent_shop.post(BUY, {"count": 3}, **sent)
    other = agent_shop.post(BUY, {"count": 2}, **sent)

    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.status_code == 409
    assert agent_shop.count(Grant) == 1


def test_a_payment_for_three_does_not_buy_thirty(agent_shop: AgentShop) -> None:
    token = agent_shop.token(3)

    answer = agent_shop.post(BUY, {"count": 30}, X_Sandbox_Payment=token)

    assert answer.status_code == 402
    assert claims_of(answer.text)["paymentOptions"][0]["amount"] == 3000
    assert agent_shop.count(Settlement) == 0


def test_one_payment_at_once_grants_once(agent_shop: AgentShop) -> None:
    token = agent_shop.token(3)

    answers = agent_shop.at_once(
        *[lambda: agent_shop.post(BUY, {"count": 3}, X_Sandbox_Payment=token)] * 8
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 7
    assert agent_shop.count(Grant) == agent_shop.count(Settlement) == 1


def test_an_expired_request_is_not_paid(agent_shop: AgentShop, clock: StoppedClock) -> None:
    token = agent_shop.token(3)
    clock.advance(timedelta(minutes=16))

    answer = agent_shop.pay(token)

    assert (answer.status_code, answer.json["code"]) == (410, "payment_request_expired")
    assert agent_shop.count(Settlement) == 0


def test_production_does_not_start_beside_what_a_demo_sold(agent_shop: AgentShop) -> None:
    agent_shop.token(3)
    with agent_shop.app.app_context():
        production = get(Settings).model_copy(update={"env": "production"})
        refuse_demo_money(production)  # an offer alone is no money
    agent_shop.receipt(3)

    with agent_shop.app.app_context(), pytest.raises(SettingsInvalid, match="sandbox credits"):
        refuse_demo_money(production)


def test_production_has_no_sandbox_to_pay_in(agent_shop: AgentShop) -> None:
    with agent_shop.app.app_context():
        production = get(Settings).model_copy(update={"env": "production"})
    provide(agent_shop.app, Rails, rails_of(production))

    token = agent_shop.token(3)

    assert {each["id"] for each in claims_of(token)["paymentOptions"]} == {"stripe"}
    assert agent_shop.pay(token).status_code == 404
    assert agent_shop.post(BUY, {"count": 3}, X_Sandbox_Payment=token).status_code == 402
    assert agent_shop.count(Settlement) == 0


def test_a_site_without_a_key_sells_nothing(agent_shop: AgentShop) -> None:
    with agent_shop.app.app_context():
        settings = get(Settings).model_copy(update={"agents_key": ""})
    provide(agent_shop.app, Settings, settings)

    assert agent_shop.get("/.well-known/did.json").status_code == 404
    for path in (BUY, "/images/generate", "/ack/receipts", "/api/receipts/refund"):
        assert agent_shop.post(path, {"count": 3}).json["code"] in ("not_found",), path


def test_cheaper_prices_for_many_and_a_new_catalog_change_no_offer(agent_shop: AgentShop) -> None:
    token = agent_shop.token(10)
    with agent_shop.app.app_context():
        catalog = get(Catalog)
        tier = BulkTier.model_construct(from_count=10, price_minor=80)
        bulk = catalog.agents.model_copy(update={"bulk": (tier,)})
    provide(agent_shop.app, Catalog, catalog.model_copy(update={"agents": bulk}))

    assert claims_of(agent_shop.token(9))["paymentOptions"][0]["amount"] == 900
    assert claims_of(agent_shop.token(10))["paymentOptions"][0]["amount"] == 800
    assert agent_shop.pay(token).status_code == 200
    assert agent_shop.settlement_row(claims_of(token)["id"]).paid_minor == 1000
