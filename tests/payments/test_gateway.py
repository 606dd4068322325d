"""Stripe gateway: its requests, and its parsing of answers, errors and signatures."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import stripe

from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.connection import API_VERSION
from creditapp.payments.stripe.events import SignatureInvalid
from creditapp.payments.stripe.records import CheckoutCreated, CheckoutRequest, GatewayError
from tests.stripe_sandbox.sandbox_kit import KEY, SECRET, Sandbox, Shop

PLACES = ("success_url", "cancel_url", "attempt", "expires_at")
ROOT = Path(__file__).resolve().parents[2]
PURCHASE_ID = "pur_" + "0" * 26
EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "checkout.session.completed",
    "created": 1_795_000_000,
    "livemode": False,
    "data": {
        "object": {
            "id": "cs_1",
            "object": "checkout.session",
            "metadata": {"purchase_id": PURCHASE_ID},
        }
    },
}


@pytest.fixture
def gateway(sandbox: Sandbox) -> StripeGateway:
    return StripeGateway(KEY, SECRET, sandbox.server.url)


def checkout(gateway: StripeGateway, purchase_id: str = "pur_1", **more: Any) -> CheckoutCreated:
    given: dict[str, Any] = {
        "title": "Creator",
        "description": "110 credits",
        "price_minor": 1499,
        "currency": "USD",
        "success_url": "http://shop.test/ok?id={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://shop.test/no",
        "customer_id": None,
    }
    given |= more
    places = {name: given.pop(name) for name in PLACES if name in given}
    return gateway.create_checkout(CheckoutRequest(purchase_id, **places), **given)


def pay(sandbox: Sandbox, created: CheckoutCreated, card: str = "succeeds") -> None:
    sandbox.pay(created.id, card)


# --- checkouts -------------------------------------------------------------------------------


def test_a_checkout_is_created_paid_and_retrieved(gateway: StripeGateway, sandbox: Sandbox) -> None:
    created = checkout(gateway)
    opened = gateway.retrieve_checkout(created.id)
    assert created.url == f"{sandbox.server.url}/pay/{created.id}" == opened.url
    assert (opened.status, opened.payment_status, opened.paid) == ("open", "unpaid", False)
    assert (opened.amount_subtotal, opened.amount_total, opened.currency) == (1499, 1499, "usd")
    assert opened.metadata == {"purchase_id": "pur_1"}
    assert opened.livemode is False

    pay(sandbox, created)

    paid = gateway.retrieve_checkout(created.id)
    assert (paid.status, paid.payment_status, paid.paid) == ("complete", "paid", True)
    intent = sandbox.stripe.v1.payment_intents.retrieve(str(paid.payment_intent_id))
    assert intent.metadata["purchase_id"] == "pur_1", "events of the payment lead to the purchase"


def test_a_debit_is_not_paid_before_it_arrives(gateway: StripeGateway, sandbox: Sandbox) -> None:
    created = checkout(gateway)
    pay(sandbox, created, "pays-later")
    waiting = gateway.retrieve_checkout(created.id)
    assert (waiting.status, waiting.paid) == ("complete", False)
    sandbox.press(f"/payments/{waiting.payment_intent_id}/settle", outcome="succeeds")
    assert gateway.retrieve_checkout(created.id).paid


def test_refunds_and_disputes_are_part_of_a_checkouts_state(
    gateway: StripeGateway, sandbox: Sandbox
) -> None:
    created = checkout(gateway)
    pay(sandbox, created)
    intent = gateway.retrieve_checkout(created.id).payment_intent_id
    for amount in ("5.00", "4.99"):
        sandbox.press(f"/payments/{intent}/refund", amount=amount)
    before = gateway.retrieve_checkout(created.id)
    assert (before.reversals.refunded_minor, len(before.reversals.refunds)) == (999, 2)

    sandbox.press(f"/refunds/{before.reversals.refunds[0].id}/fail")
    assert gateway.retrieve_checkout(created.id).reversals.refunded_minor == 500

    sandbox.press(f"/payments/{intent}/dispute")
    (dispute,) = gateway.retrieve_checkout(created.id).reversals.disputes
    assert (dispute.amount_minor, dispute.status, dispute.open) == (1499, "needs_response", True)
    sandbox.press(f"/disputes/{dispute.id}/close", outcome="lost")
    (closed,) = gateway.retrieve_checkout(created.id).reversals.disputes
    assert (closed.status, closed.open) == ("lost", False)


def test_more_refunds_than_a_page_are_all_counted(gateway: StripeGateway, sandbox: Sandbox) -> None:
    created = checkout(gateway)
    pay(sandbox, created)
    intent = str(gateway.retrieve_checkout(created.id).payment_intent_id)
    for _ in range(105):
        sandbox.stripe.v1.refunds.create({"payment_intent": intent, "amount": 1})
    assert gateway.retrieve_checkout(created.id).reversals.refunded_minor == 105


def test_the_same_attempt_opens_one_checkout_and_the_next_one_another(
    gateway: StripeGateway,
) -> None:
    first, again, second = checkout(gateway), checkout(gateway), checkout(gateway, attempt=2)
    assert first == again
    assert first.id != second.id


def test_a_changed_order_under_the_same_attempt_is_refused(gateway: StripeGateway) -> None:
    checkout(gateway)
    with pytest.raises(GatewayError) as refused:
        checkout(gateway, price_minor=1)
    assert refused.value.permanent


def test_a_checkout_sells_a_stripe_price(gateway: StripeGateway, sandbox: Sandbox) -> None:
    price = sandbox.stripe.v1.prices.create(
        {"currency": "usd", "unit_amount": 2999, "product_data": {"name": "Pro"}}
    )
    created = checkout(gateway, price_id=price.id)
    assert gateway.retrieve_checkout(created.id).amount_total == 2999


def test_a_checkout_has_its_expiry(gateway: StripeGateway, sandbox: Sandbox) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    created = checkout(gateway, expires_at=ends)
    session = sandbox.stripe.v1.checkout.sessions.retrieve(created.id)
    assert session.expires_at == int(ends.timestamp())


def test_a_customer_is_created_once_for_a_user(gateway: StripeGateway, sandbox: Sandbox) -> None:
    made = [gateway.create_customer(user_id="usr_1", email="alice@x.test") for _ in range(2)]
    assert made[0] == made[1]
    assert gateway.create_customer(user_id="usr_2", email="bob@x.test") != made[0]
    moved = gateway.create_customer(user_id="usr_1", email="new@x.test")
    assert sandbox.stripe.v1.customers.retrieve(moved).email == "new@x.test"
    replaced = gateway.create_customer(user_id="usr_1", email="new@x.test", replaced_id=moved)
    assert replaced != moved


def test_expiring_returns_the_state_after_it(gateway: StripeGateway, sandbox: Sandbox) -> None:
    opened, paid = checkout(gateway, "pur_1"), checkout(gateway, "pur_2")
    pay(sandbox, paid)
    for _ in range(2):
        expired = gateway.expire_checkout(opened.id)
        assert expired
        assert expired.status == "expired"
    complete = gateway.expire_checkout(paid.id)
    assert complete
    assert complete.paid


def test_a_lost_checkout_is_found_by_its_purchase(gateway: StripeGateway, sandbox: Sandbox) -> None:
    began = datetime.now(UTC)
    lost, paid = checkout(gateway, "pur_1"), checkout(gateway, "pur_1", attempt=2)
    checkout(gateway, "pur_1", attempt=3)
    for number in range(3):
        checkout(gateway, f"other_{number}")
    pay(sandbox, paid)
    found = gateway.find_checkout_for("pur_1", created_after=began)
    assert found is not None
    assert found.id == paid.id, "the paid one is the one that matters"
    gateway.expire_checkout(lost.id)
    assert gateway.find_checkout_for("nobody", created_after=began) is None
    later = began + timedelta(hours=1)
    assert gateway.find_checkout_for("pur_1", created_after=later) is None


# --- errors ----------------------------------------------------------------------------------


def test_an_unknown_object_is_none(gateway: StripeGateway) -> None:
    assert gateway.retrieve_checkout("cs_test_unknown") is None
    assert gateway.retrieve_payment("pi_unknown") is None
    assert gateway.retrieve_subscription("sub_unknown") is None
    assert gateway.expire_checkout("cs_test_unknown") is None


def test_an_error_tells_what_stripe_has_lost(gateway: StripeGateway, sandbox: Sandbox) -> None:
    with pytest.raises(GatewayError) as refused:
        gateway.list_cards("cus_unknown")
    assert (refused.value.permanent, refused.value.customer_missing) == (True, True)
    customer_id = gateway.create_customer(user_id="usr_1", email="alice@x.test")
    sandbox.stripe.v1.customers.delete(customer_id)
    for lost in ({"customer_id": customer_id}, {"price_id": "price_unknown"}):
        with pytest.raises(GatewayError) as refused:
            checkout(gateway, f"pur_{next(iter(lost))}", **lost)
        error = refused.value
        assert (error.customer_missing, error.price_refused) == (
            "customer_id" in lost,
            "price_id" in lost,
        )


@contextmanager
def answering(status: int, body: str, seconds: float = 0) -> Iterator[str]:
    """Serve a Stripe that always answers the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(seconds)
            self.send_response(status)
            self.send_header("Stripe-Should-Retry", "false")
            self.send_header("Request-Id", "req_1")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (400, True),
        (401, True),
        (402, True),
        (403, True),
        (404, True),
        (409, False),
        (429, False),
        (500, False),
        (503, False),
    ],
)
def test_an_error_tells_whether_another_try_can_help(status: int, permanent: bool) -> None:
    secret = "sk_test_" + "4eC39" * 5  # opens nothing
    message = f"Invalid API Key provided: {secret}, or whsec_abc"
    body = json.dumps({"error": {"type": "api_error", "message": message}})
    with answering(status, body) as base, pytest.raises(GatewayError) as refused:
        StripeGateway(secret, "whsec_abc", base).retrieve_checkout("cs_1")
    assert refused.value.permanent is permanent
    text = str(refused.value)
    assert "req_1" in text
    assert secret not in text
    assert "whsec_abc" not in text
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("body", ["", "<html>Bad gateway</html>"])
def test_an_answer_that_is_not_json_is_not_permanent(body: str) -> None:
    with answering(502, body) as base, pytest.raises(GatewayError) as refused:
        StripeGateway(KEY, SECRET, base, max_network_retries=0).retrieve_checkout("cs_1")
    assert not refused.value.permanent


