"""Reconciliation report: what was compared, and every difference, for scripts and for people."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from creditapp import ledger
from creditapp.db import snapshot
from creditapp.payments.stripe.records import CheckoutState, Reversals
from creditapp.units import credits_text

NOTHING = "nothing granted"


@dataclass(frozen=True)
class StripeLists:
    """Stripe's lists, each read once, that payments of every kind are compared with."""

    since: datetime
    checkouts: tuple[CheckoutState, ...]
    """Also of the month before: a bank debit is paid long after its checkout was created."""
    reversed_payments: Collection[str]
    """Payment intents that were refunded or disputed since."""

    def paid(self, member: str) -> dict[str, CheckoutState]:
        """Return the paid checkouts by the id of ours that their metadata has as ``member``."""
        return {
            state.metadata[member]: state
            for state in self.checkouts
            if state.paid and member in state.metadata
        }


@dataclass(frozen=True)
class Difference:
    """One payment on which Stripe and the ledger differed, and whether that is repaired."""

    kind: str
    """``paid_not_granted``, ``granted_not_paid``, ``amount``, ``refund``, ``dispute``, ``unknown``,
    ``paid_twice`` or ``unanswered``."""
    purchase_id: str
    """The id of a purchase, an invoice or an agent's payment request."""
    stripe: str
    ledger: str
    repaired: bool = False


@dataclass
class Report:
    """Everything compared since a moment, with the differences found."""

    since: datetime
    checkouts: int = 0
    refunds: int = 0
    disputes: int = 0
    invoices: int = 0
    granted: int = 0
    agent_payments: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is left for an operator."""
        return all(difference.repaired for difference in self.differences)

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
                "agentPayments": self.agent_payments,
            },
            "differences": [asdict(difference) for difference in self.differences],
        }

    def as_text(self) -> str:
        """Return the report for people."""
        lines = [
            f"Since {self.since:%d %b %Y %H:%M} UTC: {self.checkouts} paid checkouts, "
            f"{self.invoices} paid invoices, {self.agent_payments} payments of agents, "
            f"{self.refunds} refunds and {self.disputes} disputes at Stripe; "
            f"{self.granted} granted purchases here."
        ]
        if self.differences:
            lines += ["", f"{'':<9} {'what':<17} {'purchase':<30} Stripe | ledger"]
            lines += [
                f"{'repaired' if difference.repaired else 'LEFT':<9} {difference.kind:<17} "
                f"{difference.purchase_id:<30} {difference.stripe} | {difference.ledger}"
                for difference in self.differences
            ]
        left = sum(not difference.repaired for difference in self.differences)
        repaired = len(self.differences) - left
        lines += ["", f"{repaired} repaired, {left} left." if self.differences else "They agree."]
        return "\n".join(lines)


def paid_text(state: CheckoutState) -> str:
    """Describe a payment at Stripe."""
    return f"paid {state.amount_total} {state.currency}"


def grant_text(origin: str) -> str:
    """Describe what is posted of the payment of a grant, or return an empty text without one."""
    with snapshot() as session:
        grant = ledger.find_grant(session.connection(), origin)
    if grant is None:
        return ""
    return posted_text(
        f"granted {credits_text(grant.amount_micro)}",
        grant.revoked_micro + grant.owed_micro,
        frozen=grant.frozen_at is not None,
    )


def is_given_back(reversals: Reversals, paid_minor: int) -> bool:
    """Return whether nothing is left to refund of a payment that granted nothing."""
    return reversals.reversed_minor(paid_minor) == paid_minor


def posted_text(granted: str, reversed_micro: int, *, frozen: bool) -> str:
    """Describe what is posted of a payment; equal texts mean that nothing changed."""
    if reversed_micro:
        granted += f", {credits_text(reversed_micro)} taken back"
    return granted + (", frozen" if frozen else "")
