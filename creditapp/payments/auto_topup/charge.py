"""Charges of automatic top-ups: decided under the row's lock, made with no transaction open.

A member has one automatic purchase at a time: the row holds its id from before it is charged until
its outcome is known. When Stripe does not answer, the sweep looks the payment up and, if there is
none, charges again with the same key, so a lost answer never leads to a second charge.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from creditapp import accounts, clock, jobs, ledger
from creditapp.catalog import Catalog
from creditapp.catalog.models import TOKEN_OPERATIONS
from creditapp.db import reading, snapshot, stop_reading, transaction, update_if
from creditapp.ids import new_id
from creditapp.ledger.models import Wallet
from creditapp.payments import customers
from creditapp.payments.auto_topup import outcomes
from creditapp.payments.auto_topup.consent import is_on
from creditapp.payments.auto_topup.limits import monthly_usage, start_of_next_month
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.purchases.checkout import end_unpaid, sync_purchase
from creditapp.payments.purchases.idempotency import PurchaseRequest, new_purchase
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.sweeps import find_due, run_each
from creditapp.services import get
from creditapp.units import credits_text

JOB: Final = "top-up"
ANSWER_LOST_AFTER: Final = timedelta(minutes=1)
"""An unfinished purchase is looked up after this long: longer than a request to Stripe takes."""

CHARGE_WITHIN: Final = timedelta(hours=23)
"""Stripe keeps a request's key for a day; after that the same charge would be a second one."""

_WAIT: Final = timedelta(minutes=1)

log = structlog.get_logger(__name__)


def enqueue_if_low(user_id: str, available_micro: int) -> None:
    """Enqueue a top-up if the balance is below its threshold; call it after the commit.

    Nothing is raised when the job store is unreachable: the sweep checks the balance too.
    """
    query = select(AutoTopup.version).where(
        AutoTopup.user_id == user_id, is_on(), AutoTopup.threshold_micro > available_micro
    )
    version = reading().scalar(query)
    stop_reading()
    if version is not None:
        # One job for each member and version of the row, however many holds are made at once.
        jobs.enqueue(JOB, f"{user_id}.{version}")


def charge_if_low(user_id: str) -> None:
    """Top up a member's balance, if it is low and the terms allow it.

    Safe to call at any time; of several calls at once, one charges.
    """
    stop_reading()
    with transaction() as session:
        purchase = _start_purchase(session, user_id, now=clock.now())
    if purchase is not None:
        _charge_card(purchase)


def sweep_topups() -> None:
    """Charge low balances that no job was enqueued for, and finish unanswered charges."""
    low_balances = (
        select(AutoTopup.user_id)
        .join(Wallet, Wallet.owner_id == AutoTopup.user_id)
        .where(
            is_on(),
            AutoTopup.purchase_id.is_(None),
            Wallet.owner_kind == "user",
            # Expired credits are subtracted later, by ``_needs_credits``.
            or_(
                Wallet.available_micro < AutoTopup.threshold_micro,
                Wallet.next_expiry_at <= clock.now(),
            ),
        )
    )
    unfinished = select(AutoTopup.user_id).where(AutoTopup.purchase_id.is_not(None))
    run_each(find_due(low_balances, AutoTopup.next_look_at), charge_if_low, "top-up failed")
    run_each(find_due(unfinished, AutoTopup.next_look_at), _resume, "top-up failed")


def _start_purchase(session: Session, user_id: str, *, now: datetime) -> Purchase | None:
    """Store a purchase and its id on the member's row, or set when to check again."""
    if not accounts.is_open(session, user_id):
        return None
    row = session.scalar(
        select(AutoTopup).where(AutoTopup.user_id == user_id, is_on()).with_for_update()
    )
    if row is None or row.purchase_id is not None:
        return None
    if row.last_try_at is not None and row.last_try_at > now - outcomes.COOLDOWN:
        return None
    postponed_until = _postponed_until(session, row, now=now)
    if postponed_until is not None:
        row.next_look_at = postponed_until
        return None
    purchase = _new_purchase(row, now=now)
    session.add(purchase)
    row.purchase_id, row.last_try_at = purchase.id, now
    row.next_look_at = now + ANSWER_LOST_AFTER
    row.version += 1
    return purchase


def _postponed_until(session: Session, row: AutoTopup, *, now: datetime) -> datetime | None:
    """Return when to check again, or None if the member may be charged now."""
    if not _needs_credits(session, row, now=now):
        return now + _WAIT
    pack = get(Catalog).pack(row.pack_id)
    agreed = (row.price_minor, row.currency, row.credits_micro)
    if pack is None or agreed != (pack.price_minor, pack.currency, pack.credits_micro):
        row.stopped_at, row.stopped_reason = now, "pack"
        key = f"topup_stopped:pack:{row.user_id}:{row.version}"
        outcomes.notify_stopped(session, row, "pack", key, now=now)
        return now + _WAIT
    usage = monthly_usage(session, row, now=now)
    if usage.is_exhausted(row):
        key = f"topup_stopped:limit:{row.user_id}:{now:%Y-%m}"
        outcomes.notify_stopped(session, row, "limit", key, now=now)
        return start_of_next_month(now)
    return None if usage.allows_charge(row) else now + outcomes.COOLDOWN


