"""The member's own side of the automatic top-up: agree to it, change it, switch it off.

Agreeing is apart from any purchase. Without a saved card it leads through a page of Stripe's that
saves one, and nothing is charged before the member has come back from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from creditapp import units
from creditapp.accounts import User
from creditapp.catalog import Catalog, Pack
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import changed, insert_once, snapshot, stop_reading, transaction
from creditapp.errors import ValidationFailed
from creditapp.payments import customers
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.purchases.checkout import PackChanged
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import SavedCard
from creditapp.services import get

CONSENT_VERSION: Final = "1"
"""Which words a member agrees to: those of ``templates/components/topup_terms.html``.

A test holds their digest, so that they cannot change under an old number.
"""

BACK: Final = "/settings/top-up/back"
"""Where Stripe sends a member whose card it was to save."""


@dataclass(frozen=True)
class Consent:
    """What a member agrees to: when, what, and how much in a month."""

    pack_id: str
    threshold_micro: int
    limit_minor: int
    counts_manual: bool = False
    catalog_shown: str = ""


def find(session: Session, user_id: str) -> AutoTopup | None:
    """Return what a member agreed to, on or not; None where there never was anything."""
    return session.get(AutoTopup, user_id)


def running() -> ColumnElement[bool]:
    """Return the condition of the rows that fill up low balances, in today's mode."""
    return and_(
        AutoTopup.on_at.is_not(None),
        AutoTopup.stopped_at.is_(None),
        AutoTopup.livemode.is_(get(StripeGateway).livemode),
    )


def switch_on(consent: Consent, member: User, *, new_card: bool = False) -> str | None:
    """Keep a member's consent; return where to save a card first, or None when it is on.

    With ``new_card`` another card is saved even where there is one. Agreeing again changes the
    terms of what is on. Raises ``ValidationFailed``, ``PackChanged`` and ``GatewayError``; no
    transaction is open while Stripe is asked.
    """
    pack = _checked(consent)
    stop_reading()
    gateway, customer_id = get(StripeGateway), customers.ensure(member)
    cards = () if new_card else gateway.list_cards(customer_id)
    moment = now()
    with transaction() as session:
        row = _keep(session, consent, pack, member, moment)
        if cards:
            _begin(session, row, cards[0], moment)
            return None
        if not new_card:
            # Whatever it ran with before is no longer there.
            _write(session, row, on_at=None, card_id=None, card_brand=None, card_last4=None)
    back = f"{get(Settings).site_url}{BACK}"
    created = gateway.create_setup_checkout(
        key=f"{member.id}:{row.version}",
        customer_id=customer_id,
        currency=pack.currency,
        success_url=f"{back}?session_id={{CHECKOUT_SESSION_ID}}",
        cancel_url=f"{back}?cancelled=1",
    )
    with transaction() as session:
        _write(session, row, setup_checkout_id=created.id)
    return created.url


def finish_setup(member: User) -> AutoTopup | None:
    """Finish switching on, if a card has been saved; return how it stands. Repeating is harmless.

    Raises ``GatewayError``. A member who has switched it off meanwhile stays without.
    """
    stop_reading()
    with snapshot() as session:
        row = find(session, member.id)
    if row is not None:
        _finish(row)
    return row


def is_pending_setup(session: Session, checkout_id: str) -> bool:
    """Whether somebody's consent waits for this checkout to save a card."""
    awaited = select(AutoTopup.user_id).where(AutoTopup.setup_checkout_id == checkout_id)
    return session.scalar(awaited) is not None


def on_setup_completed(checkout_id: str) -> None:
    """Finish switching on when Stripe says that a checkout is done; harmless for any other.

    For who saved a card and closed the window. Raises ``GatewayError``.
    """
    with snapshot() as session:
        row = session.scalar(select(AutoTopup).where(AutoTopup.setup_checkout_id == checkout_id))
    if row is not None:
        _finish(row)


