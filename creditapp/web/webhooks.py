"""Where Stripe's events arrive."""

from __future__ import annotations

from flask import Blueprint, Response, request

from creditapp.http.json_provider import json_response
from creditapp.http.openapi import documented
from creditapp.http.policies import policy
from creditapp.http.rate_limiting import limiter
from creditapp.http.schemas import Schema
from creditapp.payments import webhooks as payments_webhooks

webhooks = Blueprint("webhooks", __name__)
# Stripe sends bursts from few addresses; the signature keeps others out.
limiter.exempt(webhooks)


class Received(Schema):
    """An event of Stripe's is stored, was stored before, or is none of ours."""

    received: bool


@webhooks.post("/api/webhooks/stripe")
@webhooks.post("/api/stripe/webhook", endpoint="stripe_by_its_older_address")
@policy("signature")
@documented("Take an event that Stripe has signed", Received, headers=["Stripe-Signature"])
def stripe() -> Response:
    """Store an event once and work on it: 200 when it is stored or was seen, 400 when forged."""
    payments_webhooks.receive(
        request.get_data(cache=False), request.headers.get("Stripe-Signature")
    )
    return json_response(Received(received=True))
