"""Every event in every delivery: once, twice, concurrent, early, late, interrupted, never.

However the event is delivered, balance and emails end the same, ledger and purchases agree, and the
reconciliation with Stripe finds nothing more to do. The number of runs per cell is printed as a
table (``pytest -s``); an empty cell fails. Each database runs half of the deliveries of a scenario,
the other database the other half; ``CREDITAPP_SOAK=1`` runs all of them on both.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from creditapp import ledger
from creditapp.clock import now
from creditapp.db import snapshot
from creditapp.payments import webhooks
from creditapp.payments.reconciliation import ledger_check
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import scheduled_grants
from creditapp.payments.subscriptions import sync as subscription_sync
from tests.payments.plan_shop import PlanShop
from tests.payments.scenarios import MICRO, SCENARIOS, Outcome, Scenario, ScenarioRun
from tests.shop_app import CREATOR, Json, ShopApp, values

SOAK = os.environ.get("CREDITAPP_SOAK") == "1"


def deliver_once(run: ScenarioRun, event: Json) -> None:
    """Deliver every event once, in order."""
    for each in run.events():
        send(run, each)


def twice(run: ScenarioRun, event: Json) -> None:
    send(run, event)
    send(run, event)
    # The same fact may arrive with another event id too.
    send(run, event | {"id": f"{event['id']}_again"})


def at_once(run: ScenarioRun, event: Json) -> None:
    copy = event | {"id": f"{event['id']}_again"}
    acts = [lambda each=each: send(run, each) for each in (event, event, copy)]
    values(run.shop_app.at_once(*acts))


def early(run: ScenarioRun, event: Json) -> None:
    """Deliver the event before all earlier ones, which follow with the newest first."""
    send(run, event)
    for each in reversed(run.events()):
        if each["id"] != event["id"]:
            send(run, each)
    for seconds in webhooks.RETRY_SECONDS[: webhooks.STRAY_TRIES_MAX]:
        run.shop_app.sweep(timedelta(seconds=seconds))


def late(run: ScenarioRun, event: Json) -> None:
    """Deliver the event a day late; the buyer spends and buys in between."""
    run.pass_day()
    run.shop_app.spend(run.buyer, 10)
    run.shop_app.buy_and_pay(run.buyer)
    send(run, event)


def refused(run: ScenarioRun, event: Json) -> None:
    """Fail the first try at its first call to Stripe, the second at its second, and so on."""
    cut_off(run, event, before=True)


def unanswered(run: ScenarioRun, event: Json) -> None:
    """As above, but each failed call took effect at Stripe and only its answer is lost."""
    cut_off(run, event, before=False)


def never(run: ScenarioRun, event: Json) -> None:
    """Lose the event; the sweeps and the nightly reconciliation run."""
    run.pass_day()
    with run.shop_app.app.app_context():
        run.shop_app.sweep()
        subscription_sync.sweep_subscriptions()
        scheduled_grants.sweep_due_grants()
        reconciliation.reconcile(now() - timedelta(days=1, hours=1))


DELIVERIES: dict[str, Callable[[ScenarioRun, Json], None]] = {
    "once": deliver_once,
    "twice": twice,
    "at once": at_once,
    "early": early,
    "a day late": late,
    "error": refused,
    "no answer": unanswered,
    "never": never,
}


def send(run: ScenarioRun, event: Json) -> None:
    assert run.shop_app.send(event).status_code == 200, event["type"]


def cut_off(run: ScenarioRun, event: Json, *, before: bool) -> None:
    """Fail try number n at its call number n to Stripe, until a try succeeds."""
    line, calls, tries = run.shop_app.flaky_gateway, 0, 1

    def fail_at_the_last(name: str) -> None:
        nonlocal calls
        calls += name != "verify_webhook"  # makes no request
        if calls == tries and name != "verify_webhook":
            raise GatewayError("Stripe: 500", permanent=False)

    if before:
        line.before = fail_at_the_last
    else:
        line.after = fail_at_the_last
    send(run, event)
    assert calls == 1, "no call failed"
    for seconds in webhooks.RETRY_SECONDS:
        if calls < tries:
            break  # the last try made fewer calls, so it succeeded
        calls, tries = 0, tries + 1
        run.shop_app.sweep(timedelta(seconds=seconds))
    line.before = line.after = lambda name: None


def outcome_of(scenario: Scenario, delivery: str) -> Outcome:
    """Return the expected outcome of a scenario in a delivery."""
    if delivery == "early" and scenario.early_outcome:
        return scenario.early_outcome
    if delivery == "a day late":
        plain = scenario.outcome
        # The plan's credits are spent, because they expire; a frozen month has that much less.
        spent_of_frozen = 10 if plain.frozen and scenario.of == "plan" else 0
        return Outcome(
            plain.available + (CREATOR - 10 + spent_of_frozen) * MICRO,
            plain.frozen - spent_of_frozen * MICRO,
            plain.owed,
            plain.grants + 1,
            tuple(sorted([*plain.mails, "receipt"])),
        )
    return scenario.outcome


def run_scenario(run: ScenarioRun, scenario: Scenario, delivery: str) -> str | None:
    """Run a scenario in a delivery; return how its outcome differs, if it does."""
    scenario.before(run)
    scenario.happens(run)
    event = run.events(scenario.event)[-1]
    DELIVERIES[delivery](run, event)
    wanted = outcome_of(scenario, delivery)
    if (found := run.outcome()) != wanted:
        return f"{found} instead of {wanted}"
    # The regular sweeps change nothing more.
    run.shop_app.sweep(timedelta(minutes=2))
    if (found := run.outcome()) != wanted:
        return f"{found} after the sweep instead of {wanted}"
    return None


def disagreement(shop_app: ShopApp, since: datetime) -> str | None:
    """Return how ledger, purchases and Stripe disagree, or None."""
    with shop_app.app.app_context():
        with snapshot() as session:
            proof = ledger.proof.check(session.connection())
            sales = ledger_check.check(session.connection())
        report = reconciliation.reconcile(since)
    if not proof.ok:
        return proof.as_text()
    if sales.findings:
        return str(sales.findings)
    return report.as_text() if report.differences else None


@pytest.mark.slow
def test_an_event_ends_the_same_in_every_manner_of_delivery(shop_app: ShopApp) -> None:
    plans, kind = PlanShop(shop_app), shop_app.url.partition(":")[0].partition("+")[0]
    ran: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    for scenario in SCENARIOS:
        began = plans.sync_clock()
        for delivery in deliveries_for(scenario, kind):
            shop_app.flaky_gateway.before = shop_app.flaky_gateway.after = lambda name: None
            plans.sync_clock()
            run = ScenarioRun(shop_app, plans, shop_app.member(), early=delivery == "early")
            said = run_scenario(run, scenario, delivery)
            run.stop_renewals()
            ran[scenario.event, delivery] += 1
            if said:
                wrong.append(f"{scenario.event} of a {scenario.of}, {delivery}: {said}")
        if said := disagreement(shop_app, began - timedelta(seconds=1)):
            wrong.append(f"{scenario.event} of a {scenario.of}: {said}")
    print(table(kind, ran))
    assert not wrong, "\n".join(wrong)


def test_each_event_is_delivered_in_every_manner_on_one_database_at_least() -> None:
    cells = {
        (scenario.event, delivery)
        for scenario in SCENARIOS
        for kind in ("sqlite", "postgresql")
        for delivery in deliveries_for(scenario, kind)
    }
    assert cells == {(scenario.event, each) for scenario in SCENARIOS for each in DELIVERIES}


def deliveries_for(scenario: Scenario, kind: str) -> list[str]:
    """Return the deliveries in which a scenario runs on a kind of database."""
    if SOAK:
        return list(DELIVERIES)
    turn = (kind == "sqlite") ^ SCENARIOS.index(scenario) % 2
    return list(DELIVERIES)[turn::2]


def table(kind: str, ran: Counter[tuple[str, str]]) -> str:
    """Return a table of the runs of each event in each delivery."""
    width = max(len(scenario.event) for scenario in SCENARIOS)
    lines = [f"\n{kind}: {ran.total()} cells"]
    lines.append(f"{'':<{width}} " + " ".join(f"{delivery:>10}" for delivery in DELIVERIES))
    for event in dict.fromkeys(scenario.event for scenario in SCENARIOS):
        cells = " ".join(f"{ran[event, delivery]:>10}" for delivery in DELIVERIES)
        lines.append(f"{event:<{width}} {cells}")
    return "\n".join(lines)
