"""Guests: three images a day by cookie and by network, whoever asks at the same moment."""

from __future__ import annotations

import ipaddress
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.engine import Engine

from creditapp import guests
from creditapp.db import transaction
from creditapp.guests import (
    GuestBudget,
    GuestBudgetReached,
    GuestClaim,
    GuestLimitReached,
    GuestWindow,
    Visitor,
    client_address,
    visitor_of,
)
from tests.databases import at_once
from tests.fakes.guest_process import claim_many, wait_for_all

pytestmark = pytest.mark.databases("sqlite", "postgresql")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = "the secret of the tests"
LIMITS: dict[str, Any] = {"limit": 3, "window_hours": 24}
ANN = Visitor("cookie-ann", "network-home")


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
    elsewhere = Visitor(ANN.cookie_id, "network-work")
    claim(engine, ANN)
    claim(engine, elsewhere, NOW + HOUR)
    claim(engine, elsewhere, NOW + HOUR)
    # The cookie has used three, each network fewer.
    assert left(engine, elsewhere, NOW + HOUR) == (0, NOW + 24 * HOUR)
    with pytest.raises(GuestLimitReached):
        claim(engine, Visitor(ANN.cookie_id, "network-cafe"), NOW + HOUR)
    other = Visitor("cookie-bob", "network-work")
    assert left(engine, other, NOW + HOUR) == (1, NOW + 25 * HOUR)
    claim(engine, other, NOW + HOUR)
    with pytest.raises(GuestLimitReached):
        claim(engine, Visitor("no cookie yet", "network-work"), NOW + HOUR)
    # The refused ones have used nothing.
    assert left(engine, Visitor(ANN.cookie_id, "network-cafe"), NOW + 24 * HOUR) == (3, None)
    assert left(engine, Visitor("no cookie yet", "x"), NOW + HOUR) == (3, None)


def test_a_guest_over_both_limits_waits_for_the_later_end(engine: Engine) -> None:
    for _ in range(3):
        claim(engine, Visitor(ANN.cookie_id, "network-work"), NOW)
    for _ in range(3):
        claim(engine, Visitor("cookie-bob", ANN.network), NOW + HOUR)
    assert left(engine, ANN, NOW + HOUR) == (0, NOW + 25 * HOUR)
    with pytest.raises(GuestLimitReached):
        claim(engine, ANN, NOW + 24 * HOUR)
    claim(engine, ANN, NOW + 25 * HOUR)


def test_a_catalog_may_give_none_or_more(engine: Engine) -> None:
    with pytest.raises(GuestLimitReached):
        claim(engine, limit=0)
    claim(engine, Visitor("cookie-bob", "network-work"), limit=1)
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
    claim(engine, Visitor("cookie-bob", ANN.network), NOW - 20 * HOUR)
    made = claim(engine, ANN, NOW)
    later = NOW + 5 * HOUR
    claim(engine, Visitor("cookie-bob", ANN.network), later)  # the network's window is a new one
    release(engine, made)
    with transaction(engine) as session:
        windows = {row.key: row.used for row in session.scalars(select(GuestWindow))}
    assert windows[ANN.cookie_key] == 0
    assert windows[ANN.network_key] == 1


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
    fresh = Visitor("cookie-new", ANN.network)
    with transaction(engine) as session, pytest.raises(GuestLimitReached):
        guests.claim(session, fresh, NOW, **LIMITS, daily_budget=1000)
    with transaction(engine) as session:
        assert session.get(GuestWindow, fresh.cookie_key) is None


# The budget of all guests.


def test_a_daily_budget_over_all_guests(engine: Engine) -> None:
    for number in range(10):
        claim(engine, Visitor(f"c{number}", f"n{number}"), daily_budget=10)
    late = datetime(2026, 11, 21, 23, 59, 30, tzinfo=UTC)
    with pytest.raises(GuestBudgetReached) as refused:
        claim(engine, Visitor("c10", "n10"), late, daily_budget=10)
    assert (refused.value.status, refused.value.code) == (429, "guest_budget_reached")
    assert refused.value.headers == {"Retry-After": "30"}
    assert refused.value.fields["resetAt"] == "2026-11-22T00:00:00Z"
    assert refused.value.fields["remaining"] == 0
    assert left(engine, Visitor("c10", "n10")) == (3, None)
    claim(engine, Visitor("c10", "n10"), late + timedelta(seconds=30), daily_budget=10)


def test_a_released_claim_returns_to_the_budget(engine: Engine) -> None:
    made = [claim(engine, Visitor(f"c{n}", f"n{n}"), daily_budget=3) for n in range(3)]
    with pytest.raises(GuestBudgetReached):
        claim(engine, Visitor("c3", "n3"), daily_budget=3)
    release(engine, made[1])
    claim(engine, Visitor("c3", "n3"), daily_budget=3)


def test_a_late_failure_returns_to_the_budget_of_its_own_day(engine: Engine) -> None:
    old = claim(engine, Visitor("c0", "n0"), daily_budget=1)
    tomorrow = NOW + 24 * HOUR
    claim(engine, Visitor("c1", "n1"), tomorrow, daily_budget=1)
    release(engine, old)
    with pytest.raises(GuestBudgetReached):
        claim(engine, Visitor("c2", "n2"), tomorrow, daily_budget=1)
    claim(engine, Visitor("c2", "n2"), NOW, daily_budget=1)


def test_a_budget_of_any_size_is_used_to_its_last_image(engine: Engine) -> None:
    for day, budget in enumerate((1, 8, 9, 15)):
        at = NOW + day * 24 * HOUR
        for number in range(budget):
            claim(engine, Visitor(f"c{number}", f"n{number}"), at, daily_budget=budget)
        with pytest.raises(GuestBudgetReached):
            claim(engine, Visitor("late", "late"), at, daily_budget=budget)


