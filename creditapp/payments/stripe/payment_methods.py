"""Saved cards at Stripe, and the payments that automatic top-ups make with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from creditapp.payments.stripe.connection import (
    StripeConnection,
    gateway_errors,
    none_if_missing,
)
from creditapp.payments.stripe.parsing import created_since, id_of, metadata_of
from creditapp.payments.stripe.records import (
    CheckoutCreated,
    CheckoutState,
    SavedCard,
)
from creditapp.payments.stripe.refunds import reversals_of

if TYPE_CHECKING:
    from stripe import PaymentIntent
    from stripe.params.checkout import SessionCreateParams

KIND = "topup"
"""The metadata that marks these payments; a checkout's payment carries a purchase id too."""

_CLOCK_SKEW = timedelta(days=1)
_PAYMENT_KEPT_FOR = timedelta(days=365)


def list_cards(connection: StripeConnection, customer_id: str) -> tuple[SavedCard, ...]:
    """Return the customer's cards, the newest first."""
    with gateway_errors():
        page = connection.sdk().v1.customers.payment_methods.list(
            customer_id, {"type": "card", "limit": 100}
        )
        return tuple(
            SavedCard(
                card.id,
                card.card.brand,
                card.card.last4,
                card.card.exp_month,
                card.card.exp_year,
            )
            for card in page.data
            if card.card
        )


def create_setup_checkout(
    connection: StripeConnection,
    *,
    key: str,
    customer_id: str,
    currency: str,
    success_url: str,
    cancel_url: str,
) -> CheckoutCreated:
    """Open a Checkout Session in setup mode, which saves a card and charges nothing."""
    params: SessionCreateParams = {
        "mode": "setup",
        "customer": customer_id,
        "currency": currency.lower(),
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    return connection.open_checkout(params, f"topup:{key}:setup")


def charge_saved_card(
    connection: StripeConnection,
    *,
    purchase_id: str,
    attempt: int,
    customer_id: str,
    card_id: str,
    amount_minor: int,
    currency: str,
    description: str,
) -> str:
    """Charge a card off session; return the id of the payment intent, which names the purchase."""
    with gateway_errors():
        intent = connection.sdk().v1.payment_intents.create(
            {
                "amount": amount_minor,
                "currency": currency.lower(),
                "customer": customer_id,
                "payment_method": card_id,
                "off_session": True,
                "confirm": True,
                "description": description,
                "metadata": {"purchase_id": purchase_id, "kind": KIND},
            },
            {"idempotency_key": f"purchase:{purchase_id}:topup:{attempt}"},
        )
    return intent.id


@none_if_missing
def retrieve_payment(connection: StripeConnection, payment_intent_id: str) -> CheckoutState:
    """Return a payment with its refunds and disputes; None where Stripe has none."""
    with gateway_errors():
        state = _payment_state(connection.sdk().v1.payment_intents.retrieve(payment_intent_id))
    return _with_reversals(connection, state)


def find_payment_for(
    connection: StripeConnection, purchase_id: str, *, customer_id: str, created_after: datetime
) -> CheckoutState | None:
    """Find the purchase's payment among the customer's; prefer one that succeeded.

    As with checkouts, Stripe's search would find a payment only about a minute after it is made.
    Stripe's clock is not ours, so the look-up begins a day earlier.
    """
    since = int((created_after - _CLOCK_SKEW).timestamp())
    payments: list[CheckoutState] = []
    with gateway_errors():
        page = connection.sdk().v1.payment_intents.list({"customer": customer_id, "limit": 100})
        for intent in page.auto_paging_iter():
            if intent.created < since:
                break
            if metadata_of(intent).get("purchase_id") == purchase_id:
                payments.append(_payment_state(intent))
    if not payments:
        return None
    best = min(payments, key=lambda state: (not state.paid, state.status != "complete"))
    return _with_reversals(connection, best)


def list_topups(
    connection: StripeConnection, *, created_after: datetime
) -> tuple[CheckoutState, ...]:
    """Return the payments of automatic top-ups created since."""
    with gateway_errors():
        page = connection.sdk().v1.payment_intents.list(created_since(created_after))
        return tuple(
            _payment_state(intent)
            for intent in page.auto_paging_iter()
            if metadata_of(intent).get("kind") == KIND
        )


def _with_reversals(connection: StripeConnection, state: CheckoutState) -> CheckoutState:
    if not state.paid:
        return state
    reversals = reversals_of(connection, state.id)
    return replace(state, refunds=reversals.refunds, disputes=reversals.disputes)


def _payment_state(intent: PaymentIntent) -> CheckoutState:
    """Return the payment in the form of a checkout that was paid or failed at once."""
    created = datetime.fromtimestamp(intent.created, UTC)
    return CheckoutState(
        id=intent.id,
        status="expired" if intent.status == "canceled" else "complete",
        payment_status="paid" if intent.status == "succeeded" else "unpaid",
        amount_subtotal=intent.amount,
        amount_total=intent.amount,
        currency=intent.currency,
        payment_intent_id=intent.id,
        customer_id=id_of(intent.customer),
        metadata=metadata_of(intent),
        livemode=intent.livemode,
        url=None,
        expires_at=created + _PAYMENT_KEPT_FOR,
        discount_minor=0,
        tax_minor=0,
        failure=_failure(intent),
    )


def _failure(intent: PaymentIntent) -> str | None:
    if intent.status == "requires_action":
        return "authentication_required"
    if intent.status != "requires_payment_method":
        return None
    error = intent.last_payment_error
    # Stripe omits what does not apply: a bounced debit has no decline code.
    codes = (getattr(error, "code", None), getattr(error, "decline_code", None)) if error else ()
    if "authentication_required" in codes:
        return "authentication_required"
    return codes[0] if codes and codes[0] else "card_declined"
