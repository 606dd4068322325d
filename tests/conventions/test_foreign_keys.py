"""A column named ``<something>_id`` is a foreign key, or stands here with its reason."""

from __future__ import annotations

from creditapp.db import db
from creditapp.runtime import migrate

assert migrate.TABLES_IN, "importing migrate completes the metadata"

STRIPE = "identifies an object at Stripe, which may be known before our row"
CATALOG = "a name in the catalog file"
OWNER = "a kind and an id: users, guests, teams"
HOT = "written for each image or answer; the ledger's lock comes first (decision 9)"
ANY_ORDER = "the rows of one payment are written in the order in which Stripe tells of them"

NO_FOREIGN_KEYS = {
    "assets.owner_id": OWNER,
    "auto_topups.card_id": STRIPE,
    "auto_topups.pack_id": CATALOG,
    "auto_topups.purchase_id": ANY_ORDER,
    "auto_topups.setup_checkout_id": STRIPE,
    "charges.api_key_id": "an API key may be deleted; what it spent stays",
    "charges.request_id": "identifies a request in the log",
    "customers.stripe_id": STRIPE,
    "deletions.owner_id": OWNER,
    "generations.batch_id": "shared by generations, and of no table of its own",
    "generations.charge_id": HOT,
    "generations.claim_id": "a guest's claim is deleted after a month; the image stays",
    "generations.owner_id": OWNER,
    "generations.wallet_id": HOT,
    "guest_claims.generation_id": "guests is below generation and does not know its table",
    "invoices.payment_intent_id": STRIPE,
    "invoices.subscription_id": ANY_ORDER,
    "payment_requests.checkout_id": STRIPE,
    "plan_prices.plan_id": CATALOG,
    "prompts.owner_id": OWNER,
    "purchases.checkout_id": STRIPE,
    "purchases.grant_id": ANY_ORDER,
    "purchases.pack_id": CATALOG,
    "purchases.payment_intent_id": STRIPE,
    "purchases.stripe_price_id": STRIPE,
    "purchases.subscription_id": STRIPE,
    "refund_requests.open_target_id": "of a purchase or of an invoice",
    "refund_requests.target_id": "of a purchase or of an invoice",
    "refunds.payment_intent_id": STRIPE,
    "refunds.target_id": "of a purchase, an invoice or a payment request",
    "scheduled_grants.grant_id": ANY_ORDER,
    "scheduled_grants.invoice_id": ANY_ORDER,
    "scheduled_grants.subscription_id": ANY_ORDER,
    "settlements.option_id": "an option of the payment request's token",
    "stripe_events.object_id": STRIPE,
    "stripe_events.payment_intent_id": STRIPE,
    "stripe_events.payment_request_id": "from the event's metadata, likewise",
    "stripe_events.purchase_id": "from the event's metadata, which may name no purchase of ours",
    "stripe_events.subscription_id": STRIPE,
    "subscriptions.customer_id": STRIPE,
    "subscriptions.next_price_id": STRIPE,
    "subscriptions.price_id": STRIPE,
    "subscriptions.upgrade_price_id": STRIPE,
    "uploads.owner_id": OWNER,
    "usage_records.charge_id": HOT,
    "usage_records.wallet_id": HOT,
    "wallets.owner_id": OWNER,
}


def test_every_id_is_a_foreign_key_or_says_why_not() -> None:
    unbound = {
        f"{table.name}.{column.name}"
        for table in db.metadata.tables.values()
        for column in table.columns
        if column.name.endswith("_id") and not column.foreign_keys
    }
    assert unbound == set(NO_FOREIGN_KEYS)
