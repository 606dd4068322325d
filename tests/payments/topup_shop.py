"""TopupShop: helpers for automatic top-ups: consent, save a card, spend, read the charges."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from creditapp.accounts import User
from creditapp.clock import NEVER, now
from creditapp.db import snapshot, transaction
from creditapp.emails import Email
from creditapp.payments.auto_topup import charge as topup_charge
from creditapp.payments.auto_topup import consent as topup_consent
from creditapp.payments.auto_topup.consent import Consent
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.reconciliation.report import Report
from creditapp.stripe_sandbox.state import State
from tests.shop_app import ShopApp

MICRO = 1_000_000
PRICE = 1499
"""The price of the creator pack."""


class TopupShop:
    """Top-ups in a ShopApp: members have 50 welcome credits and top up below 40."""

    def __init__(self, shop_app: ShopApp) -> None:
        self.shop_app = shop_app
        self.app = shop_app.app
        with self.app.app_context(), transaction() as session:
            # Top-ups that earlier tests left on must not charge now.
            session.execute(update(AutoTopup).values(next_look_at=NEVER))

    def agree(self, member: User, *, new_card: bool = False, **terms: Any) -> str | None:
        """Consent to top-ups; return the page that saves a card, if there is none."""
        wanted = {"pack_id": "creator", "threshold_micro": 40 * MICRO, "limit_minor": 10_000}
        with self.app.app_context():
            return topup_consent.enable(Consent(**(wanted | terms)), member, new_card=new_card)

    def save_card(self, url: str, card: str = "succeeds") -> None:
        """Save a card on Stripe's page."""
        session_id = url.rsplit("/", 1)[1]
        self.shop_app.press(f"/pay/{session_id}", card=card, email="alice@example.com")
        if card == "asks-each-time":
            self.shop_app.press(f"/pay/{session_id}/step", answer="complete")

    def return_from_setup(self, member: User) -> AutoTopup | None:
        """Return from Stripe's page."""
        with self.app.app_context():
            return topup_consent.finish_setup(member)

    def hear(self, url: str) -> None:
        """Deliver the event about a saved card."""
        session_id = url.rsplit("/", 1)[1]
        query = "SELECT body FROM objects WHERE kind = 'event' AND body LIKE ?"
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            rows = books.connection.execute(query, (f"%{session_id}%",)).fetchall()
        found = [json.loads(each[0]) for each in rows]
        event = next(each for each in found if each["type"] == "checkout.session.completed")
        assert self.shop_app.send(event).status_code == 200

    def switched_on(self, card: str = "succeeds", **terms: Any) -> User:
        """Return a new member with a saved card and top-ups on."""
        member = self.shop_app.member()
        url = self.agree(member, **terms)
        assert url is not None
        self.save_card(url, card)
        row = self.return_from_setup(member)
        assert row is not None
        assert row.on
        return member

    def off(self, member: User) -> None:
        """Disable top-ups."""
        with self.app.app_context(), transaction() as session:
            topup_consent.disable(session, member, now=now())

    def row(self, member: User) -> AutoTopup:
        """Return the member's row."""
        with self.app.app_context(), snapshot() as session:
            return session.get_one(AutoTopup, member.id)

    def consider(self, member: User) -> None:
        """Run the job that a low balance enqueues."""
        with self.app.app_context():
            topup_charge.charge_if_low(member.id)

    def sweep(self, after: timedelta = timedelta(0)) -> None:
        """Advance the clock and run the sweep."""
        self.shop_app.clock.advance(after)
        with self.app.app_context():
            topup_charge.sweep_topups()

    def run_low(self, member: User, left: int = 30) -> None:
        """Spend until ``left`` credits are left, and run the job."""
        have = self.shop_app.balance(member).available_micro // MICRO
        if have > left:
            self.shop_app.spend(member, have - left)
        self.consider(member)

    def purchases(self, member: User, state: str = "") -> list[Purchase]:
        """Return the automatic purchases, the oldest first."""
        query = select(Purchase).where(Purchase.user_id == member.id, Purchase.automatic.is_(True))
        with self.app.app_context(), snapshot() as session:
            found = list(session.scalars(query.order_by(Purchase.created_at)))
        return [each for each in found if not state or each.state == state]

    def charges(self, member: User) -> list[int]:
        """Return the amounts charged to the member's card."""
        ids = {each.id for each in self.purchases(member)}
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            found = books.find("payment_intent", {"status": "succeeded"}, limit=1000)
        return [each["amount"] for each in found if each["metadata"].get("purchase_id") in ids]

    def mails(self, member: User, event: str) -> list[dict[str, Any]]:
        """Return the contexts of the queued emails of an event."""
        query = select(Email.context).where(Email.user_id == member.id, Email.event == event)
        with self.app.app_context(), snapshot() as session:
            return list(session.scalars(query.order_by(Email.created_at)))

    def press(self, purchase: Purchase, act: str, **form: str) -> str | None:
        """Let the bank ``refund`` or ``dispute`` a top-up; return the newest dispute."""
        intent = self.shop_app.row(purchase).payment_intent_id
        self.shop_app.press(f"/payments/{intent}/{act}", **form)
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            found = books.find("dispute", {"payment_intent": intent}, limit=1)
        return str(found[0]["id"]) if found else None

    def sync(self, purchase: Purchase) -> Purchase:
        """Sync a purchase."""
        with self.app.app_context():
            return checkout.sync_purchase(purchase.id)

    def reconcile(self) -> Report:
        """Reconcile the last day."""
        with self.app.app_context():
            return reconciliation.reconcile(self.shop_app.clock.now() - timedelta(days=1))

    def differences(self, member: User) -> list[tuple[str, bool]]:
        """Return the reconciliation's differences about a member's top-ups."""
        ids = {each.id for each in self.purchases(member)}
        found = self.reconcile().differences
        return [(each.kind, each.repaired) for each in found if each.purchase_id in ids]

    def event(self, purchase: Purchase, kind: str) -> dict[str, Any]:
        """Return the event of a type about a top-up's payment."""
        query = "SELECT body FROM objects WHERE kind = 'event' AND body LIKE ? ORDER BY seq"
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            rows = books.connection.execute(query, (f"%{purchase.id}%",)).fetchall()
        found = [json.loads(each[0]) for each in rows]
        return next(each for each in found if each["type"] == kind)