def _finish(row: AutoTopup) -> None:
    """Begin with the card that was saved, if there was one to save and it has been."""
    if row.setup_checkout_id is None:
        return
    gateway = get(StripeGateway)
    saved = gateway.retrieve_checkout(row.setup_checkout_id)
    if saved.status != "complete" or saved.customer_id is None:
        return
    cards = gateway.list_cards(saved.customer_id)
    if cards:
        with transaction() as session:
            _begin(session, row, cards[0], now())


def switch_off(session: Session, member: User) -> None:
    """Stop at once; what is being charged at this moment is finished, and nothing after it."""
    session.execute(
        update(AutoTopup)
        .where(AutoTopup.user_id == member.id, AutoTopup.stopped_at.is_(None))
        .values(
            stopped_at=now(),
            stopped_reason="member",
            setup_checkout_id=None,
            version=AutoTopup.version + 1,
        )
        .execution_options(synchronize_session=False)
    )


def _checked(consent: Consent) -> Pack:
    catalog = get(Catalog)
    pack = catalog.pack(consent.pack_id)
    if pack is None:
        raise ValidationFailed.of("pack", "Choose one of the packs.")
    if consent.catalog_shown and consent.catalog_shown != catalog.digest:
        raise PackChanged(
            "Prices were changed while the page was open. Look at them and press again."
        )
    if not 0 < consent.threshold_micro <= pack.credits_micro:
        gives = units.credits_text(pack.credits_micro)
        raise ValidationFailed.of(
            "threshold", f"The {pack.name} pack gives {gives}: enter more than 0, at most {gives}."
        )
    if consent.limit_minor < pack.price_minor:
        price = units.money_text(pack.price_minor, pack.currency)
        raise ValidationFailed.of("limit", f"One pack costs {price}; allow at least that.")
    return pack


def _keep(
    session: Session, consent: Consent, pack: Pack, member: User, moment: datetime
) -> AutoTopup:
    """Write the terms, on whatever was agreed before; a purchase under way stays noted."""
    terms: dict[str, object] = {
        "livemode": get(StripeGateway).livemode,
        "pack_id": pack.id,
        "price_minor": pack.price_minor,
        "currency": pack.currency,
        "credits_micro": pack.credits_micro,
        "threshold_micro": consent.threshold_micro,
        "limit_minor": consent.limit_minor,
        "counts_manual": consent.counts_manual,
        "consented_at": moment,
        "consent_version": CONSENT_VERSION,
        "next_look_at": moment,
    }
    new = AutoTopup(user_id=member.id, declines=0, version=1, **terms)
    if insert_once(session, new, ["user_id"]):
        return new
    row = session.get_one(AutoTopup, member.id, with_for_update=True)
    if row.livemode != terms["livemode"]:
        # Cards and customers of the other mode do not exist in this one.
        terms |= {"on_at": None, "card_id": None}
    _write(session, row, **terms, version=row.version + 1)
    return row


def _begin(session: Session, row: AutoTopup, card: SavedCard, moment: datetime) -> None:
    """Let it run with a card; only where nothing else was decided since ``row`` was read."""
    values: dict[str, object] = {
        "on_at": moment,
        "stopped_at": None,
        "stopped_reason": None,
        "setup_checkout_id": None,
        "card_id": card.id,
        "card_brand": card.brand,
        "card_last4": card.last4,
        "declines": 0,
        "next_look_at": moment,
    }
    begun = session.execute(
        update(AutoTopup)
        .where(
            AutoTopup.user_id == row.user_id,
            AutoTopup.setup_checkout_id == row.setup_checkout_id
            if row.setup_checkout_id
            else AutoTopup.version == row.version,
        )
        .values(**values, version=AutoTopup.version + 1)
        .execution_options(synchronize_session=False)
    )
    if changed(begun) == 1:
        for name, value in values.items():
            setattr(row, name, value)


def _write(session: Session, row: AutoTopup, **values: object) -> None:
    session.execute(
        update(AutoTopup)
        .where(AutoTopup.user_id == row.user_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    for name, value in values.items():
        setattr(row, name, value)
