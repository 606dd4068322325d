"""Payments: purchases, subscriptions, automatic top-ups and refunds, paid at Stripe.

The verbs that pages, routes, jobs and commands call. Services talk to Stripe and own their short
transactions; postings get a session and commit nothing.
"""

from creditapp.payments.auto_topup.outcomes import AUTO_TOPUP
from creditapp.payments.customers import note_changed_address, sweep_addresses
from creditapp.payments.purchases import kinds
from creditapp.payments.purchases.checkout import (
    find_purchase,
    sweep_purchases,
    sync_on_return,
    sync_purchase,
)
from creditapp.payments.purchases.packs import PACK, start_checkout
from creditapp.payments.refunds.refund import refund
from creditapp.payments.subscriptions.checkout import PLAN
from creditapp.payments.subscriptions.plans import choose_plan
from creditapp.payments.subscriptions.receipts import find_receipt
from creditapp.payments.webhooks import receive_webhook, sweep_events

for _kind in (PACK, PLAN, AUTO_TOPUP):
    kinds.register(_kind)
