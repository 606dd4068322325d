"""Purchases: stored, paid at Stripe, and synced until ledger and Stripe agree.

``sync_purchase`` is the one function behind the webhook, the return page, the sweep and the
operator's commands. It reads Stripe's state with no transaction open, and ``posting`` posts the
difference between the grants, freezes and revocations that should exist and those that do. Events
only name the purchase to sync, so neither their order nor their number matters.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from creditapp import accounts, clock
from creditapp.accounts import User
from creditapp.accounts.throttle import count_try, counter
from creditapp.clock import NEVER
from creditapp.config import Settings
from creditapp.db import snapshot, stop_reading, transaction, update_if
from creditapp.errors import Conflict, NotFound, RateLimited
from creditapp.logs import failures_logged
from creditapp.payments.customers import ReplacedAtStripe
from creditapp.payments.purchases import posting
from creditapp.payments.purchases.idempotency import FIRST_SYNC_AFTER
from creditapp.payments.purchases.kinds import kind_of
from creditapp.payments.purchases.models import UNFINISHED_STATES, Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import (
    CheckoutCreated,
    CheckoutRequest,
    CheckoutState,
    GatewayError,
)
from creditapp.payments.sweeps import claim_version, sync_due, until_claimed
from creditapp.rate_limits import PURCHASE_QUESTIONS
from creditapp.services import get

REPLACEMENTS_MAX = 2
"""The buyer's customer and the plan's price may both be missing at Stripe."""

CHECKOUT_HOURS = 24
"""An unpaid purchase ends after this long, the longest that Stripe keeps a checkout open."""


class PurchaseEnded(Conflict):
    """The purchase of this key has ended, and its checkout was never opened."""

    title = "This purchase has ended"


class PriceUnavailable(Conflict):
    """Stripe does not sell a price that the catalog names: an operator has to mend the catalog."""

    title = "This cannot be bought right now"

    def __init__(self) -> None:
        super().__init__("You were not charged. Choose another one, or contact us.")


def open_checkout(purchase: Purchase, buyer: User) -> None:
    """Create the checkout at Stripe and store it on the row; one purchase has one checkout.

    Does nothing if it was created before. What Stripe has lost is created anew. Raises
    ``PurchaseEnded``, ``PriceUnavailable`` and ``GatewayError``. No transaction is open while
    Stripe is asked. Stripe repeats its answer to an idempotency key for a day, failures included,
    so each attempt has a key of its own. A second attempt first looks for the checkout of the last
    one; otherwise there could be two to pay.
    """
    if purchase.checkout_url is not None or purchase.checkout_id is not None:
        return
    closes_at = purchase.created_at + timedelta(hours=CHECKOUT_HOURS - 1)
    if purchase.ended or clock.now() > closes_at - timedelta(hours=1):
        raise PurchaseEnded("This checkout has expired. You were not charged; please start again.")
    for _ in range(REPLACEMENTS_MAX):
        with suppress(ReplacedAtStripe):
            _store_checkout(purchase, _try_checkout(purchase, buyer, closes_at))
            return
    _store_checkout(purchase, _try_checkout(purchase, buyer, closes_at))


def fetch_checkout(purchase: Purchase) -> CheckoutState | None:
    """Return the purchase's checkout at Stripe, or None where Stripe knows none.

    Raises ``GatewayError``. A checkout without a stored id is found by the purchase's id: the
    process may have died between Stripe's answer and the write.
    """
    gateway = get(StripeGateway)
    if purchase.checkout_id is None:
        return gateway.find_checkout_for(purchase.id, created_after=purchase.created_at)
    return gateway.retrieve_checkout(purchase.checkout_id)


def find_purchase(session: Session, purchase_id: str, owner: User) -> Purchase:
    """Return the owner's purchase; raise ``NotFound`` for anyone else's."""
    purchase = session.get(Purchase, purchase_id)
    if purchase is None or purchase.user_id != owner.id:
        raise NotFound("There is no such purchase here.")
    return purchase


def sync_purchase(purchase_id: str, *, failed_by_event: bool = False) -> Purchase:
    """Make the ledger agree with Stripe's present state of a purchase; safe to call at any time.

    ``failed_by_event`` means that a delayed payment failed, which the checkout itself does not
    show; it changes the state that the buyer sees, never credits. Raises ``NotFound`` for an
    unknown purchase and ``GatewayError`` when Stripe cannot be asked. A sync whose purchase was
    changed by another one meanwhile reads again, so none posts an outdated state.
    """
    stop_reading()
    return until_claimed(lambda: _sync_once(purchase_id, failed_by_event=failed_by_event))


def sync_on_return(purchase: Purchase) -> Purchase | None:
    """Sync a purchase because its buyer came back; return None where the row is to answer.

    Stripe is not asked about a purchase that has ended, nor twice within seconds: of returns at the
    same moment one asks. Raises like ``sync_purchase``.
    """
    if purchase.state not in UNFINISHED_STATES:
        return None
    question = counter("ask", PURCHASE_QUESTIONS, get(Settings).derived_key("stripe"), purchase.id)
    try:
        with transaction() as session:
            count_try(session, [question], now=clock.now())
    except RateLimited:
        return None
    return sync_purchase(purchase.id)


def sweep_purchases() -> None:
    """Sync every unfinished purchase whose next sync is due: a webhook may never arrive."""
    sync_due(Purchase, sync_purchase, retry_after=FIRST_SYNC_AFTER)


def end_unpaid(purchase_id: str, state: str, failure: str | None) -> None:
    """End an open purchase that has no payment at Stripe; leave one that has changed.

    If a payment turns up after all, the next sync posts it like any other.
    """
    purchase = _read(purchase_id)
    if purchase.state == "open" and purchase.payment_intent_id is None:
        _end(purchase, failure, state=state)


def _sync_once(purchase_id: str, *, failed_by_event: bool) -> Purchase | None:
    """Sync a purchase; return None, and change nothing, if another sync changed it meanwhile."""
    purchase = _read(purchase_id)
    kind = kind_of(purchase)
    state = kind.fetch_state(purchase)
    if state is None:
        return _close_unknown(purchase)
    if purchase.checkout_id and state.status == "open" and _is_over(purchase, clock.now()):
        state = get(StripeGateway).expire_checkout(purchase.checkout_id) or state
    if state.paid:
        kind.sync_before_closing(state)
    with failures_logged("purchase not posted", purchase=purchase.id), transaction() as session:
        is_deleted = not accounts.is_open(session, purchase.user_id)
        if not claim_version(session, purchase):
            return None
        posting.post(
            session,
            purchase,
            state,
            failed_by_event=failed_by_event,
            is_deleted=is_deleted,
            now=clock.now(),
        )
    return purchase


def _try_checkout(purchase: Purchase, buyer: User, closes_at: datetime) -> CheckoutCreated:
    try:
        return _find_earlier_attempt(purchase) or _create_checkout(purchase, buyer, closes_at)
    except (GatewayError, PriceUnavailable):
        _count_attempt(purchase)
        raise


def _find_earlier_attempt(purchase: Purchase) -> CheckoutCreated | None:
    if purchase.attempt == 1:
        return None
    state = get(StripeGateway).find_checkout_for(purchase.id, created_after=purchase.created_at)
    if state is None or state.status == "expired":
        return None
    return CheckoutCreated(state.id, state.url or "")


def _create_checkout(purchase: Purchase, buyer: User, closes_at: datetime) -> CheckoutCreated:
    create = kind_of(purchase).create_checkout
    if create is None:
        raise RuntimeError(f"{purchase.id} is paid without a checkout")
    return_url = f"{get(Settings).site_url}/credits/purchases/{purchase.id}/back"
    request = CheckoutRequest(
        purchase.id,
        success_url=f"{return_url}?session_id={{CHECKOUT_SESSION_ID}}",
        cancel_url=f"{return_url}?cancelled=1",
        attempt=purchase.attempt,
        expires_at=closes_at,
    )
    return create(purchase, buyer, request)


def _count_attempt(purchase: Purchase) -> None:
    with transaction() as session:
        # Of two that failed at once, one counts.
        is_same = Purchase.attempt == purchase.attempt
        if not update_if(session, purchase, is_same, attempt=purchase.attempt + 1):
            purchase.attempt = session.get_one(Purchase, purchase.id).attempt


def _store_checkout(purchase: Purchase, created: CheckoutCreated) -> None:
    """Store the checkout, unless another request with the same key stored its own first."""
    with transaction() as session:
        is_first = Purchase.checkout_id.is_(None)
        columns = {"checkout_id": created.id, "checkout_url": created.url}
        if not update_if(session, purchase, is_first, **columns):
            stored = session.get_one(Purchase, purchase.id)
            purchase.checkout_id, purchase.checkout_url = stored.checkout_id, stored.checkout_url


def _read(purchase_id: str) -> Purchase:
    with snapshot() as session:
        purchase = session.get(Purchase, purchase_id)
    if purchase is None:
        raise NotFound("There is no such purchase.")
    return purchase


def _too_old(purchase: Purchase, now: datetime) -> bool:
    return now - purchase.created_at > timedelta(hours=CHECKOUT_HOURS)


def _is_over(purchase: Purchase, now: datetime) -> bool:
    """Whether nobody may pay any more: its time has passed, or its buyer's account is deleted."""
    if _too_old(purchase, now):
        return True
    with snapshot() as session:
        buyer = session.get(User, purchase.user_id)
    return buyer is None or buyer.deleted_at is not None


def _close_unknown(purchase: Purchase) -> Purchase:
    """Close a purchase that Stripe does not know, once it can no longer be paid."""
    now, state = clock.now(), purchase.state
    next_sync_at = NEVER
    if state in UNFINISHED_STATES:
        if _too_old(purchase, now):
            state = "expired"
        else:
            next_sync_at = posting.next_sync_at(purchase, now=now)
    _end(purchase, None, state=state, next_sync_at=next_sync_at)
    return purchase


def _end(
    purchase: Purchase, failure: str | None, *, state: str, next_sync_at: datetime = NEVER
) -> None:
    with transaction() as session:
        if claim_version(session, purchase, state=state, next_sync_at=next_sync_at):
            kind_of(purchase).on_posted(session, purchase, failure, clock.now())
