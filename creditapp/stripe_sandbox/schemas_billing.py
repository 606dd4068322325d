"""Parameter schemas of subscriptions, invoices, the portal and payment methods."""

from __future__ import annotations

from creditapp.stripe_sandbox.objects.portal_session import FLOWS
from creditapp.stripe_sandbox.parameters import Array, Boolean, Choice, Integer, Object, Text, Url
from creditapp.stripe_sandbox.schemas import (
    AMOUNT_MAX,
    EXPAND,
    METADATA,
    METADATA_FIRST,
    PAGE,
    PAGE_CREATED,
    Schema,
)

_FEEDBACK = Choice(
    unsettable=True,
    of=(
        "customer_service",
        "low_quality",
        "missing_features",
        "other",
        "switched_service",
        "too_complex",
        "too_expensive",
        "unused",
    ),
)
_CANCELLATION = Object(
    of={"comment": Text(unsettable=True, length_max=5000), "feedback": _FEEDBACK}
)
_PRORATION = Choice(of=("always_invoice", "create_prorations", "none"))
_ITEMS = Array(
    length_max=20,
    of=Object(of={"id": Text(), "price": Text(), "quantity": Integer(minimum=1, maximum=999_999)}),
)

SUBSCRIPTION_RETRIEVE = EXPAND
SUBSCRIPTION_LIST: Schema = {
    "customer": Text(),
    "status": Choice(
        of=(
            "active",
            "all",
            "canceled",
            "ended",
            "incomplete",
            "incomplete_expired",
            "past_due",
            "paused",
            "trialing",
            "unpaid",
        )
    ),
    **PAGE_CREATED,
}
SUBSCRIPTION_UPDATE: Schema = {
    "cancel_at": Integer(unsettable=True),
    "cancel_at_period_end": Boolean(),
    "cancellation_details": _CANCELLATION,
    "default_payment_method": Text(),
    "description": Text(unsettable=True, length_max=500),
    "items": _ITEMS,
    "metadata": METADATA,
    "payment_behavior": Choice(of=("allow_incomplete", "error_if_incomplete")),
    "proration_behavior": _PRORATION,
    "proration_date": Integer(),
    **EXPAND,
}
SUBSCRIPTION_CANCEL: Schema = {"cancellation_details": _CANCELLATION, **EXPAND}

INVOICE_RETRIEVE = EXPAND
INVOICE_LIST: Schema = {
    "customer": Text(),
    "status": Choice(of=("draft", "open", "paid", "uncollectible", "void")),
    "subscription": Text(),
    **PAGE_CREATED,
}
INVOICE_LINE_LIST = PAGE
INVOICE_PAYMENT_RETRIEVE = EXPAND
INVOICE_PAYMENT_LIST: Schema = {
    "invoice": Text(),
    "payment": Object(
        of={"payment_intent": Text(), "type": Choice(required=True, of=("payment_intent",))}
    ),
    "status": Choice(of=("canceled", "open", "paid")),
    **PAGE_CREATED,
}

INVOICE_PREVIEW: Schema = {
    "customer": Text(),
    "subscription": Text(),
    "subscription_details": Object(
        of={"items": _ITEMS, "proration_behavior": _PRORATION, "proration_date": Integer()}
    ),
    **EXPAND,
}

_OF_SUBSCRIPTION = Object(of={"subscription": Text(required=True)})
PORTAL_CREATE: Schema = {
    "customer": Text(),
    "flow_data": Object(
        of={
            "after_completion": Object(
                of={
                    "hosted_confirmation": Object(of={"custom_message": Text(length_max=500)}),
                    "redirect": Object(of={"return_url": Url(required=True)}),
                    "type": Choice(
                        required=True, of=("hosted_confirmation", "portal_homepage", "redirect")
                    ),
                }
            ),
            "subscription_cancel": _OF_SUBSCRIPTION,
            "subscription_update": _OF_SUBSCRIPTION,
            "type": Choice(required=True, of=FLOWS),
        }
    ),
    "locale": Choice(of=("auto", "de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt", "zh")),
    "return_url": Url(),
    **EXPAND,
}

PAYMENT_INTENT_CREATE: Schema = {
    "amount": Integer(required=True, minimum=1, maximum=AMOUNT_MAX),
    "confirm": Boolean(),
    "currency": Text(required=True, length_max=3),
    "customer": Text(),
    "description": Text(length_max=1000),
    "metadata": METADATA_FIRST,
    "off_session": Boolean(),
    "payment_method": Text(),
    "receipt_email": Text(length_max=800),
    **EXPAND,
}
SETUP_INTENT_RETRIEVE: Schema = {"client_secret": Text(), **EXPAND}
PAYMENT_METHOD_RETRIEVE = EXPAND
PAYMENT_METHOD_DETACH = EXPAND
CUSTOMER_PAYMENT_METHOD_LIST: Schema = {"type": Choice(of=("card", "us_bank_account")), **PAGE}
