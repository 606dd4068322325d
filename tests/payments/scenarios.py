"""Payment scenarios, one for each type of event that the webhooks handle.

A scenario has a preparation whose events are delivered, an action at the bank that creates the
event, and the expected outcome for balance and emails. ``test_matrix`` runs each in every way in
which the event can be delivered, repeated, delayed or lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import func, select, update

from creditapp.accounts import User
from creditapp.clock import NEVER
from creditapp.db import snapshot, transaction
from creditapp.emails import Email
from creditapp.ledger.models import Grant
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.subscriptions.models import Subscription
from creditapp.stripe_sandbox import checkout, subscription_lifecycle, subscription_updates
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Store
from tests.payments.plan_shop import PlanShop
from tests.shop_app import CREATOR, Json, ShopApp

T = TypeVar("T")

MICRO = 1_000_000
BASIC = 500
COMPLETED = "checkout.session.completed"


@dataclass(frozen=True)
class Outcome:
    """A buyer's microcredits beyond the welcome credits, paid grants and emails."""

    available: int = 0
    frozen: int = 0
    owed: int = 0
    grants: int = 1
    mails: tuple[str, ...] = ()
    held: int = 0


@dataclass
class ScenarioRun:
    """One run of a scenario: its buyer, purchase and events."""

    shop_app: ShopApp
    plans: PlanShop
    buyer: User
    early: bool
    """Whether the events of the preparation are withheld."""
    purchase: Purchase = field(init=False)
    first_event: int = field(init=False)

    def __post_init__(self) -> None:
        self.first_event = self.newest_number()

    # --- actions of buyer and bank ---

    def buy_pack(self, card: str | None = None) -> None:
        self.purchase = self.shop_app.start_checkout(self.buyer)
        if card:
            self.shop_app.pay(self.purchase, card)

    def buy_plan(self, card: str | None = "succeeds", cycle: str = "month") -> None:
        chosen = self.plans.choose(self.buyer, "basic", cycle).purchase
        assert chosen
        self.purchase = chosen
        if card:
            self.shop_app.pay(self.purchase, card)

    def refund(self, amount: str = "") -> None:
        self.shop_app.press(f"/payments/{self.newest('payment_intent')}/refund", amount=amount)

    def dispute(self) -> None:
        self.shop_app.press(f"/payments/{self.newest('payment_intent')}/dispute")

    def close_dispute(self, outcome: str) -> None:
        self.shop_app.press(f"/disputes/{self.newest('dispute')}/close", outcome=outcome)

    def fail_refund(self) -> None:
        self.shop_app.press(f"/refunds/{self.newest('refund')}/fail")

    def settle_debit(self, outcome: str) -> None:
        path = f"/payments/{self.newest('payment_intent')}/settle"
        self.shop_app.press(path, outcome=outcome)

    def expire(self) -> None:
        self.shop_app.press(f"/sessions/{self.newest('checkout.session')}/expire")

    def cancel_in_portal(self) -> None:
        named = self.newest("subscription")
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            found = books.get("subscription", named)
            assert found
            subscription_updates.update(books, found, {"cancel_at_period_end": True})

    def cancel_now(self) -> None:
        self.shop_app.press(f"/subscriptions/{self.newest('subscription')}/cancel")

    def renew(self) -> None:
        self.shop_app.press(f"/subscriptions/{self.newest('subscription')}/renew")
        self.plans.sync_clock()

    # --- events ---

    def deliver(self, *kinds: str) -> None:
        """Deliver the newest event of each type, unless this run withholds them."""
        if not self.early:
            for kind in kinds:
                assert self.shop_app.send(self.events(kind)[-1]).status_code == 200, kind

    def events(self, *kinds: str) -> list[Json]:
        """Return the events since the scenario began, in order."""
        query = "SELECT body FROM objects WHERE kind = 'event' AND seq > ? ORDER BY seq"
        rows = self._read(
            lambda books: books.connection.execute(query, (self.first_event,)).fetchall()
        )
        found = [json.loads(row[0]) for row in rows]
        return [each for each in found if not kinds or each["type"] in kinds]

    def newest(self, kind: str) -> str:
        query = "SELECT id FROM objects WHERE kind = ? AND seq > ? ORDER BY seq DESC LIMIT 1"
        arguments = (kind, self.first_event)
        row = self._read(lambda books: books.connection.execute(query, arguments).fetchone())
        return str(row[0])

    def newest_number(self) -> int:
        """Return the number of the sandbox's newest object."""
        return self._read(_newest_number)

    # --- outcome ---

    def outcome(self) -> Outcome:
        """Return the buyer's present outcome."""
        has = self.shop_app.balance(self.buyer)
        query = select(func.count()).where(
            Grant.actor == self.buyer.id, Grant.source.in_(("purchase", "subscription"))
        )
        emails = select(Email.event).where(Email.user_id == self.buyer.id, Email.event != "verify")
        with self.shop_app.app.app_context(), snapshot() as session:
            grants = session.execute(query).scalar_one()
            mails = session.scalars(emails).all()
        return Outcome(
            has.available_micro - 50 * MICRO,
            has.frozen_micro,
            has.owed_micro,
            grants,
            tuple(sorted(mails)),
            has.held_micro,
        )

    def stop_renewals(self) -> None:
        """Stop renewals and syncs that would slow the next scenario down."""
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            for each in books.find("subscription", {"status": ["active", "past_due"]}):
                subscription_lifecycle.cancel(books, each)
        with self.shop_app.app.app_context(), transaction() as session:
            session.execute(update(Subscription).values(next_sync_at=NEVER))
            session.execute(update(Purchase).values(next_sync_at=NEVER))

    def pass_day(self) -> None:
        """Advance sandbox and app by a day."""
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            books.advance(int(timedelta(days=1, minutes=10).total_seconds()))
            checkout.run_due_work(books)
        self.plans.sync_clock()

    def _read(self, read: Callable[[Store], T]) -> T:
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            return read(books)


