"""The webhook endpoint accepts only events that Stripe signed, byte for byte and recently."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from creditapp.payments import webhooks
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.events import SignatureInvalid
from creditapp.stripe_sandbox.deliveries import signature
from tests.payments.test_webhooks import fake_event
from tests.shop_app import COMPLETED, CREATOR, Json, ShopApp


def paid_event(shop_app: ShopApp) -> tuple[Any, Json, str]:
    """Return a buyer who has paid, the event not yet sent, and its body."""
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    event = shop_app.event(purchase, COMPLETED)
    return alice, event, json.dumps(event, indent=2, ensure_ascii=False)


@pytest.mark.parametrize("path", ["/api/webhooks/stripe", "/api/stripe/webhook"])
def test_a_genuine_event_is_accepted_at_both_paths(shop_app: ShopApp, path: str) -> None:
    alice, event, _body = paid_event(shop_app)
    answer = shop_app.send(event, path)
    assert (answer.status_code, answer.json) == (200, {"received": True})
    assert shop_app.credits(alice) == CREATOR


def forgeries(shop_app: ShopApp, body: str) -> dict[str, tuple[str, str | None]]:
    now = int(time.time())
    good = signature(body, shop_app.secret)
    changed = body.replace('"amount_total": 1499', '"amount_total": 1')
    assert changed != body
    return {
        "no signature": (body, None),
        "empty signature": (body, ""),
        "another secret": (body, signature(body, "whsec_guessed")),
        "the empty secret": (body, signature(body, "")),
        "old": (body, signature(body, shop_app.secret, now - 301)),
        "from the future": (body, signature(body, shop_app.secret, now + 310)),
        "old, with its moment changed": (
            body,
            signature(body, shop_app.secret, now - 9000).replace(str(now - 9000), str(now)),
        ),
        "an altered body": (changed, good),
        "one space more": (body + " ", good),
        "serialised anew": (json.dumps(json.loads(body)), good),
        "another scheme": (body, good.replace("v1=", "v0=")),
        "not a header": (body, "yes, it is me"),
        "letters that no signature has": (body, good + "é"),
        "no moment": (body, good.split(",")[1]),
        "a moment that is no number": (body, "t=now," + good.split(",")[1]),
        "a moment of 400 digits": (body, f"t={'9' * 400}," + good.split(",")[1]),
        "not JSON": ("not json", signature("not json", shop_app.secret)),
        "JSON, but no event": ("[]", signature("[]", shop_app.secret)),
        "an empty body": ("", signature("", shop_app.secret)),
        "a thin event": (
            '{"id": "evt_thin", "object": "v2.core.event"}',
            signature('{"id": "evt_thin", "object": "v2.core.event"}', shop_app.secret),
        ),
    }


def test_an_event_without_a_recent_signature_is_refused_and_not_stored(shop_app: ShopApp) -> None:
    alice, event, body = paid_event(shop_app)
    for what, (sent, signed) in forgeries(shop_app, body).items():
        answer = shop_app.post(sent, signed)
        assert answer.status_code == 400, what
        assert answer.content_type == "application/problem+json", what
        assert answer.json, what
        assert answer.json["code"] == "malformed_request", what
        assert shop_app.secret not in answer.text
    assert (shop_app.stored_event(event), shop_app.credits(alice)) == (None, 0)
    assert shop_app.send(event).status_code == 200
    assert shop_app.credits(alice) == CREATOR


def test_one_valid_signature_of_several_is_enough(shop_app: ShopApp) -> None:
    """While a secret is rotated, Stripe signs with the old and the new one."""
    alice, _event, body = paid_event(shop_app)
    moment, good = signature(body, shop_app.secret).split(",")
    assert shop_app.post(body, f"{moment},v1={'0' * 64},{good}").status_code == 200
    assert shop_app.credits(alice) == CREATOR


def test_without_a_secret_no_event_is_genuine() -> None:
    gateway = StripeGateway("sk_test_x", "")
    with pytest.raises(SignatureInvalid):
        gateway.verify_webhook(b"{}", signature("{}", ""))


def test_an_event_that_cannot_be_stored_returns_500_and_is_accepted_again_later(
    shop_app: ShopApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, event, _body = paid_event(shop_app)

    def full_disk(*_args: Any) -> bool:
        raise OperationalError("INSERT", {}, Exception("disk is full"))

    monkeypatch.setattr(webhooks, "insert_once", full_disk)
    answer = shop_app.send(event)
    assert (answer.status_code, answer.json and answer.json["code"]) == (500, "internal_error")
    assert "disk" not in answer.text
    monkeypatch.undo()
    assert shop_app.send(event).status_code == 200
    assert shop_app.credits(alice) == CREATOR


def test_an_event_of_the_other_mode_is_accepted_without_effect(shop_app: ShopApp) -> None:
    alice, event, _body = paid_event(shop_app)
    live = {**event, "id": event["id"] + "_live", "livemode": True}
    assert shop_app.send(live).json == {"received": True}
    assert shop_app.credits(alice) == 0


def test_an_event_that_is_not_ours_is_accepted(shop_app: ShopApp) -> None:
    event = fake_event("foreign", COMPLETED, {"id": "cs_x", "object": "checkout.session"})
    assert shop_app.send(event).json == {"received": True}


def test_only_post_is_accepted(shop_app: ShopApp) -> None:
    browser = shop_app.app.test_client()
    for method in ("GET", "PUT", "DELETE"):
        answer = browser.open("/api/webhooks/stripe", method=method)
        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


def test_a_signed_request_needs_no_csrf_token_and_sets_no_cookie(shop_app: ShopApp) -> None:
    _alice, event, body = paid_event(shop_app)
    answer = shop_app.app.test_client().post(
        "/api/webhooks/stripe",
        data=body.encode(),
        content_type="text/plain",
        headers={
            "Stripe-Signature": signature(body, shop_app.secret),
            "Sec-Fetch-Site": "cross-site",
            "Origin": "https://stripe.example",
        },
    )
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert shop_app.stored_event(event)
