"""Stripe Checkout for payment requests: open the page, and settle what Stripe says was paid.

``sync`` stands behind the webhook, the receipt service and the sweep: it reads what Stripe says
now and posts the difference, so that order, repeats and gaps of events do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from creditapp import clock, ledger
from creditapp.accounts.throttle import count_try, counter
from creditapp.agents import refund, requests, settlement
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.rails import Settled, stripe_checkout
from creditapp.agents.refusals import SettlementUnknown
from creditapp.agents.settlement import OtherPayment
from creditapp.clock import NEVER
from creditapp.config import Settings
from creditapp.db import snapshot, transaction, update_if
from creditapp.errors import Conflict, NotFound, RateLimited
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutState, GatewayError, Reversals
from creditapp.payments.subscriptions.models import Refund
from creditapp.payments.sweeps import find_due, run_each, until_claimed
from creditapp.rate_limits import PURCHASE_QUESTIONS
from creditapp.services import get
from creditapp.units import MICRO_PER_CREDIT

PAGE_LIFETIME: Final = timedelta(minutes=46)
"""Of Stripe's page, from the request on: at least the 30 minutes that Stripe demands of a page that
is opened in the request's last second. It outlives the request, and a late payment is honoured."""

_CHECK_AFTER: Final = timedelta(minutes=2)
_CHECK_DELAYED_AFTER: Final = timedelta(minutes=30)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class CheckoutPage:
    """The page on which a payment request is paid."""

    id: str
    url: str
    expires_at: datetime


def open_page(request_id: str, *, now: datetime) -> CheckoutPage:
    """Open the page of a payment request, once; the same request gets the same page.

    A service: it calls Stripe. Raises ``UnknownPaymentRequest``, ``PaymentRequestExpired``,
    ``PaymentRequestNotOpen``, ``Conflict`` for an amount that Stripe does not charge, and
    ``GatewayError``.
    """
    request = requests.find(request_id)
    requests.require_open(request, now=now)
    if all(option["id"] != stripe_checkout.NAME for option in request.options):
        raise Conflict("This payment request cannot be paid by card.")
    expires_at = request.created_at + PAGE_LIFETIME
    if request.checkout_id is None or request.checkout_url is None:
        site_url = get(Settings).site_url
        created = get(StripeGateway).create_agent_checkout(
            request_id=request.id,
            title=requests.title(request),
            price_minor=request.price_minor,
            currency=request.currency,
            page=f"{site_url}/api/payment-requests/{request.id}",
            expires_at=expires_at,
        )
        columns = {"checkout_id": created.id, "checkout_url": created.url}
        with transaction() as session:
            update_if(session, request, **columns, next_check_at=now + _CHECK_AFTER)
        return CheckoutPage(created.id, created.url, expires_at)
    return CheckoutPage(request.checkout_id, request.checkout_url, expires_at)


def on_event(request_id: str | None, payment_intent_id: str | None) -> bool:
    """Sync the payment request that an event of Stripe names; return whether it names one.

    Raises ``NotFound`` for a request that is not stored: the event is tried again.
    """
    with snapshot() as session:
        request = _find(session, request_id, payment_intent_id)
    if request is None:
        if request_id is not None:
            raise NotFound
        return False
    sync(request.id)
    return True


def sync_on_return(request: PaymentRequest) -> None:
    """Sync an unpaid request because its buyer asks for the receipt, every few seconds at most."""
    if request.checkout_id is None:
        return
    question = counter("ask", PURCHASE_QUESTIONS, get(Settings).derived_key("stripe"), request.id)
    try:
        with transaction() as session:
            count_try(session, [question], now=clock.now())
    except RateLimited:
        return
    try:
        sync(request.id)
    except GatewayError:
        raise SettlementUnknown("Stripe does not answer. Ask again in a moment.") from None


def sync(request_id: str) -> PaymentRequest:
    """Bring a payment request to the state that Stripe reports. A service."""
    return until_claimed(lambda: _sync_once(request_id))


def sweep_pages() -> None:
    """Sync the requests whose page may have been paid without an event."""
    run_each(
        find_due(select(PaymentRequest.id), PaymentRequest.next_check_at),
        sync,
        "payment request not synced",
    )


def _find(
    session: Session, request_id: str | None, payment_intent_id: str | None
) -> PaymentRequest | None:
    if request_id is None and payment_intent_id is not None:
        query = select(Settlement.payment_request_id).where(
            Settlement.rail == stripe_checkout.NAME, Settlement.ref == payment_intent_id
        )
        request_id = session.scalar(query)
    return session.get(PaymentRequest, request_id) if request_id else None


