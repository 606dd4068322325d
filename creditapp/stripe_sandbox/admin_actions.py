"""The overview and its buttons: where a developer plays the bank and the post."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from creditapp.stripe_sandbox import overview, payment, subscription_starts
from creditapp.stripe_sandbox.errors import Refused
from creditapp.stripe_sandbox.formatting import minor_from_text
from creditapp.stripe_sandbox.forms import View, our_form, pages
from creditapp.stripe_sandbox.objects import checkout_session, dispute, event, refund
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.periods import DAY_SECONDS, months_on
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Books, Json

DELAY_SECONDS_MAX = 3600


@pages.get("/")
def index() -> Any:
    """The overview: payments, events, and what became of their delivery."""
    state = State.of(current_app)
    with state.transaction() as books:
        payment.tick(books)
        shown = overview.read(books)
    said = overview.SAID.get(request.args.get("said", ""), "")
    return render_template(
        "overview.html", **shown, said=said, webhook_url=state.webhook_url, modes=overview.MODES
    )


@pages.get("/events/<event_id>")
def show_event(event_id: str) -> Any:
    """One event as it is sent."""
    with State.of(current_app).transaction() as books:
        told = books.get("event", event_id) or abort(404)
        deliveries = overview.deliveries_of(books, event_id)
    return render_template("event.html", event=told, deliveries=deliveries)


def _action(rule: str, said: str, anchor: str) -> Callable[[Callable[..., None]], View]:
    """Make a button's route: a form that changes something and goes back to the overview."""

    def wrap(change: Callable[..., None]) -> View:
        @wraps(change)
        def view(**path: str) -> Response:
            outcome = said
            with State.of(current_app).transaction() as books:
                books.connection.execute("SAVEPOINT button")
                try:
                    change(books, **path)
                except Refused:
                    books.connection.execute("ROLLBACK TO button")
                    outcome = "refused"
                books.connection.execute("RELEASE button")
            return redirect(url_for("pages.index", said=outcome, _anchor=anchor), 303)

        pages.add_url_rule(rule, view_func=our_form(view), methods=["POST"])
        return view

    return wrap


def _thing(books: Books, kind: str, thing_id: str) -> Json:
    return books.get(kind, thing_id) or abort(404)


@_action("/sessions/<thing_id>/expire", "expired", "payments")
def expire_session(books: Books, thing_id: str) -> None:
    """Let a checkout run out now."""
    checkout_session.expire(books, _thing(books, "checkout.session", thing_id))


@_action("/payments/<thing_id>/settle", "settled", "payments")
def settle_payment(books: Books, thing_id: str) -> None:
    """Let a bank debit arrive, or not."""
    arrives = request.form.get("outcome") == "succeeds"
    payment.settle(books, _thing(books, "payment_intent", thing_id), arrives=arrives)


@_action("/payments/<thing_id>/refund", "refunded", "payments")
def refund_payment(books: Books, thing_id: str) -> None:
    """Give money back, by default all that is left."""
    intent = _thing(books, "payment_intent", thing_id)
    given: dict[str, Any] = {"payment_intent": thing_id, "reason": "requested_by_customer"}
    text = request.form.get("amount", "").strip()
    if text:
        given["amount"] = minor_from_text(text, intent["currency"])
    refund.create(books, given)


@_action("/refunds/<thing_id>/fail", "refund-failed", "payments")
def fail_refund(books: Books, thing_id: str) -> None:
    """Let a refund come back."""
    refund.fail(books, _thing(books, "refund", thing_id))


@_action("/payments/<thing_id>/dispute", "disputed", "payments")
def dispute_payment(books: Books, thing_id: str) -> None:
    """Dispute a payment, as its buyer's bank would."""
    intent = _thing(books, "payment_intent", thing_id)
    dispute.open_for(books, _thing(books, "charge", intent["latest_charge"] or ""))


@_action("/disputes/<thing_id>/close", "dispute-closed", "payments")
def close_dispute(books: Books, thing_id: str) -> None:
    """End a dispute: won or lost by the shop."""
    won = request.form.get("outcome") == "won"
    dispute.close(books, _thing(books, "dispute", thing_id), won=won)


@_action("/events/<thing_id>/send", "sent", "events")
def send_event(books: Books, thing_id: str) -> None:
    """Send an event once more, now or after some seconds."""
    text = request.form.get("delay", "0").strip() or "0"
    if not text.isdecimal() or len(text) > 9 or int(text) > DELAY_SECONDS_MAX:
        raise Refused(f"A delay is a number of seconds up to {DELAY_SECONDS_MAX}.")
    delay = int(text)
    told = _thing(books, "event", thing_id)
    event.post(books, told["id"], reason="late" if delay else "again", delay_seconds=delay)


@_action("/clock", "clock-moved", "clock")
def move_clock(books: Books) -> None:
    """Move the sandbox's clock on by a day, a month or a year."""
    wanted = request.form.get("by", "")
    months = {"month": 1, "year": 12}
    if wanted != "day" and wanted not in months:
        raise Refused("The clock moves on by a day, a month or a year.")
    to = months_on(books.now, months[wanted]) if wanted in months else books.now + DAY_SECONDS
    books.advance(to - books.now)
    payment.tick(books)


@_action("/subscriptions/<thing_id>/cancel", "subscription-ended", "subscriptions")
def cancel_subscription(books: Books, thing_id: str) -> None:
    """End a subscription now."""
    subscription_starts.cancel(books, _thing(books, "subscription", thing_id))


@_action("/subscriptions/<thing_id>/renew", "renewed", "subscriptions")
def renew_subscription(books: Books, thing_id: str) -> None:
    """Move the clock to the end of a subscription's period."""
    subscription = _running(books, thing_id)
    end = subscriptions.period_of(subscription)[1]
    books.advance(max(0, end - books.now))
    payment.tick(books)


@_action("/subscriptions/<thing_id>/decline", "declines-next", "subscriptions")
def decline_subscription(books: Books, thing_id: str) -> None:
    """Let the bank decline the next renewal's first try."""
    subscriptions.change(books, _running(books, thing_id), {"_decline_next": True})


def _running(books: Books, thing_id: str) -> Json:
    subscription = _thing(books, "subscription", thing_id)
    if subscription["status"] in subscriptions.ENDED:
        raise Refused("This subscription has ended.")
    return subscription


@_action("/webhooks/mode", "mode-changed", "webhooks")
def change_mode(books: Books) -> None:
    """Send, hold or drop what happens from now on."""
    wanted = request.form.get("mode", "")
    if wanted not in event.MODES:
        raise Refused("Webhooks are sent, held or dropped.")
    event.set_mode(books, wanted)


@_action("/webhooks/deliver", "delivering", "webhooks")
def deliver_now(books: Books) -> None:
    """Let everything go that is held or waiting for its next try."""
    event.deliver_now(books)
