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
from creditapp.emails import Mail
from creditapp.ledger.models import Grant
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.subscriptions.models import Subscription
from creditapp.stripe_sandbox import payment, subscription_starts, subscription_updates
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Books
from tests.payments.plan_shop import PlanShop
from tests.shop_app import CREATOR, Json, ShopApp

T = TypeVar("T")

MICRO = 1_000_000
BASIC = 500
COMPLETED = "checkout.session.completed"


@dataclass(frozen=True)
class End:
    """A buyer's microcredits beyond the welcome credits, paid grants and emails."""

    available: int = 0
    frozen: int = 0
    owed: int = 0
    grants: int = 1
    mails: tuple[str, ...] = ()
    held: int = 0


@dataclass
class Play:
    """One run of a scenario: its buyer, purchase and events."""

    shop_app: ShopApp
    plans: PlanShop
    buyer: User
    early: bool
    """Whether the events of the preparation are withheld."""
    purchase: Purchase = field(init=False)
    mark: int = field(init=False)

    def __post_init__(self) -> None:
        self.mark = self.newest_number()

    # --- actions of buyer and bank ---

    def begin_pack(self, card: str | None = None) -> None:
        self.purchase = self.shop_app.start(self.buyer)
        if card:
            self.shop_app.pay(self.purchase, card)

    def begin_plan(self, card: str | None = "succeeds", cycle: str = "month") -> None:
        chosen = self.plans.choose(self.buyer, "basic", cycle).purchase
        assert chosen
        self.purchase = chosen
        if card:
            self.shop_app.pay(self.purchase, card)

    def refund(self, amount: str = "") -> None:
        self.shop_app.press(f"/payments/{self.newest('payment_intent')}/refund", amount=amount)

    def dispute(self) -> None:
        self.shop_app.press(f"/payments/{self.newest('payment_intent')}/dispute")

    def close(self, outcome: str) -> None:
        self.shop_app.press(f"/disputes/{self.newest('dispute')}/close", outcome=outcome)

    def fail_refund(self) -> None:
        self.shop_app.press(f"/refunds/{self.newest('refund')}/fail")

    def settle(self, outcome: str) -> None:
        path = f"/payments/{self.newest('payment_intent')}/settle"
        self.shop_app.press(path, outcome=outcome)

    def expire(self) -> None:
        self.shop_app.press(f"/sessions/{self.newest('checkout.session')}/expire")

    def leave_at_the_portal(self) -> None:
        named = self.newest("subscription")
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            found = books.get("subscription", named)
            assert found
            subscription_updates.update(books, found, {"cancel_at_period_end": True})

    def end_now(self) -> None:
        self.shop_app.press(f"/subscriptions/{self.newest('subscription')}/cancel")

    def a_month_passes(self) -> None:
        self.shop_app.press(f"/subscriptions/{self.newest('subscription')}/renew")
        self.plans.sync_clock()

    # --- events ---

    def hear(self, *kinds: str) -> None:
        """Deliver the newest event of each type, unless this run withholds them."""
        if not self.early:
            for kind in kinds:
                assert self.shop_app.send(self.events(kind)[-1]).status_code == 200, kind

    def events(self, *kinds: str) -> list[Json]:
        """Return the events since the scenario began, in order."""
        query = "SELECT body FROM objects WHERE kind = 'event' AND seq > ? ORDER BY seq"
        rows = self._books(lambda books: books.connection.execute(query, (self.mark,)).fetchall())
        found = [json.loads(row[0]) for row in rows]
        return [each for each in found if not kinds or each["type"] in kinds]

    def newest(self, kind: str) -> str:
        query = "SELECT id FROM objects WHERE kind = ? AND seq > ? ORDER BY seq DESC LIMIT 1"
        arguments = (kind, self.mark)
        row = self._books(lambda books: books.connection.execute(query, arguments).fetchone())
        return str(row[0])

    def newest_number(self) -> int:
        """Return the number of the sandbox's newest object."""
        return self._books(_newest_number)

    # --- outcome ---

    def end(self) -> End:
        """Return the buyer's present outcome."""
        has = self.shop_app.balance(self.buyer)
        query = select(func.count()).where(
            Grant.actor == self.buyer.id, Grant.source.in_(("purchase", "subscription"))
        )
        emails = select(Mail.event).where(Mail.user_id == self.buyer.id, Mail.event != "verify")
        with self.shop_app.app.app_context(), snapshot() as session:
            grants = session.execute(query).scalar_one()
            mails = session.scalars(emails).all()
        return End(
            has.available_micro - 50 * MICRO,
            has.frozen_micro,
            has.owed_micro,
            grants,
            tuple(sorted(mails)),
            has.held_micro,
        )

    def over(self) -> None:
        """Stop renewals and syncs that would slow the next scenario down."""
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            for each in books.find("subscription", {"status": ["active", "past_due"]}):
                subscription_starts.cancel(books, each)
        with self.shop_app.app.app_context(), transaction() as session:
            session.execute(update(Subscription).values(next_sync_at=NEVER))
            session.execute(update(Purchase).values(next_sync_at=NEVER))

    def a_day_passes(self) -> None:
        """Advance sandbox and app by a day."""
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            books.advance(int(timedelta(days=1, minutes=10).total_seconds()))
            payment.tick(books)
        self.plans.sync_clock()

    def _books(self, read: Callable[[Books], T]) -> T:
        with State.of(self.shop_app.gateway.sandbox).transaction() as books:
            return read(books)


