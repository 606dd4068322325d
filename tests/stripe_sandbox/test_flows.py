"""Payments through Stripe's SDK and the pages: success, failure, refunds and disputes."""

from __future__ import annotations

import concurrent.futures
from typing import Any

import pytest
import stripe

from creditapp.stripe_sandbox import checkout, clock
from creditapp.stripe_sandbox.state import State
from tests.stripe_sandbox.sandbox_kit import Sandbox

THANKS = "http://shop.test/credits?purchase=success&id="


def test_a_successful_card_pays_and_redirects_to_the_shop(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    assert session.url == f"{sandbox.server.url}/pay/{session.id}"
    assert session.payment_intent is None

    answer = sandbox.pay(session.id)

    assert (answer.status_code, answer.location) == (303, THANKS + session.id)
    paid = sandbox.stripe.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["payment_intent.latest_charge.refunds", "line_items"]}
    )
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert paid.customer_details
    assert paid.customer_details.email == "alice@x.test"
    intent: Any = paid.payment_intent
    assert (intent.status, intent.amount_received) == ("succeeded", 1499)
    assert intent.metadata["purchase_id"] == "pur_1"
    assert intent.latest_charge.refunds.data == []
    assert paid.line_items
    assert paid.line_items.data[0].amount_total == 1499
    assert sandbox.event_types() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]


