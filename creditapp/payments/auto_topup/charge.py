"""Filling up a low balance: decide under the row's lock, charge with no transaction open.

There is one purchase at a time for a member: its number stands on the member's row from before it
is charged until its end is known. When Stripe stays silent the sweep looks the payment up and, if
there is none, charges again under the same key, so that a lost answer is never a second charge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from creditapp import accounts, jobs, ledger
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.db import changed, reading, snapshot, stop_reading, transaction
from creditapp.ids import new_id
from creditapp.ledger.models import Wallet
from creditapp.payments import customers
from creditapp.payments.auto_topup import limits as topup_limits
from creditapp.payments.auto_topup import outcomes as topup_outcomes
from creditapp.payments.auto_topup.consent import running
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.auto_topup.outcomes import COOLDOWN
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.idempotency import new_purchase
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError
from creditapp.services import get
from creditapp.units import credits_text

JOB: Final = "top-up"
ANSWER_LOST_AFTER: Final = timedelta(minutes=1)
"""After so long without an end a purchase is looked up: longer than a request to Stripe takes."""

CHARGE_WITHIN: Final = timedelta(hours=23)
"""Stripe knows a request's key for a day; later the same charge would be another one."""

_BATCH: Final = 50
_WAIT: Final = timedelta(minutes=1)

log = structlog.get_logger(__name__)


def after_spending(user_id: str, available_micro: int) -> None:
    """Ask for a top-up where what is left needs one; call it after the commit.

    Where the jobs' store cannot be reached nothing is raised: the sweep sees the balance too.
    """
    wanted = select(AutoTopup.version).where(
        AutoTopup.user_id == user_id, running(), AutoTopup.threshold_micro > available_micro
    )
    version = reading().scalar(wanted)
    stop_reading()
    if version is not None:
        # One job a member and state of the row, however many holds are made at once.
        jobs.enqueue(JOB, f"{user_id}.{version}")


def consider(user_id: str) -> None:
    """Fill up a member's balance, if it is low and everything else allows it.

    Safe to call at any time and at once elsewhere: of several one charges.
    """
    stop_reading()
    with transaction() as session:
        purchase = _begin(session, user_id)
    if purchase is not None:
        _charge(purchase)


def sweep() -> None:
    """Begin what was missed, and bring to an end what Stripe has not answered."""
    for user_id in _low():
        _one(user_id, consider)
    for user_id in _waiting():
        _one(user_id, _resume)


def _begin(session: Session, user_id: str) -> Purchase | None:
    """Store a purchase and put it on the member's row, or say there when to look again."""
    moment = now()
    row = session.scalar(
        select(AutoTopup).where(AutoTopup.user_id == user_id, running()).with_for_update()
    )
    if row is None or row.purchase_id is not None:
        return None
    if row.last_try_at is not None and row.last_try_at > moment - COOLDOWN:
        return None
    look_again_at = _not_before(session, row, moment)
    if look_again_at is not None:
        _set(session, row, next_look_at=look_again_at)
        return None
    purchase = _purchase(row)
    taken = session.execute(
        update(AutoTopup)
        .where(
            AutoTopup.user_id == user_id,
            AutoTopup.purchase_id.is_(None),
            AutoTopup.version == row.version,
        )
        .values(
            purchase_id=purchase.id,
            last_try_at=moment,
            next_look_at=moment + ANSWER_LOST_AFTER,
            version=row.version + 1,
        )
        .execution_options(synchronize_session=False)
    )
    if changed(taken) == 0:
        return None
    session.add(purchase)
    return purchase


def _not_before(session: Session, row: AutoTopup, moment: datetime) -> datetime | None:
    """Return when to look again, or None where the member may be charged now."""
    if not _sound(session, row, moment):
        return moment + _WAIT
    pack = get(Catalog).pack(row.pack_id)
    agreed = (row.price_minor, row.currency, row.credits_micro)
    if pack is None or agreed != (pack.price_minor, pack.currency, pack.credits_micro):
        _set(session, row, stopped_at=moment, stopped_reason="pack")
        topup_outcomes.tell_stopped(
            session, row, "pack", f"topup_stopped:pack:{row.user_id}:{row.version}"
        )
        return moment + _WAIT
    month = topup_limits.month_of(session, row, moment)
    if month.full_for(row):
        key = f"topup_stopped:limit:{row.user_id}:{moment:%Y-%m}"
        topup_outcomes.tell_stopped(session, row, "limit", key)
        return topup_limits.start_of_next_month(moment)
    return None if month.room_for(row) else moment + COOLDOWN


