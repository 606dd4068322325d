"""Refunds whose money no rail sends stay on a list until an operator has sent it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from creditapp.agents.models import Settlement
from creditapp.agents.rails import Rails
from creditapp.cli import agents as command
from creditapp.cli import commands
from creditapp.db import transaction
from creditapp.errors import AppError
from creditapp.generation.providers import GenerationFailed
from creditapp.payments.stripe.records import GatewayError
from creditapp.services import provide
from creditapp.stripe_sandbox.state import State
from tests.agents.conftest import AgentShop
from tests.agents.flaky_rail import FlakyRail
from tests.agents.stripe_shop import StripeShop
from tests.agents.test_payment import new_request, send
from tests.agents.test_refund import refund, refund_rows, with_admin_key
from tests.flaky_gateway import cut
from tests.generation.studio import Scripted
from tests.shop_app import ShopApp

Run = Callable[..., str]


def runner(shop: AgentShop, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs ``./run agent-refunds`` in the app of the test."""
    monkeypatch.setattr(command, "app_context", lambda: nullcontext(shop.app))

    def run(*words: str) -> str:
        with shop.app.app_context():
            ended = CliRunner().invoke(commands, ["agent-refunds", *words])
        if isinstance(ended.exception, AppError):
            raise ended.exception
        return ended.output

    return run


def listed(run: Run) -> list[dict[str, Any]]:
    refunds: list[dict[str, Any]] = json.loads(run("--json"))["refunds"]
    return refunds


@pytest.fixture
def shop(agent_shop: AgentShop) -> AgentShop:
    """The shop with an operator's key and a rail that pays nothing back."""
    rail = FlakyRail()
    rail.pays_back = False
    provide(agent_shop.app, Rails, Rails([rail]))
    return with_admin_key(agent_shop)


