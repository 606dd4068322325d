"""Payment of a pack or a plan, for the page after the checkout."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from creditapp.clock import now
from creditapp.http.viewer import viewer
from creditapp.payments.purchases import receipts
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.subscriptions.receipts import find_first_invoice

POLLED = timedelta(hours=1)
"""How long the page of an unfinished payment asks for news."""

_PLACES = {
    "/dashboard": "Back to the dashboard",
    "/gallery": "Back to the gallery",
    "/generations": "Back to your image",
    "/history": "Back to your prompts",
    "/chat": "Back to the chat",
    "/settings": "Back to the settings",
}
"""Links back by the first part of the path; the studio's is the main button."""


@dataclass(frozen=True)
class PaymentView:
    """The ``payment_state`` component."""

    state: str
    """The purchase's state, or ``trial`` for a plan that costs nothing yet."""
    name: str
    cycle: str | None
    """``month`` or ``year`` for a plan."""
    credits_micro: int
    amount_minor: int
    currency: str
    sandbox: bool
    balance_micro: int
    studio_url: str
    """The studio, with what was typed there when the buyer left it."""
    back_url: str | None = None
    back_text: str = ""
    receipt_url: str | None = None
    checkout_url: str | None = None
    poll_url: str | None = None


def payment(session: Session, purchase: Purchase) -> PaymentView:
    """Return a purchase as its page shows it; in one query for a plan, in none for a pack."""
    total_minor = purchase.total_minor
    receipt_id: str | None = purchase.id
    if purchase.cycle is not None:
        invoice = find_first_invoice(session, purchase)
        receipt_id = invoice.id if invoice else None
        total_minor = invoice.paid_minor if invoice else None
    is_paid = purchase.state == "paid"
    is_trial = is_paid and purchase.trial_days > 0 and receipt_id is None
    first = f"/{urlsplit(purchase.return_to).path.split('/')[1]}"
    waits = purchase.state in ("open", "pending")
    polls = waits and now() - purchase.created_at < POLLED
    return PaymentView(
        state="trial" if is_trial else purchase.state,
        name=purchase.pack_name,
        cycle=purchase.cycle,
        credits_micro=purchase.credits_micro,
        amount_minor=purchase.price_minor * purchase.seats if total_minor is None else total_minor,
        currency=purchase.currency,
        sandbox=purchase.sandbox,
        balance_micro=viewer().balance_micro,
        studio_url=purchase.return_to if first == "/" else "/",
        back_url=purchase.return_to if first in _PLACES else None,
        back_text=_PLACES.get(first, ""),
        receipt_url=receipts.PATH.format(receipt_id) if is_paid and receipt_id else None,
        checkout_url=purchase.checkout_url if purchase.state == "open" else None,
        poll_url=f"/credits/purchases/{purchase.id}" if polls else None,
    )
