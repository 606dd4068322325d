"""Overview page and its actions, with which a developer simulates the bank and the webhooks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from creditapp.stripe_sandbox import checkout, overview, subscription_lifecycle
from creditapp.stripe_sandbox.errors import StripeAPIError
from creditapp.stripe_sandbox.formatting import parse_amount
from creditapp.stripe_sandbox.forms import View, pages, require_form_token
from creditapp.stripe_sandbox.objects import checkout_session, dispute, event, refund
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.periods import DAY_SECONDS, add_months
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Json, Store

DELAY_SECONDS_MAX = 3600


@pages.get("/")
def index() -> Any:
    """Show payments, subscriptions, events and webhook deliveries."""
    state = State.of(current_app)
    with state.transaction() as store:
        checkout.run_due_work(store)
        context = overview.overview_context(store)
    message = overview.MESSAGES.get(request.args.get("said", ""), "")
    return render_template(
        "overview.html",
        **context,
        message=message,
        webhook_url=state.webhook_url,
        modes=overview.MODES,
    )


@pages.get("/events/<event_id>")
def show_event(event_id: str) -> Any:
    """Show the JSON of one event and its deliveries."""
    with State.of(current_app).transaction() as store:
        stored_event = store.get("event", event_id) or abort(404)
        deliveries = overview.event_deliveries(store, event_id)
    return render_template("event.html", event=stored_event, deliveries=deliveries)


def _admin_action(rule: str, message: str, anchor: str) -> Callable[[Callable[..., None]], View]:
    """Register a POST route that changes the store and redirects to the overview."""

    def wrap(change: Callable[..., None]) -> View:
        @wraps(change)
        def view(**path: str) -> Response:
            outcome = message
            with State.of(current_app).transaction() as store:
                store.connection.execute("SAVEPOINT admin_action")
                try:
                    change(store, **path)
                except StripeAPIError:
                    store.connection.execute("ROLLBACK TO admin_action")
                    outcome = "refused"
                store.connection.execute("RELEASE admin_action")
            return redirect(url_for("pages.index", said=outcome, _anchor=anchor), 303)

        pages.add_url_rule(rule, view_func=require_form_token(view), methods=["POST"])
        return view

    return wrap


def _get_or_404(store: Store, kind: str, object_id: str) -> Json:
    return store.get(kind, object_id) or abort(404)


@_admin_action("/sessions/<object_id>/expire", "expired", "payments")
def expire_session(store: Store, object_id: str) -> None:
    """Expire a checkout now."""
    checkout_session.expire(store, _get_or_404(store, "checkout.session", object_id))


@_admin_action("/payments/<object_id>/settle", "settled", "payments")
def settle_payment(store: Store, object_id: str) -> None:
    """Make a bank debit succeed or fail."""
    succeeds = request.form.get("outcome") == "succeeds"
    checkout.settle(store, _get_or_404(store, "payment_intent", object_id), succeeds=succeeds)


@_admin_action("/payments/<object_id>/refund", "refunded", "payments")
def refund_payment(store: Store, object_id: str) -> None:
    """Refund a payment, by default the whole remaining amount."""
    intent = _get_or_404(store, "payment_intent", object_id)
    params: dict[str, Any] = {"payment_intent": object_id, "reason": "requested_by_customer"}
    text = request.form.get("amount", "").strip()
    if text:
        params["amount"] = parse_amount(text, intent["currency"])
    refund.create(store, params)


@_admin_action("/refunds/<object_id>/fail", "refund-failed", "payments")
def fail_refund(store: Store, object_id: str) -> None:
    """Make a refund fail."""
    refund.fail(store, _get_or_404(store, "refund", object_id))


@_admin_action("/payments/<object_id>/dispute", "disputed", "payments")
def dispute_payment(store: Store, object_id: str) -> None:
    """Open a dispute as the buyer's bank would."""
    intent = _get_or_404(store, "payment_intent", object_id)
    dispute.open_for(store, _get_or_404(store, "charge", intent["latest_charge"] or ""))


@_admin_action("/disputes/<object_id>/close", "dispute-closed", "payments")
def close_dispute(store: Store, object_id: str) -> None:
    """Close a dispute as won or lost by the shop."""
    won = request.form.get("outcome") == "won"
    dispute.close(store, _get_or_404(store, "dispute", object_id), won=won)


@_admin_action("/events/<object_id>/send", "sent", "events")
def send_event(store: Store, object_id: str) -> None:
    """Send an event again, now or after a delay in seconds."""
    text = request.form.get("delay", "0").strip() or "0"
    if not text.isdecimal() or len(text) > 9 or int(text) > DELAY_SECONDS_MAX:
        raise StripeAPIError(f"A delay is a number of seconds up to {DELAY_SECONDS_MAX}.")
    delay = int(text)
    stored_event = _get_or_404(store, "event", object_id)
    event.queue_delivery(
        store, stored_event["id"], reason="late" if delay else "again", delay_seconds=delay
    )


@_admin_action("/clock", "clock-moved", "clock")
def move_clock(store: Store) -> None:
    """Advance the sandbox's clock by a day, a month or a year."""
    choice = request.form.get("by", "")
    months = {"month": 1, "year": 12}
    if choice != "day" and choice not in months:
        raise StripeAPIError("The clock moves on by a day, a month or a year.")
    to = add_months(store.now, months[choice]) if choice in months else store.now + DAY_SECONDS
    store.advance(to - store.now)
    checkout.run_due_work(store)


@_admin_action("/subscriptions/<object_id>/cancel", "subscription-ended", "subscriptions")
def cancel_subscription(store: Store, object_id: str) -> None:
    """End a subscription now."""
    subscription_lifecycle.cancel(store, _get_or_404(store, "subscription", object_id))


@_admin_action("/subscriptions/<object_id>/renew", "renewed", "subscriptions")
def renew_subscription(store: Store, object_id: str) -> None:
    """Advance the clock to the end of a subscription's period."""
    subscription = _running_subscription(store, object_id)
    end = subscriptions.period_of(subscription)[1]
    store.advance(max(0, end - store.now))
    checkout.run_due_work(store)


@_admin_action("/subscriptions/<object_id>/decline", "declines-next", "subscriptions")
def decline_subscription(store: Store, object_id: str) -> None:
    """Decline the first payment attempt of the next renewal."""
    subscriptions.change(store, _running_subscription(store, object_id), {"_decline_next": True})


def _running_subscription(store: Store, object_id: str) -> Json:
    subscription = _get_or_404(store, "subscription", object_id)
    if subscription["status"] in subscriptions.ENDED:
        raise StripeAPIError("This subscription has ended.")
    return subscription


@_admin_action("/webhooks/mode", "mode-changed", "webhooks")
def change_mode(store: Store) -> None:
    """Choose whether webhooks of new events are sent, held or dropped."""
    choice = request.form.get("mode", "")
    if choice not in event.MODES:
        raise StripeAPIError("Webhooks are sent, held or dropped.")
    event.set_mode(store, choice)


@_admin_action("/webhooks/deliver", "delivering", "webhooks")
def deliver_now(store: Store) -> None:
    """Send all held or waiting webhooks now."""
    event.deliver_now(store)