def _sound(session: Session, row: AutoTopup, moment: datetime) -> bool:
    """Whether the balance is low, nothing is owed or frozen, and the account may be charged."""
    user = accounts.find(session, row.user_id)
    if user is None or not user.is_active:
        return False
    connection = session.connection()
    wallet_id = ledger.find_wallet(connection, "user", row.user_id)
    if wallet_id is None:
        return False
    balance = ledger.balance(connection, wallet_id, now=moment)
    if balance.frozen_at is not None or balance.owed_micro or balance.frozen_micro:
        return False
    return balance.available_micro < row.threshold_micro


def _purchase(row: AutoTopup) -> Purchase:
    pack = get(Catalog).pack(row.pack_id)
    assert pack is not None  # compared with what was agreed just before
    return new_purchase(
        row.user_id,
        f"topup:{new_id('req')}",
        hashlib.sha256(f"topup\n{pack.id}".encode()).hexdigest(),
        pack_id=pack.id,
        pack_name=pack.name,
        price_minor=row.price_minor,
        currency=row.currency,
        credits_micro=row.credits_micro,
        automatic=True,
        return_to="/settings",
    )


def _charge(purchase: Purchase) -> None:
    """Charge the saved card, and sync what came of it."""
    with snapshot() as session:
        row = session.get_one(AutoTopup, purchase.user_id)
        customer_id = customers.find(session, purchase.user_id)
    refusal: GatewayError | None = None
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
            return  # the sweep looks it up, and asks again under the same key
        log.info("top-up refused", purchase=purchase.id, code=error.code)
        refusal = error
    else:
        _note_payment(purchase, payment_intent_id)
    synced = checkout.sync(purchase.id)
    if refusal is not None and synced.state == "open":
        # Refused without a payment: the card is gone, say. There is nothing to look up later.
        checkout.end_unpaid(purchase.id, "failed", refusal.code or "refused")


def _note_payment(purchase: Purchase, payment_intent_id: str) -> None:
    with transaction() as session:
        session.execute(
            update(Purchase)
            .where(Purchase.id == purchase.id, Purchase.payment_intent_id.is_(None))
            .values(payment_intent_id=payment_intent_id)
        )


def _resume(user_id: str) -> None:
    """Look up a purchase without an end, and charge again where Stripe has no payment of it."""
    moment = now()
    with transaction() as session:
        row = session.scalar(
            select(AutoTopup)
            .where(AutoTopup.user_id == user_id, AutoTopup.next_look_at <= moment)
            .with_for_update()
        )
        if row is None or row.purchase_id is None:
            return
        purchase_id = row.purchase_id
        _set(session, row, next_look_at=moment + ANSWER_LOST_AFTER)
        wanted = (
            row.on and row.livemode == get(StripeGateway).livemode and _sound(session, row, moment)
        )
    purchase = checkout.sync(purchase_id)
    if purchase.state != "open" or purchase.payment_intent_id is not None:
        return
    if wanted and moment - purchase.created_at < CHARGE_WITHIN:
        _charge(purchase)
    else:
        checkout.end_unpaid(purchase_id, "expired", None)


def _low() -> list[str]:
    moment = now()
    query = (
        select(AutoTopup.user_id)
        .join(Wallet, Wallet.owner_id == AutoTopup.user_id)
        .where(
            running(),
            AutoTopup.purchase_id.is_(None),
            AutoTopup.next_look_at <= moment,
            Wallet.owner_kind == "user",
            # What has expired is subtracted when it is looked at closely.
            or_(
                Wallet.available_micro < AutoTopup.threshold_micro,
                Wallet.next_expiry_at <= moment,
            ),
        )
        .order_by(AutoTopup.next_look_at)
        .limit(_BATCH)
    )
    with snapshot() as session:
        return list(session.scalars(query))


def _waiting() -> list[str]:
    query = (
        select(AutoTopup.user_id)
        .where(AutoTopup.purchase_id.is_not(None), AutoTopup.next_look_at <= now())
        .order_by(AutoTopup.next_look_at)
        .limit(_BATCH)
    )
    with snapshot() as session:
        return list(session.scalars(query))


def _one(user_id: str, act: Callable[[str], None]) -> None:
    try:
        act(user_id)
    except Exception as error:
        # One member whose payment cannot be asked about must not keep the others waiting.
        log.warning("top-up failed", user=user_id, error_type=type(error).__name__)


def _set(session: Session, row: AutoTopup, **values: object) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    session.flush()
