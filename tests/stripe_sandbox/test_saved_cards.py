"""Saved cards and off-session payments."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.stripe_sandbox.sandbox_kit import Sandbox


def save(sandbox: Sandbox, card: str) -> tuple[str, str]:
    """Save a card with a payment; return its customer and itself."""
    session = sandbox.open_checkout(payment_intent_data={"setup_future_usage": "off_session"})
    sandbox.pay(session.id, card)
    if card == "asks-each-time":
        sandbox.press(f"/pay/{session.id}/step", answer="complete")
    customer = str(sandbox.stripe.v1.checkout.sessions.retrieve(session.id).customer)
    (method,) = sandbox.stripe.v1.customers.payment_methods.list(customer).data
    return customer, method.id


def pay(sandbox: Sandbox, customer: str, method: str, **more: Any) -> stripe.PaymentIntent:
    given: Any = {
        "amount": 2000,
        "currency": "usd",
        "customer": customer,
        "payment_method": method,
        "off_session": True,
        "confirm": True,
        "description": "Top up",
        "metadata": {"purchase_id": "pur_2"},
        **more,
    }
    return sandbox.stripe.v1.payment_intents.create(given)


def test_a_payment_saves_the_card_for_off_session_payments(sandbox: Sandbox) -> None:
    customer, method = save(sandbox, "succeeds")
    assert "payment_method.attached" in sandbox.event_types()

    paid = pay(sandbox, customer, method)

    assert (paid.status, paid.amount_received, paid.customer) == ("succeeded", 2000, customer)
    assert paid.metadata
    assert paid.metadata["purchase_id"] == "pur_2"
    assert sandbox.event_types()[-2:] == ["charge.succeeded", "payment_intent.succeeded"]
    sandbox.stripe.v1.refunds.create({"payment_intent": paid.id})


def test_a_payment_without_setup_saves_no_card(sandbox: Sandbox) -> None:
    alice = sandbox.stripe.v1.customers.create({"email": "a@x.test"})
    session = sandbox.open_checkout(customer=alice.id)
    sandbox.pay(session.id)
    assert sandbox.stripe.v1.customers.payment_methods.list(alice.id).data == []


@pytest.mark.parametrize(
    ("card", "code"),
    [("declined-later", "card_declined"), ("asks-each-time", "authentication_required")],
)
def test_a_failed_off_session_payment_returns_the_error_and_keeps_the_intent(
    sandbox: Sandbox, card: str, code: str
) -> None:
    customer, method = save(sandbox, card)

    with pytest.raises(stripe.CardError) as refused:
        pay(sandbox, customer, method)

    assert (refused.value.http_status, refused.value.code) == (402, code)
    assert refused.value.error
    intent = refused.value.error.payment_intent
    assert intent
    kept = sandbox.stripe.v1.payment_intents.retrieve(intent.id)
    assert kept.status == "requires_payment_method"
    assert kept.last_payment_error
    assert kept.last_payment_error.code == code
    assert sandbox.event_types()[-2:] == ["charge.failed", "payment_intent.payment_failed"]


def test_a_failed_payment_is_replayed_for_the_same_key(sandbox: Sandbox) -> None:
    customer, method = save(sandbox, "declined-later")
    given: Any = {
        "amount": 2000,
        "currency": "usd",
        "customer": customer,
        "payment_method": method,
        "off_session": True,
        "confirm": True,
    }
    intents = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refused:
            sandbox.stripe.v1.payment_intents.create(given, {"idempotency_key": "top-up:1"})
        assert refused.value.error
        assert refused.value.error.payment_intent
        intents.add(refused.value.error.payment_intent.id)
    assert len(intents) == 1
    assert sandbox.event_types().count("payment_intent.payment_failed") == 1


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"confirm": False}, "confirm"),
        ({"off_session": False}, "off_session"),
        ({"amount": 49}, "amount"),
        ({"customer": "cus_nobody"}, "customer"),
        ({"method": "pm_nobody"}, "payment_method"),
    ],
)
def test_an_invalid_off_session_payment_is_refused(
    sandbox: Sandbox, change: dict[str, Any], param: str
) -> None:
    customer, method = save(sandbox, "succeeds")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        pay(sandbox, **{"customer": customer, "method": method, **change})
    assert refused.value.param == param


def test_a_setup_checkout_saves_a_card(sandbox: Sandbox) -> None:
    alice = sandbox.stripe.v1.customers.create({"email": "alice@x.test"})
    given: Any = {
        "mode": "setup",
        "currency": "usd",
        "customer": alice.id,
        "success_url": "http://shop.test/card?id={CHECKOUT_SESSION_ID}",
        "setup_intent_data": {"metadata": {"user": "u1"}},
    }
    session = sandbox.stripe.v1.checkout.sessions.create(given)
    assert (session.amount_total, session.payment_status) == (None, "no_payment_required")
    page = sandbox.get(f"/pay/{session.id}").text
    assert "Save a card for" in page
    assert "Nothing is charged now." in page
    assert "total" not in page, "no sum is asked for, so none is spoken of"
    sandbox.pay(session.id, "declined")
    assert "Your card was declined." in sandbox.get(f"/pay/{session.id}").text
    sandbox.pay(session.id, "further-step")
    assert "confirm" in sandbox.get(f"/pay/{session.id}/step").text
    sandbox.press(f"/pay/{session.id}/step", answer="complete")

    done: Any = sandbox.stripe.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["setup_intent.payment_method"]}
    )
    assert (done.status, done.setup_intent.status) == ("complete", "succeeded")
    assert done.setup_intent.metadata["user"] == "u1"
    assert done.setup_intent.payment_method.customer == alice.id
    assert "The card is saved" in sandbox.get(f"/pay/{session.id}").text
    assert "A saved card" in sandbox.get("/").text
    told = sandbox.event_types()
    assert told[-3:] == [
        "payment_method.attached",
        "setup_intent.succeeded",
        "checkout.session.completed",
    ]
    assert "setup_intent.setup_failed" in told
    assert sandbox.stripe.v1.charges.list().data == []


def test_the_default_card_pays_a_plan_without_a_card_and_can_be_detached(sandbox: Sandbox) -> None:
    customer, method = save(sandbox, "succeeds")
    v1 = sandbox.stripe.v1
    v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.customers.update(customer, {"invoice_settings": {"default_payment_method": "pm_no"}})
    assert refused.value.param == "invoice_settings[default_payment_method]"
    session = sandbox.open_subscription(
        sandbox.price(),
        customer=customer,
        subscription_data={"trial_period_days": 1},
        payment_method_collection="if_required",
    )
    sandbox.press(f"/pay/{session.id}")
    sandbox.wait(days=2)
    (subscription,) = v1.subscriptions.list({"customer": customer}).data
    assert subscription.status == "active"

    v1.payment_methods.detach(method)
    with pytest.raises(stripe.InvalidRequestError, match="not attached"):
        v1.payment_methods.detach(method)
    assert v1.customers.payment_methods.list(customer).data == []
    sandbox.wait(days=32)
    assert v1.subscriptions.retrieve(subscription.id).status == "past_due"
