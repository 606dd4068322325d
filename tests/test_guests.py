"""Guests: three images a day by cookie and by network, whoever asks at the same moment."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.engine import Engine

from creditapp import guests
from creditapp.accounts import Network, Networks, networks_of
from creditapp.db import transaction
from creditapp.guests import (
    GuestBudget,
    GuestBudgetReached,
    GuestClaim,
    GuestLimitReached,
    GuestWindow,
    Visitor,
)
from creditapp.guests.daily_budget import BudgetSpent, use_budget
from tests.databases import at_once
from tests.fakes.guest_process import claim_many, wait_for_all

pytestmark = [pytest.mark.databases("sqlite", "postgresql"), pytest.mark.in_turn]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = "the secret of the tests"
LIMITS: dict[str, Any] = {"limit": 3, "window_hours": 24}


def visitor(cookie: str, network: str | Networks) -> Visitor:
    """Return a visitor of one network, or of another visitor's."""
    return Visitor(cookie, (Network(network),) if isinstance(network, str) else network)


HOME = networks_of("192.0.2.7", SECRET)
ANN = visitor("cookie-ann", "network-home")


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Four processes that have imported what they need."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(4)
    with ProcessPoolExecutor(4, spawn, initializer=wait_for_all, initargs=(barrier,)) as pool:
        yield pool


def claim(engine: Engine, visitor: Visitor = ANN, now: datetime = NOW, **more: Any) -> GuestClaim:
    with transaction(engine) as session:
        return guests.claim(session, visitor, now, **{**LIMITS, "daily_budget": 1000, **more})


def left(engine: Engine, visitor: Visitor = ANN, now: datetime = NOW) -> tuple[int, object]:
    with transaction(engine) as session:
        allowance = guests.get_allowance(session, visitor, now, **LIMITS)
    return allowance.remaining, allowance.reset_at


def release(engine: Engine, taken: GuestClaim) -> bool:
    with transaction(engine) as session:
        return guests.release(session, taken.id)


# What a guest gets.


def test_three_images_and_all_come_back_a_day_after_the_first(engine: Engine) -> None:
    assert left(engine) == (3, None)
    for number, remaining in enumerate((2, 1, 0)):
        claim(engine, now=NOW + number * HOUR)
        assert left(engine, now=NOW + number * HOUR) == (remaining, NOW + 24 * HOUR)
    with pytest.raises(GuestLimitReached):
        claim(engine, now=NOW + 24 * HOUR - timedelta(microseconds=1))
    assert left(engine, now=NOW + 24 * HOUR) == (3, None)
    claim(engine, now=NOW + 30 * HOUR)
    assert left(engine, now=NOW + 30 * HOUR) == (2, NOW + 54 * HOUR)


def test_the_refusal_says_when_it_ends_and_what_an_account_gives(engine: Engine) -> None:
    for _ in range(3):
        claim(engine)
    with pytest.raises(GuestLimitReached) as refused, transaction(engine) as session:
        guests.claim(
            session,
            ANN,
            NOW + HOUR / 2,
            **LIMITS,
            daily_budget=1000,
            signup_credits_micro=50_000_000,
        )
    assert (refused.value.status, refused.value.code) == (429, "guest_limit_reached")
    assert refused.value.headers == {"Retry-After": str(int(23.5 * 3600))}
    assert refused.value.fields == {
        "limit": 3,
        "remaining": 0,
        "resetAt": "2026-11-22T12:00:00Z",
        "signupUrl": "/auth/signup",
        "signupCredits": 50,
    }
    assert "23 h 30 min" in refused.value.detail


def test_used_is_the_larger_of_the_cookies_and_the_networks_count(engine: Engine) -> None:
    elsewhere = visitor(ANN.cookie_id, "network-work")
    claim(engine, ANN)
    claim(engine, elsewhere, NOW + HOUR)
    claim(engine, elsewhere, NOW + HOUR)
    # The cookie has used three, each network fewer.
    assert left(engine, elsewhere, NOW + HOUR) == (0, NOW + 24 * HOUR)
    with pytest.raises(GuestLimitReached):
        claim(engine, visitor(ANN.cookie_id, "network-cafe"), NOW + HOUR)
    other = visitor("cookie-bob", "network-work")
    assert left(engine, other, NOW + HOUR) == (1, NOW + 25 * HOUR)
    claim(engine, other, NOW + HOUR)
    with pytest.raises(GuestLimitReached):
        claim(engine, visitor("no cookie yet", "network-work"), NOW + HOUR)
    # The refused ones have used nothing.
    assert left(engine, visitor(ANN.cookie_id, "network-cafe"), NOW + 24 * HOUR) == (3, None)
    assert left(engine, visitor("no cookie yet", "x"), NOW + HOUR) == (3, None)


