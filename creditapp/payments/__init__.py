"""Payments: purchases, subscriptions, automatic top-ups and refunds, paid at Stripe."""

from creditapp.payments.auto_topup.purchase_kind import AUTO_TOPUP
from creditapp.payments.purchases import kinds
from creditapp.payments.purchases.packs import PACK
from creditapp.payments.subscriptions.purchase_kind import PLAN
from creditapp.payments.webhooks import receive_webhook

for _kind in (PACK, PLAN, AUTO_TOPUP):
    kinds.register(_kind)

__all__ = ["receive_webhook"]