def test_a_declined_card_charges_nothing_and_the_next_one_may_succeed(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()

    answer = sandbox.pay(session.id, "declined")

    assert answer.location == f"/pay/{session.id}?card=declined"
    page = sandbox.get(answer.location).text
    assert "Your card was declined." in page
    assert 'value="alice@x.test"' in page, "what was typed is kept"
    still = sandbox.stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    intent: Any = still.payment_intent
    assert (still.status, still.payment_status) == ("open", "unpaid")
    assert intent.last_payment_error.code == "card_declined"
    assert sandbox.event_types()[-2:] == ["charge.failed", "payment_intent.payment_failed"]

    assert sandbox.pay(session.id).location == THANKS + session.id
    after = sandbox.stripe.v1.checkout.sessions.retrieve(session.id)
    assert after.payment_intent == intent.id, "one payment intent through all tries"


@pytest.mark.parametrize("answer", ["complete", "fail"])
def test_the_authentication_step_decides_the_payment(sandbox: Sandbox, answer: str) -> None:
    session = sandbox.open_checkout()
    sandbox.pay(session.id, "further-step")
    step = f"/pay/{session.id}/step"
    assert sandbox.get(f"/pay/{session.id}").location == step
    assert "Is this you?" in sandbox.get(step).text

    done = sandbox.press(step, answer=answer)

    now = sandbox.stripe.v1.checkout.sessions.retrieve(session.id)
    if answer == "complete":
        assert (done.location, now.payment_status) == (THANKS + session.id, "paid")
        charges = sandbox.stripe.v1.charges.list({"payment_intent": str(now.payment_intent)}).data
        details = charges[0].payment_method_details
        assert details
        assert details.card
        assert details.card.three_d_secure
    else:
        assert (now.status, now.payment_status) == ("open", "unpaid")
        assert "did not confirm" in sandbox.get(f"/pay/{session.id}").text
        assert "checkout.session.completed" not in sandbox.event_types()


@pytest.mark.parametrize("outcome", ["succeeds", "fails"])
def test_a_bank_debit_completes_unpaid_and_settles_later(sandbox: Sandbox, outcome: str) -> None:
    session = sandbox.open_checkout()

    assert sandbox.pay(session.id, "pays-later").location == THANKS + session.id

    waiting = sandbox.stripe.v1.checkout.sessions.retrieve(session.id)
    assert (waiting.status, waiting.payment_status) == ("complete", "unpaid")
    assert sandbox.event_types()[-1] == "checkout.session.completed"

    for _ in range(2):  # a repeated action has no effect
        sandbox.press(f"/payments/{waiting.payment_intent}/settle", outcome=outcome)

    settled = sandbox.stripe.v1.checkout.sessions.retrieve(session.id)
    last = sandbox.event_types()[-3:]
    if outcome == "succeeds":
        assert settled.payment_status == "paid"
        assert last == [
            "charge.succeeded",
            "payment_intent.succeeded",
            "checkout.session.async_payment_succeeded",
        ]
    else:
        assert settled.payment_status == "unpaid"
        assert last == [
            "charge.failed",
            "payment_intent.payment_failed",
            "checkout.session.async_payment_failed",
        ]


def test_a_bank_debit_can_settle_by_itself(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "BANK_DEBIT_SECONDS", 0)
    session = sandbox.open_checkout()
    sandbox.pay(session.id, "pays-soon")
    assert sandbox.stripe.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_a_checkout_expires_on_request_and_after_its_expiry_time(sandbox: Sandbox) -> None:
    sessions = sandbox.stripe.v1.checkout.sessions
    asked, waited = sandbox.open_checkout(), sandbox.open_checkout()

    assert sessions.expire(asked.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        sessions.expire(asked.id)
    with State.of(sandbox.app).transaction() as store:
        clock.advance(store, 25 * 3600)

    assert sessions.retrieve(waited.id).status == "expired"
    assert sandbox.event_types().count("checkout.session.expired") == 2
    assert "has expired" in sandbox.get(f"/pay/{asked.id}").text
    assert sandbox.pay(waited.id).location == f"/pay/{waited.id}"
    assert sessions.retrieve(waited.id).payment_intent is None, "nothing was charged"


def test_eight_clicks_on_pay_charge_once(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sandbox.pay(session.id), range(8)))
    assert {answer.location for answer in answers} == {THANKS + session.id}
    assert len(sandbox.stripe.v1.charges.list().data) == 1
    assert sandbox.event_types().count("checkout.session.completed") == 1


def test_a_free_checkout_completes_without_a_payment(sandbox: Sandbox) -> None:
    free = {"currency": "usd", "unit_amount": 0, "product_data": {"name": "A gift"}}
    session = sandbox.open_checkout(line_items=[{"quantity": 1, "price_data": free}])
    sandbox.press(f"/pay/{session.id}", email="alice@x.test")
    done = sandbox.stripe.v1.checkout.sessions.retrieve(session.id)
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    assert done.payment_intent is None


def test_refunds_add_up_and_a_failed_one_is_subtracted(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    sandbox.pay(session.id)
    intent = str(sandbox.stripe.v1.checkout.sessions.retrieve(session.id).payment_intent)
    refunds = sandbox.stripe.v1.refunds

    first = refunds.create({"payment_intent": intent, "amount": 500, "metadata": {"why": "late"}})
    sandbox.press(f"/payments/{intent}/refund", amount="4.99")
    for wrong in ("1e999999999", "0." + "9" * 35, "0", "-1", "NaN", "4.999", "9" * 5000):
        refused = sandbox.press(f"/payments/{intent}/refund", amount=wrong)
        assert "said=refused" in refused.location, wrong
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        refunds.create({"payment_intent": intent, "amount": 501})

    charge_id = str(first.charge)
    charge = sandbox.stripe.v1.charges.retrieve(charge_id, {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (999, False)
    assert charge.refunds
    assert len(charge.refunds.data) == 2
    refunds.create({"charge": charge_id, "reason": "requested_by_customer"})
    with pytest.raises(stripe.InvalidRequestError, match="already been refunded"):
        refunds.create({"payment_intent": intent})

    sandbox.press(f"/refunds/{first.id}/fail")
    assert sandbox.stripe.v1.charges.retrieve(charge_id).amount_refunded == 999
    assert refunds.retrieve(first.id).status == "failed"
    assert [each.status for each in refunds.list({"payment_intent": intent}).data] == [
        "succeeded",
        "succeeded",
        "failed",
    ]
    assert sandbox.event_types().count("charge.refunded") == 3
    assert "refund.failed" in sandbox.event_types()


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_a_dispute_withdraws_the_funds_until_it_is_won(sandbox: Sandbox, outcome: str) -> None:
    session = sandbox.open_checkout()
    sandbox.pay(session.id)
    intent = str(sandbox.stripe.v1.checkout.sessions.retrieve(session.id).payment_intent)

    sandbox.press(f"/payments/{intent}/dispute")

    (dispute,) = sandbox.stripe.v1.disputes.list({"payment_intent": intent}).data
    assert (dispute.status, dispute.amount) == ("needs_response", 1499)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.stripe.v1.refunds.create({"payment_intent": intent})
    assert refused.value.code == "charge_disputed"
    sandbox.press(f"/disputes/{dispute.id}/close", outcome=outcome)
    assert sandbox.stripe.v1.disputes.retrieve(dispute.id).status == outcome
    assert ("charge.dispute.funds_reinstated" in sandbox.event_types()) == (outcome == "won")


def test_a_checkout_may_create_a_customer(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout(customer_creation="always")
    sandbox.pay(session.id)
    done = sandbox.stripe.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["customer", "payment_intent"]}
    )
    customer: Any = done.customer
    intent: Any = done.payment_intent
    assert customer.email == "alice@x.test"
    assert intent.customer == customer.id
    assert "customer.created" in sandbox.event_types()


def test_stored_prices_and_products_can_be_sold(sandbox: Sandbox) -> None:
    v1 = sandbox.stripe.v1
    product = v1.products.create({"name": "Pro", "metadata": {"includedCredits": "300"}})
    price = v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 2999})
    monthly = v1.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 1500,
            "recurring": {"interval": "month"},
        }
    )
    session = sandbox.open_checkout(line_items=[{"price": price.id, "quantity": 2}])
    assert session.amount_total == 5998
    with pytest.raises(stripe.InvalidRequestError, match="recurring price"):
        sandbox.open_checkout(line_items=[{"price": monthly.id, "quantity": 1}])
    shown = v1.prices.list({"type": "one_time", "active": True, "expand": ["data.product"]}).data
    sold: Any = shown[0].product
    assert sold.metadata["includedCredits"] == "300"
    assert v1.prices.retrieve(price.id).unit_amount == 2999
    assert [each.id for each in v1.products.list({"active": True}).data] == [product.id]