def test_an_unreachable_or_slow_stripe_is_not_permanent() -> None:
    away = StripeGateway(KEY, SECRET, "http://127.0.0.1:9", max_network_retries=0)
    with pytest.raises(GatewayError) as refused:
        away.retrieve_checkout("cs_1")
    assert not refused.value.permanent
    began = time.monotonic()
    with answering(200, "{}", seconds=1) as base, pytest.raises(GatewayError) as late:
        StripeGateway(
            KEY, SECRET, base, timeout_seconds=0.2, max_network_retries=0
        ).retrieve_checkout("cs_1")
    assert not late.value.permanent
    assert time.monotonic() - began < 5


# --- webhooks --------------------------------------------------------------------------------


def signed(body: bytes, secret: str = SECRET, at: float | None = None) -> str:
    header: str = stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret, int(time.time() if at is None else at)
    )
    return header


def test_a_webhook_of_the_sandbox_is_verified(
    gateway: StripeGateway, sandbox: Sandbox, shop: Shop
) -> None:
    sandbox.deliver()
    created = checkout(gateway, PURCHASE_ID)
    pay(sandbox, created)
    (received,) = shop.wait_for("checkout.session.completed")
    event = gateway.verify_webhook(received.body, received.signature)
    assert (event.object_id, event.purchase_id) == (created.id, PURCHASE_ID)
    assert event.livemode is False
    assert abs(datetime.now(UTC) - event.created_at) < timedelta(minutes=1)


