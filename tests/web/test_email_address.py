"""The email address: the line that asks to confirm it, and its change."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from creditapp.clock import StoppedClock
from tests.app_factory import Outbox, Person, Queue
from tests.pages import parse_html
from tests.web.steps import PASSWORD, emailed_paths, log_in

CHANGE = {"new_email": "Alice@New.example", "email_password": PASSWORD}


def test_a_line_asks_to_confirm_until_it_is_done(
    alice: Person, guest: Person, queue: Queue, outbox: Outbox
) -> None:
    for path in ("/", "/dashboard"):
        line = alice.page(path).one(".confirm-email")
        assert "Confirm alice@example.com for 60 credits more." in line.text
        assert "Send again" in line.text
        assert line.one('a[href="/settings#email"]').text == "Change address"
        assert not guest.browser.get(path).text.count("confirm-email")
    assert "confirm-email" not in alice.browser.get("/credits").text
    alice.post(emailed_paths(outbox, queue, "verify", "alice@example.com")[0])
    for path in ("/", "/dashboard", "/settings"):
        assert "confirm-email" not in alice.browser.get(path).text


def test_a_demo_opens_the_email_itself(alice: Person, guest: Person) -> None:
    link = alice.page("/").one('.confirm-email a[href="/settings/email/sent"]')["href"]
    outside = {"X-Forwarded-For": "203.0.113.9"}
    assert alice.browser.get(link, headers=outside).status_code == 404
    email = alice.browser.get(link)
    assert "Confirm email address" in email.text
    (path,) = {each["href"] for each in parse_html(email.text).all('a[href*="/auth/verify/"]')}
    alice.post(path.removeprefix("http://localhost"))
    assert alice.balance() == 110
    assert alice.browser.get(link).status_code == 404
    assert guest.browser.get(link).status_code == 303


def test_a_new_address_counts_once_its_mailbox_confirmed_it(
    app: Flask, alice: Person, queue: Queue, outbox: Outbox
) -> None:
    alice.post(emailed_paths(outbox, queue, "verify", "alice@example.com")[0])
    assert alice.post("/settings/email", CHANGE).location == "/settings#email"
    assert "Waiting for the confirmation of Alice@New.example" in alice.page("/settings").text
    (link,) = emailed_paths(outbox, queue, "address_change", "Alice@new.example")
    told = [email for email in outbox.sent if email.event == "address_changing"]
    assert [email.to for email in told] == ["alice@example.com"]
    assert "New.example" not in told[0].text
    assert log_in(Person(app), "alice@new.example").status_code == 401
    # A program that follows the link changes nothing.
    assert "Alice@New.example" in Person(app).browser.get(link).text
    assert log_in(Person(app), "alice@example.com").status_code == 303
    assert "Your email address is changed" in Person(app).post(link).text
    queue.run()
    last = outbox.sent[-1]
    assert (last.event, last.to) == ("address_changed", "alice@example.com")
    assert "new.example" not in last.text.lower()
    assert log_in(Person(app), "alice@new.example").status_code == 303
    assert log_in(Person(app), "alice@example.com").status_code == 401
    assert alice.browser.get("/dashboard").status_code == 200
    assert alice.balance() == 110
    again = Person(app).post(link)
    assert (again.status_code, "This link has expired" in again.text) == (401, True)


def test_a_changed_address_gives_no_credits_to_anybody(
    app: Flask, alice: Person, queue: Queue, outbox: Outbox
) -> None:
    alice.post("/settings/email", CHANGE)
    alice.post(emailed_paths(outbox, queue, "address_change", "Alice@new.example")[0])
    assert alice.balance() == 50
    assert "confirm-email" not in alice.browser.get("/").text
    again = {"new_email": "alice@third.example", "email_password": PASSWORD}
    alice.post("/settings/email", again)
    alice.post(emailed_paths(outbox, queue, "address_change", "alice@third.example")[0])
    later = Person(app).sign_up("alice+2@new.example")
    assert later.balance() == 0
    later.post(emailed_paths(outbox, queue, "verify", "alice+2@new.example")[0])
    assert later.balance() == 0


def test_a_taken_address_looks_the_same_and_its_owner_is_told(
    alice: Person, charlie: Person, queue: Queue, outbox: Outbox
) -> None:
    fields = {"new_email": charlie.email, "email_password": PASSWORD}
    assert alice.post("/settings/email", fields).location == "/settings#email"
    assert f"Waiting for the confirmation of {charlie.email}" in alice.page("/settings").text
    assert emailed_paths(outbox, queue, "address_change", charlie.email) == []
    assert len(emailed_paths(outbox, queue, "account_exists", charlie.email)) == 1


def test_an_address_that_was_taken_meanwhile_is_not_changed_to(
    app: Flask, alice: Person, queue: Queue, outbox: Outbox
) -> None:
    alice.post("/settings/email", CHANGE)
    (link,) = emailed_paths(outbox, queue, "address_change", "Alice@new.example")
    Person(app).sign_up("alice@new.example")
    assert alice.post(link).status_code == 401
    assert log_in(Person(app), "alice@example.com").status_code == 303


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email_password": "not my password"}, "email_password"),
        ({"new_email": "no address"}, "new_email"),
        ({"new_email": "ALICE@example.com"}, "new_email"),
    ],
)
def test_a_refused_change_is_named_and_changes_nothing(
    app: Flask, queue: Queue, outbox: Outbox, changes: dict[str, str], field: str
) -> None:
    alice = Person(app).sign_up("alice@example.com")
    answer = alice.post("/settings/email", {**CHANGE, **changes})
    assert answer.status_code == 422
    page = parse_html(answer.text)
    assert page.has(f"#field-{field}-error")
    assert page.value("new_email") == {**CHANGE, **changes}["new_email"]
    queue.run()
    assert {email.event for email in outbox.sent} == {"verify"}


def test_a_new_password_makes_the_link_of_a_change_void(
    app: Flask, alice: Person, queue: Queue, outbox: Outbox, clock: StoppedClock
) -> None:
    alice.post("/settings/email", CHANGE)
    (link,) = emailed_paths(outbox, queue, "address_change", "Alice@new.example")
    alice.post(
        "/settings/password", {"current_password": PASSWORD, "password": "another one, long"}
    )
    assert Person(app).post(link).status_code == 401
    clock.advance(timedelta(days=1))
    again = {**CHANGE, "email_password": "another one, long"}
    assert alice.post("/settings/email", again).status_code == 303


def test_no_account_sends_emails_to_many_addresses(alice: Person, guest: Person) -> None:
    for number in range(3):
        fields = {**CHANGE, "new_email": f"a{number}@example.org"}
        assert alice.post("/settings/email", fields).status_code == 303
    assert alice.post("/settings/email", CHANGE).status_code == 429
    assert guest.post("/settings/email", CHANGE).status_code == 401


def test_an_error_is_above_the_button_and_the_page_begins_where_it_is(
    app: Flask, alice: Person
) -> None:
    page = parse_html(log_in(Person(app), "alice@example.com", "a wrong password").text)
    assert page.one("[autofocus]")["name"] == "password"
    assert page.one("form #problem").text.strip() == "The address or the password is wrong"
    assert len(page.all("#problem")) == 1
    fresh = Person(app).page("/auth/login")
    assert fresh.one("[autofocus]")["name"] == "email"
    assert "to start with" not in fresh.text
    short = Person(app).post("/auth/signup", {"email": "dora@example.com", "password": "short"})
    assert parse_html(short.text).one("[autofocus]")["name"] == "password"


def test_a_password_can_be_shown_with_scripts_and_is_a_plain_input_without(guest: Person) -> None:
    page = guest.page("/auth/login")
    field, button = page.one("input[type=password]"), page.one("button[data-show]")
    assert button["data-show"] == field["id"]
    assert (button["type"], button["aria-pressed"]) == ("button", "false")
