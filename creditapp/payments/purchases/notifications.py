"""Emails about a payment that was made, refunded or disputed.

A posting queues them in its transaction, each about a difference that this very posting made: it
is queued once however often Stripe repeats itself, and not at all when the posting is rolled back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp import emails
from creditapp.accounts import User
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.receipts import Receipt
from creditapp.payments.stripe.records import DisputeState


@dataclass(frozen=True)
class PaymentEmails:
    """Emails to the owner of one payment: of a pack, or of an invoice of a plan."""

    session: Session
    user: User
    receipt: Receipt
    paid_micro: int
    """The credits that the whole payment pays for."""
    version: int
    """The version of the payment's row, which moves with every posting: amounts may repeat."""
    now: datetime

    def payment(self, event: str, context: Mapping[str, object]) -> None:
        """Queue the email about the payment itself, once, with its amounts and ``context``."""
        amounts = asdict(self.receipt.amounts)
        context = self.receipt.email_context() | amounts | dict(context)
        self._queue(event, context, f"{event}:{self.receipt.id}")

    def refund(self, difference_minor: int) -> None:
        """Queue the email about a refund or, for a negative difference, about one that failed."""
        refunded_minor = abs(difference_minor)
        context = self.receipt.email_context() | {
            "undone": difference_minor < 0,
            "refunded_minor": refunded_minor,
            "back_minor": self.receipt.amounts.refunded_minor,
            "total_minor": self.receipt.amounts.total_minor,
            "credits_micro": self.credits_of(refunded_minor),
        }
        self._queue("refund", context, f"refund:{self.receipt.id}:{self.version}")

    def dispute(self, dispute: DisputeState, credits_micro: int, *, opened: bool) -> None:
        """Queue the email about a dispute that was opened or decided."""
        event = "dispute_opened" if opened else "dispute_closed"
        context = self.receipt.email_context() | {
            "amount_minor": dispute.amount_minor,
            "credits_micro": credits_micro,
        }
        if not opened:
            context["outcome"] = "lost" if dispute.status == "lost" else "won"
        self._queue(event, context, f"{event}:{dispute.id}")

    def credits_of(self, amount_minor: int) -> int:
        """Return the credits in proportion to a part of the payment."""
        total_minor = self.receipt.amounts.total_minor
        return self.paid_micro * amount_minor // total_minor if total_minor else 0

    def _queue(self, event: str, context: Mapping[str, object], key: str) -> None:
        emails.notify(self.session, event, self.user, context, key, now=self.now)


def send_receipt(payment_emails: PaymentEmails, purchase: Purchase) -> None:
    """Queue the receipt of a paid pack."""
    context = {"bought_at": purchase.paid_at, "credits_micro": purchase.credits_micro}
    payment_emails.payment("receipt", context)
