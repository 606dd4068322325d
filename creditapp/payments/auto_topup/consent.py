"""Consent to automatic top-ups: give it, change it, withdraw it.

Consent is separate from any purchase. A member without a saved card first saves one on a page of
Stripe's, and nothing is charged before that is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from creditapp import accounts, clock, units
from creditapp.accounts import User
from creditapp.catalog import Catalog, Pack
from creditapp.config import Settings
from creditapp.db import insert_once, snapshot, stop_reading, transaction, update_if
from creditapp.errors import ValidationFailed
from creditapp.payments import customers
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.purchases.packs import refuse_changed_prices
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import SavedCard
from creditapp.services import get

CONSENT_VERSION: Final = "1"
"""The version of the terms in ``templates/components/topup_terms.html``.

A test compares their digest, so the terms cannot change without a new version.
"""

RETURN_PATH: Final = "/settings/top-up/back"
"""The path to which Stripe sends a member after saving a card."""


@dataclass(frozen=True)
class Consent:
    """Terms that a member agrees to: the threshold, the pack and the monthly limit."""

    pack_id: str
    threshold_micro: int
    limit_minor: int
    counts_manual: bool = False
    catalog_shown: str = ""


def find_auto_topup(session: Session, user_id: str) -> AutoTopup | None:
    """Return a member's automatic top-up, on or off; None where there never was one."""
    return session.get(AutoTopup, user_id)


def is_on() -> ColumnElement[bool]:
    """Return the condition for rows that are on, in the gateway's mode (test or live)."""
    return and_(
        AutoTopup.on_at.is_not(None),
        AutoTopup.stopped_at.is_(None),
        AutoTopup.livemode.is_(get(StripeGateway).livemode),
    )


def enable(consent: Consent, member: User, *, new_card: bool = False) -> str | None:
    """Store a member's consent; return the page that saves a card, or None when it is on.

    ``new_card`` saves another card even where there is one. A new consent replaces the terms of
    the last one. Raises ``ValidationFailed``, ``PackChanged``, ``AuthenticationRequired`` for an
    account that was deleted meanwhile, and ``GatewayError``; no transaction is open while Stripe is
    asked.
    """
    pack = _validate(consent)
    stop_reading()
    gateway = get(StripeGateway)
    cards = () if new_card else customers.with_customer(member, gateway.list_cards)
    now = clock.now()
    with transaction() as session:
        accounts.require_open(session, member.id)
        row = _store_terms(session, consent, pack, member, now=now)
        if cards:
            _start(session, row, cards[0], now=now)
            return None
        if not new_card:
            # The card it used before no longer exists.
            update_if(session, row, on_at=None, card_id=None, card_brand=None, card_last4=None)
    return_url = f"{get(Settings).site_url}{RETURN_PATH}"
    created = customers.with_customer(
        member,
        lambda customer_id: gateway.create_setup_checkout(
            key=f"{member.id}:{row.version}:{customer_id}",
            customer_id=customer_id,
            currency=pack.currency,
            success_url=f"{return_url}?session_id={{CHECKOUT_SESSION_ID}}",
            cancel_url=f"{return_url}?cancelled=1",
        ),
    )
    with transaction() as session:
        accounts.require_open(session, member.id)
        update_if(session, row, setup_checkout_id=created.id)
    return created.url


def finish_setup(member: User) -> AutoTopup | None:
    """Turn it on if a card has been saved, and return the row; safe to repeat.

    Raises ``GatewayError``. It stays off for a member who has disabled it meanwhile.
    """
    stop_reading()
    with snapshot() as session:
        row = find_auto_topup(session, member.id)
    if row is not None:
        _complete_setup(row)
    return row


def on_setup_completed(checkout_id: str) -> bool:
    """Turn it on when a setup checkout completes; return whether a consent waited for it.

    This serves members who saved a card and closed the window. Raises ``GatewayError``.
    """
    with snapshot() as session:
        row = session.scalar(select(AutoTopup).where(AutoTopup.setup_checkout_id == checkout_id))
    if row is not None:
        _complete_setup(row)
    return row is not None