def test_no_budget_is_no_guests(engine: Engine) -> None:
    with pytest.raises(GuestBudgetReached):
        claim(engine, daily_budget=0)


def test_one_guest_does_not_wait_for_anothers_commit(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return  # one writer at a time, by its nature
    claim(engine, Visitor("c", "n"))
    with transaction(engine) as session:
        guests.claim(session, Visitor("c0", "n0"), NOW, **LIMITS, daily_budget=1000)
        with transaction(engine) as other:
            other.execute(text("SET LOCAL lock_timeout = '500ms'"))
            assert (
                guests.claim(other, Visitor("c1", "n1"), NOW, **LIMITS, daily_budget=1000).state
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
    visitors = [Visitor(f"c{number}", ANN.network) for number in range(64)]
    told = crowd(processes, engine, visitors)
    assert told == {"claimed": 3, "guest_limit_reached": 61}
    with transaction(engine) as session:
        assert session.scalar(select(func.count()).select_from(GuestWindow)) == 4


def test_one_cookie_on_many_networks_makes_three(
    engine: Engine, processes: ProcessPoolExecutor
) -> None:
    visitors = [Visitor(ANN.cookie_id, f"n{number}") for number in range(64)]
    told = crowd(processes, engine, visitors)
    assert told == {"claimed": 3, "guest_limit_reached": 61}


def test_a_crowd_of_strangers_stops_at_the_budget(
    engine: Engine, processes: ProcessPoolExecutor
) -> None:
    strangers = [Visitor(f"c{number}", f"n{number}") for number in range(64)]
    told = crowd(processes, engine, strangers, budget=21)
    assert told == {"claimed": 21, "guest_budget_reached": 43}


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


# Who a visitor is.


def test_a_browser_is_known_by_its_signed_cookie() -> None:
    first, cookie = visitor_of(None, "192.0.2.7", SECRET)
    assert cookie is not None
    again, nothing_new = visitor_of(cookie, "192.0.2.8", SECRET)
    assert (again.cookie_id, nothing_new) == (first.cookie_id, None)
    assert again.network != first.network


@pytest.mark.parametrize("forged", ["", "x", ".", "é", "a.b", "\ud800", "x" * 100_000, "a\0.b"])
def test_a_forged_cookie_is_replaced(forged: str) -> None:
    visitor, cookie = visitor_of(forged, "192.0.2.7", SECRET)
    assert cookie is not None
    assert visitor.cookie_id in cookie
    assert visitor.cookie_id != forged


def test_a_cookie_of_another_house_or_another_purpose_is_replaced() -> None:
    _, cookie = visitor_of(None, "192.0.2.7", "another secret")
    assert visitor_of(cookie, "192.0.2.7", SECRET)[1] is not None


def test_a_visitor_holds_no_address(engine: Engine) -> None:
    visitor, _ = visitor_of(None, "192.0.2.77", SECRET)
    claim(engine, visitor)
    with transaction(engine) as session:
        rows = [*session.scalars(select(GuestWindow)), *session.scalars(select(GuestClaim))]
        assert "192.0.2" not in " ".join(str(vars(row)) for row in rows)
    assert visitor.network != visitor_of(None, "192.0.2.77", "another secret")[0].network


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:c000:201", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("", "unix:", True),
        ("", "192.0.2.1", False),
    ],
)
def test_a_network_is_an_address_or_an_ipv6_site(one: str, other: str, same: bool) -> None:
    assert (guests.network_of(one, SECRET) == guests.network_of(other, SECRET)) is same


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


@given(st.text(max_size=60), ADDRESSES, st.lists(ADDRESSES, max_size=3), st.integers(1, 4))
def test_a_forged_header_does_not_hide_the_address_seen_by_our_outermost_proxy(
    forged: str, client: str, between: list[str], proxies: int
) -> None:
    """The client writes what it likes; each of our proxies appends whom it was called from."""
    hops = [client, *(between * 4)[: proxies - 1]]
    hops += ["10.0.0.1"] * (proxies - len(hops))
    header = ", ".join(([forged] if forged else []) + hops)
    seen = client_address("10.9.9.9", header, proxies)
    address = ipaddress.ip_address(client)
    mapped = getattr(address, "ipv4_mapped", None)
    assert seen == str(mapped or address)


@given(st.text(max_size=80), st.integers(0, 5))
def test_any_header_gives_an_address_or_the_callers(header: str, proxies: int) -> None:
    seen = client_address("192.0.2.1", header, proxies)
    assert seen == "192.0.2.1" or ipaddress.ip_address(seen)


@pytest.mark.parametrize(
    ("header", "proxies", "client"),
    [
        ("198.51.100.1", 0, "192.0.2.1"),
        (None, 1, "192.0.2.1"),
        ("", 1, "192.0.2.1"),
        ("198.51.100.1", 1, "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1", 1, "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1, 10.0.0.2", 2, "198.51.100.1"),
        ("198.51.100.1", 2, "192.0.2.1"),
        ("198.51.100.1, unknown", 1, "192.0.2.1"),
        ("198.51.100.1,", 1, "192.0.2.1"),
        ("198.51.100.1:4711", 1, "198.51.100.1"),
        ("[2001:db8::1]:4711", 1, "2001:db8::1"),
        ("2001:db8::1", 1, "2001:db8::1"),
        ("1.2.3.4.5", 1, "192.0.2.1"),
        ("127.0.0.1 , 198.51.100.1 ", 1, "198.51.100.1"),
        ("198.51.100.1", -1, "192.0.2.1"),
    ],
)
def test_the_client_behind_declared_proxies(header: str | None, proxies: int, client: str) -> None:
    assert client_address("192.0.2.1", header, proxies) == client


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
