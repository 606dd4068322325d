"""Refunds of receipts, and moves into an account: no credit is paid back and used as well."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from creditapp.agents import account, receipts
from creditapp.agents.rails import Rails
from creditapp.cli.context import find_user
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import snapshot, transaction
from creditapp.errors import AuthenticationRequired
from creditapp.generation.providers import GenerationFailed
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions.models import Refund
from creditapp.services import get, provide
from tests.agents.conftest import AgentShop
from tests.agents.flaky_rail import FlakyRail
from tests.agents.stripe_shop import StripeShop
from tests.agents.test_buy import claims_of
from tests.agents.test_payment import new_request, send
from tests.app_factory import Person
from tests.flaky_gateway import cut
from tests.generation.studio import Scripted, held_up
from tests.shop_app import ShopApp

ADMIN = "an operator's key that only the tests know"


@pytest.fixture
def shop(agent_shop: AgentShop) -> AgentShop:
    """The shop with an operator's key."""
    return with_admin_key(agent_shop)


def with_admin_key(shop: AgentShop) -> AgentShop:
    """Give the app an operator's key."""
    with shop.app.app_context():
        settings = get(Settings).model_copy(update={"admin_api_key": ADMIN})
    provide(shop.app, Settings, settings)
    return shop


def refund(shop: AgentShop, **body: str) -> TestResponse:
    """Refund as the operator."""
    return shop.post("/api/receipts/refund", body, x_admin_key=ADMIN)


def refund_rows(shop: AgentShop) -> list[tuple[int, str]]:
    """Return amount and state of every refund."""
    with shop.app.app_context(), snapshot() as session:
        rows = session.scalars(select(Refund).order_by(Refund.created_at, Refund.id)).all()
    return [(row.amount_minor, row.state) for row in rows]


def test_the_unused_part_is_refunded_at_the_paid_price(shop: AgentShop) -> None:
    receipt = shop.receipt(3)
    shop.make(receipt, prompt="a quay")

    answer = refund(shop, receipt=receipt)

    assert answer.status_code == 200, answer.text
    assert answer.json["refundId"].startswith("ref_")
    assert answer.json | {"purchaseId": "", "refundId": ""} == {
        "purchaseId": "",
        "refundId": "",
        "credits": 2,
        "amount": 200,
        "currency": "USD",
        "held": 0,
        "rail": "sandbox",
        "payer": None,
        "sent": True,
    }
    after = shop.generate(receipt, prompt="a quay")
    assert (after.status_code, after.json["code"]) == (409, "refunded")
    balance = shop.balance(receipt)
    assert (balance["remaining"], balance["status"]) == (0, "refunded")


def test_only_the_operator_refunds(shop: AgentShop) -> None:
    receipt = shop.receipt(3)

    for headers in ({}, {"x_admin_key": "wrong"}, {"Authorization": f"Bearer {receipt}"}):
        answer = shop.post("/api/receipts/refund", {"receipt": receipt}, **headers)
        assert answer.status_code == 401
    assert shop.balance(receipt)["remaining"] == 3


def test_a_refund_twice_and_at_once_pays_once(shop: AgentShop) -> None:
    receipt = shop.receipt(3)

    answers = shop.at_once(*[lambda: refund(shop, receipt=receipt)] * 5)

    amounts = [answer.json["amount"] for answer in answers if answer.status_code == 200]
    assert set(amounts) == {300}
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert refund_rows(shop) == [(300, "done")]
    assert refund(shop, receipt=receipt).status_code == 409


def test_refunds_and_images_at_once_never_do_both(shop: AgentShop) -> None:
    receipt = shop.receipt(4)

    answers = shop.at_once(
        *[lambda: shop.generate(receipt, prompt="a quay")] * 6,
        lambda: refund(shop, receipt=receipt),
    )
    shop.queue.run()

    made = sum(answer.status_code == 202 for answer in answers[:-1])
    assert made <= 4
    assert sum(amount for amount, _ in refund_rows(shop)) == (4 - made) * 100


