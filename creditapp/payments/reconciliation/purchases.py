"""The ledger against Stripe: what Stripe took, gave back and holds, beside what was posted here.

Stripe's lists are read once each with no transaction open. A purchase on which the two differ is
synced, which repairs whatever a webhook should have said; what still differs then is for a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp import ledger, units
from creditapp.clock import now
from creditapp.db import snapshot
from creditapp.errors import Conflict
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.reconciliation import subscriptions as plan_reconciliation
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutState, GatewayError
from creditapp.services import get

NIGHTLY: Final = timedelta(days=7)
"""How far back the nightly comparison looks: twice as long as Stripe repeats a webhook."""

_OPEN_FOR: Final = timedelta(days=31)
"""A bank debit may be paid this long after its checkout was opened, whose date the list goes by."""

_IDS_A_QUERY: Final = 500

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Difference:
    """One thing on which Stripe and the ledger did not agree, and whether they do now."""

    kind: str
    """``paid_not_granted``, ``granted_not_paid``, ``amount``, ``refund``, ``dispute``, ``unknown``
    or ``unanswered``."""
    purchase_id: str
    """The purchase's id, or the invoice's."""
    stripe: str
    ledger: str
    repaired: bool


@dataclass
class Report:
    """What was compared since when, and every difference that was found."""

    since: datetime
    checkouts: int = 0
    refunds: int = 0
    disputes: int = 0
    invoices: int = 0
    granted: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is left for a person to look at."""
        return all(each.repaired for each in self.differences)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for scripts."""
        return {
            "since": self.since.astimezone(UTC).isoformat(timespec="seconds"),
            "ok": self.ok,
            "compared": {
                "paidCheckouts": self.checkouts,
                "refunds": self.refunds,
                "disputes": self.disputes,
                "grantedPurchases": self.granted,
                "paidInvoices": self.invoices,
            },
            "differences": [asdict(each) for each in self.differences],
        }

    def as_text(self) -> str:
        """Return the report for people."""
        lines = [
            f"Since {self.since:%d %b %Y %H:%M} UTC: {self.checkouts} paid checkouts, "
            f"{self.invoices} paid invoices, {self.refunds} refunds and {self.disputes} disputes "
            f"at Stripe; "
            f"{self.granted} granted purchases here."
        ]
        if self.differences:
            lines += ["", f"{'':<9} {'what':<17} {'purchase':<30} Stripe | ledger"]
            lines += [
                f"{'repaired' if each.repaired else 'LEFT':<9} {each.kind:<17} "
                f"{each.purchase_id:<30} {each.stripe} | {each.ledger}"
                for each in self.differences
            ]
        left = sum(not each.repaired for each in self.differences)
        repaired = len(self.differences) - left
        lines += ["", f"{repaired} repaired, {left} left." if self.differences else "They agree."]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Suspect:
    kind: str
    stripe: str
    ledger: str


def reconcile(since: datetime) -> Report:
    """Compare everything since a moment, repair what a sync can, and report the rest.

    Raises ``GatewayError`` when Stripe's lists cannot be read; nothing is changed then. Safe beside
    webhooks and sweeps, and as often as one likes: it posts through ``checkout.sync`` alone.
    """
    gateway, report = get(StripeGateway), Report(since)
    # A top-up is charged the moment it is made, so its list begins where the comparison does.
    at_stripe = (
        *gateway.list_checkouts(created_after=since - _OPEN_FOR),
        *gateway.list_topups(created_after=since),
    )
    paid = {
        each.metadata["purchase_id"]: each
        for each in at_stripe
        if each.paid and "purchase_id" in each.metadata
    }
    refunded = gateway.list_refunded_payments(created_after=since)
    disputed = gateway.list_disputed_payments(created_after=since)
    report.checkouts, report.refunds, report.disputes = len(paid), len(refunded), len(disputed)
    with snapshot() as session:
        ours = {each.id: each for each in _granted_since(session, since)}
        report.granted = len(ours)
        ours |= {each.id: each for each in _with(session, Purchase.id, paid)}
        reversed_payments = {*refunded, *disputed}
        reversals = _with(session, Purchase.payment_intent_id, reversed_payments)
        ours |= {each.id: each for each in reversals}
    suspects = {
        purchase_id: _Suspect("unknown", f"paid {_money(state)}", "no such purchase")
        for purchase_id, state in paid.items()
        if purchase_id not in ours
    }
    report.differences += [
        Difference(each.kind, purchase_id, each.stripe, each.ledger, repaired=False)
        for purchase_id, each in suspects.items()
    ]
    to_look_at = {each.id for each in reversals}
    for purchase in ours.values():
        if purchase.cycle is not None:
            # Its invoices are compared below; here it only has to know its subscription.
            report.differences += _settle_plan(purchase)
        elif purchase.grant_id is None or purchase.id not in paid or purchase.id in to_look_at:
            report.differences += _settle(purchase)
        elif (difference := _amounts_differ(purchase, paid[purchase.id])) is not None:
            report.differences.append(difference)
    report.invoices, found = plan_reconciliation.compare(since, reversed_payments)
    report.differences += [
        Difference(each.kind, each.invoice_id, each.stripe, each.ledger, each.repaired)
        for each in found
    ]
    for each in report.differences:
        if not each.repaired:
            log.error("ledger and Stripe differ", purchase=each.purchase_id, kind=each.kind)
    return report


def reconcile_nightly() -> Report:
    """Compare the last days; what is left is in the log as an error."""
    report = reconcile(now() - NIGHTLY)
    log.info("reconciled", ok=report.ok, differences=len(report.differences))
    return report


def _granted_since(session: Session, since: datetime) -> list[Purchase]:
    return list(session.scalars(select(Purchase).where(Purchase.paid_at >= since)))


def _with(session: Session, column: Any, values: Iterable[str]) -> list[Purchase]:
    """Return the purchases with one of the values, in few queries of bounded size."""
    wanted, found = sorted(values), list[Purchase]()
    for first in range(0, len(wanted), _IDS_A_QUERY):
        some = wanted[first : first + _IDS_A_QUERY]
        found += session.scalars(select(Purchase).where(column.in_(some)))
    return found


def _settle(purchase: Purchase) -> list[Difference]:
    """Sync one purchase and say what that changed, and what it could not change."""
    before = _posted(purchase)
    try:
        synced = checkout.sync(purchase.id)
        state = checkout.fetch_state(synced)
    except (GatewayError, Conflict) as error:
        return [Difference("unanswered", purchase.id, type(error).__name__, before, False)]
    after = _posted(synced)
    if state is None or not state.paid:
        if synced.grant_id is None:
            return []
        return [Difference("granted_not_paid", purchase.id, "not paid", after, False)]
    if synced.grant_id is None:
        reason = synced.review_reason or synced.state
        paid = f"paid {_money(state)}"
        return [Difference("paid_not_granted", purchase.id, paid, reason, False)]
    if before == after:
        return []
    kind = "refund" if synced.refunded_minor != purchase.refunded_minor else "dispute"
    if purchase.grant_id is None:
        kind = "paid_not_granted"
    return [Difference(kind, purchase.id, f"now {after}", f"was {before}", True)]


def _settle_plan(purchase: Purchase) -> list[Difference]:
    """Sync the purchase of a plan whose checkout was paid without our hearing of it."""
    if purchase.state == "paid":
        return []
    try:
        synced = checkout.sync(purchase.id)
    except (GatewayError, Conflict) as error:
        return [Difference("unanswered", purchase.id, type(error).__name__, purchase.state, False)]
    if synced.state != "paid":
        reason = synced.review_reason or synced.state
        return [Difference("paid_not_granted", purchase.id, "paid", reason, False)]
    return [
        Difference("paid_not_granted", purchase.id, "now a plan", f"was {purchase.state}", True)
    ]


def _posted(purchase: Purchase) -> str:
    """Say in words what the ledger holds of a purchase: equal words mean that nothing moved."""
    with snapshot() as session:
        grant = ledger.find_grant(session.connection(), f"purchase:{purchase.id}")
    if grant is None:
        return "nothing granted"
    words = f"granted {units.credits_text(grant.amount_micro)}"
    back_micro = grant.revoked_micro + grant.owed_micro
    if back_micro:
        words += f", {units.credits_text(back_micro)} taken back"
    return words + (", frozen" if grant.frozen_at is not None else "")


def _amounts_differ(purchase: Purchase, state: CheckoutState) -> Difference | None:
    ours = f"{purchase.price_minor} {purchase.currency.lower()}"
    theirs = f"{state.amount_subtotal} {state.currency}"
    if ours == theirs:
        return None
    return Difference("amount", purchase.id, theirs, ours, False)


def _money(state: CheckoutState) -> str:
    return f"{state.amount_total} {state.currency}"
