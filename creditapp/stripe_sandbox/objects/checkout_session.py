"""Checkout sessions: create and expire."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.errors import StripeAPIError, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event, line_item, setup_intent
from creditapp.stripe_sandbox.objects.checkout_rules import validate_parameters, validate_prices
from creditapp.stripe_sandbox.objects.checkout_totals import with_totals
from creditapp.stripe_sandbox.store import Json, Store

DAY_SECONDS = 86_400
METHODS = ("card", "us_bank_account")
"""Payment method types: a card pays at once, a bank account later."""

_NO_TEXTS = dict.fromkeys(
    ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
)


def create(store: Store, params: dict[str, Any], page_url: str) -> Json:
    """Validate, store and return a session; ``page_url`` is the base URL of its page."""
    validate_parameters(params)
    customer = None
    if params.get("customer"):
        customer = store.get("customer", params["customer"])
        if customer is None:
            raise missing_object("customer", params["customer"], param="customer")
    items = [
        line_item.create(store, item, f"line_items[{number}]")
        for number, item in enumerate(params.get("line_items") or [])
    ]
    subscription = params.get("subscription_data", {})
    if subscription.get("trial_period_days"):
        items = [line_item.with_free_trial(item) for item in items]
    validate_prices(params, items)
    expires_at = params.get("expires_at", store.now + DAY_SECONDS)
    if not store.now + 1800 - 60 <= expires_at <= store.now + DAY_SECONDS + 60:
        raise StripeAPIError(
            "The `expires_at` timestamp must be less than 24 hours and at least 30 minutes"
            " from Checkout Session creation.",
            param="expires_at",
        )
    session = _session(store, params, items, customer, expires_at, page_url)
    return store.put(with_totals(session, None) if items else session)


def expire(store: Store, session: Json) -> Json:
    """Close an open session; raise ``StripeAPIError`` for any other."""
    if session["status"] != "open":
        raise StripeAPIError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout'
            f" Session has a status of `{session['status']}`."
        )
    session |= {"status": "expired", "url": None}
    store.put(session)
    event.emit(store, "checkout.session.expired", session)
    return session


def needs_payment_method(session: Json) -> bool:
    """Whether the buyer must choose a payment method, to pay now or after a trial."""
    return bool(
        session["amount_total"]
        or session["mode"] == "setup"
        or (session["mode"] == "subscription" and session["payment_method_collection"] == "always")
    )


_NULL_FIELDS = (
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
"""Fields that are unknown when a session opens or that the sandbox does not support."""


def _session(
    store: Store,
    params: dict[str, Any],
    items: list[Json],
    customer: Json | None,
    expires_at: int,
    page_url: str,
) -> Json:
    session_id = new_id("cs_test_a1", 56)
    saves = params["mode"] == "setup"
    total = None if saves else sum(item["amount_total"] for item in items)
    subscribes = params["mode"] == "subscription"
    methods = params.get("allowed_payment_method_types", list(METHODS))
    if (
        subscribes or saves
    ):  # the sandbox supports bank debits, which may fail days later, only for payments
        methods = ["card"]
    return {
        **dict.fromkeys(_NULL_FIELDS),
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": params.get("adaptive_pricing", {}).get("enabled", False)},
        "allow_promotion_codes": params.get("allow_promotion_codes"),
        "allowed_payment_method_types": params.get("allowed_payment_method_types"),
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": _automatic_tax(params),
        "billing_address_collection": params.get("billing_address_collection"),
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "created": store.now,
        "currency": items[0]["currency"] if items else params["currency"].lower(),
        "custom_fields": [],
        "custom_text": _custom_text(params),
        "customer": customer["id"] if customer else None,
        "customer_creation": _customer_creation(params),
        "customer_email": params.get("customer_email"),
        "discounts": [],
        "expires_at": expires_at,
        "integration_identifier": params.get("integration_identifier"),
        "invoice": None,
        "invoice_creation": _invoice_creation(params),
        "livemode": False,
        "locale": params.get("locale"),
        "metadata": params.get("metadata", {}),
        "mode": params["mode"],
        "origin_context": params.get("origin_context"),
        "payment_intent": None,
        "payment_method_collection": params.get(
            "payment_method_collection", "always" if subscribes else "if_required"
        ),
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": methods,
        "payment_status": "unpaid" if total else "no_payment_required",
        "phone_number_collection": {"enabled": False},
        "setup_intent": _setup_intent(store, params),
        "shipping_options": [],
        "status": "open",
        "submit_type": params.get("submit_type"),
        "subscription": None,
        "success_url": params["success_url"],
        "tax_id_collection": {"enabled": False, "required": "never"},
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{page_url.rstrip('/')}/pay/{session_id}",
        **_private_fields(params, items, customer),
    }


def _private_fields(params: dict[str, Any], items: list[Json], customer: Json | None) -> Json:
    """Return the private fields of a session, which the API does not return."""
    return {
        "_line_items": items,
        "_payment_intent_data": params.get("payment_intent_data", {}),
        "_subscription_data": params.get("subscription_data", {}),
        "_intent": None,
        "_problem": None,
        "_step": None,
        "_email": params.get("customer_email") or (customer["email"] if customer else None) or "",
        "_email_fixed": bool(params.get("customer_email") or (customer and customer["email"])),
    }


def _invoice_creation(params: dict[str, Any]) -> Json | None:
    if params["mode"] != "payment":
        return None
    names = ("account_tax_ids", "custom_fields", "description", "footer", "issuer")
    data = dict.fromkeys(names) | {"metadata": {}, "rendering_options": None}
    return {"enabled": False, "invoice_data": data}


def _automatic_tax(params: dict[str, Any]) -> Json:
    on = params.get("automatic_tax", {}).get("enabled", False)
    return {
        "enabled": on,
        "liability": {"type": "self"} if on else None,
        "provider": "stripe" if on else None,
        "status": "complete" if on else None,
    }


def _setup_intent(store: Store, params: dict[str, Any]) -> str | None:
    if params["mode"] != "setup":
        return None
    intent = setup_intent.create(store, params.get("customer"), params.get("setup_intent_data", {}))
    return str(intent["id"])


def _customer_creation(params: dict[str, Any]) -> str | None:
    if params.get("customer"):
        return None
    if params["mode"] == "subscription":
        return "always"
    creation: str = params.get("customer_creation", "if_required")
    return creation


def _custom_text(params: dict[str, Any]) -> dict[str, Any]:
    texts: dict[str, Any] = params.get("custom_text", {})
    return _NO_TEXTS | texts