def _needs_credits(session: Session, row: AutoTopup, *, now: datetime) -> bool:
    """Whether the balance is low, nothing is owed or frozen, and the account is active."""
    user = accounts.find(session, row.user_id)
    if user is None or not user.is_active:
        return False
    connection = session.connection()
    wallet_id = ledger.find_wallet(connection, "user", row.user_id)
    if wallet_id is None:
        return False
    balance = ledger.balance(connection, wallet_id, now=now)
    if balance.frozen_at is not None or balance.owed_micro or balance.frozen_micro:
        return False
    # What is held by the worst case of an answer mostly comes back within seconds.
    returning_micro = ledger.held_for(connection, wallet_id, TOKEN_OPERATIONS)
    return balance.available_micro + returning_micro < row.threshold_micro


def _new_purchase(row: AutoTopup, *, now: datetime) -> Purchase:
    pack = get(Catalog).pack(row.pack_id)
    assert pack is not None  # compared with the agreed pack just before
    digest = hashlib.sha256(f"topup\n{pack.id}".encode()).hexdigest()
    return new_purchase(
        PurchaseRequest(row.user_id, f"topup:{new_id('req')}", digest, now),
        pack_id=pack.id,
        pack_name=pack.name,
        price_minor=row.price_minor,
        currency=row.currency,
        credits_micro=row.credits_micro,
        automatic=True,
        return_to="/settings",
    )


def _charge_card(purchase: Purchase) -> None:
    """Charge the saved card and sync the purchase."""
    with snapshot() as session:
        row = session.get_one(AutoTopup, purchase.user_id)
        customer_id = customers.find(session, purchase.user_id)
    try:
        payment_intent_id = get(StripeGateway).charge_saved_card(
            purchase_id=purchase.id,
            attempt=purchase.attempt,
            customer_id=customer_id or "",
            card_id=row.card_id or "",
            amount_minor=purchase.price_minor,
            currency=purchase.currency,
            description=f"{purchase.pack_name}: {credits_text(purchase.credits_micro)} credits, "
            "filled up automatically",
        )
    except GatewayError as error:
        if not error.permanent or error.code == "idempotency_key_in_use":
            log.warning("top-up not answered", purchase=purchase.id, code=error.code)
            return  # the sweep looks it up, and charges again with the same key
        _end_refused(purchase, error, customer_id, row.card_id)
        return
    with transaction() as session:
        is_first = Purchase.payment_intent_id.is_(None)
        update_if(session, purchase, is_first, payment_intent_id=payment_intent_id)
    sync_purchase(purchase.id)


def _end_refused(
    purchase: Purchase, refusal: GatewayError, customer_id: str | None, card_id: str | None
) -> None:
    """Sync a purchase whose charge was refused; end it where Stripe has no payment of it."""
    if sync_purchase(purchase.id).state != "open":
        return
    if refusal.declined:
        log.info("top-up refused", purchase=purchase.id, code=refusal.code)
        end_unpaid(purchase.id, "failed", refusal.code or "refused")
    elif _is_card_removed(refusal, customer_id, card_id):
        end_unpaid(purchase.id, "failed", outcomes.CARD_REMOVED)
    else:
        # A wrong key, say: not the member's card, so it is no declined payment.
        log.error("top-up refused", purchase=purchase.id, code=refusal.code, param=refusal.param)
        end_unpaid(purchase.id, "expired", None)


def _is_card_removed(refusal: GatewayError, customer_id: str | None, card_id: str | None) -> bool:
    """Return whether the customer has the card no more: Stripe refuses it in several ways."""
    if refusal.customer_missing or not customer_id:
        return True
    try:
        cards = get(StripeGateway).list_cards(customer_id)
    except GatewayError as error:
        return error.customer_missing
    return card_id not in {card.id for card in cards}


def _resume(user_id: str) -> None:
    """Sync an unfinished purchase, and charge again if Stripe has no payment of it."""
    now = clock.now()
    with transaction() as session:
        row = session.scalar(
            select(AutoTopup)
            .where(AutoTopup.user_id == user_id, AutoTopup.next_look_at <= now)
            .with_for_update()
        )
        if row is None or row.purchase_id is None:
            return
        purchase_id = row.purchase_id
        row.next_look_at = now + ANSWER_LOST_AFTER
        right_mode = row.livemode == get(StripeGateway).livemode
        charge_again = row.on and right_mode and _needs_credits(session, row, now=now)
    purchase = sync_purchase(purchase_id)
    if purchase.state != "open" or purchase.payment_intent_id is not None:
        return
    if charge_again and now - purchase.created_at < CHARGE_WITHIN:
        _charge_card(purchase)
    else:
        end_unpaid(purchase_id, "expired", None)