def test_a_refund_while_an_image_is_made_leaves_its_credit(
    shop: AgentShop, provider: Scripted
) -> None:
    receipt = shop.receipt(3)
    gate, arrived = threading.Event(), threading.Event()
    provider.script = [held_up(gate, arrived), GenerationFailed("It went wrong.")]
    shop.generate(receipt, prompt="a quay")
    worker = threading.Thread(target=shop.queue.run)
    worker.start()
    assert arrived.wait(30)

    during = refund(shop, receipt=receipt)
    gate.set()
    worker.join()
    after = refund(shop, receipt=receipt)

    assert (during.json["amount"], during.json["held"]) == (200, 1)
    assert (after.json["amount"], after.json["held"]) == (100, 0), "the failed image's credit"
    assert refund_rows(shop) == [(200, "done"), (100, "done")]


def test_a_refund_with_everything_in_work_stops_the_rest(
    shop: AgentShop, provider: Scripted
) -> None:
    receipt = shop.receipt(1)
    shop.generate(receipt, prompt="a quay")

    answer = refund(shop, receipt=receipt)
    shop.queue.run()

    assert (answer.json["amount"], answer.json["held"]) == (0, 1)
    assert answer.json["refundId"] is None, "nothing is refunded yet"
    assert shop.generate(receipt, prompt="another").json["code"] == "refunded"
    assert refund(shop, receipt=receipt).status_code == 409, "the image was made"


def test_a_lost_answer_of_the_rail_is_the_same_refund(shop: AgentShop) -> None:
    rail = FlakyRail()
    provide(shop.app, Rails, Rails([rail]))
    request_id = new_request(shop)
    receipt = send(shop, f"{request_id}:a").json["receipt"]
    plain = rail.refund

    def lose(*arguments: Any) -> bool:
        plain(*arguments)
        raise GatewayError("the answer was lost", permanent=False)

    rail.refund = lose
    assert refund(shop, receipt=receipt).status_code == 503
    assert shop.generate(receipt, prompt="a quay").json["code"] == "refunded"

    rail.refund = plain
    again = refund(shop, purchaseId=request_id)

    assert (again.json["amount"], again.json["credits"]) == (300, 3)
    assert len(rail.refunds) == 1
    assert refund_rows(shop) == [(300, "done")]


def test_a_rail_that_pays_nothing_back_leaves_it_to_the_operator(shop: AgentShop) -> None:
    rail = FlakyRail()
    rail.pays_back = False
    provide(shop.app, Rails, Rails([rail]))
    receipt = send(shop, f"{new_request(shop)}:a").json["receipt"]

    answer = refund(shop, receipt=receipt)
    assert (answer.json["sent"], answer.json["payer"]) == (False, "did:example:buyer")


def test_an_unpaid_request_is_not_refunded(shop: AgentShop) -> None:
    token = shop.token(3)

    answer = refund(shop, purchaseId=claims_of(token)["id"])

    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    strange = refund(shop, purchaseId="prq_\0")
    assert (strange.status_code, strange.json["code"]) == (422, "validation_failed")
    assert shop.pay(token).status_code == 200


def test_a_payment_by_card_is_refunded_at_the_bank(shop_app: ShopApp) -> None:
    shop = StripeShop(shop_app)
    with_admin_key(shop)
    token, request_id = shop.new_page(3)
    shop.pay_page(request_id)
    receipt = shop.claim(token).json["receipt"]
    shop.make(receipt, prompt="a quay")

    assert refund(shop, receipt=receipt).json["amount"] == 200
    shop.deliver(request_id)
    shop.sync(request_id)

    assert shop.refunds(request_id) == [200]
    assert shop.balance(receipt)["remaining"] == 0
    shop.bank.press(f"/payments/{shop.page(request_id)['payment_intent']}/refund", amount="1.00")
    shop.deliver(request_id)
    assert shop.refunds(request_id) == [100, 200], "the operator gave the used one too"


