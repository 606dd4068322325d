"""Kills the process at every step of a plan's actions; repeated, each ends as if undisturbed.

A step is the moment before or after a statement, a commit or a call to Stripe. After a kill that
changed nothing, here or at Stripe, the same buyer's action is started again and killed one step
later. After a kill that left a change, the action is repeated undisturbed, and a new buyer
continues. Without ``CREDITAPP_SOAK=1`` only the first, eighth, ... steps are tested on one database
and the fourth, eleventh, ... on the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from creditapp.db import snapshot, transaction
from creditapp.payments.subscriptions import plans, scheduled_grants
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.changes import PlanOrder, PlanUnchanged
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant, Subscription
from tests.faults.crash_worker import CrashWorker
from tests.payments.plan_shop import PlanShop
from tests.payments.scenarios import COMPLETED, MICRO, Outcome, ScenarioRun
from tests.shop_app import ShopApp

SOAK = os.environ.get("CREDITAPP_SOAK") == "1"


@dataclass(frozen=True)
class Act:
    """An action of plans: its preparation, its name in the crash worker, and its repetition."""

    name: str
    before: Callable[[ScenarioRun], None]
    action: str
    arguments: Callable[[ScenarioRun], tuple[str, ...]]
    again: Callable[[ScenarioRun], object]
    outcome: Outcome


def _paid(run: ScenarioRun) -> None:
    run.buy_plan()


def _synced(run: ScenarioRun) -> None:
    run.buy_plan()
    run.deliver(COMPLETED)


def _renewed(run: ScenarioRun) -> None:
    _synced(run)
    run.renew()


def _spent_and_refunded(run: ScenarioRun) -> None:
    _synced(run)
    run.shop_app.spend(run.buyer, 300)
    run.refund("7.50")


def _a_year_of_which_two_months_are_due(run: ScenarioRun) -> None:
    run.buy_plan(cycle="year")
    run.deliver(COMPLETED)
    run.shop_app.clock.advance(timedelta(days=62, hours=1))


def _subscription(run: ScenarioRun) -> tuple[str, ...]:
    return (run.newest("subscription"),)


def _choose_premium(run: ScenarioRun) -> None:
    with suppress(PlanUnchanged):  # the killed process had finished it
        plans.choose_plan(PlanOrder("premium"), run.buyer, key="again")
    subscription_sync.sync_subscription(run.newest("subscription"))


def _sync(run: ScenarioRun) -> None:
    subscription_sync.sync_subscription(run.newest("subscription"))


ACTS = (
    Act(
        "the sync that writes a first invoice",
        _paid,
        "sync of a plan",
        _subscription,
        _sync,
        Outcome(500, mails=("renewal",)),
    ),
    Act(
        "the sync of a renewal",
        _renewed,
        "sync of a plan",
        _subscription,
        _sync,
        Outcome(1000, grants=2, mails=("renewal", "renewal")),
    ),
    Act(
        "an upgrade",
        _synced,
        "upgrade",
        lambda run: (run.buyer.id, "premium"),
        _choose_premium,
        Outcome(1200, grants=2, mails=("plan_changed", "renewal", "renewal")),
    ),
    Act(
        "the sync of a refund",
        _spent_and_refunded,
        "sync of a plan",
        _subscription,
        _sync,
        Outcome(0, owed=50, mails=("refund", "renewal")),
    ),
    Act(
        "the grant sweep",
        _a_year_of_which_two_months_are_due,
        "grant sweep",
        lambda run: (),
        lambda run: scheduled_grants.sweep_due_grants(),
        Outcome(1000, grants=3, mails=("renewal",)),  # the first of them has expired
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name.replace(" ", "-"))
def test_killed_anywhere_it_ends_once(
    shop_app: ShopApp, crash_worker: CrashWorker, act: Act
) -> None:
    plain = begin(shop_app, act)
    crash_worker.count(act.action, *act.arguments(plain), at=shop_app.clock.now())
    do_again(plain, act)
    assert in_credits(plain.outcome()) == act.outcome
    plain.stop_renewals()

    step, stride = (1, 1) if SOAK else (1 if shop_app.url.startswith("sqlite") else 4, 7)
    killed = changed = 0
    while True:
        run = begin(shop_app, act)
        before = traces(run)
        while dies := crash_worker.dies_at(
            step, act.action, *act.arguments(run), at=shop_app.clock.now()
        ):
            step, killed = step + stride, killed + 1
            if traces(run) != before:
                break
        changed += dies
        if dies:
            do_again(run, act)
        assert in_credits(run.outcome()) == act.outcome, f"killed before step {step} of {act.name}"
        do_again(run, act)
        assert in_credits(run.outcome()) == act.outcome, f"repeated after step {step}"
        run.stop_renewals()
        if not dies:
            break
    assert killed > (10 if SOAK else 2), "an action has more steps than that"
    assert changed or stride > 1, "no kill came after a commit"
    shop_app.check_ledger()


def begin(shop_app: ShopApp, act: Act) -> ScenarioRun:
    """Prepare a new buyer for the action; cancel the due months of all others."""
    with shop_app.app.app_context(), transaction() as session:
        session.execute(
            update(ScheduledGrant)
            .where(ScheduledGrant.state == "due")
            .values(state="canceled")
            .execution_options(synchronize_session=False)
        )
    run = ScenarioRun(shop_app, PlanShop(shop_app), shop_app.member(), early=False)
    act.before(run)
    return run


def do_again(run: ScenarioRun, act: Act) -> None:
    with run.shop_app.app.app_context():
        act.again(run)


def in_credits(outcome: Outcome) -> Outcome:
    """Return an outcome in whole credits: an upgrade is prorated by the second."""
    return replace(
        outcome,
        available=round(outcome.available / MICRO),
        owed=round(outcome.owed / MICRO),
        frozen=round(outcome.frozen / MICRO),
    )


def traces(run: ScenarioRun) -> tuple[object, ...]:
    """Return everything that an action could have changed, here and at Stripe."""
    user_id = run.buyer.id
    with run.shop_app.app.app_context(), snapshot() as session:
        rows = [
            *session.execute(
                select(
                    Subscription.version,
                    Subscription.upgrade_proration_at,
                    Subscription.next_sync_at,
                ).where(Subscription.user_id == user_id)
            ),
            *session.execute(select(Invoice.id, Invoice.status).where(Invoice.user_id == user_id)),
            *session.execute(
                select(ScheduledGrant.state, ScheduledGrant.reversed_micro)
                .where(ScheduledGrant.user_id == user_id)
                .order_by(ScheduledGrant.id)
            ),
        ]
    return run.outcome(), run.newest_number(), *rows
