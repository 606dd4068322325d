"""Stripe webhook endpoint."""

from __future__ import annotations

from flask import Blueprint, Response, request

from creditapp import payments
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.rate_limiting import limited, limiter
from creditapp.http.schemas import Schema
from creditapp.http.stripe_requests import asks_stripe
from creditapp.rate_limits import UNSIGNED_WEBHOOKS, WEBHOOK_BYTES_MAX

webhooks = Blueprint("webhooks", __name__)
# Stripe sends bursts from few addresses; only what it did not sign is counted.
limiter.exempt(webhooks)


class Received(Schema):
    """The event is stored, was stored before, or is not ours."""

    received: bool


@webhooks.post("/api/webhooks/stripe")
@webhooks.post("/api/stripe/webhook", endpoint="stripe_alias")
@policy("signature", body_bytes_max=WEBHOOK_BYTES_MAX)
@asks_stripe
@limited(UNSIGNED_WEBHOOKS, "unsigned", counts_when=lambda response: response.status_code == 400)
@Documented("Receive a signed event of Stripe", Received, headers=["Stripe-Signature"])
def stripe() -> Response:
    """Store an event once and process it: 200 if it is stored, 400 if its signature is wrong."""
    payments.receive_webhook(request.get_data(cache=False), request.headers.get("Stripe-Signature"))
    return json_response(Received(received=True))