def test_a_sync_before_the_bank_knows_of_a_refund_restores_nothing(shop_app: ShopApp) -> None:
    shop = StripeShop(shop_app)
    with_admin_key(shop)
    token, request_id = shop.new_page(3)
    shop.pay_page(request_id)
    receipt = shop.claim(token).json["receipt"]
    shop.bank.flaky_gateway.before = cut("create_refund")
    assert refund(shop, receipt=receipt).status_code == 503
    shop.bank.flaky_gateway.before = lambda _: None

    shop.sync(request_id)
    assert shop.balance(receipt)["remaining"] == 0
    assert refund(shop, receipt=receipt).json["amount"] == 300
    assert shop.refunds(request_id) == [300]


def credits_of(person: Person) -> float:
    """Return a member's balance."""
    balance: float = person.call("GET", "/api/credits/balance").json["balance"]
    return balance


def test_the_rest_of_a_receipt_goes_to_the_account_of_its_payer(
    shop: AgentShop, alice: Person
) -> None:
    receipt = shop.receipt(3)
    shop.make(receipt, prompt="a quay")
    before = credits_of(alice)

    moved = alice.call("POST", "/api/receipts/redeem", {"receipt": receipt})
    again = alice.call("POST", "/api/receipts/redeem", {"receipt": receipt})

    assert moved.json == {"moved": 2, "balance": before + 2}
    assert (again.status_code, again.json["code"]) == (409, "credits_exhausted")
    assert credits_of(alice) == before + 2
    assert shop.generate(receipt, prompt="a quay").json["code"] == "credits_exhausted"


def test_two_who_move_a_receipt_at_once_share_nothing(
    shop: AgentShop, alice: Person, charlie: Person
) -> None:
    receipt = shop.receipt(3)
    before = credits_of(alice) + credits_of(charlie)

    answers = shop.at_once(
        *[
            lambda person=person: person.call("POST", "/api/receipts/redeem", {"receipt": receipt})
            for person in (alice, charlie)
        ]
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert credits_of(alice) + credits_of(charlie) == before + 3


def test_a_guest_moves_nothing(shop: AgentShop, guest: Person) -> None:
    receipt = shop.receipt(3)

    answer = guest.call("POST", "/api/receipts/redeem", {"receipt": receipt})

    assert answer.status_code == 401
    assert shop.balance(receipt)["remaining"] == 3


def test_an_account_that_is_deleted_meanwhile_takes_nothing(shop: AgentShop, alice: Person) -> None:
    text = shop.receipt(3)
    with shop.app.app_context():
        receipt, member = receipts.prove(text, now=now()), find_user(alice.email)
    deleted = alice.post("/settings/delete", {"current_password": "correct horse battery"})
    assert deleted.status_code == 303

    with pytest.raises(AuthenticationRequired), shop.app.app_context(), transaction() as session:
        account.move_to_account(session, receipt, member.id, now=now())

    assert shop.balance(text)["remaining"] == 3


def test_moved_credits_are_not_refunded_and_refunded_ones_not_moved(
    shop: AgentShop, alice: Person
) -> None:
    first, second = shop.receipt(3), shop.receipt(3)
    alice.call("POST", "/api/receipts/redeem", {"receipt": first})

    assert refund(shop, receipt=first).status_code == 409
    assert refund(shop, receipt=second).status_code == 200
    moved = alice.call("POST", "/api/receipts/redeem", {"receipt": second})
    assert (moved.status_code, moved.json["code"]) == (409, "refunded")


def test_a_dispute_follows_moved_credits(shop_app: ShopApp) -> None:
    shop = StripeShop(shop_app)
    token, request_id = shop.new_page(3)
    shop.pay_page(request_id)
    receipt = shop.claim(token).json["receipt"]
    person = shop.bank.person()
    before = credits_of(person)
    person.call("POST", "/api/receipts/redeem", {"receipt": receipt})
    assert credits_of(person) == before + 3

    shop.bank.press(f"/payments/{shop.page(request_id)['payment_intent']}/dispute")
    shop.deliver(request_id)

    assert credits_of(person) == before
