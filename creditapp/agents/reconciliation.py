"""Reconciliation of agents' payments by card: what Stripe says against the settlements here.

A service, called with Stripe's lists and no transaction open. A payment that differs is synced,
which repairs what a lost event left undone; what differs after that is for an operator.
"""

from __future__ import annotations

from sqlalchemy import select

from creditapp.agents import checkout, requests, settlement
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.rails import stripe_checkout
from creditapp.db import snapshot
from creditapp.errors import AppError
from creditapp.payments.reconciliation.report import (
    NOTHING,
    Difference,
    Report,
    StripeLists,
    grant_text,
    paid_text,
)
from creditapp.payments.reconciliation.subscriptions import select_in
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutState, GatewayError
from creditapp.services import get


def reconcile(lists: StripeLists, report: Report) -> None:
    """Compare the payments of agents at Stripe, repair what a sync can, and report the rest."""
    paid = lists.paid("payment_request_id")
    report.agent_payments = len(paid)
    recent = Settlement.rail == stripe_checkout.NAME, Settlement.created_at >= lists.since
    with snapshot() as session:
        settlements = {
            settled.payment_request_id: settled
            for settled in (
                *session.scalars(select(Settlement).where(*recent)),
                *select_in(session, Settlement.payment_request_id, paid),
                *select_in(session, Settlement.ref, lists.reversed_payments),
            )
        }
        found = select_in(session, PaymentRequest.id, {*paid, *settlements})
    known = {request.id for request in found}
    report.differences += [
        Difference("unknown", request_id, paid_text(state), "no such payment request")
        for request_id, state in paid.items()
        if request_id not in known
    ]
    for request in found:
        settled, state = settlements.get(request.id), paid.get(request.id)
        is_granted = settled is not None and settled.rail == stripe_checkout.NAME
        if settled and is_granted and state and settled.ref not in lists.reversed_payments:
            report.differences += _compare_amounts(request, settled, state)
        else:
            report.differences += _sync(request)


def _compare_amounts(
    request: PaymentRequest, settled: Settlement, state: CheckoutState
) -> list[Difference]:
    ours = f"{settled.paid_minor} {request.currency.lower()}"
    theirs = f"{state.amount_total} {state.currency}"
    return [] if ours == theirs else [Difference("amount", request.id, theirs, ours)]


def _sync(request: PaymentRequest) -> list[Difference]:
    """Sync one payment request; return what that repaired, and what it could not repair."""
    before = grant_text(f"agent:{request.id}")
    try:
        earlier = _fetch(request)
        checkout.sync(request.id)
        state = _fetch(request)
    except (GatewayError, AppError) as error:
        return [Difference("unanswered", request.id, type(error).__name__, before or NOTHING)]
    with snapshot() as session:
        settled = settlement.find_settlement(session, request.id)
    if settled is not None and settled.rail != stripe_checkout.NAME:
        return _compare_second(request, settled, earlier, state)
    after = grant_text(f"agent:{request.id}")
    if state is None or not state.paid:
        return [Difference("granted_not_paid", request.id, "not paid", after)] if after else []
    total_minor = state.amount_total or 0
    if not after and state.reversals.reversed_minor(total_minor) == total_minor:
        return []  # an operator paid it back
    if not after:
        reason = checkout.mismatch(request, state) or requests.find(request.id).state
        return [Difference("paid_not_granted", request.id, paid_text(state), reason)]
    if before == after:
        return []
    kind = "dispute" if state.reversals.disputes else "refund"
    if not before:
        kind = "paid_not_granted"
    was = f"was {before or NOTHING}"
    return [Difference(kind, request.id, f"now {after}", was, repaired=True)]


def _compare_second(
    request: PaymentRequest,
    settled: Settlement,
    earlier: CheckoutState | None,
    state: CheckoutState | None,
) -> list[Difference]:
    """Compare a payment of a request that another rail has paid: Stripe has to pay it back."""
    if state is None or not state.paid or earlier is None:
        return []
    total_minor = state.amount_total or 0
    returned_minor = state.reversals.reversed_minor(total_minor)
    is_repaired = returned_minor == total_minor
    if is_repaired and earlier.reversals.reversed_minor(total_minor) == total_minor:
        return []
    theirs = f"{paid_text(state)}, {returned_minor} paid back"
    ours = f"paid by {settled.rail}"
    return [Difference("paid_twice", request.id, theirs, ours, repaired=is_repaired)]


def _fetch(request: PaymentRequest) -> CheckoutState | None:
    return get(StripeGateway).retrieve_checkout(request.checkout_id or "")
