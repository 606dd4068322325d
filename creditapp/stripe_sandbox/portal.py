"""The customer portal's pages: one's plan, card and invoices, and what one may do about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import abort, current_app, redirect, render_template, request, url_for

from creditapp.stripe_sandbox import overview, payment, subscription_updates
from creditapp.stripe_sandbox.cards import DECLINED, MEANS, Means
from creditapp.stripe_sandbox.errors import Refused
from creditapp.stripe_sandbox.forms import our_form, pages
from creditapp.stripe_sandbox.objects import customer as customers
from creditapp.stripe_sandbox.objects import payment_method as methods
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Books, Json

PART = {
    "payment_method_update": "card",
    "subscription_cancel": "cancel",
    "subscription_update": "plan",
}
INVOICES_SHOWN = 24


@pages.get("/portal/<portal_id>")
def portal(portal_id: str) -> Any:
    """The portal, or the one part of it that the shop led to."""
    flow_done = request.args.get("done") == "1"
    return _page(portal_id, problem=None, done=flow_done)


@pages.post("/portal/<portal_id>/<any(cancel, resume, plan, card):action>")
@our_form
def act_in_portal(portal_id: str, action: str) -> Any:
    """Do what the customer chose."""
    problem = None
    with State.of(current_app).transaction() as books:
        payment.tick(books)
        session = books.get("billing_portal.session", portal_id) or abort(404)
        books.connection.execute("SAVEPOINT portal")
        try:
            _ACTIONS[action](books, session)
        except Refused as refused:
            books.connection.execute("ROLLBACK TO portal")
            problem = f"{refused} Nothing was changed."
        books.connection.execute("RELEASE portal")
    if problem:
        return _page(portal_id, problem=problem, done=False), 422
    return redirect(_after(session, action), 303)


@pages.get("/invoices/<invoice_id>")
def show_invoice(invoice_id: str) -> Any:
    """An invoice, as its customer sees it."""
    with State.of(current_app).transaction() as books:
        invoice = books.get("invoice", invoice_id) or abort(404)
    return render_template("invoice.html", invoice=invoice)


def shop_addresses(books: Books, portal_id: str) -> list[str]:
    """Return where a portal's forms may lead in the end."""
    session = books.get("billing_portal.session", portal_id)
    if session is None:
        return []
    after = (session["flow"] or {}).get("after_completion") or {}
    found = [session["return_url"], (after.get("redirect") or {}).get("return_url")]
    return [address for address in found if address]


def _page(portal_id: str, *, problem: str | None, done: bool) -> str:
    with State.of(current_app).transaction() as books:
        payment.tick(books)
        session = books.get("billing_portal.session", portal_id) or abort(404)
        flow = session["flow"]
        mine: dict[str, object] = {"customer": session["customer"]}
        held = books.find("subscription", mine)
        named = flow and (flow[flow["type"]] or {}).get("subscription") if _has_part(flow) else None
        if named:
            held = [each for each in held if each["id"] == named]
        shown = {
            "customer": books.get("customer", session["customer"]),
            "subscriptions": [overview.subscription_of(books, each) for each in held],
            "invoices": books.find("invoice", mine, limit=INVOICES_SHOWN),
            "prices": _prices(books),
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
        **shown,
    )


def cards() -> list[Means]:
    """Return the cards that can be saved."""
    return [means for means in MEANS if means.method == "card"]


def _has_part(flow: Json | None) -> bool:
    return bool(flow and flow["type"] in flow)


def _message(flow: Json | None) -> str | None:
    after = (flow or {}).get("after_completion") or {}
    said = (after.get("hosted_confirmation") or {}).get("custom_message")
    return said or "It is done."


def _prices(books: Books) -> list[Json]:
    found = books.find("price", {"active": True, "type": "recurring"}, limit=50)
    return [{"price": each, "title": overview.price_title(books, each)} for each in found[::-1]]


def _after(session: Json, action: str) -> str:
    """Return where the customer goes from here: the flow's end, or the portal again."""
    flow = session["flow"]
    page = url_for("pages.portal", portal_id=session["id"])
    if not flow or PART[flow["type"]] != action:
        return page
    after = flow["after_completion"]
    if after["type"] == "redirect":
        address: str = after["redirect"]["return_url"]
        return address
    return f"{page}?done=1"


def _own(books: Books, session: Json) -> Json:
    """Return the subscription that the form names; it must be the customer's."""
    subscription = books.get("subscription", request.form.get("subscription", ""))
    if subscription is None or subscription["customer"] != session["customer"]:
        abort(404)
    return subscription


def _cancel(books: Books, session: Json) -> None:
    subscription_updates.update(books, _own(books, session), {"cancel_at_period_end": True})


def _resume(books: Books, session: Json) -> None:
    subscription_updates.update(books, _own(books, session), {"cancel_at_period_end": False})


def _change_plan(books: Books, session: Json) -> None:
    subscription = _own(books, session)
    item = subscription["items"]["data"][0]["id"]
    given = {
        "items": [{"id": item, "price": request.form.get("price", "")}],
        "proration_behavior": "always_invoice",
        "payment_behavior": "error_if_incomplete",
    }
    subscription_updates.update(books, subscription, given)


def _change_card(books: Books, session: Json) -> None:
    """Save another card for the customer and for every plan of theirs."""
    chosen = {means.key: means for means in cards()}.get(request.form.get("card", ""))
    if chosen is None:
        raise Refused("Choose a card.")
    if chosen.key == "declined":
        raise Refused(DECLINED[1])
    customer = books.get("customer", session["customer"])
    assert customer is not None  # the session was made for them
    method = methods.create(books, "card", chosen.number, customer["email"] or "")
    methods.attach(books, method, customer)
    customers.set_default_method(books, customer, method["id"])
    where: dict[str, object] = {
        "customer": customer["id"],
        "status": list(subscriptions.RUNNING),
    }
    for subscription in books.find("subscription", where):
        subscriptions.change(books, subscription, {"default_payment_method": method["id"]})


_ACTIONS: dict[str, Callable[[Books, Json], None]] = {
    "cancel": _cancel,
    "resume": _resume,
    "plan": _change_plan,
    "card": _change_card,
}
