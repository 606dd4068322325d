"""Many accounts from one place: the credits wait for a proof of the address."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask

from creditapp.clock import StoppedClock
from tests.conftest import Person


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
