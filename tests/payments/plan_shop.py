"""Plans at the till: subscribe, let months pass in shop and bank alike, see what was given."""

from __future__ import annotations

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
from creditapp.payments.subscriptions.proration import add_months
from creditapp.payments.subscriptions.status import PlanStatus
from creditapp.services import get
from creditapp.stripe_sandbox import clock
from creditapp.stripe_sandbox.state import State
from tests.shop_app import ShopApp

MICRO = 1_000_000


class PlanShop:
    """What tests of plans ask of a till."""

    def __init__(self, shop_app: ShopApp) -> None:
        self.shop_app = shop_app
        self.app = shop_app.app
        self.follow()
        with self.app.app_context(), transaction() as session:
            # What tests before left running renews by itself and is none of this one's business.
            session.execute(update(Subscription).values(next_sync_at=NEVER))

    def follow(self) -> datetime:
        """Set the shop's clock to the bank's."""
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            moment = datetime.fromtimestamp(clock.now(books), UTC)
        self.shop_app.clock.advance(moment - self.shop_app.clock.now())
        return moment

    def order(self, plan: str, cycle: str = "month", seats: int = 1) -> PlanOrder:
        """Return an order of a plan."""
        return PlanOrder(plan, cycle, seats)

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
        """Choose, pay and come back."""
        purchase = self.choose(buyer, plan, cycle).purchase
        assert purchase is not None
        self.shop_app.pay(purchase, card)
        assert self.shop_app.sync(purchase).state == "paid"
        found = self.live(buyer)
        assert found is not None
        return found

    def live(self, buyer: User) -> Subscription | None:
        """Return the buyer's subscription."""
        with self.app.app_context(), snapshot() as session:
            return subscription_sync.find_current(session, buyer.id)

    def standing(self, buyer: User) -> PlanStatus:
        """Return the plan that the buyer is shown to be on."""
        with self.app.app_context(), snapshot() as session:
            return plan_status.get_status(session, buyer.id)

    def sync(self, row: Subscription, **more: Any) -> Subscription:
        """Make the shop agree with the bank."""
        with self.app.app_context():
            return subscription_sync.sync_subscription(row.id, **more)

    def move(self, by: str = "month") -> datetime:
        """Move the bank's clock on by a day, a month or a year, and the shop's with it."""
        self.shop_app.press("/clock", by=by)
        return self.follow()

    def pass_to(self, moment: datetime) -> None:
        """Let the time pass in bank and shop until a moment."""
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            seconds = int(moment.timestamp()) - clock.now(books)
            books.advance(max(0, seconds))
        self.shop_app.gateway.sandbox.test_client().get("/")  # the overview does what is due
        self.follow()

    def sweep(self) -> None:
        """Let the shop's sweeps look at everything that is due."""
        with self.app.app_context():
            subscription_sync.sweep_subscriptions()
            scheduled_grants.sweep_due_grants()

    def refund(self, payment: str | None, amount: str = "") -> str:
        """Give money of a payment back at the bank, all that is left without an amount."""
        self.shop_app.press(f"/payments/{payment}/refund", amount=amount)
        return self._newest("refund", payment)

    def dispute(self, payment: str | None) -> str:
        """Let the bank dispute a payment."""
        self.shop_app.press(f"/payments/{payment}/dispute")
        return self._newest("dispute", payment)

    def decide(self, dispute: str, outcome: str) -> None:
        """Let the bank decide a dispute: ``won`` or ``lost``."""
        self.shop_app.press(f"/disputes/{dispute}/close", outcome=outcome)

    def _newest(self, kind: str, payment: str | None) -> str:
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            return str(books.find(kind, {"payment_intent": payment}, limit=1)[0]["id"])

    def switch_in_portal(self, row: Subscription, price_id: str) -> None:
        """Change the plan at once in the customer portal, as Stripe does it, and hear of it."""
        with self.app.app_context():
            with snapshot() as session:
                owner = session.get_one(User, row.user_id)
            portal = plans.portal_url(owner).rsplit("/", 1)[1]
        answer = self.shop_app.press(f"/portal/{portal}/plan", subscription=row.id, price=price_id)
        assert answer.status_code == 303, answer.text
        self.sync(row)

    def live_through(self, row: Subscription, months: int) -> None:
        """Let months pass one by one, and the sweeps look after each."""
        start = row.period_start
        for number in range(1, months + 1):
            self.pass_to(add_months(start, number) + timedelta(hours=1))
            self.sweep()

    def grants(self, buyer: User) -> list[tuple[datetime, int]]:
        """Return when and how many credits of plans were granted, in order."""
        query = (
            select(Grant.created_at, Grant.amount_micro)
            .join(ScheduledGrant, ScheduledGrant.grant_id == Grant.id)
            .where(ScheduledGrant.user_id == buyer.id)
            .order_by(Grant.id)
        )
        with self.app.app_context(), snapshot() as session:
            return [(at, amount) for at, amount in session.execute(query)]

    def given(self, buyer: User) -> list[float]:
        """Return how many credits each grant of a plan had."""
        return [amount / MICRO for _, amount in self.grants(buyer)]

    def taken_of_granted(self, month: ScheduledGrant) -> int:
        """Return what was revoked of a month's grant, in microcredits."""
        with self.app.app_context(), snapshot() as session:
            granted = session.get_one(Grant, month.grant_id).amount_micro
        return max(0, month.reversed_micro - (month.credits_micro - granted))

    def months(self, buyer: User) -> Sequence[ScheduledGrant]:
        """Return every month that was written down."""
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
        """Return what the buyer set out to subscribe to."""
        return [each for each in self.shop_app.purchases(buyer) if each.cycle]

    def events(self, row: Subscription, *kinds: str) -> list[dict[str, Any]]:
        """Return the events about a subscription and its invoices, in their order."""
        import json

        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            rows = books.connection.execute(
                "SELECT body FROM objects WHERE kind = 'event' AND body LIKE ? ORDER BY seq",
                (f"%{row.id}%",),
            ).fetchall()
        found = [json.loads(each[0]) for each in rows]
        return [each for each in found if not kinds or each["type"] in kinds]

    @property
    def catalog(self) -> Catalog:
        """What is on sale."""
        with self.app.app_context():
            return get(Catalog)