def _sync_once(request_id: str) -> PaymentRequest | None:
    """Sync a request; return None, and change nothing, if another sync changed it meanwhile."""
    request = requests.find(request_id)
    if request.checkout_id is None:
        raise Conflict("The page of this payment request is not stored yet.")
    state = get(StripeGateway).retrieve_checkout(request.checkout_id)
    if state is not None and state.paid:
        if reason := mismatch(request, state):
            return _review(request, state, reason)
        try:
            settlement.post(request.id, stripe_checkout.NAME, _settled(state), now=clock.now())
        except OtherPayment:
            _pay_back(request, state)
            return _check_at(request, NEVER)
        return _post_reversals(request, state)
    if state is None or state.status == "expired":
        return _check_at(request, NEVER)
    delayed = state.status == "complete"
    return _check_at(request, clock.now() + (_CHECK_DELAYED_AFTER if delayed else _CHECK_AFTER))


def _review(request: PaymentRequest, state: CheckoutState, reason: str) -> PaymentRequest | None:
    """Log a payment that grants nothing every day, and keep its row, until it is paid back."""
    total_minor = state.amount_total or 0
    if state.reversals.reversed_minor(total_minor) == total_minor:
        return _check_at(request, NEVER)
    log.error("payment needs review", payment_request=request.id, reason=reason)
    return _check_at(request, clock.now() + timedelta(days=1))


def _settled(state: CheckoutState) -> Settled:
    return Settled(
        ref=state.payment_intent_id or state.id,
        option_id=stripe_checkout.NAME,
        livemode=state.livemode,
        paid_minor=state.amount_total,
    )


def mismatch(request: PaymentRequest, state: CheckoutState) -> str | None:
    """Return how the payment differs from the request as it was priced, or None."""
    if state.metadata.get("payment_request_id") != request.id:
        return "the page belongs to another request"
    if state.livemode != get(StripeGateway).livemode:
        return "live and test mode differ"
    if (state.currency or "").lower() != request.currency.lower():
        return f"paid in {state.currency}"
    if state.amount_subtotal != request.price_minor:
        return f"the subtotal is {state.amount_subtotal}"
    return None


def _pay_back(request: PaymentRequest, state: CheckoutState) -> None:
    """Refund a second payment whole: another one has bought the credits."""
    left_minor = (state.amount_total or 0) - state.reversals.refunded_minor
    if left_minor <= 0 or state.payment_intent_id is None or state.reversals.disputed:
        return
    get(StripeGateway).create_refund(
        refund_id=f"second:{request.id}",
        payment_intent_id=state.payment_intent_id,
        amount_minor=left_minor,
        reason="duplicate",
    )
    log.warning("second payment refunded", payment_request=request.id)


def _post_reversals(request: PaymentRequest, state: CheckoutState) -> PaymentRequest | None:
    """Revoke in proportion to refunds and lost disputes; freeze while a dispute is open."""
    total_minor, reversals = state.amount_total or 0, state.reversals
    with transaction() as session:
        if not _claim_version(session, request):
            return None
        settled = settlement.find_settlement(session, request.id)
        assert settled is not None  # posted just before
        connection, now = session.connection(), clock.now()
        if total_minor:
            reversed_minor = reversals.reversed_minor(total_minor)
            target_micro = request.count * MICRO_PER_CREDIT * reversed_minor // total_minor
            # A refund of ours takes the credits back before Stripe knows of it.
            target_micro = max(target_micro, request.refunded_micro)
            reason = reversals.reason
            ledger.revoke(connection, settled.grant_id, target_micro, now=now, reason=reason)
        _note_failed_refunds(session, reversals)
        if reversals.disputed:
            ledger.freeze(connection, settled.grant_id, now=now)
        elif reversals.disputes:
            ledger.unfreeze(connection, settled.grant_id, now=now)
        # A dispute takes weeks, and the event that ends it may be the one that never arrives.
        next_check_at = now + timedelta(days=1) if reversals.disputed else NEVER
        update_if(session, request, next_check_at=next_check_at)
    return request


def _note_failed_refunds(session: Session, reversals: Reversals) -> None:
    """Leave refunds of ours that failed after Stripe took them to the operator."""
    failed = [each.refund_id for each in reversals.refunds if each.refund_id and not each.counts]
    session.execute(
        update(Refund)
        .where(Refund.id.in_(failed), Refund.state == "done", Refund.sent_at.is_(None))
        .values(state=refund.BY_HAND)
        .execution_options(synchronize_session=False)
    )


def _check_at(request: PaymentRequest, next_check_at: datetime) -> PaymentRequest | None:
    with transaction() as session:
        is_claimed = _claim_version(session, request)
        if is_claimed:
            update_if(session, request, next_check_at=next_check_at)
    return request if is_claimed else None


def _claim_version(session: Session, request: PaymentRequest) -> bool:
    version = request.version
    return update_if(session, request, PaymentRequest.version == version, version=version + 1)
