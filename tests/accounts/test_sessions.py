"""Sessions: one row for each log-in, which can be listed and ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import Engine

from creditapp import accounts
from creditapp.accounts import AccountRules, LoginSession, User
from creditapp.db import transaction
from creditapp.http.sessions import find_member
from tests.accounts.conftest import NOW, Join

pytestmark = pytest.mark.databases("sqlite", "postgresql")
DAY = timedelta(days=1)


def begin(engine: Engine, user: User, device: str = "Firefox on Linux") -> str:
    with transaction(engine) as session:
        return accounts.begin_session(session, user, device, now=NOW)


def is_open(engine: Engine, session_id: str) -> bool:
    with transaction(engine) as session:
        return find_member(session, session_id) is not None


def test_a_session_ends_with_its_account(engine: Engine, rules: AccountRules, join: Join) -> None:
    alice = join()
    one = begin(engine, alice)
    assert is_open(engine, one)
    for forged in ("", ".", alice.id, f"{one}.1", one.upper(), f"{alice.id}.1"):
        assert not is_open(engine, forged)
    with transaction(engine) as session:
        session.merge(alice).frozen_at = NOW
    assert not is_open(engine, one)
    with transaction(engine) as session:
        mine = session.get_one(User, alice.id)
        mine.frozen_at = None
        accounts.delete_account(session, mine, rules, now=NOW)
        assert accounts.find(session, alice.id) is None
    assert not is_open(engine, one)


def test_each_session_ends_by_itself_and_only_for_its_owner(engine: Engine, join: Join) -> None:
    alice, bob = join(), join("bob@example.com")
    phone, laptop, bobs = begin(engine, alice), begin(engine, alice), begin(engine, bob)
    with transaction(engine) as session:
        assert not accounts.end_session(session, bob.id, phone, now=NOW)
        assert accounts.end_session(session, alice.id, phone, now=NOW)
        assert not accounts.end_session(session, alice.id, phone, now=NOW)
    assert [is_open(engine, each) for each in (phone, laptop, bobs)] == [False, True, True]


def test_all_others_end_and_this_one_goes_on(engine: Engine, join: Join) -> None:
    alice, bob = join(), join("bob@example.com")
    here, other, bobs = begin(engine, alice), begin(engine, alice), begin(engine, bob)
    with transaction(engine) as session:
        accounts.end_sessions(session, alice.id, now=NOW, keep=here)
    assert [is_open(engine, each) for each in (here, other, bobs)] == [True, False, True]
    with transaction(engine) as session:
        accounts.end_sessions(session, alice.id, now=NOW)
    assert [is_open(engine, each) for each in (here, other, bobs)] == [False, False, True]


def test_the_list_has_what_is_open_and_the_last_used_first(engine: Engine, join: Join) -> None:
    alice = join()
    phone, laptop, ended, old = (begin(engine, alice, name) for name in ("P", "L", "E", "O"))
    with transaction(engine) as session:
        accounts.end_session(session, alice.id, ended, now=NOW)
        for each, seen_at in ((phone, NOW + 29 * DAY), (laptop, NOW + 28 * DAY)):
            accounts.see_session(session, each, now=seen_at)
        accounts.see_session(session, phone, now=NOW)  # a slow request does not turn it back
        listed = accounts.list_sessions(session, alice.id, now=NOW + 31 * DAY)
        assert [(row.id, row.device) for row in listed] == [(phone, "P"), (laptop, "L")]
    assert is_open(engine, old), "the cookie has a lifetime of its own"


def test_sessions_of_expired_cookies_are_swept(engine: Engine, join: Join) -> None:
    alice = join()
    old, used = begin(engine, alice), begin(engine, alice)
    with transaction(engine) as session:
        accounts.see_session(session, used, now=NOW + DAY)
        accounts.sweep_sessions(session, now=NOW + 30 * DAY)
        assert session.scalar(select(func.count()).select_from(LoginSession)) == 2
        accounts.sweep_sessions(session, now=NOW + 30.5 * DAY)
        assert session.scalars(select(LoginSession.id)).all() == [used]
    assert not is_open(engine, old)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/131.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like "
            "Gecko) Version/18.1 Safari/605.1.15",
            "Safari on macOS",
        ),
        ("curl/8.5.0", "Another program"),
        ("", "Another program"),
        ("<script>alert(1)</script>" * 500, "Another program"),
    ],
)
def test_a_device_is_named_by_browser_and_system_alone(user_agent: str, device: str) -> None:
    assert accounts.device_name(user_agent) == device
