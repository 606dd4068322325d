"""Settings: a member's own name, threshold and password."""

from __future__ import annotations

import pytest
from flask import Flask

from creditapp.clock import StoppedClock
from tests.app_factory import Person
from tests.web.steps import HTMX, PASSWORD, log_in


def value_of(field: str, page: str) -> str:
    return page.split(f'name="{field}"')[1].split('value="')[1].split('"')[0]


def test_name_and_threshold_are_kept(alice: Person) -> None:
    answer = alice.post("/settings/profile", {"name": " Alice  A. ", "low_balance": "75.5"})
    assert (answer.status_code, answer.location) == (303, "/settings")
    page = alice.browser.get("/settings").text
    assert "Saved." in page
    assert 'value="Alice A."' in page
    assert 'value="75.5"' in page
    # 50 credits are low now, and the header says so in a word.
    assert "low" in alice.browser.get("/").text.split("<main")[0].lower()


def test_zero_means_never_told(alice: Person) -> None:
    alice.post("/settings/profile", {"name": "", "low_balance": "0"})
    assert value_of("low_balance", alice.browser.get("/settings").text) == "0"


@pytest.mark.parametrize(
    ("name", "low_balance", "field"),
    [
        ("a" * 121, "10", "name"),
        ("Al\u202eice", "10", "name"),
        ("Alice", "-1", "low_balance"),
        ("Alice", "ten", "low_balance"),
        ("Alice", "1.0000001", "low_balance"),
        ("Alice", "NaN", "low_balance"),
        ("Alice", "1" * 40, "low_balance"),
    ],
)
def test_a_wrong_value_is_named_kept_and_changes_nothing(
    app: Flask, name: str, low_balance: str, field: str
) -> None:
    alice = Person(app).sign_up("alice@example.com")
    answer = alice.post("/settings/profile", {"name": name, "low_balance": low_balance})
    assert answer.status_code == 422
    assert f'id="field-{field}-error"' in answer.text
    assert f'value="{name}"' in answer.text
    assert f'value="{low_balance}"' in answer.text
    fresh = alice.browser.get("/settings").text
    assert value_of("low_balance", fresh) == "10"
    assert value_of("name", fresh) == ""


def test_changing_the_password_ends_the_other_sessions_and_not_this_one(
    app: Flask, alice: Person
) -> None:
    phone = Person(app)
    log_in(phone, "alice@example.com")
    assert phone.browser.get("/settings").status_code == 200
    fields = {"current_password": PASSWORD, "password": "a brand new password"}
    assert alice.post("/settings/password", fields).location == "/settings"
    assert "Your password is changed." in alice.browser.get("/settings").text
    assert phone.browser.get("/settings").status_code == 303
    assert log_in(Person(app), "alice@example.com").status_code == 401
    assert log_in(Person(app), "alice@example.com", "a brand new password").status_code == 303


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [
        ("not my password", "a brand new password", "current_password"),
        ("", "a brand new password", "current_password"),
        (PASSWORD, "short", "password"),
        (PASSWORD, "alice@example.com", "password"),
    ],
)
def test_a_password_is_changed_only_by_who_knows_it_and_to_a_good_one(
    app: Flask, current: str, new: str, field: str
) -> None:
    alice = Person(app).sign_up("alice@example.com")
    answer = alice.post("/settings/password", {"current_password": current, "password": new})
    assert answer.status_code == 422
    assert f'id="field-{field}-error"' in answer.text
    assert new not in answer.text.replace("alice@example.com", "") or not new
    assert log_in(Person(app), "alice@example.com").status_code == 303


def test_guessing_the_password_on_an_unlocked_screen_is_stopped(
    app: Flask, clock: StoppedClock
) -> None:
    alice = Person(app).sign_up("alice@example.com")
    fields = {"current_password": "not my password", "password": "a brand new password"}
    for _ in range(10):
        assert alice.post("/settings/password", fields).status_code == 422
    stopped = alice.post("/settings/password", {**fields, "current_password": PASSWORD})
    assert stopped.status_code == 429
    assert int(stopped.headers["Retry-After"]) > 0
    assert 'data-code="rate_limited"' in stopped.text


def test_strangers_and_other_methods_are_refused(guest: Person, alice: Person) -> None:
    assert guest.browser.get("/settings").location == "/auth/login?next=/settings"
    for path in ("/settings/profile", "/settings/password"):
        assert guest.post(path).status_code == 401
        assert guest.post(path, headers=HTMX).status_code == 401
        assert alice.browser.get(path).status_code == 405
    assert alice.browser.get("/settings").text.count('type="password"') == 2