@dataclass(frozen=True)
class Story:
    """A preparation, an action, the event's type and the expected outcome."""

    event: str
    of: str
    """``pack`` or ``plan``."""
    before: Callable[[Play], None]
    happens: Callable[[Play], None]
    ends: End
    early_ends: End | None = None
    """The outcome where earlier events are withheld, if it differs: no email reports a change of a
    state that was never stored."""


def _newest_number(books: Books) -> int:
    row = books.connection.execute("SELECT max(seq) FROM objects").fetchone()
    return int(row[0] or 0)


# --- packs ---


def _pack_opened(play: Play) -> None:
    play.begin_pack()


def _pack_paid(play: Play) -> None:
    play.begin_pack("succeeds")
    play.hear(COMPLETED)


def _debit_on_its_way(play: Play) -> None:
    play.begin_pack("pays-later")
    play.hear(COMPLETED)


def _pack_refunded(play: Play) -> None:
    _pack_paid(play)
    play.refund()
    play.hear("refund.created")


def _pack_disputed(play: Play) -> None:
    _pack_paid(play)
    play.dispute()
    play.hear("charge.dispute.created")


# --- plans ---


def _plan_opened(play: Play) -> None:
    play.begin_plan(None)


def _plan_paid(play: Play) -> None:
    play.begin_plan()
    play.hear(COMPLETED)


def _plan_with_a_card_that_fails_later(play: Play) -> None:
    play.begin_plan("declined-later")
    play.hear(COMPLETED)


def _plan_refunded(play: Play) -> None:
    _plan_paid(play)
    play.refund()
    play.hear("refund.created")


def _plan_disputed(play: Play) -> None:
    _plan_paid(play)
    play.dispute()
    play.hear("charge.dispute.created")


def _pays(play: Play) -> None:
    play.shop_app.pay(play.purchase)


def _gives_half_back(play: Play) -> None:
    play.refund("7.50")