def _complete_setup(row: AutoTopup) -> None:
    """Turn it on with the saved card, if its setup checkout is complete."""
    if row.setup_checkout_id is None:
        return
    gateway = get(StripeGateway)
    state = gateway.retrieve_checkout(row.setup_checkout_id)
    if state is None or state.status != "complete" or state.customer_id is None:
        return
    cards = gateway.list_cards(state.customer_id)
    if cards:
        with transaction() as session:
            _start(session, row, cards[0], now=clock.now())


def disable(session: Session, member: User, *, now: datetime) -> None:
    """Stop at once; a charge already in progress is finished, and none follows it."""
    row = session.get(AutoTopup, member.id, with_for_update=True)
    if row is not None and row.stopped_at is None:
        row.stopped_at, row.stopped_reason = now, "member"
        row.setup_checkout_id = None
        row.version += 1


def _validate(consent: Consent) -> Pack:
    pack = get(Catalog).pack(consent.pack_id)
    if pack is None:
        raise ValidationFailed.of("pack", "Choose one of the packs.")
    refuse_changed_prices(consent.catalog_shown)
    if problems := problems_of(consent):
        raise ValidationFailed.of_fields(problems)
    return pack


def problems_of(consent: Consent) -> dict[str, str]:
    """Return a sentence for every term that cannot be agreed to."""
    pack = get(Catalog).pack(consent.pack_id)
    if pack is None:
        return {"pack": "Choose one of the packs."}
    problems = {}
    if not 0 < consent.threshold_micro <= pack.credits_micro:
        credits = units.credits_text(pack.credits_micro)
        problems["threshold"] = (
            f"The {pack.name} pack gives {credits}: enter more than 0, at most {credits}."
        )
    if consent.limit_minor < pack.price_minor:
        price = units.money_text(pack.price_minor, pack.currency)
        problems["limit"] = f"One pack costs {price}; allow at least that."
    return problems


def _store_terms(
    session: Session, consent: Consent, pack: Pack, member: User, *, now: datetime
) -> AutoTopup:
    """Store the terms over any earlier ones; an unfinished purchase stays on the row."""
    terms: dict[str, object] = {
        "livemode": get(StripeGateway).livemode,
        "pack_id": pack.id,
        "price_minor": pack.price_minor,
        "currency": pack.currency,
        "credits_micro": pack.credits_micro,
        "threshold_micro": consent.threshold_micro,
        "limit_minor": consent.limit_minor,
        "counts_manual": consent.counts_manual,
        "consented_at": now,
        "consent_version": CONSENT_VERSION,
        "next_look_at": now,
    }
    new = AutoTopup(user_id=member.id, declines=0, version=1, **terms)
    if insert_once(session, new, ["user_id"]):
        return new
    row = session.get_one(AutoTopup, member.id, with_for_update=True)
    if row.livemode != terms["livemode"]:
        # Cards and customers of the other mode (test or live) do not exist in this one.
        terms |= {"on_at": None, "card_id": None}
    update_if(session, row, **terms, version=row.version + 1)
    return row


def _start(session: Session, row: AutoTopup, card: SavedCard, *, now: datetime) -> None:
    """Turn it on with a card, unless the member changed it since ``row`` was read."""
    update_if(
        session,
        row,
        AutoTopup.setup_checkout_id == row.setup_checkout_id
        if row.setup_checkout_id
        else AutoTopup.version == row.version,
        on_at=now,
        stopped_at=None,
        stopped_reason=None,
        setup_checkout_id=None,
        card_id=card.id,
        card_brand=card.brand,
        card_last4=card.last4,
        declines=0,
        next_look_at=now,
        version=AutoTopup.version + 1,
    )