def test_a_guest_over_both_limits_waits_for_the_later_end(engine: Engine) -> None:
    for _ in range(3):
        claim(engine, visitor(ANN.cookie_id, "network-work"), NOW)
    for _ in range(3):
        claim(engine, visitor("cookie-bob", ANN.networks), NOW + HOUR)
    assert left(engine, ANN, NOW + HOUR) == (0, NOW + 25 * HOUR)
    with pytest.raises(GuestLimitReached):
        claim(engine, ANN, NOW + 24 * HOUR)
    claim(engine, ANN, NOW + 25 * HOUR)


def test_a_catalog_may_give_none_or_more(engine: Engine) -> None:
    with pytest.raises(GuestLimitReached):
        claim(engine, limit=0)
    claim(engine, visitor("cookie-bob", "network-work"), limit=1)
    for _ in range(5):
        claim(engine, limit=5)
    with pytest.raises(GuestLimitReached):
        claim(engine, limit=5)
    assert left(engine) == (0, NOW + 24 * HOUR), "a lower limit leaves none, not fewer"


@pytest.mark.parametrize(
    ("after", "span"),
    [(timedelta(0), "24 h"), (HOUR * 23, "1 h"), (HOUR * 23.5, "30 min"), (HOUR * 23.999, "1 min")],
)
def test_the_refusal_says_how_long_to_wait(engine: Engine, after: timedelta, span: str) -> None:
    for _ in range(3):
        claim(engine)
    with pytest.raises(GuestLimitReached) as refused:
        claim(engine, now=NOW + after)
    assert f"Try again in {span}, or sign up" in refused.value.detail


# Giving back.


def test_a_failed_image_is_released_once(engine: Engine) -> None:
    claim(engine)
    made = claim(engine, now=NOW + HOUR)
    assert left(engine)[0] == 1
    assert release(engine, made)
    assert left(engine) == (2, NOW + 24 * HOUR)
    assert release(engine, made) is False
    assert left(engine)[0] == 2
    with transaction(engine) as session:
        assert not guests.release(session, "clm_unknown")
        assert session.scalar(select(func.sum(GuestBudget.used))) == 1


def test_a_late_failure_gives_nothing_to_the_next_window(engine: Engine) -> None:
    old = claim(engine)
    for _ in range(3):
        claim(engine, now=NOW + 25 * HOUR)
    assert release(engine, old)
    assert left(engine, now=NOW + 25 * HOUR)[0] == 0


def test_a_late_failure_gives_back_to_whichever_window_still_stands(engine: Engine) -> None:
    claim(engine, visitor("cookie-bob", ANN.networks), NOW - 20 * HOUR)
    made = claim(engine, ANN, NOW)
    later = NOW + 5 * HOUR
    claim(engine, visitor("cookie-bob", ANN.networks), later)  # the network's window is a new one
    release(engine, made)
    with transaction(engine) as session:
        windows = {row.key: row.used for row in session.scalars(select(GuestWindow))}
    assert windows["cookie:cookie-ann"] == 0
    assert windows["network:network-home"] == 1


def test_a_window_emptied_by_giving_back_opens_anew_with_the_next_use(engine: Engine) -> None:
    release(engine, claim(engine))
    assert left(engine) == (3, None)
    claim(engine, now=NOW + 20 * HOUR)
    assert left(engine, now=NOW + 20 * HOUR) == (2, NOW + 44 * HOUR)


def test_a_delivered_image_is_never_released(engine: Engine) -> None:
    made = claim(engine)
    with transaction(engine) as session:
        assert guests.keep(session, made.id)
        assert not guests.keep(session, made.id)
    assert not release(engine, made)
    assert left(engine)[0] == 2


def test_giving_back_at_one_moment_returns_one(engine: Engine) -> None:
    claim(engine)
    made = claim(engine)
    assert at_once(6, lambda _: release(engine, made)).count(True) == 1
    assert left(engine)[0] == 2


def test_a_claim_that_is_rolled_back_was_never_used(engine: Engine) -> None:
    def submit() -> None:
        with transaction(engine) as session:
            guests.claim(session, ANN, NOW, **LIMITS, daily_budget=1000)
            raise RuntimeError("the generation could not be written")

    with pytest.raises(RuntimeError):
        submit()
    assert left(engine) == (3, None)


def test_a_caller_may_go_on_after_a_refusal(engine: Engine) -> None:
    for _ in range(3):
        claim(engine)
    fresh = visitor("cookie-new", ANN.networks)
    with transaction(engine) as session, pytest.raises(GuestLimitReached):
        guests.claim(session, fresh, NOW, **LIMITS, daily_budget=1000)
    with transaction(engine) as session:
        assert session.get(GuestWindow, "cookie:cookie-new") is None