HALF_A_PACK = CREATOR * MICRO - CREATOR * MICRO * 750 // 1499
PACK_PAID = End(CREATOR * MICRO, mails=("receipt",))
PACK_HALF = End(HALF_A_PACK, mails=("receipt", "refund"))
PLAN_PAID = End(BASIC * MICRO, mails=("renewal",))
PLAN_HALF = End(BASIC * MICRO // 2, mails=("refund", "renewal"))
PLAN_CHANGED = End(BASIC * MICRO, mails=("plan_changed", "renewal"))

STORIES = (
    Story(COMPLETED, "pack", _pack_opened, _pays, PACK_PAID),
    Story(COMPLETED, "plan", _plan_opened, _pays, PLAN_PAID),
    Story(
        "checkout.session.async_payment_succeeded",
        "pack",
        _debit_on_its_way,
        lambda play: play.settle("succeeds"),
        PACK_PAID,
    ),
    Story(
        "checkout.session.async_payment_failed",
        "pack",
        _debit_on_its_way,
        lambda play: play.settle("fails"),
        End(grants=0),
    ),
    Story("checkout.session.expired", "pack", _pack_opened, Play.expire, End(grants=0)),
    Story("checkout.session.expired", "plan", _plan_opened, Play.expire, End(grants=0)),
    Story("payment_intent.succeeded", "pack", _pack_opened, _pays, PACK_PAID),
    Story("customer.subscription.created", "plan", _plan_opened, _pays, PLAN_PAID),
    Story(
        "customer.subscription.updated",
        "plan",
        _plan_paid,
        Play.leave_at_the_portal,
        PLAN_CHANGED,
        early_ends=PLAN_PAID,
    ),
    Story(
        "customer.subscription.deleted",
        "plan",
        _plan_paid,
        Play.end_now,
        PLAN_CHANGED,
        early_ends=PLAN_PAID,
    ),
    Story(
        "invoice.paid",
        "plan",
        _plan_paid,
        Play.a_month_passes,
        End(2 * BASIC * MICRO, grants=2, mails=("renewal", "renewal")),
    ),
    Story(
        "invoice.payment_failed",
        "plan",
        _plan_with_a_card_that_fails_later,
        Play.a_month_passes,
        End(BASIC * MICRO, mails=("payment_failed", "renewal")),
    ),
    Story("refund.created", "pack", _pack_paid, _gives_half_back, PACK_HALF),
    Story("refund.created", "plan", _plan_paid, _gives_half_back, PLAN_HALF),
    Story("refund.updated", "pack", _pack_paid, _gives_half_back, PACK_HALF),
    Story("refund.updated", "plan", _plan_paid, _gives_half_back, PLAN_HALF),
    Story(
        "refund.failed",
        "pack",
        _pack_refunded,
        Play.fail_refund,
        End(CREATOR * MICRO, mails=("receipt", "refund", "refund")),
        early_ends=PACK_PAID,
    ),
    Story(
        "refund.failed",
        "plan",
        _plan_refunded,
        Play.fail_refund,
        End(BASIC * MICRO, mails=("refund", "refund", "renewal")),
        early_ends=PLAN_PAID,
    ),
    Story("charge.refunded", "pack", _pack_paid, _gives_half_back, PACK_HALF),
    Story("charge.refunded", "plan", _plan_paid, _gives_half_back, PLAN_HALF),
    Story(
        "charge.dispute.created",
        "pack",
        _pack_paid,
        Play.dispute,
        End(frozen=CREATOR * MICRO, mails=("dispute_opened", "receipt")),
    ),
    Story(
        "charge.dispute.created",
        "plan",
        _plan_paid,
        Play.dispute,
        End(frozen=BASIC * MICRO, mails=("dispute_opened", "renewal")),
        # A month that is disputed before it was granted is not granted at all until it is won.
        early_ends=End(grants=0, mails=("dispute_opened", "renewal")),
    ),
    Story(
        "charge.dispute.closed",
        "pack",
        _pack_disputed,
        lambda play: play.close("lost"),
        End(mails=("dispute_closed", "dispute_opened", "receipt")),
        early_ends=End(mails=("dispute_closed", "receipt")),
    ),
    Story(
        "charge.dispute.closed",
        "plan",
        _plan_disputed,
        lambda play: play.close("won"),
        End(BASIC * MICRO, mails=("dispute_closed", "dispute_opened", "renewal")),
        early_ends=PLAN_PAID,
    ),
)