def test_only_a_genuine_webhook_is_accepted() -> None:
    gateway = StripeGateway(KEY, SECRET)
    body = json.dumps(EVENT).encode()
    event = gateway.verify_webhook(body, signed(body))
    assert (event.id, event.object_id, event.purchase_id) == ("evt_1", "cs_1", PURCHASE_ID)
    now = time.time()
    forged = {
        "none": None,
        "empty": "",
        "nonsense": "nonsense",
        "no time": "v1=abc",
        "no number": "t=now,v1=abc",
        "no signature": f"t={int(now)}",
        "another secret": signed(body, "whsec_other"),
        "another body": signed(body + b" "),
        "too old": signed(body, at=now - 400),
        "in the future": signed(body, at=now + 400),
        "in the future, said to be now": signed(body, at=now + 400) + f",t={int(now)}",
        "not text": "t=\x00,v1=é",
    }
    for why, header in forged.items():
        with pytest.raises(SignatureInvalid) as refused:
            gateway.verify_webhook(body, header)
        assert (refused.value.status, refused.value.code) == (400, "malformed_request"), why
    assert gateway.verify_webhook(body, signed(body, at=now + 60)), "clocks differ a little"
    rolled = signed(body).replace("v1=", "v1=0123,v1=")
    assert gateway.verify_webhook(body, rolled), "while Stripe rolls the secret it signs with both"