@pytest.fixture
def run(shop: AgentShop, monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(shop, monkeypatch)


def test_a_refund_that_its_rail_does_not_send_is_listed_until_it_is_sent(
    shop: AgentShop, run: Run
) -> None:
    assert run() == "The money of every refund is sent.\n"
    request_id = new_request(shop)
    receipt = send(shop, f"{request_id}:a").json["receipt"]

    first = refund(shop, receipt=receipt)
    again = refund(shop, receipt=receipt)

    assert (first.status_code, first.json["sent"], first.json["amount"]) == (200, False, 300)
    assert (again.status_code, again.json) == (200, first.json)
    (row,) = listed(run)
    assert row | {"createdAt": ""} == {
        "id": first.json["refundId"],
        "purchaseId": request_id,
        "amountMinor": 300,
        "currency": "USD",
        "rail": "flaky",
        "payer": "did:example:buyer",
        "reference": f"{request_id}:a",
        "state": "by_hand",
        "createdAt": "",
    }
    assert f"$3.00 of {request_id}, paid by flaky ({request_id}:a), to did:example:buyer" in run()

    assert f"$3.00 of {request_id} is sent." in run("--sent", row["id"])

    assert listed(run) == []
    assert refund_rows(shop) == [(300, "done")]
    assert refund(shop, receipt=receipt).status_code == 409
    with pytest.raises(AppError, match="is no refund that waits to be sent by hand"):
        run("--sent", row["id"])


def test_credits_that_come_back_later_are_a_refund_of_their_own(
    shop: AgentShop, provider: Scripted, run: Run
) -> None:
    receipt = send(shop, f"{new_request(shop)}:a").json["receipt"]
    provider.script = [GenerationFailed("It went wrong.")]
    shop.generate(receipt, prompt="a quay")

    during = refund(shop, receipt=receipt)
    assert (during.json["amount"], during.json["held"]) == (200, 1)
    assert refund(shop, receipt=receipt).json == during.json
    assert json.loads(run("--json"))["returned"] == []
    shop.queue.run()
    (returned,) = json.loads(run("--json"))["returned"]
    assert returned["credits"] == "1"
    assert "1 credits came back to" in run()
    after = refund(shop, receipt=receipt)

    assert (after.json["amount"], after.json["held"], after.json["sent"]) == (100, 0, False)
    assert [row["amountMinor"] for row in listed(run)] == [200, 100]
    assert json.loads(run("--json"))["returned"] == []
    assert sum(row["amountMinor"] for row in listed(run)) == 300, "nothing is lost"


def test_an_unknown_refund_is_not_marked(run: Run) -> None:
    with pytest.raises(AppError, match="ref_1 is no refund"):
        run("--sent", "ref_1")


@pytest.fixture
def stripe_shop(shop_app: ShopApp) -> StripeShop:
    """The shop for agents and its bank, with an operator's key."""
    shop = StripeShop(shop_app)
    with_admin_key(shop)
    return shop


def paid_page(shop: StripeShop) -> tuple[str, str]:
    """Pay by card; return the request's id and its receipt."""
    token, request_id = shop.new_page(3)
    shop.pay_page(request_id)
    return request_id, shop.claim(token).json["receipt"]


def test_a_refund_without_an_answer_is_listed_and_not_marked_as_sent(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runner(stripe_shop, monkeypatch)
    _, receipt = paid_page(stripe_shop)
    stripe_shop.bank.flaky_gateway.before = cut("create_refund")
    assert refund(stripe_shop, receipt=receipt).status_code == 503
    stripe_shop.bank.flaky_gateway.before = lambda name: None

    (row,) = listed(run)
    assert row["state"] == "open"
    assert "call /api/receipts/refund again" in run()
    with pytest.raises(AppError, match="may have sent it"):
        run("--sent", row["id"])
    assert refund(stripe_shop, receipt=receipt).json["sent"] is True
    assert listed(run) == []


def test_a_refund_that_stripe_refuses_is_sent_by_hand(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runner(stripe_shop, monkeypatch)
    request_id, receipt = paid_page(stripe_shop)

    def refuse(name: str) -> None:
        if name == "create_refund":
            raise GatewayError("This charge is too old.", permanent=True)

    stripe_shop.bank.flaky_gateway.before = refuse
    refund(stripe_shop, receipt=receipt)

    (row,) = listed(run)
    assert row["state"] == "failed"
    run("--sent", row["id"])
    assert listed(run) == []
    assert stripe_shop.refunds(request_id) == []


def test_a_refund_is_looked_up_before_it_is_created_again(stripe_shop: StripeShop) -> None:
    """Stripe forgets an idempotency key after a day."""
    request_id, receipt = paid_page(stripe_shop)

    def lose(name: str) -> None:
        if name == "create_refund":
            raise GatewayError("Stripe: no answer", permanent=False)

    stripe_shop.bank.flaky_gateway.after = lose
    assert refund(stripe_shop, receipt=receipt).status_code == 503
    stripe_shop.bank.flaky_gateway.after = lambda name: None
    calls = stripe_shop.bank.flaky_gateway.calls["create_refund"]

    assert refund(stripe_shop, receipt=receipt).json["amount"] == 300

    assert stripe_shop.bank.flaky_gateway.calls["create_refund"] == calls
    assert stripe_shop.refunds(request_id) == [300]


def test_a_refund_that_fails_at_the_bank_later_is_sent_by_hand(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runner(stripe_shop, monkeypatch)
    request_id, receipt = paid_page(stripe_shop)
    assert refund(stripe_shop, receipt=receipt).json["sent"] is True
    where = {"payment_intent": stripe_shop.page(request_id)["payment_intent"]}
    with State.of(stripe_shop.bank.gateway.sandbox).transaction() as books:
        (at_bank,) = books.find("refund", where, limit=9)
    stripe_shop.bank.press(f"/refunds/{at_bank['id']}/fail")

    stripe_shop.deliver(request_id)

    (row,) = listed(run)
    assert row["state"] == "by_hand"
    assert stripe_shop.balance(receipt)["remaining"] == 0, "the money is still owed, not credits"
    run("--sent", row["id"])
    stripe_shop.sync(request_id)
    assert listed(run) == []


def test_refunds_in_parts_add_up_and_are_answered_the_same(
    shop: AgentShop, provider: Scripted, run: Run
) -> None:
    """250 cents for 3 credits: 83 and 83 and 83 would keep a cent."""
    request_id = new_request(shop)
    receipt = send(shop, f"{request_id}:a").json["receipt"]
    with shop.app.app_context(), transaction() as session:
        query = select(Settlement).where(Settlement.payment_request_id == request_id)
        session.scalars(query).one().paid_minor = 250
    provider.script = [GenerationFailed("It went wrong."), GenerationFailed("It went wrong.")]
    shop.generate(receipt, prompt="a quay")
    shop.generate(receipt, prompt="a boat")

    first = refund(shop, receipt=receipt)
    again = refund(shop, receipt=receipt)
    shop.queue.run()
    refund(shop, receipt=receipt)

    assert (first.json["credits"], first.json["amount"]) == (1, 83)
    assert again.json == first.json
    assert [row["amountMinor"] for row in listed(run)] == [83, 167]
