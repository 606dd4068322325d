"""The webhook's door: only what Stripe has signed, byte for byte and just now, comes in."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from creditapp.payments import inbox
from creditapp.payments.gateway import SignatureInvalid, StripeGateway
from creditapp.payments.sandbox.deliveries import signature
from tests.payments.test_inbox import made_up
from tests.payments.till import COMPLETED, CREATOR, Json, Till, house, till

__all__ = ["house", "till"]


def unsent(till: Till) -> tuple[Any, Json, str]:
    """Return a buyer who has paid, the event of it, and its body."""
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    event = till.event(purchase, COMPLETED)
    return alice, event, json.dumps(event, indent=2, ensure_ascii=False)


@pytest.mark.parametrize("path", ["/api/webhooks/stripe", "/api/stripe/webhook"])
def test_a_genuine_event_comes_in_at_both_addresses(till: Till, path: str) -> None:
    alice, event, _body = unsent(till)
    answer = till.send(event, path)
    assert (answer.status_code, answer.json) == (200, {"received": True})
    assert till.credits(alice) == CREATOR


def forgeries(till: Till, body: str) -> dict[str, tuple[str, str | None]]:
    now = int(time.time())
    good = signature(body, till.secret)
    changed = body.replace('"amount_total": 1499', '"amount_total": 1')
    assert changed != body
    return {
        "no signature": (body, None),
        "empty signature": (body, ""),
        "another secret": (body, signature(body, "whsec_guessed")),
        "the empty secret": (body, signature(body, "")),
        "old": (body, signature(body, till.secret, now - 301)),
        "from the future": (body, signature(body, till.secret, now + 310)),
        "old, with its moment changed": (
            body,
            signature(body, till.secret, now - 9000).replace(str(now - 9000), str(now)),
        ),
        "an altered body": (changed, good),
        "one space more": (body + " ", good),
        "serialised anew": (json.dumps(json.loads(body)), good),
        "another scheme": (body, good.replace("v1=", "v0=")),
        "not a header": (body, "yes, it is me"),
        "letters that no signature has": (body, good + "é"),
        "no moment": (body, good.split(",")[1]),
        "a moment that is no number": (body, "t=now," + good.split(",")[1]),
        "not JSON": ("not json", signature("not json", till.secret)),
        "JSON, but no event": ("[]", signature("[]", till.secret)),
        "an empty body": ("", signature("", till.secret)),
        "a thin event": (
            '{"id": "evt_thin", "object": "v2.core.event"}',
            signature('{"id": "evt_thin", "object": "v2.core.event"}', till.secret),
        ),
    }


def test_what_stripe_did_not_sign_just_now_is_refused_and_leaves_nothing(till: Till) -> None:
    alice, event, body = unsent(till)
    for what, (sent, signed) in forgeries(till, body).items():
        answer = till.post(sent, signed)
        assert answer.status_code == 400, what
        assert answer.content_type == "application/problem+json", what
        assert answer.json, what
        assert answer.json["code"] == "malformed_request", what
        assert till.secret not in answer.text
    assert (till.stored(event), till.credits(alice)) == (None, 0)
    assert till.send(event).status_code == 200
    assert till.credits(alice) == CREATOR


def test_of_several_signatures_one_that_fits_is_enough(till: Till) -> None:
    """While a secret is rolled, Stripe signs with the old and with the new one."""
    alice, _event, body = unsent(till)
    moment, good = signature(body, till.secret).split(",")
    assert till.post(body, f"{moment},v1={'0' * 64},{good}").status_code == 200
    assert till.credits(alice) == CREATOR


def test_without_a_secret_nothing_is_genuine() -> None:
    gateway = StripeGateway("sk_test_x", "")
    with pytest.raises(SignatureInvalid):
        gateway.verify_webhook(b"{}", signature("{}", ""))


def test_an_event_that_cannot_be_stored_is_answered_500_and_taken_when_it_comes_again(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, event, _body = unsent(till)

    def full_disk(*_args: Any) -> bool:
        raise OperationalError("INSERT", {}, Exception("disk is full"))

    monkeypatch.setattr(inbox, "insert_once", full_disk)
    answer = till.send(event)
    assert (answer.status_code, answer.json and answer.json["code"]) == (500, "internal_error")
    assert "disk" not in answer.text
    monkeypatch.undo()
    assert till.send(event).status_code == 200
    assert till.credits(alice) == CREATOR


def test_an_event_of_the_other_mode_is_taken_and_does_nothing(till: Till) -> None:
    alice, event, _body = unsent(till)
    live = {**event, "id": event["id"] + "_live", "livemode": True}
    assert till.send(live).json == {"received": True}
    assert till.credits(alice) == 0


def test_an_event_that_is_not_ours_is_taken(till: Till) -> None:
    event = made_up("foreign", COMPLETED, {"id": "cs_x", "object": "checkout.session"})
    assert till.send(event).json == {"received": True}


def test_only_post_is_answered(till: Till) -> None:
    browser = till.app.test_client()
    for method in ("GET", "PUT", "DELETE"):
        answer = browser.open("/api/webhooks/stripe", method=method)
        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


def test_a_signed_request_needs_no_csrf_token_and_sets_no_cookie(till: Till) -> None:
    _alice, event, body = unsent(till)
    answer = till.app.test_client().post(
        "/api/webhooks/stripe",
        data=body.encode(),
        content_type="text/plain",
        headers={
            "Stripe-Signature": signature(body, till.secret),
            "Sec-Fetch-Site": "cross-site",
            "Origin": "https://stripe.example",
        },
    )
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert till.stored(event)