@dataclass(frozen=True)
class Scenario:
    """A preparation, an action, the event's type and the expected outcome."""

    event: str
    of: str
    """``pack`` or ``plan``."""
    before: Callable[[ScenarioRun], None]
    happens: Callable[[ScenarioRun], None]
    outcome: Outcome
    early_outcome: Outcome | None = None
    """The outcome where earlier events are withheld, if it differs: no email reports a change of a
    state that was never stored."""


def _newest_number(books: Store) -> int:
    row = books.connection.execute("SELECT max(seq) FROM objects").fetchone()
    return int(row[0] or 0)


# --- packs ---


def _pack_opened(run: ScenarioRun) -> None:
    run.buy_pack()


def _pack_paid(run: ScenarioRun) -> None:
    run.buy_pack("succeeds")
    run.deliver(COMPLETED)


def _debit_on_its_way(run: ScenarioRun) -> None:
    run.buy_pack("pays-later")
    run.deliver(COMPLETED)


def _pack_refunded(run: ScenarioRun) -> None:
    _pack_paid(run)
    run.refund()
    run.deliver("refund.created")


def _pack_disputed(run: ScenarioRun) -> None:
    _pack_paid(run)
    run.dispute()
    run.deliver("charge.dispute.created")


# --- plans ---


def _plan_opened(run: ScenarioRun) -> None:
    run.buy_plan(None)


def _plan_paid(run: ScenarioRun) -> None:
    run.buy_plan()
    run.deliver(COMPLETED)


def _plan_with_a_card_that_fails_later(run: ScenarioRun) -> None:
    run.buy_plan("declined-later")
    run.deliver(COMPLETED)


def _plan_refunded(run: ScenarioRun) -> None:
    _plan_paid(run)
    run.refund()
    run.deliver("refund.created")


def _plan_disputed(run: ScenarioRun) -> None:
    _plan_paid(run)
    run.dispute()
    run.deliver("charge.dispute.created")


def _pays(run: ScenarioRun) -> None:
    run.shop_app.pay(run.purchase)


def _gives_half_back(run: ScenarioRun) -> None:
    run.refund("7.50")


