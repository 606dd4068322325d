"""Many accounts from one place: the credits wait for a proof of the address."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from creditapp.accounts import passwords
from creditapp.clock import StoppedClock
from tests.conftest import Person
from tests.web.steps import PASSWORD


def test_past_a_networks_daily_share_the_welcome_waits_for_the_confirmation(
    app: Flask, clock: StoppedClock
) -> None:
    for number in range(20):
        Person(app).sign_up(f"crowd{number}@example.com")
    clock.advance(timedelta(hours=2))
    late = Person(app).sign_up("late@example.com")
    assert late.balance() == 0
    clock.advance(timedelta(days=1))
    assert Person(app).sign_up("tomorrow@example.com").balance() == 50


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


def count_hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that every password is added to when it is hashed."""
    hashed: list[str] = []
    real = passwords._hash

    def counted(password: str) -> str:
        hashed.append(password)
        return real(password)

    monkeypatch.setattr(passwords, "_hash", counted)
    return hashed