# The budget of all guests.


def test_a_daily_budget_over_all_guests(engine: Engine) -> None:
    for number in range(10):
        claim(engine, visitor(f"c{number}", f"n{number}"), daily_budget=10)
    late = datetime(2026, 11, 21, 23, 59, 30, tzinfo=UTC)
    with pytest.raises(GuestBudgetReached) as refused:
        claim(engine, visitor("c10", "n10"), late, daily_budget=10)
    assert (refused.value.status, refused.value.code) == (429, "guest_budget_reached")
    assert refused.value.headers == {"Retry-After": "30"}
    assert refused.value.fields["resetAt"] == "2026-11-22T00:00:00Z"
    assert refused.value.fields["remaining"] == 0
    assert left(engine, visitor("c10", "n10")) == (3, None)
    claim(engine, visitor("c10", "n10"), late + timedelta(seconds=30), daily_budget=10)


def test_a_released_claim_returns_to_the_budget(engine: Engine) -> None:
    made = [claim(engine, visitor(f"c{n}", f"n{n}"), daily_budget=3) for n in range(3)]
    with pytest.raises(GuestBudgetReached):
        claim(engine, visitor("c3", "n3"), daily_budget=3)
    release(engine, made[1])
    claim(engine, visitor("c3", "n3"), daily_budget=3)


def test_a_late_failure_returns_to_the_budget_of_its_own_day(engine: Engine) -> None:
    old = claim(engine, visitor("c0", "n0"), daily_budget=1)
    tomorrow = NOW + 24 * HOUR
    claim(engine, visitor("c1", "n1"), tomorrow, daily_budget=1)
    release(engine, old)
    with pytest.raises(GuestBudgetReached):
        claim(engine, visitor("c2", "n2"), tomorrow, daily_budget=1)
    claim(engine, visitor("c2", "n2"), NOW, daily_budget=1)


def test_a_budget_of_any_size_is_used_to_its_last_image(engine: Engine) -> None:
    for day, budget in enumerate((1, 8, 9, 15)):
        at = NOW + day * 24 * HOUR
        for number in range(budget):
            claim(engine, visitor(f"c{number}", f"n{number}"), at, daily_budget=budget)
        with pytest.raises(GuestBudgetReached):
            claim(engine, visitor("late", "late"), at, daily_budget=budget)


def test_no_budget_is_no_guests(engine: Engine) -> None:
    with pytest.raises(GuestBudgetReached):
        claim(engine, daily_budget=0)


