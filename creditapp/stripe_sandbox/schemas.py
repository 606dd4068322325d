"""Parameter schemas of the API routes, parsed by ``parameters``.

Every parameter and choice exists in Stripe's API at the pinned version; a test compares them with
the SDK's types. Stripe parameters that the sandbox does not support are refused too: ignoring them
would let the shop believe that they work.
"""

from __future__ import annotations

from creditapp.stripe_sandbox.objects.checkout_session import METHODS
from creditapp.stripe_sandbox.parameters import (
    Array,
    Boolean,
    Choice,
    Integer,
    Metadata,
    Object,
    Parameter,
    Text,
    TimestampRange,
    Url,
)

Schema = dict[str, Parameter]

AMOUNT_MAX = 10**13 - 1
"""The largest in any currency; ``currencies`` has that of each."""

EXPAND: Schema = {"expand": Array(of=Text())}
PAGE: Schema = {
    "limit": Integer(minimum=1, maximum=100),
    "starting_after": Text(),
    "ending_before": Text(),
    **EXPAND,
}
PAGE_CREATED: Schema = {"created": TimestampRange(), **PAGE}
METADATA_FIRST = Metadata(unsettable=False)
METADATA = Metadata()
_CURRENCY = Text(required=True, length_max=3)
_TAX_BEHAVIOR = Choice(of=("exclusive", "inclusive", "unspecified"))
_INTERVAL = Choice(required=True, of=("day", "month", "week", "year"))
_MESSAGE = Object(unsettable=True, of={"message": Text(required=True, length_max=1200)})

_PRODUCT_DATA: Schema = {
    "name": Text(required=True),
    "description": Text(),
    "images": Array(of=Text(), length_max=8),
    "metadata": METADATA_FIRST,
    "tax_code": Text(),
    "unit_label": Text(length_max=12),
}
_PRICE_DATA: Schema = {
    "currency": _CURRENCY,
    "product": Text(),
    "product_data": Object(of=_PRODUCT_DATA),
    "recurring": Object(
        of={"interval": _INTERVAL, "interval_count": Integer(minimum=1, maximum=36)}
    ),
    "tax_behavior": _TAX_BEHAVIOR,
    "unit_amount": Integer(minimum=0, maximum=AMOUNT_MAX),
}
_LINE_ITEM: Schema = {
    "price": Text(),
    "price_data": Object(of=_PRICE_DATA),
    "quantity": Integer(minimum=1, maximum=999_999),
    "metadata": METADATA_FIRST,
}
_PAYMENT_INTENT_DATA: Schema = {
    "description": Text(length_max=1000),
    "metadata": METADATA_FIRST,
    "receipt_email": Text(length_max=800),
    "setup_future_usage": Choice(of=("off_session", "on_session")),
    "statement_descriptor": Text(length_max=22),
    "statement_descriptor_suffix": Text(length_max=22),
}

_SUBSCRIPTION_DATA: Schema = {
    "description": Text(length_max=500),
    "metadata": METADATA_FIRST,
    "trial_period_days": Integer(minimum=1, maximum=730),
}

SESSION_CREATE: Schema = {
    "adaptive_pricing": Object(of={"enabled": Boolean()}),
    "allow_promotion_codes": Boolean(),
    "allowed_payment_method_types": Array(of=Choice(of=METHODS)),
    "automatic_tax": Object(of={"enabled": Boolean(required=True)}),
    "billing_address_collection": Choice(of=("auto", "required")),
    "cancel_url": Url(),
    "client_reference_id": Text(length_max=200),
    "custom_text": Object(
        of={
            "after_submit": _MESSAGE,
            "shipping_address": _MESSAGE,
            "submit": _MESSAGE,
            "terms_of_service_acceptance": _MESSAGE,
        }
    ),
    "currency": Text(length_max=3),
    "customer": Text(),
    "customer_creation": Choice(of=("always", "if_required")),
    "customer_email": Text(length_max=800),
    "customer_update": Object(
        of={"address": Choice(of=("auto", "never")), "name": Choice(of=("auto", "never"))}
    ),
    "expires_at": Integer(),
    "integration_identifier": Text(),
    "line_items": Array(of=Object(of=_LINE_ITEM)),
    "locale": Choice(of=("auto", "de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt", "zh")),
    "metadata": METADATA_FIRST,
    "mode": Choice(required=True, of=("payment", "setup", "subscription")),
    "origin_context": Choice(of=("mobile_app", "web")),
    "payment_intent_data": Object(of=_PAYMENT_INTENT_DATA),
    "payment_method_collection": Choice(of=("always", "if_required")),
    "setup_intent_data": Object(
        of={"description": Text(length_max=1000), "metadata": METADATA_FIRST}
    ),
    "submit_type": Choice(of=("auto", "book", "donate", "pay", "subscribe")),
    "subscription_data": Object(of=_SUBSCRIPTION_DATA),
    "success_url": Url(),
    "ui_mode": Choice(of=("hosted_page",)),
    **EXPAND,
}
SESSION_RETRIEVE = EXPAND
SESSION_EXPIRE = EXPAND
SESSION_UPDATE: Schema = {"metadata": METADATA, **EXPAND}
SESSION_LIST: Schema = {
    "customer": Text(),
    "payment_intent": Text(),
    "status": Choice(of=("complete", "expired", "open")),
    "subscription": Text(),
    **PAGE_CREATED,
}
LINE_ITEM_LIST = PAGE

