"""Shop that sells plans: subscribe, let months pass, and read what was granted."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.clock import NEVER
from creditapp.db import snapshot, transaction
from creditapp.ledger.models import Grant
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.subscriptions import plans, scheduled_grants
from creditapp.payments.subscriptions import status as plan_status
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant, Subscription
from creditapp.payments.subscriptions.months import add_months
from creditapp.payments.subscriptions.status import PlanStatus
from creditapp.services import get
from creditapp.stripe_sandbox import clock
from creditapp.stripe_sandbox.checkout import run_due_work
from creditapp.stripe_sandbox.state import State
from tests.shop_app import ShopApp

MICRO = 1_000_000


class PlanShop:
    """A ``ShopApp`` with what tests of plans need."""

    def __init__(self, shop_app: ShopApp) -> None:
        self.shop_app = shop_app
        self.app = shop_app.app
        self.sync_clock()
        with self.app.app_context(), transaction() as session:
            # Subscriptions of earlier tests renew by themselves: keep the sweep away from them.
            session.execute(update(Subscription).values(next_sync_at=NEVER))

    def sync_clock(self) -> datetime:
        """Set the app's clock to the sandbox's."""
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            moment = datetime.fromtimestamp(clock.now(books), UTC)
        self.shop_app.clock.advance(moment - self.shop_app.clock.now())
        return moment

    def choose(
        self, buyer: User, plan: str, cycle: str = "month", *, seats: int = 1, key: str = ""
    ) -> plans.PlanChoice:
        """Choose a plan, as the page's button does."""
        with self.app.app_context():
            key = key or secrets.token_hex(8)
            return plans.choose_plan(PlanOrder(plan, cycle, seats), buyer, key=key)

    def subscribe(
        self, buyer: User, plan: str = "basic", cycle: str = "month", card: str = "succeeds"
    ) -> Subscription:
        """Choose a plan, pay and return to the shop."""
        purchase = self.choose(buyer, plan, cycle).purchase
        assert purchase is not None
        self.shop_app.pay(purchase, card)
        assert self.shop_app.sync(purchase).state == "paid"
        subscription = self.current(buyer)
        assert subscription is not None
        return subscription

    def current(self, buyer: User) -> Subscription | None:
        """Return the buyer's current subscription."""
        with self.app.app_context(), snapshot() as session:
            return subscription_sync.find_current(session, buyer.id)

    def status(self, buyer: User) -> PlanStatus:
        """Return the plan that pages show the buyer."""
        with self.app.app_context(), snapshot() as session:
            return plan_status.get_status(session, buyer.id)

    def sync(self, subscription: Subscription, **options: Any) -> Subscription:
        """Sync a subscription with the sandbox."""
        with self.app.app_context():
            return subscription_sync.sync_subscription(subscription.id, **options)

    def advance_to(self, moment: datetime) -> None:
        """Advance the clocks of sandbox and app to a moment."""
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            seconds = int(moment.timestamp()) - clock.now(books)
            books.advance(max(0, seconds))
            run_due_work(books)
        self.sync_clock()

    def sweep(self) -> None:
        """Run the sweeps of subscriptions and scheduled grants."""
        with self.app.app_context():
            subscription_sync.sweep_subscriptions()
            scheduled_grants.sweep_due_grants()

    def refund(self, payment: str | None, amount: str = "") -> str:
        """Refund a payment at the sandbox, all that is left without an amount."""
        self.shop_app.press(f"/payments/{payment}/refund", amount=amount)
        return self._newest("refund", payment)

    def dispute(self, payment: str | None) -> str:
        """Open a dispute of a payment."""
        self.shop_app.press(f"/payments/{payment}/dispute")
        return self._newest("dispute", payment)

    def decide(self, dispute: str, outcome: str) -> None:
        """Close a dispute as ``won`` or ``lost``."""
        self.shop_app.press(f"/disputes/{dispute}/close", outcome=outcome)

    def change_at_stripe(self, kind: str, object_id: str, **fields: Any) -> None:
        """Change fields of an object of the sandbox."""
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            stored = books.get(kind, object_id)
            assert stored is not None
            books.put(stored | fields)

    def _newest(self, kind: str, payment: str | None) -> str:
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            return str(books.find(kind, {"payment_intent": payment}, limit=1)[0]["id"])

    def switch_in_portal(self, subscription: Subscription, price_id: str) -> None:
        """Change the plan at once in the customer portal, as Stripe does it, and sync it."""
        with self.app.app_context():
            with snapshot() as session:
                owner = session.get_one(User, subscription.user_id)
            portal = plans.portal_url(owner).rsplit("/", 1)[1]
        answer = self.shop_app.press(
            f"/portal/{portal}/plan", subscription=subscription.id, price=price_id
        )
        assert answer.status_code == 303, answer.text
        self.sync(subscription)

    def pass_months(self, subscription: Subscription, months: int) -> None:
        """Let months pass one by one, with the sweeps after each."""
        start = subscription.period_start
        for number in range(1, months + 1):
            self.advance_to(add_months(start, number) + timedelta(hours=1))
            self.sweep()

    def granted(self, buyer: User) -> list[float]:
        """Return how many credits each grant of a plan had, in order."""
        query = (
            select(Grant.amount_micro)
            .join(ScheduledGrant, ScheduledGrant.grant_id == Grant.id)
            .where(ScheduledGrant.user_id == buyer.id)
            .order_by(Grant.id)
        )
        with self.app.app_context(), snapshot() as session:
            return [amount_micro / MICRO for amount_micro in session.scalars(query)]

    def revoked_micro(self, month: ScheduledGrant) -> int:
        """Return how many microcredits of a month's grant were revoked."""
        with self.app.app_context(), snapshot() as session:
            granted_micro = session.get_one(Grant, month.grant_id).amount_micro
        return max(0, month.reversed_micro - (month.credits_micro - granted_micro))

    def months(self, buyer: User) -> Sequence[ScheduledGrant]:
        """Return every month that was scheduled."""
        with self.app.app_context(), snapshot() as session:
            return session.scalars(
                select(ScheduledGrant)
                .where(ScheduledGrant.user_id == buyer.id)
                .order_by(ScheduledGrant.id)
            ).all()

    def invoices(self, buyer: User) -> Sequence[Invoice]:
        """Return the buyer's invoices, the oldest first."""
        with self.app.app_context(), snapshot() as session:
            return session.scalars(
                select(Invoice).where(Invoice.user_id == buyer.id).order_by(Invoice.created_at)
            ).all()

    def plan_purchases(self, buyer: User) -> list[Purchase]:
        """Return the buyer's purchases of plans."""
        return [purchase for purchase in self.shop_app.purchases(buyer) if purchase.cycle]

    def events(self, subscription: Subscription, *types: str) -> list[dict[str, Any]]:
        """Return the events about a subscription and its invoices, in order."""
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            rows = books.connection.execute(
                "SELECT body FROM objects WHERE kind = 'event' AND body LIKE ? ORDER BY seq",
                (f"%{subscription.id}%",),
            ).fetchall()
        events = [json.loads(row[0]) for row in rows]
        return [event for event in events if not types or event["type"] in types]

    @property
    def catalog(self) -> Catalog:
        """The catalog on sale."""
        with self.app.app_context():
            return get(Catalog)
