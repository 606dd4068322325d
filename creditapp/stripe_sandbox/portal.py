"""Customer portal: pages on which a customer manages plan, card and invoices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import abort, current_app, redirect, render_template, request, url_for

from creditapp.stripe_sandbox import checkout, overview, subscription_updates
from creditapp.stripe_sandbox.errors import StripeAPIError
from creditapp.stripe_sandbox.forms import pages, require_form_token
from creditapp.stripe_sandbox.objects import customer as customers
from creditapp.stripe_sandbox.objects import payment_method as methods
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.payment_options import DECLINED, PAYMENT_OPTIONS, PaymentOption
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Json, Store

PART = {
    "payment_method_update": "card",
    "subscription_cancel": "cancel",
    "subscription_update": "plan",
}
INVOICES_SHOWN = 24


@pages.get("/portal/<portal_id>")
def portal(portal_id: str) -> Any:
    """Show the portal, or the one part that the session's flow selects."""
    flow_done = request.args.get("done") == "1"
    return _page(portal_id, problem=None, done=flow_done)


@pages.post("/portal/<portal_id>/<any(cancel, resume, plan, card):action>")
@require_form_token
def act_in_portal(portal_id: str, action: str) -> Any:
    """Run the action that the customer chose."""
    problem = None
    with State.of(current_app).transaction() as store:
        checkout.run_due_work(store)
        session = store.get("billing_portal.session", portal_id) or abort(404)
        store.connection.execute("SAVEPOINT portal")
        try:
            _ACTIONS[action](store, session)
        except StripeAPIError as api_error:
            store.connection.execute("ROLLBACK TO portal")
            problem = f"{api_error} Nothing was changed."
        store.connection.execute("RELEASE portal")
    if problem:
        return _page(portal_id, problem=problem, done=False), 422
    return redirect(_next_url(session, action), 303)


@pages.get("/invoices/<invoice_id>")
def show_invoice(invoice_id: str) -> Any:
    """Show an invoice to its customer."""
    with State.of(current_app).transaction() as store:
        invoice = store.get("invoice", invoice_id) or abort(404)
    return render_template("invoice.html", invoice=invoice)


def return_urls(store: Store, portal_id: str) -> list[str]:
    """Return the URLs to which the forms of a portal may redirect."""
    session = store.get("billing_portal.session", portal_id)
    if session is None:
        return []
    after = (session["flow"] or {}).get("after_completion") or {}
    urls = [session["return_url"], (after.get("redirect") or {}).get("return_url")]
    return [url for url in urls if url]


def _page(portal_id: str, *, problem: str | None, done: bool) -> str:
    with State.of(current_app).transaction() as store:
        checkout.run_due_work(store)
        session = store.get("billing_portal.session", portal_id) or abort(404)
        flow = session["flow"]
        by_customer: dict[str, object] = {"customer": session["customer"]}
        owned = store.find("subscription", by_customer)
        subscription_id = (
            flow and (flow[flow["type"]] or {}).get("subscription") if _has_part(flow) else None
        )
        if subscription_id:
            owned = [item for item in owned if item["id"] == subscription_id]
        context = {
            "customer": store.get("customer", session["customer"]),
            "subscriptions": [overview.subscription_row(store, item) for item in owned],
            "invoices": store.find("invoice", by_customer, limit=INVOICES_SHOWN),
            "prices": _prices(store),
        }
    part = PART[flow["type"]] if flow and not done else "all"
    message = _message(flow) if done else None
    return render_template(
        "portal.html",
        session=session,
        part=part,
        problem=problem,
        message=message,
        cards=cards(),
        **context,
    )


def cards() -> list[PaymentOption]:
    """Return the cards that can be saved."""
    return [option for option in PAYMENT_OPTIONS if option.method == "card"]


def _has_part(flow: Json | None) -> bool:
    return bool(flow and flow["type"] in flow)


def _message(flow: Json | None) -> str | None:
    after = (flow or {}).get("after_completion") or {}
    message = (after.get("hosted_confirmation") or {}).get("custom_message")
    return message or "Your change is saved."


def _prices(store: Store) -> list[Json]:
    prices = store.find("price", {"active": True, "type": "recurring"}, limit=50)
    return [{"price": price, "title": overview.price_title(store, price)} for price in prices[::-1]]


def _next_url(session: Json, action: str) -> str:
    """Return the next URL: the end of the flow, or the portal again."""
    flow = session["flow"]
    page = url_for("pages.portal", portal_id=session["id"])
    if not flow or PART[flow["type"]] != action:
        return page
    after = flow["after_completion"]
    if after["type"] == "redirect":
        address: str = after["redirect"]["return_url"]
        return address
    return f"{page}?done=1"


def _own_subscription(store: Store, session: Json) -> Json:
    """Return the form's subscription; answer 404 if it is not the customer's."""
    subscription = store.get("subscription", request.form.get("subscription", ""))
    if subscription is None or subscription["customer"] != session["customer"]:
        abort(404)
    return subscription


def _cancel(store: Store, session: Json) -> None:
    """Cancel at the period's end by ``cancel_at``, as Stripe's portal does in flexible billing.

    The boolean stays false: https://github.com/stripe/stripe-node/issues/2470
    """
    subscription = _own_subscription(store, session)
    moment = subscriptions.period_of(subscription)[1]
    subscription_updates.update(store, subscription, {"cancel_at": moment})


def _resume(store: Store, session: Json) -> None:
    subscription_updates.update(store, _own_subscription(store, session), {"cancel_at": None})


def _change_plan(store: Store, session: Json) -> None:
    subscription = _own_subscription(store, session)
    item = subscription["items"]["data"][0]["id"]
    params = {
        "items": [{"id": item, "price": request.form.get("price", "")}],
        "proration_behavior": "always_invoice",
        "payment_behavior": "error_if_incomplete",
    }
    subscription_updates.update(store, subscription, params)


def _change_card(store: Store, session: Json) -> None:
    """Save another card for the customer and all running subscriptions."""
    option = {option.key: option for option in cards()}.get(request.form.get("card", ""))
    if option is None:
        raise StripeAPIError("Choose a card.")
    if option.key == "declined":
        raise StripeAPIError(DECLINED[1])
    customer = store.get("customer", session["customer"])
    assert customer is not None  # the session was created for this customer
    method = methods.create(store, "card", option.number, customer["email"] or "")
    methods.attach(store, method, customer)
    customers.set_default_method(store, customer, method["id"])
    where: dict[str, object] = {"customer": customer["id"], "status": list(subscriptions.RUNNING)}
    for subscription in store.find("subscription", where):
        subscriptions.change(store, subscription, {"default_payment_method": method["id"]})


_ACTIONS: dict[str, Callable[[Store, Json], None]] = {
    "cancel": _cancel,
    "resume": _resume,
    "plan": _change_plan,
    "card": _change_card,
}