def test_one_guest_does_not_wait_for_anothers_commit(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return  # one writer at a time, by its nature
    claim(engine, visitor("c", "n"))
    with transaction(engine) as session:
        guests.claim(session, visitor("c0", "n0"), NOW, **LIMITS, daily_budget=1000)
        with transaction(engine) as other:
            other.execute(text("SET LOCAL lock_timeout = '500ms'"))
            assert (
                guests.claim(other, visitor("c1", "n1"), NOW, **LIMITS, daily_budget=1000).state
                == "claimed"
            )


# Crowds.


def crowd(
    pool: ProcessPoolExecutor, engine: Engine, visitors: list[Visitor], budget: int = 1000
) -> Counter[str]:
    """Let all visitors claim at one moment from four processes; return what they were told."""
    url = engine.url.render_as_string(hide_password=False)
    shares = [visitors[number::4] for number in range(4)]
    running = [pool.submit(claim_many, url, share, NOW, budget) for share in shares]
    return Counter(outcome for each in running for outcome in each.result(timeout=200))


def test_sixty_four_claims_of_one_visitor_at_one_moment_make_three(
    engine: Engine, processes: ProcessPoolExecutor
) -> None:
    told = crowd(processes, engine, [ANN] * 64)
    assert told == {"claimed": 3, "guest_limit_reached": 61}
    with transaction(engine) as session:
        assert session.scalar(select(func.count()).select_from(GuestClaim)) == 3
        assert session.scalar(select(func.sum(GuestBudget.used))) == 3


def test_many_cookies_behind_one_address_make_three(
    engine: Engine, processes: ProcessPoolExecutor
) -> None:
    visitors = [visitor(f"c{number}", ANN.networks) for number in range(64)]
    told = crowd(processes, engine, visitors)
    assert told == {"claimed": 3, "guest_limit_reached": 61}
    with transaction(engine) as session:
        assert session.scalar(select(func.count()).select_from(GuestWindow)) == 4


def test_one_cookie_on_many_networks_makes_three(
    engine: Engine, processes: ProcessPoolExecutor
) -> None:
    visitors = [visitor(ANN.cookie_id, f"n{number}") for number in range(64)]
    told = crowd(processes, engine, visitors)
    assert told == {"claimed": 3, "guest_limit_reached": 61}


def test_a_crowd_of_strangers_stops_at_the_budget(
    engine: Engine, processes: ProcessPoolExecutor
) -> None:
    strangers = [visitor(f"c{number}", f"n{number}") for number in range(64)]
    told = crowd(processes, engine, strangers, budget=21)
    assert told == {"claimed": 21, "guest_budget_reached": 43}


def count_waiting(engine: Engine) -> int:
    """Return how many requests to this database wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with engine.connect() as connection:
        return connection.scalar(text(f"{query} AND datname = current_database()"))


@pytest.mark.databases("postgresql")
def test_waiting_for_the_last_of_the_day_keeps_no_lock(engine: Engine) -> None:
    """Two guests who each kept one would wait for each other, and one be refused for nothing."""
    day = NOW.date()
    with transaction(engine) as session:
        use_budget(session, day, 2, wait=False)
    last = select(GuestBudget.shard).where(GuestBudget.day == day, GuestBudget.shard < 2)
    with ThreadPoolExecutor(1) as pool, transaction(engine) as late:
        with transaction(engine) as other:
            use_budget(other, day, 2, wait=False)
            waiting = pool.submit(use_budget, late, day, 2, wait=True)
            while not waiting.done() and not count_waiting(engine):
                time.sleep(0.01)
        with pytest.raises(BudgetSpent):
            waiting.result(20)
        with transaction(engine) as third:
            assert len(third.execute(last.with_for_update(nowait=True)).all()) == 2


# Failing closed.


def test_a_database_that_cannot_count_gives_nothing(engine: Engine) -> None:
    with transaction(engine) as session:
        session.execute(text("ALTER TABLE guest_windows RENAME TO away"))
    try:
        with pytest.raises(GuestLimitReached) as refused:
            claim(engine)
        assert left(engine) == (0, NOW + timedelta(minutes=1))
    finally:
        with transaction(engine) as session:
            session.execute(text("ALTER TABLE away RENAME TO guest_windows"))
    assert refused.value.__cause__ is not None
    assert refused.value.headers["Retry-After"] == "60"
    with transaction(engine) as session:
        assert session.scalar(select(func.count()).select_from(GuestClaim)) == 0


# Networks.


def test_a_visitor_holds_no_address(engine: Engine) -> None:
    claim(engine, visitor("cookie-bob", HOME))
    with transaction(engine) as session:
        rows = [*session.scalars(select(GuestWindow)), *session.scalars(select(GuestClaim))]
        assert "192.0.2" not in " ".join(str(vars(row)) for row in rows)
    assert networks_of("192.0.2.7", "another secret") != HOME


def test_the_site_of_a_subscriber_has_twice_and_its_region_four_times_the_images(
    engine: Engine,
) -> None:
    """A /48 has 65,536 /64s: with one window for each, free images have no end."""

    def browser(site: int, number: int) -> Visitor:
        return Visitor(
            f"{site}-{number}", networks_of(f"2001:db8:1:{site:02x}{number:02x}::1", SECRET)
        )

    def images(site: int) -> int:
        made = 0
        for number in range(10):
            try:
                claim(engine, browser(site, number))
                made += 1
            except GuestLimitReached:
                assert left(engine, browser(site, number))[0] == 0
        return made

    assert [images(site) for site in range(4)] == [6, 6, 0, 0]


def test_a_failed_image_returns_to_every_network(engine: Engine) -> None:
    first, other = (Visitor(f"c{n}", networks_of(f"2001:db8::{n}:0:0:0:1", SECRET)) for n in (1, 2))
    made = [claim(engine, first, limit=1), claim(engine, other, limit=1)]
    third = Visitor("c3", networks_of("2001:db8:0:3::1", SECRET))
    with pytest.raises(GuestLimitReached):
        claim(engine, third, limit=1)
    release(engine, made[0])
    claim(engine, third, limit=1)


# Housekeeping.


def test_a_sweep_deletes_windows_past_days_and_old_claims(engine: Engine) -> None:
    made = claim(engine)
    kept = {timedelta(hours=23): (2, 1, 8), timedelta(days=1): (0, 1, 8),
            timedelta(days=30): (0, 1, 8), timedelta(days=31): (0, 0, 0)}  # fmt: skip
    for after, counts in kept.items():
        with transaction(engine) as session:
            guests.sweep(session, now=NOW + after, window_hours=24)
            tables = (GuestWindow, GuestClaim, GuestBudget)
            rows = [session.scalar(select(func.count()).select_from(each)) for each in tables]
        assert tuple(rows) == counts, after
    assert not release(engine, made)
