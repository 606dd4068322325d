"""Settings: a member's own name, threshold and password."""

from __future__ import annotations

import pytest
from flask import Flask

from creditapp.clock import StoppedClock
from tests.app_factory import Person
from tests.pages import parse_html
from tests.web.steps import HTMX, PASSWORD, log_in


def test_name_and_threshold_are_kept(alice: Person) -> None:
    answer = alice.post("/settings/profile", {"name": " Alice  A. ", "low_balance": "75.5"})
    assert (answer.status_code, answer.location) == (303, "/settings")
    page = alice.page("/settings")
    assert "Saved." in page.text
    assert (page.value("name"), page.value("low_balance")) == ("Alice A.", "75.5")
    # 50 credits are low now, and the header says so in a word.
    assert "low" in alice.page("/").one("header").text.lower()


def test_a_threshold_of_zero_sends_no_warning(alice: Person) -> None:
    alice.post("/settings/profile", {"name": "", "low_balance": "0"})
    assert alice.page("/settings").value("low_balance") == "0"


@pytest.mark.parametrize(
    ("name", "low_balance", "field"),
    [
        ("a" * 41, "10", "name"),
        ("Al\u202eice", "10", "name"),
        ("Alice", "-1", "low_balance"),
        ("Alice", "ten", "low_balance"),
        ("Alice", "1e2", "low_balance"),
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
    page = parse_html(answer.text)
    assert page.has(f"#field-{field}-error")
    assert (page.value("name"), page.value("low_balance")) == (name, low_balance)
    fresh = alice.page("/settings")
    assert (fresh.value("name"), fresh.value("low_balance")) == ("", "10")


def test_two_wrong_values_are_both_named(alice: Person) -> None:
    answer = alice.post("/settings/profile", {"name": "a" * 41, "low_balance": "1e2"})
    page = parse_html(answer.text)
    assert page.has("#field-name-error")
    assert page.has("#field-low_balance-error")


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
    assert parse_html(answer.text).has(f"#field-{field}-error")
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
    assert len(alice.page("/settings").all("input[type=password]")) == 3


def test_a_theme_is_kept_in_this_browser_and_system_follows_the_system(alice: Person) -> None:
    assert alice.page("/").one("html").has_attribute("class") is False
    for theme in ("dark", "light"):
        alice.post("/settings/theme", {"theme": theme})
        assert alice.page("/credits").one("html")["class"] == f"theme-{theme}"
        assert alice.page("/settings").one(f'input[value="{theme}"]').has_attribute("checked")
    alice.post("/settings/theme", {"theme": '"><script>'})
    assert not alice.page("/").one("html").has_attribute("class")


def test_the_index_leads_to_every_section(alice: Person) -> None:
    page = alice.page("/settings")
    for link in page.all(".settings-index a"):
        assert page.has(link["href"]), link["href"]
    assert len(page.all(".settings-index a")) == len(page.all("main section.card"))
