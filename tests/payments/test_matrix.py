"""Every event in every delivery: once, twice, concurrent, early, late, interrupted, never.

However the event is delivered, balance and emails end the same, ledger and purchases agree, and the
reconciliation with Stripe finds nothing more to do. The number of runs per cell is printed as a
table (``pytest -s``); an empty cell fails. Where an event has a scenario for packs and one for
plans, each database runs half of the deliveries of each, the other database the other half;
``CREDITAPP_SOAK=1`` runs all of them on both.
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
from tests.payments.scenarios import MICRO, STORIES, End, Play, Story
from tests.shop_app import CREATOR, Json, ShopApp, values

SOAK = os.environ.get("CREDITAPP_SOAK") == "1"


def once(play: Play, event: Json) -> None:
    """Deliver every event once, in order."""
    for each in play.events():
        send(play, each)


def twice(play: Play, event: Json) -> None:
    send(play, event)
    send(play, event)
    # The same fact may arrive with another event id too.
    send(play, event | {"id": f"{event['id']}_again"})


def at_once(play: Play, event: Json) -> None:
    copy = event | {"id": f"{event['id']}_again"}
    acts = [lambda each=each: send(play, each) for each in (event, event, copy)]
    values(play.shop_app.at_once(*acts))


def early(play: Play, event: Json) -> None:
    """Deliver the event before all earlier ones, which follow with the newest first."""
    send(play, event)
    for each in reversed(play.events()):
        if each["id"] != event["id"]:
            send(play, each)
    for seconds in webhooks.RETRY_SECONDS[: webhooks.STRAY_TRIES_MAX]:
        play.shop_app.sweep(timedelta(seconds=seconds))


def late(play: Play, event: Json) -> None:
    """Deliver the event a day late; the buyer spends and buys in between."""
    play.a_day_passes()
    play.shop_app.spend(play.buyer, 10)
    play.shop_app.bought(play.buyer)
    send(play, event)


def refused(play: Play, event: Json) -> None:
    """Fail the first try at its first call to Stripe, the second at its second, and so on."""
    cut_off(play, event, before=True)


def unanswered(play: Play, event: Json) -> None:
    """As above, but each failed call took effect at Stripe and only its answer is lost."""
    cut_off(play, event, before=False)


def never(play: Play, event: Json) -> None:
    """Lose the event; the sweeps and the nightly reconciliation run."""
    play.a_day_passes()
    with play.shop_app.app.app_context():
        play.shop_app.sweep()
        subscription_sync.sweep_subscriptions()
        scheduled_grants.sweep_due_grants()
        reconciliation.reconcile(now() - timedelta(days=1, hours=1))


MANNERS: dict[str, Callable[[Play, Json], None]] = {
    "once": once,
    "twice": twice,
    "at once": at_once,
    "early": early,
    "a day late": late,
    "error": refused,
    "no answer": unanswered,
    "never": never,
}


def send(play: Play, event: Json) -> None:
    assert play.shop_app.send(event).status_code == 200, event["type"]


def cut_off(play: Play, event: Json, *, before: bool) -> None:
    """Fail try number n at its call number n to Stripe, until a try succeeds."""
    line, calls, tries = play.shop_app.line, 0, 1

    def fail_at_the_last(name: str) -> None:
        nonlocal calls
        calls += name != "verify_webhook"  # makes no request
        if calls == tries and name != "verify_webhook":
            raise GatewayError("Stripe: 500", permanent=False)

    if before:
        line.before = fail_at_the_last
    else:
        line.after = fail_at_the_last
    send(play, event)
    assert calls == 1, "no call failed"
    for seconds in webhooks.RETRY_SECONDS:
        if calls < tries:
            break  # the last try made fewer calls, so it succeeded
        calls, tries = 0, tries + 1
        play.shop_app.sweep(timedelta(seconds=seconds))
    line.before = line.after = lambda name: None


def ends(story: Story, manner: str) -> End:
    """Return the expected outcome of a scenario in a delivery."""
    if manner == "early" and story.early_ends:
        return story.early_ends
    if manner == "a day late":
        plain = story.ends
        # The plan's credits are spent, because they expire; a frozen month has that much less.
        spent_of_frozen = 10 if plain.frozen and story.of == "plan" else 0
        return End(
            plain.available + (CREATOR - 10 + spent_of_frozen) * MICRO,
            plain.frozen - spent_of_frozen * MICRO,
            plain.owed,
            plain.grants + 1,
            tuple(sorted([*plain.mails, "receipt"])),
        )
    return story.ends


def tell(play: Play, story: Story, manner: str) -> str | None:
    """Run a scenario in a delivery; return how its outcome differs, if it does."""
    story.before(play)
    story.happens(play)
    event = play.events(story.event)[-1]
    MANNERS[manner](play, event)
    wanted = ends(story, manner)
    if (found := play.end()) != wanted:
        return f"{found} instead of {wanted}"
    # The regular sweeps change nothing more.
    play.shop_app.sweep(timedelta(minutes=2))
    if (found := play.end()) != wanted:
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
def test_however_an_event_comes_it_ends_the_same(shop_app: ShopApp) -> None:
    plans, kind = PlanShop(shop_app), shop_app.url.partition(":")[0].partition("+")[0]
    ran: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    for story in STORIES:
        began = plans.sync_clock()
        for manner in manners(story, kind):
            shop_app.line.before = shop_app.line.after = lambda name: None
            plans.sync_clock()
            play = Play(shop_app, plans, shop_app.member(), early=manner == "early")
            said = tell(play, story, manner)
            play.over()
            ran[story.event, manner] += 1
            if said:
                wrong.append(f"{story.event} of a {story.of}, {manner}: {said}")
        if said := disagreement(shop_app, began - timedelta(seconds=1)):
            wrong.append(f"{story.event} of a {story.of}: {said}")
    print(table(kind, ran))
    assert not wrong, "\n".join(wrong)
    events = {story.event for story in STORIES}
    empty = [(event, manner) for event in events for manner in MANNERS if not ran[event, manner]]
    assert not empty, f"never run: {empty}"


def manners(story: Story, kind: str) -> list[str]:
    """Return the deliveries in which a scenario runs on a kind of database."""
    told_of = [each.of for each in STORIES if each.event == story.event]
    if SOAK or len(told_of) == 1:
        return list(MANNERS)
    turn = (kind == "sqlite") ^ (story.of == "pack")
    return list(MANNERS)[turn::2]


def table(kind: str, ran: Counter[tuple[str, str]]) -> str:
    """Return a table of the runs of each event in each delivery."""
    width = max(len(story.event) for story in STORIES)
    lines = [f"\n{kind}: {ran.total()} cells"]
    lines.append(f"{'':<{width}} " + " ".join(f"{manner:>10}" for manner in MANNERS))
    for event in dict.fromkeys(story.event for story in STORIES):
        cells = " ".join(f"{ran[event, manner]:>10}" for manner in MANNERS)
        lines.append(f"{event:<{width}} {cells}")
    return "\n".join(lines)
