"""Many accounts from one place, or of one person: what they get, are told, and cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from flask import Flask

from creditapp.accounts import passwords
from creditapp.clock import StoppedClock
from tests.app_factory import Outbox, Person, Queue
from tests.web.steps import PASSWORD, emailed_paths


def test_past_a_networks_daily_share_the_welcome_waits_for_the_confirmation(
    app: Flask, clock: StoppedClock
) -> None:
    for number in range(20):
        Person(app).sign_up(f"crowd{number}@example.com")
    clock.advance(timedelta(hours=2))
    late = Person(app).sign_up("late@example.com")
    assert late.balance() == 0
    assert "Then you get 110 credits." in notice(late)
    clock.advance(timedelta(days=1))
    assert Person(app).sign_up("tomorrow@example.com").balance() == 50


def test_a_second_account_of_one_person_is_promised_nothing(
    app: Flask, queue: Queue, outbox: Outbox, clock: StoppedClock
) -> None:
    first = Person(app).sign_up("dora@example.com")
    assert notice(first).startswith(
        "Welcome. You have 50 credits to start with. Confirm your email address to get 60 more."
    )
    second = Person(app).sign_up("dora+2@example.com")
    assert "Then you get 60 credits." in notice(second)
    assert "for 60 credits" in second.browser.get("/settings").text
    (link,) = emailed_paths(outbox, queue, "verify", "dora+2@example.com")
    assert "You get 60 credits for it" in second.browser.get(link).text

    first.post(emailed_paths(outbox, queue, "verify", "dora@example.com")[0])
    assert "60 credits added." in notice(first)
    assert "credits" not in second.page(link).one("main").text
    assert "Confirm dora+2@example.com." in second.page("/settings").one(".confirm-email").text
    assert second.post(link).status_code == 303
    assert notice(second) == "Your email address is confirmed."
    third = Person(app).sign_up("dora+3@example.com")
    assert notice(third) == "Welcome. Your account is ready."
    assert (first.balance(), second.balance(), third.balance()) == (110, 0, 0)


def test_a_link_that_has_ended_says_so_before_a_button_is_pressed(
    app: Flask, alice: Person, queue: Queue, outbox: Outbox
) -> None:
    (link,) = emailed_paths(outbox, queue, "verify", "alice@example.com")
    alice.post(link)
    for path in (link, "/auth/verify/made-up"):
        answer = Person(app).browser.get(path)
        assert (answer.status_code, "This link has expired" in answer.text) == (401, True)


def test_a_network_that_is_slowed_hashes_no_more_passwords(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = count_hashes(monkeypatch)
    person = Person(app)
    for number in range(20):
        Person(app).sign_up(f"crowd{number}@example.com")
    assert len(hashed) == 20
    late = {"email": "late@example.com", "password": PASSWORD}
    assert person.post("/auth/signup", late).status_code == 429
    taken = {"email": "crowd1@example.com", "password": PASSWORD}
    assert person.post("/auth/signup", taken).status_code == 429
    # A wrong field is still named first, and is no try.
    assert person.post("/auth/signup", {**late, "password": "short"}).status_code == 422
    assert len(hashed) == 20


def test_a_taken_address_costs_the_same_hash_as_a_new_one(
    app: Flask, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = count_hashes(monkeypatch)
    for email in ("alice@example.com", "dora@example.com"):
        Person(app).post("/auth/signup", {"email": email, "password": PASSWORD})
    assert len(hashed) == 2


def notice(person: Person) -> str:
    """Return the words of the one notice on the next page."""
    return person.page("/").one(".toast p").text


def count_hashes(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the list to which each new hash adds its parameters."""
    hashed: list[object] = []

    class Counted:
        verify_phc_encoded = Argon2id.verify_phc_encoded

        def __new__(cls, **parameters: Any) -> Any:
            hashed.append(parameters)
            return Argon2id(**parameters)

    monkeypatch.setattr(passwords, "Argon2id", Counted)
    return hashed