def test_without_a_secret_every_webhook_is_refused() -> None:
    body = json.dumps(EVENT).encode()
    with pytest.raises(SignatureInvalid):
        StripeGateway(KEY, "").verify_webhook(body, signed(body, ""))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"id": "evt_1", "object": "v2.core.event", "type": "v1.billing.meter"}',
        json.dumps({**EVENT, "data": {"object": None}}).encode(),
        json.dumps({**EVENT, "created": "today"}).encode(),
        json.dumps({**EVENT, "created": 10**30}).encode(),
        json.dumps({**EVENT, "created": -(10**17)}).encode(),
        b"[" * 100_000 + b"]" * 100_000,
        json.dumps({**EVENT, "id": "evt_\0"}).encode(),
        json.dumps({**EVENT, "id": "evt_" + "1" * 300}).encode(),
        json.dumps({**EVENT, "type": "\ud800"}).encode(),
        json.dumps({**EVENT, "data": {"object": {"id": 7}}}).encode(),
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_a_signed_body_without_an_event_is_refused(body: bytes) -> None:
    from creditapp.stripe_sandbox.deliveries import signature

    header = signature(body.decode("latin-1"), SECRET)
    with pytest.raises(SignatureInvalid):
        StripeGateway(KEY, SECRET).verify_webhook(body, header)


def test_an_old_signature_is_refused_before_the_body_is_hashed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = json.dumps(EVENT).encode()
    old = signed(body, at=time.time() - 400)
    monkeypatch.delattr(stripe.WebhookSignature, "verify_header")
    with pytest.raises(SignatureInvalid):
        StripeGateway(KEY, SECRET).verify_webhook(body, old)


# --- the client -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "live"), [("sk_test_1", False), ("sk_live_1", True), ("rk_live_1", True)]
)
def test_the_key_decides_the_livemode(key: str, live: bool) -> None:
    gateway: StripeGateway = StripeGateway(key, SECRET)
    assert gateway.livemode is live


def test_the_sdk_is_loaded_only_when_it_is_used() -> None:
    code = (
        "import sys; from creditapp.payments.stripe.client import StripeGateway;"
        "StripeGateway('sk_test_1', 'whsec_1').livemode; print('stripe' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ran.stdout.strip() == "False"


def test_the_version_is_pinned() -> None:
    assert stripe.api_version == API_VERSION
