"""Payment requests paid by card: early, late, twice, refunded, disputed, without an event."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from creditapp.agents.models import Settlement
from creditapp.ledger.models import Grant
from creditapp.payments.webhooks import StripeEvent
from tests.agents.stripe_shop import StripeShop
from tests.agents.test_buy import claims_of
from tests.pages import parse_html
from tests.shop_app import ShopApp


@pytest.fixture
def shop(shop_app: ShopApp) -> StripeShop:
    """The shop for agents, and its bank."""
    return StripeShop(shop_app)


def test_the_token_offers_a_page_for_exactly_this_request(shop: StripeShop) -> None:
    token, request_id = shop.new_page(3)

    (option,) = [each for each in claims_of(token)["paymentOptions"] if each["id"] == "stripe"]
    assert (option["amount"], option["currency"]) == (300, "USD")
    assert option["paymentService"].endswith(f"/api/payment-requests/{request_id}/checkout")
    page = shop.page(request_id)
    assert page["metadata"] == {"payment_request_id": request_id}
    assert page["amount_total"] == 300
    again = shop.post(f"/payment-requests/{request_id}/checkout")
    assert again.json["id"] == page["id"]


def test_the_event_of_a_payment_gives_the_receipt(shop: StripeShop) -> None:
    token, request_id = shop.new_page(3)
    shop.pay_page(request_id)

    shop.deliver(request_id)
    shop.deliver(request_id)

    claimed = shop.claim(token)
    details = claimed.json["details"]
    assert (details["rail"], details["credits"]) == ("stripe", 3)
    assert shop.balance(claimed.json["receipt"])["remaining"] == 3
    assert shop.count(Grant) == shop.count(Settlement) == 1
    assert shop.get(f"/api/payment-requests/{request_id}").json["state"] == "paid"


def test_an_unpaid_page_gives_no_receipt(shop: StripeShop) -> None:
    token, request_id = shop.new_page(3)

    shop.deliver(request_id)

    assert shop.claim(token).json["code"] == "settlement_unknown"
    assert shop.get(f"/api/payment-requests/{request_id}").json["state"] == "open"


def test_the_receipt_needs_no_event(shop: StripeShop) -> None:
    token, request_id = shop.new_page(3)
    shop.pay_page(request_id)

    assert shop.claim(token).json["details"]["credits"] == 3


def test_the_sweep_finds_a_payment_whose_event_is_lost(shop: StripeShop) -> None:
    _, request_id = shop.new_page(3)
    shop.pay_page(request_id)
    shop.bank.clock.advance(timedelta(minutes=3))

    shop.sweep()

    assert shop.request_row(request_id).state == "paid"


def test_events_at_once_grant_once(shop: StripeShop) -> None:
    _, request_id = shop.new_page(3)
    shop.pay_page(request_id)
    events = shop.events(request_id)

    answers = shop.at_once(*[lambda event=event: shop.bank.send(event) for event in events * 3])

    assert {answer.status_code for answer in answers} == {200}
    shop.sweep()
    assert shop.count(Grant) == 1


def test_a_payment_after_the_request_expired_is_honoured(shop: StripeShop) -> None:
    """Stripe keeps its page open for at least half an hour: the money is here."""
    token, request_id = shop.new_page(3)
    shop.bank.clock.advance(timedelta(minutes=20))
    assert shop.get(f"/api/payment-requests/{request_id}").json["state"] == "expired"
    assert shop.post(f"/api/payment-requests/{request_id}/checkout").status_code == 410
    shop.pay_page(request_id)

    shop.deliver(request_id)

    assert shop.claim(token).json["details"]["credits"] == 3
    assert shop.refunds(request_id) == []


def test_a_second_payment_is_refunded_whole(shop: StripeShop) -> None:
    token, request_id = shop.new_page(3)
    assert shop.pay(token).status_code == 200  # by another rail
    shop.pay_page(request_id)

    shop.deliver(request_id)
    shop.deliver(request_id)
    shop.sync(request_id)

    assert shop.refunds(request_id) == [300]
    assert shop.settlement_row(request_id).rail == "sandbox"
    receipt = shop.claim(token).json["receipt"]
    assert shop.balance(receipt)["remaining"] == 3, "the first payment's credits stay"


def test_a_paid_request_opens_no_page(shop: StripeShop) -> None:
    token = shop.token(3)
    shop.pay(token)

    answer = shop.post(f"/api/payment-requests/{claims_of(token)['id']}/checkout")

    assert (answer.status_code, answer.json["code"]) == (409, "payment_request_not_open")


def test_a_refund_at_the_bank_takes_unspent_credits(shop: StripeShop) -> None:
    token, request_id = shop.new_page(3)
    shop.pay_page(request_id)
    receipt = shop.claim(token).json["receipt"]
    payment_id = shop.page(request_id)["payment_intent"]

    shop.bank.press(f"/payments/{payment_id}/refund", amount="2.00")
    shop.deliver(request_id)

    assert shop.balance(receipt)["remaining"] == 1


def test_a_dispute_freezes_the_credits(shop: StripeShop) -> None:
    token, request_id = shop.new_page(3)
    shop.pay_page(request_id)
    receipt = shop.claim(token).json["receipt"]
    payment_id = shop.page(request_id)["payment_intent"]

    shop.bank.press(f"/payments/{payment_id}/dispute")
    shop.deliver(request_id)

    balance = shop.balance(receipt)
    assert (balance["remaining"], balance["status"]) == (0, "frozen")
    assert shop.generate(receipt, prompt="a quay").json["code"] == "credits_exhausted"


def test_an_event_of_a_request_that_is_not_stored_is_tried_again(shop: StripeShop) -> None:
    _, request_id = shop.new_page(3)
    shop.pay_page(request_id)
    (event,) = [e for e in shop.events(request_id) if e["type"] == "checkout.session.completed"]
    event["data"]["object"]["metadata"]["payment_request_id"] = "prq_" + "0" * 26
    event["id"] = "evt_unknown"

    assert shop.bank.send(event).status_code == 200

    stored = shop.bank.stored_event(event)
    assert isinstance(stored, StripeEvent)
    assert (stored.state, stored.attempts) == ("received", 1)


def test_a_page_with_another_price_is_left_to_an_operator(shop: StripeShop) -> None:
    token, request_id = shop.new_page(3)
    shop.pay_page(request_id)
    with_other = shop.page(request_id) | {"amount_subtotal": 30}
    from creditapp.stripe_sandbox.state import State

    with State.of(shop.bank.gateway.sandbox).transaction() as books:
        books.put(with_other)

    shop.deliver(request_id)

    assert shop.claim(token).json["code"] == "settlement_unknown"
    assert shop.count(Grant) == 0


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def page_of(shop: StripeShop, address: str) -> str:
    """Return the words of a page, as a browser gets it."""
    answer = shop.get(address, Accept=BROWSER)
    assert (answer.status_code, answer.mimetype) == (200, "text/html"), answer.text
    assert "Accept" in answer.vary
    return " ".join(parse_html(answer.text).one("main").text.split())


def test_a_person_who_paid_for_a_program_sees_a_page(shop: StripeShop) -> None:
    _, request_id = shop.new_page(3)
    back = urlsplit(str(shop.page(request_id)["success_url"]))
    assert back.path == f"/api/payment-requests/{request_id}"
    shop.pay_page(request_id)

    before = page_of(shop, f"{back.path}?{back.query}")
    assert "Waiting for the payment" in before
    assert "Purchase of 3 image generation credits, for $3.00." in before
    shop.deliver(request_id)
    after = page_of(shop, f"{back.path}?{back.query}")
    assert "Paid" in after
    assert "The program that asked for this payment collects the credits by itself." in after


def test_a_person_who_left_the_payment_page_can_go_back_to_it(shop: StripeShop) -> None:
    _, request_id = shop.new_page(3)
    page = shop.page(request_id)

    answer = shop.get(str(page["cancel_url"]), Accept=BROWSER)

    shown = parse_html(answer.text)
    assert "Nothing was charged." in shown.one("main").text
    assert shown.one("main a")["href"] == shop.request_row(request_id).checkout_url
    shop.bank.clock.advance(timedelta(minutes=20))
    assert "This offer has ended" in page_of(shop, f"/api/payment-requests/{request_id}")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html;q=0.5"])
def test_a_program_gets_json(shop: StripeShop, accept: str) -> None:
    _, request_id = shop.new_page(3)

    for address in (f"/api/payment-requests/{request_id}", f"/payment-requests/{request_id}"):
        answer = shop.get(address, Accept=accept)
        assert answer.json["state"] == "open"
        assert "Accept" in answer.vary
    assert shop.get(f"/payment-requests/{request_id}").mimetype == "application/json"