_ADDRESS = Object(
    unsettable=True,
    of={name: Text() for name in ("city", "country", "line1", "line2", "postal_code", "state")},
)
CUSTOMER_UPDATE: Schema = {
    "address": _ADDRESS,
    "business_name": Text(unsettable=True, length_max=150),
    "description": Text(unsettable=True),
    "email": Text(unsettable=True, length_max=512),
    "individual_name": Text(unsettable=True, length_max=150),
    "metadata": METADATA,
    "name": Text(unsettable=True, length_max=256),
    "phone": Text(unsettable=True),
    "preferred_locales": Array(of=Text()),
    **EXPAND,
}
CUSTOMER_CREATE = dict(CUSTOMER_UPDATE)
CUSTOMER_UPDATE["invoice_settings"] = Object(of={"default_payment_method": Text()})
CUSTOMER_RETRIEVE = EXPAND
CUSTOMER_LIST: Schema = {"email": Text(), **PAGE_CREATED}

PAYMENT_INTENT_RETRIEVE: Schema = {"client_secret": Text(), **EXPAND}
PAYMENT_INTENT_LIST: Schema = {"customer": Text(), **PAGE_CREATED}
CHARGE_RETRIEVE = EXPAND
CHARGE_LIST: Schema = {"customer": Text(), "payment_intent": Text(), **PAGE_CREATED}

REFUND_CREATE: Schema = {
    "amount": Integer(minimum=1, maximum=AMOUNT_MAX),
    "charge": Text(),
    "metadata": METADATA,
    "payment_intent": Text(),
    "reason": Choice(of=("duplicate", "fraudulent", "requested_by_customer")),
    **EXPAND,
}
REFUND_RETRIEVE = EXPAND
REFUND_UPDATE: Schema = {"metadata": METADATA, **EXPAND}
REFUND_LIST: Schema = {"charge": Text(), "payment_intent": Text(), **PAGE_CREATED}
DISPUTE_RETRIEVE = EXPAND
DISPUTE_LIST: Schema = {"charge": Text(), "payment_intent": Text(), **PAGE_CREATED}

EVENT_RETRIEVE = EXPAND
EVENT_LIST: Schema = {"type": Text(), "types": Array(of=Text(), length_max=20), **PAGE_CREATED}

PRODUCT_CREATE: Schema = {
    "active": Boolean(),
    "id": Text(),
    "statement_descriptor": Text(length_max=22),
    "url": Text(),
    **_PRODUCT_DATA,
    **EXPAND,
}
PRODUCT_RETRIEVE = EXPAND
PRODUCT_LIST: Schema = {"active": Boolean(), **PAGE_CREATED}
PRICE_CREATE: Schema = {
    "active": Boolean(),
    "lookup_key": Text(length_max=200),
    "metadata": METADATA_FIRST,
    "nickname": Text(),
    **{name: kind for name, kind in _PRICE_DATA.items() if name != "product_data"},
    "product_data": Object(
        of={
            name: kind
            for name, kind in _PRODUCT_DATA.items()
            if name not in ("description", "images")
        }
    ),
    **EXPAND,
}
PRICE_RETRIEVE = EXPAND
PRICE_LIST: Schema = {
    "active": Boolean(),
    "currency": Text(length_max=3),
    "lookup_keys": Array(of=Text(), length_max=10),
    "product": Text(),
    "type": Choice(of=("one_time", "recurring")),
    **PAGE_CREATED,
}
