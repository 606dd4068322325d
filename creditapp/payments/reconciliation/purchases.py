"""Reconciliation of purchases: payments, refunds and disputes at Stripe against the ledger.

A service: it reads each of Stripe's lists once, with no transaction open. A purchase that differs
is synced, which repairs what a lost webhook left undone; what differs after that is reported to an
operator.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import select

from creditapp import clock
from creditapp.db import snapshot
from creditapp.errors import Conflict
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.kinds import kind_of
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.reconciliation.report import (
    NOTHING,
    Difference,
    Report,
    StripeLists,
    grant_text,
    is_given_back,
    paid_text,
)
from creditapp.payments.reconciliation.subscriptions import reconcile_invoices, select_in
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutState, GatewayError
from creditapp.services import get

NIGHTLY: Final = timedelta(days=7)
"""How far back the nightly reconciliation goes: twice as long as Stripe retries a webhook."""

_OPEN_FOR: Final = timedelta(days=31)
"""A bank debit may be paid this long after its checkout was created; the list is by creation."""

Comparison = Callable[[StripeLists, Report], None]
"""Compares payments of another kind and adds what differs to the report."""

log = structlog.get_logger(__name__)


def reconcile(since: datetime, *, also: Comparison | None = None) -> Report:
    """Compare everything since a moment, repair what a sync can, and report all differences.

    ``also`` compares the payments that a package above this one sells. Raises ``GatewayError`` if
    Stripe's lists cannot be read; nothing is changed then. Safe beside webhooks and sweeps and at
    any rate, because it posts through the syncs alone.
    """
    gateway, report = get(StripeGateway), Report(since)
    # A top-up is charged when it is created, so its list starts at ``since``.
    states = (
        *gateway.list_checkouts(created_after=since - _OPEN_FOR),
        *gateway.list_topups(created_after=since),
    )
    refunded = gateway.list_refunded_payments(created_after=since)
    disputed = gateway.list_disputed_payments(created_after=since)
    reversed_payments = {*refunded, *disputed}
    lists = StripeLists(since, states, reversed_payments)
    paid = lists.paid("purchase_id")
    report.checkouts, report.refunds, report.disputes = len(paid), len(refunded), len(disputed)
    with snapshot() as session:
        granted = session.scalars(select(Purchase).where(Purchase.paid_at >= since)).all()
        at_stripe = select_in(session, Purchase.id, paid)
        reversed_here = select_in(session, Purchase.payment_intent_id, reversed_payments)
        purchases = {purchase.id: purchase for purchase in (*granted, *at_stripe, *reversed_here)}
    report.granted = len(granted)
    report.differences += [
        Difference("unknown", purchase_id, paid_text(state), "no such purchase")
        for purchase_id, state in paid.items()
        if purchase_id not in purchases
    ]
    reversed_ids = {purchase.id for purchase in reversed_here}
    for purchase in purchases.values():
        if purchase.cycle is not None and purchase.state == "paid":
            continue  # its invoices are compared below
        is_granted = purchase.grant_id is not None and purchase.id in paid
        if is_granted and purchase.id not in reversed_ids:
            report.differences += _compare_amounts(purchase, paid[purchase.id])
        else:
            report.differences += _sync_purchase(purchase)
    report.invoices, differences = reconcile_invoices(since, reversed_payments)
    report.differences += differences
    if also is not None:
        also(lists, report)
    for difference in report.differences:
        if not difference.repaired:
            log.error(
                "ledger and Stripe differ", purchase=difference.purchase_id, kind=difference.kind
            )
    return report


def reconcile_nightly(*, also: Comparison | None = None) -> Report:
    """Reconcile the last days; what is not repaired is logged as an error."""
    report = reconcile(clock.now() - NIGHTLY, also=also)
    log.info("reconciled", ok=report.ok, differences=len(report.differences))
    return report


def _sync_purchase(purchase: Purchase) -> list[Difference]:
    """Sync one purchase; return what that repaired, and what it could not repair."""
    before = _posted_text(purchase)
    try:
        synced = checkout.sync_purchase(purchase.id)
        state = kind_of(synced).fetch_state(synced)
    except (GatewayError, Conflict) as error:
        return [Difference("unanswered", purchase.id, type(error).__name__, before or NOTHING)]
    after = _posted_text(synced)
    if state is None or not state.paid:
        return [Difference("granted_not_paid", purchase.id, "not paid", after)] if after else []
    if not after and is_given_back(state.reversals, state.amount_total or 0):
        return []
    if not after:
        reason = synced.review_reason or synced.state
        return [Difference("paid_not_granted", purchase.id, paid_text(state), reason)]
    if before == after:
        return []
    kind = "refund" if synced.refunded_minor != purchase.refunded_minor else "dispute"
    if not before:
        kind = "paid_not_granted"
    was = f"was {before or NOTHING}"
    return [Difference(kind, purchase.id, f"now {after}", was, repaired=True)]


def _posted_text(purchase: Purchase) -> str:
    """Describe what is posted of a purchase, or return an empty text.

    Equal texts mean that nothing changed.
    """
    if purchase.cycle is not None:
        return "a plan" if purchase.state == "paid" else ""
    return grant_text(f"purchase:{purchase.id}")


def _compare_amounts(purchase: Purchase, state: CheckoutState) -> list[Difference]:
    ours = f"{purchase.price_minor} {purchase.currency.lower()}"
    theirs = f"{state.amount_subtotal} {state.currency}"
    return [] if ours == theirs else [Difference("amount", purchase.id, theirs, ours)]
