"""Review of invoices that charge a plan at a price which is in no catalog.

A service: it calls Stripe with no transaction open and commits its own short transactions.
"""

from __future__ import annotations

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.catalog import Catalog
from creditapp.db import snapshot
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.posting import ACCOUNT_DELETED
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import InvoiceLine, InvoiceState, PriceState
from creditapp.payments.subscriptions import plan_lines
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.models import CYCLES, Invoice, PlanPrice
from creditapp.services import get

log = structlog.get_logger(__name__)


def accept_invoice(invoice_id: str, *, plan_id: str | None = None) -> Invoice:
    """Grant what an invoice under review paid for, and return it; idempotent.

    Its price is stored with the credits of the plan that the subscription had before, or of
    ``plan_id`` as the catalog has it now. From then on the price grants these by itself. Raises
    ``NotFound``, ``Conflict`` for an invoice that cannot be accepted, ``ValidationFailed`` for an
    unknown plan, and ``GatewayError``.
    """
    invoice = _find(invoice_id)
    subscription_sync.sync_subscription(invoice.subscription_id, invoice_id=invoice_id)
    invoice = _find(invoice_id)
    if invoice.paid_at is not None:
        return invoice
    if invoice.review_reason is None:
        raise Conflict(f"{invoice_id} is not paid, so there is nothing to grant.")
    if invoice.review_reason == ACCOUNT_DELETED:
        raise Conflict(f"Its account is deleted. Give the money back: ./run refund {invoice_id}")
    line, before = _plan_line(invoice)
    price = _fetch_price(line.price_id)
    terms = _terms(invoice, before, price, plan_id)
    plan_prices.store_price(price, terms)
    log.info("price accepted", invoice=invoice_id, price=price.id, plan=terms.plan_id)
    subscription_sync.sync_subscription(invoice.subscription_id, invoice_id=invoice_id)
    return _find(invoice_id)


def _find(invoice_id: str) -> Invoice:
    with snapshot() as session:
        invoice = session.get(Invoice, invoice_id)
    if invoice is None:
        raise NotFound(f"There is no invoice {invoice_id} of a plan here. Run ./run reconcile.")
    return invoice


def _plan_line(invoice: Invoice) -> tuple[InvoiceLine, InvoiceLine | None]:
    """Return the line that charges the plan at an unknown price, and the line before it."""
    invoices = get(StripeGateway).list_invoices(invoice.subscription_id)
    subscription = subscription_sync.fetch_subscription(invoice.subscription_id)
    prices = plan_prices.find_prices(line.price_id for one in invoices for line in one.lines)
    before = plan_lines.current_line(_earlier(invoices, invoice), prices)
    item_id = subscription.item.id
    plan_item_id = item_id if subscription.item.price_id in prices else None
    (state,) = (one for one in invoices if one.id == invoice.id)
    lines = plan_lines.unknown_plan_lines(state, prices, before, plan_item_id)
    if not lines:
        raise Conflict(f"{invoice.id} charges no unknown price. Run ./run reconcile.")
    return next((line for line in lines if line.item_id == item_id), lines[0]), before


def _earlier(invoices: tuple[InvoiceState, ...], invoice: Invoice) -> list[InvoiceState]:
    ids = [one.id for one in invoices]
    return list(invoices[: ids.index(invoice.id)])


def _fetch_price(price_id: str) -> PriceState:
    price = get(StripeGateway).retrieve_price(price_id)
    if price is None or price.cycle not in CYCLES:
        raise Conflict(
            f"{price_id} is not paid by the month or by the year. Use ./run grant instead."
        )
    return price


def _terms(
    invoice: Invoice, before: InvoiceLine | None, price: PriceState, plan_id: str | None
) -> PlanPrice:
    """Return the terms of the plan that an invoice pays for."""
    earlier = plan_prices.find_price(before.price_id) if before else None
    if plan_id is None and earlier is not None:
        return earlier
    if plan_id is None:
        with snapshot() as session:
            plan_id = _plan_bought(session, invoice.subscription_id)
    plan = get(Catalog).plan(plan_id) if plan_id else None
    if plan is None or plan.free:
        names = ", ".join(plan.id for plan in get(Catalog).plans if not plan.free)
        raise ValidationFailed.of("plan", f"Name the plan that was paid with --plan: {names}.")
    return plan_prices.new_price(plan, str(price.cycle))


def _plan_bought(session: Session, subscription_id: str) -> str | None:
    """Return the plan that was chosen at the subscription's checkout."""
    return session.scalar(
        select(Purchase.pack_id).where(Purchase.subscription_id == subscription_id)
    )
