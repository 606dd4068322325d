"""Where Stripe's events arrive."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, request

from creditapp import payments
from creditapp.api.models import Received
from creditapp.http.json_provider import answer
from creditapp.http.openapi import documented
from creditapp.http.security import limiter, policy

webhooks = Blueprint("webhooks", __name__)


def register(app: Flask) -> None:
    """Put the webhook's two addresses onto the app."""
    # Stripe sends bursts from few addresses; the signature is what keeps others out.
    limiter.exempt(webhooks)
    app.register_blueprint(webhooks)


@webhooks.post("/api/webhooks/stripe")
@webhooks.post("/api/stripe/webhook", endpoint="stripe_by_its_older_address")
@policy("signature")
@documented("Take an event that Stripe has signed", Received, headers=["Stripe-Signature"])
def stripe() -> Response:
    """Store an event once and work on it: 200 when it is stored or was seen, 400 when forged."""
    payments.receive_webhook(request.get_data(cache=False), request.headers.get("Stripe-Signature"))
    return answer(Received(received=True).as_json())
