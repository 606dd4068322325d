"""Sessions in the settings: where a member is logged in, and how each device is logged out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from creditapp.accounts import LoginSession
from creditapp.clock import StoppedClock
from creditapp.db import reading
from tests.app_factory import Person
from tests.web.steps import PASSWORD, log_in, queries

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"


def device(app: Flask, user_agent: str = FIREFOX) -> Person:
    """Log Alice in on another device."""
    person = Person(app)
    person.browser.environ_base["HTTP_USER_AGENT"] = user_agent
    assert log_in(person, "alice@example.com").status_code == 303
    return person


def is_logged_in(person: Person) -> bool:
    return person.browser.get("/dashboard").status_code == 200


def copied(person: Person) -> Person:
    """Return a browser with a copy of the person's session cookie."""
    cookie, thief = person.browser.get_cookie("creditapp_session"), Person(person.app)
    assert cookie is not None
    thief.browser.set_cookie("creditapp_session", cookie.value)
    return thief


@pytest.mark.parametrize("everywhere", ["", "1"])
def test_a_copied_cookie_is_dead_after_the_log_out(app: Flask, everywhere: str) -> None:
    alice = Person(app).sign_up("alice@example.com")
    thief = copied(alice)
    assert is_logged_in(thief)
    assert thief.call("GET", "/api/credits/balance").status_code == 200
    alice.post("/auth/logout", {"everywhere": everywhere})
    assert not is_logged_in(thief)
    assert thief.call("GET", "/api/credits/balance").status_code == 401


def test_the_settings_list_every_device_and_mark_this_one(
    alice: Person, clock: StoppedClock
) -> None:
    clock.advance(timedelta(hours=2))
    device(alice.app)
    rows = [row.text for row in alice.page("/settings").all(".sessions li")]
    assert len(rows) == 2
    assert ["Firefox on Linux" in row for row in rows] == [False, True] or "Firefox" in rows[0]
    (here,) = [row for row in rows if "This device" in row]
    assert "Firefox" not in here


def test_one_device_is_logged_out_from_another(alice: Person, charlie: Person) -> None:
    phone, laptop = device(alice.app), device(alice.app)
    with phone.browser.session_transaction() as session:
        path = f"/settings/sessions/{session['_user_id']}/end"
    assert charlie.post(path).status_code == 404, "another's session is not there"
    assert alice.browser.get(path).status_code == 405
    assert Person(alice.app).post(path).status_code == 401
    assert path in [form["action"] for form in alice.page("/settings").all(".sessions form")]
    assert is_logged_in(phone)
    assert alice.post(path).location == "/settings#sessions"
    assert "That device is logged out." in alice.browser.get("/settings").text
    assert [is_logged_in(each) for each in (alice, phone, laptop)] == [True, False, True]
    assert alice.post(path).status_code == 404


def test_all_other_devices_are_logged_out_at_once(alice: Person, charlie: Person) -> None:
    phone, laptop = device(alice.app), device(alice.app)
    assert alice.post("/settings/sessions/end-others").location == "/settings#sessions"
    others = [is_logged_in(each) for each in (alice, phone, laptop, charlie)]
    assert others == [True, False, False, True]
    assert "Log out all other devices" not in alice.browser.get("/settings").text


def test_logging_in_again_ends_the_session_that_the_browser_had(alice: Person) -> None:
    before = copied(alice)
    assert alice.post(
        "/settings/password", {"current_password": PASSWORD, "password": "another long password"}
    )
    assert is_logged_in(alice)
    assert not is_logged_in(before)
    assert len(alice.page("/settings").all(".sessions li")) == 1


def test_last_used_is_written_every_few_minutes_and_not_at_every_request(
    alice: Person, clock: StoppedClock
) -> None:
    def seen_at_once() -> bool:
        with queries(alice.app) as statements:
            assert is_logged_in(alice)
        return any("UPDATE login_sessions" in statement for statement in statements)

    assert not seen_at_once()
    clock.advance(timedelta(minutes=4))
    assert not seen_at_once()
    clock.advance(timedelta(minutes=1))
    assert [seen_at_once(), seen_at_once()] == [True, False]
    with alice.app.app_context():
        assert reading().query(LoginSession).one().last_seen_at == clock.now()


def test_no_guest_has_a_session_row(guest: Person) -> None:
    guest.page("/")
    with guest.app.app_context():
        assert reading().query(LoginSession).count() == 0
