"""The end of an account, as payments see it: what must have ended before, and what is erased."""

from __future__ import annotations

from typing import Final

from sqlalchemy import update
from sqlalchemy.orm import Session

from creditapp import clock
from creditapp.errors import Conflict
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.pending import list_pending
from creditapp.payments.subscriptions import sync as subscription_sync

_ON_ITS_WAY: Final = "A payment of yours is on its way. Wait until it has arrived."


def end_account(session: Session, user_id: str) -> None:
    """Stop the automatic top-up of a person whose account ends, and erase its card.

    The sweep of the next minute closes checkouts that the person left open, before they are paid.
    Raises ``Conflict`` while a plan renews or a payment is on its way: the person would pay for
    credits that nobody can spend.
    """
    subscription = subscription_sync.find_current(session, user_id)
    if subscription is not None and subscription.cancel_at is None:
        raise Conflict("Your plan still renews. Cancel it on the dashboard first.")
    if list_pending(session, user_id):
        raise Conflict(_ON_ITS_WAY)
    session.execute(
        update(Purchase)
        .where(Purchase.user_id == user_id, Purchase.state == "open")
        .values(next_sync_at=clock.now(), version=Purchase.version + 1)
        .execution_options(synchronize_session=False)
    )
    topup = session.get(AutoTopup, user_id, with_for_update=True)
    if topup is None:
        return
    if topup.purchase_id is not None:
        raise Conflict(_ON_ITS_WAY)
    if topup.stopped_at is None:
        topup.stopped_at, topup.stopped_reason = clock.now(), "member"
    topup.setup_checkout_id = topup.card_id = topup.card_brand = topup.card_last4 = None
    topup.version += 1
