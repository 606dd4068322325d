"""Checkout sessions: the page on which a buyer pays."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox import promotions
from creditapp.stripe_sandbox.errors import Refused, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event, line_item, setup_intent
from creditapp.stripe_sandbox.objects.checkout_rules import (
    refuse_prices_that_do_not_fit,
    refuse_what_does_not_fit,
)
from creditapp.stripe_sandbox.store import Books, Json

DAY_SECONDS = 86_400
METHODS = ("card", "us_bank_account")
"""How one can pay here: a card at once, a bank account later."""

_NO_TEXTS = dict.fromkeys(
    ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
)


def create(books: Books, given: dict[str, Any], page_url: str) -> Json:
    """Check what the table cannot, store and return a session; its page is below ``page_url``."""
    refuse_what_does_not_fit(given)
    customer = None
    if given.get("customer"):
        customer = books.get("customer", given["customer"])
        if customer is None:
            raise missing_object("customer", given["customer"], param="customer")
    items = [
        line_item.create(books, item, f"line_items[{number}]")
        for number, item in enumerate(given.get("line_items") or [])
    ]
    subscription = given.get("subscription_data", {})
    if subscription.get("trial_period_days"):
        items = [line_item.free_at_first(item) for item in items]
    refuse_prices_that_do_not_fit(given, items)
    expires_at = given.get("expires_at", books.now + DAY_SECONDS)
    if not books.now + 1800 - 60 <= expires_at <= books.now + DAY_SECONDS + 60:
        raise Refused(
            "The `expires_at` timestamp must be less than 24 hours and at least 30 minutes"
            " from Checkout Session creation.",
            param="expires_at",
        )
    session = _session(books, given, items, customer, expires_at, page_url)
    return books.put(promotions.reckoned(session, None) if items else session)


def expire(books: Books, session: Json) -> Json:
    """Close an open session; raise ``Refused`` for any other."""
    if session["status"] != "open":
        raise Refused(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout'
            f" Session has a status of `{session['status']}`."
        )
    session |= {"status": "expired", "url": None}
    books.put(session)
    event.tell(books, "checkout.session.expired", session)
    return session


def needs_means(session: Json) -> bool:
    """Return whether one must choose how to pay: now, or later when a trial ends."""
    return bool(
        session["amount_total"]
        or session["mode"] == "setup"
        or (session["mode"] == "subscription" and session["payment_method_collection"] == "always")
    )


_NULL_AT_FIRST = (
    "after_expiration",
    "branding_settings",
    "client_secret",
    "collected_information",
    "consent",
    "consent_collection",
    "currency_conversion",
    "customer_account",
    "customer_details",
    "excluded_payment_method_types",
    "managed_payments",
    "name_collection",
    "optional_items",
    "payment_link",
    "payment_method_configuration_details",
    "permissions",
    "presentment_details",
    "recovered_from",
    "redirect_on_completion",
    "return_url",
    "saved_payment_method_options",
    "shipping_address_collection",
    "shipping_cost",
    "wallet_options",
)
"""Fields of what is not known when a session opens, or of what this sandbox does not play."""


def _session(
    books: Books,
    given: dict[str, Any],
    items: list[Json],
    customer: Json | None,
    expires_at: int,
    page_url: str,
) -> Json:
    session_id = new_id("cs_test_a1", 56)
    saves = given["mode"] == "setup"
    total = None if saves else sum(item["amount_total"] for item in items)
    subscribes = given["mode"] == "subscription"
    methods = given.get("allowed_payment_method_types", list(METHODS))
    if subscribes or saves:  # a debit that may fail days later is not played for these
        methods = ["card"]
    return {
        **dict.fromkeys(_NULL_AT_FIRST),
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": given.get("adaptive_pricing", {}).get("enabled", False)},
        "allow_promotion_codes": given.get("allow_promotion_codes"),
        "allowed_payment_method_types": given.get("allowed_payment_method_types"),
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": _automatic_tax(given),
        "billing_address_collection": given.get("billing_address_collection"),
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "created": books.now,
        "currency": items[0]["currency"] if items else given["currency"].lower(),
        "custom_fields": [],
        "custom_text": _custom_text(given),
        "customer": customer["id"] if customer else None,
        "customer_creation": _customer_creation(given),
        "customer_email": given.get("customer_email"),
        "discounts": [],
        "expires_at": expires_at,
        "integration_identifier": given.get("integration_identifier"),
        "invoice": None,
        "invoice_creation": _invoice_creation(given),
        "livemode": False,
        "locale": given.get("locale"),
        "metadata": given.get("metadata", {}),
        "mode": given["mode"],
        "origin_context": given.get("origin_context"),
        "payment_intent": None,
        "payment_method_collection": given.get(
            "payment_method_collection", "always" if subscribes else "if_required"
        ),
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": methods,
        "payment_status": "unpaid" if total else "no_payment_required",
        "phone_number_collection": {"enabled": False},
        "setup_intent": _setup_intent(books, given),
        "shipping_options": [],
        "status": "open",
        "submit_type": given.get("submit_type"),
        "subscription": None,
        "success_url": given["success_url"],
        "tax_id_collection": {"enabled": False, "required": "never"},
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{page_url.rstrip('/')}/pay/{session_id}",
        **_notes(given, items, customer),
    }


def _notes(given: dict[str, Any], items: list[Json], customer: Json | None) -> Json:
    """Return what the sandbox itself remembers of a session; nobody is told."""
    return {
        "_line_items": items,
        "_payment_intent_data": given.get("payment_intent_data", {}),
        "_subscription_data": given.get("subscription_data", {}),
        "_intent": None,
        "_problem": None,
        "_step": None,
        "_email": given.get("customer_email") or (customer["email"] if customer else None) or "",
        "_email_fixed": bool(given.get("customer_email") or (customer and customer["email"])),
    }


def _invoice_creation(given: dict[str, Any]) -> Json | None:
    if given["mode"] != "payment":
        return None
    names = ("account_tax_ids", "custom_fields", "description", "footer", "issuer")
    data = dict.fromkeys(names) | {"metadata": {}, "rendering_options": None}
    return {"enabled": False, "invoice_data": data}


def _automatic_tax(given: dict[str, Any]) -> Json:
    on = given.get("automatic_tax", {}).get("enabled", False)
    return {
        "enabled": on,
        "liability": {"type": "self"} if on else None,
        "provider": "stripe" if on else None,
        "status": "complete" if on else None,
    }


def _setup_intent(books: Books, given: dict[str, Any]) -> str | None:
    if given["mode"] != "setup":
        return None
    intent = setup_intent.create(books, given.get("customer"), given.get("setup_intent_data", {}))
    return str(intent["id"])


def _customer_creation(given: dict[str, Any]) -> str | None:
    if given.get("customer"):
        return None
    if given["mode"] == "subscription":
        return "always"
    creation: str = given.get("customer_creation", "if_required")
    return creation


def _custom_text(given: dict[str, Any]) -> dict[str, Any]:
    texts: dict[str, Any] = given.get("custom_text", {})
    return _NO_TEXTS | texts