HALF_A_PACK = CREATOR * MICRO - CREATOR * MICRO * 750 // 1499
PACK_PAID = Outcome(CREATOR * MICRO, mails=("receipt",))
PACK_HALF = Outcome(HALF_A_PACK, mails=("receipt", "refund"))
PLAN_PAID = Outcome(BASIC * MICRO, mails=("renewal",))
PLAN_HALF = Outcome(BASIC * MICRO // 2, mails=("refund", "renewal"))
PLAN_CHANGED = Outcome(BASIC * MICRO, mails=("plan_changed", "renewal"))

SCENARIOS = (
    Scenario(COMPLETED, "pack", _pack_opened, _pays, PACK_PAID),
    Scenario(COMPLETED, "plan", _plan_opened, _pays, PLAN_PAID),
    Scenario(
        "checkout.session.async_payment_succeeded",
        "pack",
        _debit_on_its_way,
        lambda run: run.settle_debit("succeeds"),
        PACK_PAID,
    ),
    Scenario(
        "checkout.session.async_payment_failed",
        "pack",
        _debit_on_its_way,
        lambda run: run.settle_debit("fails"),
        Outcome(grants=0),
    ),
    Scenario(
        "checkout.session.expired", "pack", _pack_opened, ScenarioRun.expire, Outcome(grants=0)
    ),
    Scenario(
        "checkout.session.expired", "plan", _plan_opened, ScenarioRun.expire, Outcome(grants=0)
    ),
    Scenario("payment_intent.succeeded", "pack", _pack_opened, _pays, PACK_PAID),
    Scenario("customer.subscription.created", "plan", _plan_opened, _pays, PLAN_PAID),
    Scenario(
        "customer.subscription.updated",
        "plan",
        _plan_paid,
        ScenarioRun.cancel_in_portal,
        PLAN_CHANGED,
        early_outcome=PLAN_PAID,
    ),
    Scenario(
        "customer.subscription.deleted",
        "plan",
        _plan_paid,
        ScenarioRun.cancel_now,
        PLAN_CHANGED,
        early_outcome=PLAN_PAID,
    ),
    Scenario(
        "invoice.paid",
        "plan",
        _plan_paid,
        ScenarioRun.renew,
        Outcome(2 * BASIC * MICRO, grants=2, mails=("renewal", "renewal")),
    ),
    Scenario(
        "invoice.payment_failed",
        "plan",
        _plan_with_a_card_that_fails_later,
        ScenarioRun.renew,
        Outcome(BASIC * MICRO, mails=("payment_failed", "renewal")),
    ),
    Scenario("refund.created", "pack", _pack_paid, _gives_half_back, PACK_HALF),
    Scenario("refund.created", "plan", _plan_paid, _gives_half_back, PLAN_HALF),
    Scenario("refund.updated", "pack", _pack_paid, _gives_half_back, PACK_HALF),
    Scenario("refund.updated", "plan", _plan_paid, _gives_half_back, PLAN_HALF),
    Scenario(
        "refund.failed",
        "pack",
        _pack_refunded,
        ScenarioRun.fail_refund,
        Outcome(CREATOR * MICRO, mails=("receipt", "refund", "refund")),
        early_outcome=PACK_PAID,
    ),
    Scenario(
        "refund.failed",
        "plan",
        _plan_refunded,
        ScenarioRun.fail_refund,
        Outcome(BASIC * MICRO, mails=("refund", "refund", "renewal")),
        early_outcome=PLAN_PAID,
    ),
    Scenario("charge.refunded", "pack", _pack_paid, _gives_half_back, PACK_HALF),
    Scenario("charge.refunded", "plan", _plan_paid, _gives_half_back, PLAN_HALF),
    Scenario(
        "charge.dispute.created",
        "pack",
        _pack_paid,
        ScenarioRun.dispute,
        Outcome(frozen=CREATOR * MICRO, mails=("dispute_opened", "receipt")),
    ),
    Scenario(
        "charge.dispute.created",
        "plan",
        _plan_paid,
        ScenarioRun.dispute,
        Outcome(frozen=BASIC * MICRO, mails=("dispute_opened", "renewal")),
        # A month that is disputed before it was granted is not granted at all until it is won.
        early_outcome=Outcome(grants=0, mails=("dispute_opened", "renewal")),
    ),
    Scenario(
        "charge.dispute.closed",
        "pack",
        _pack_disputed,
        lambda run: run.close_dispute("lost"),
        Outcome(mails=("dispute_closed", "dispute_opened", "receipt")),
        early_outcome=Outcome(mails=("dispute_closed", "receipt")),
    ),
    Scenario(
        "charge.dispute.closed",
        "plan",
        _plan_disputed,
        lambda run: run.close_dispute("won"),
        Outcome(BASIC * MICRO, mails=("dispute_closed", "dispute_opened", "renewal")),
        early_outcome=PLAN_PAID,
    ),
)
