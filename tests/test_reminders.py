"""Reminders of expiring credits and of a low balance: sent once, at the right moment."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import text

from creditapp import accounts, emails, ledger
from creditapp.clock import NEVER, StoppedClock, now
from creditapp.db import transaction
from creditapp.ledger import Charge
from creditapp.runtime import tasks
from tests.app_factory import Outbox, Person, Queue
from tests.web.steps import emailed_paths, make

pytestmark = pytest.mark.databases("sqlite", "postgresql")

CREDIT = 1_000_000
DAY = timedelta(days=1)


def wallet(app: Flask, email: str = "alice@example.com") -> tuple[str, int]:
    with app.app_context(), transaction() as session:
        user = accounts.find_by_email(session, email)
        assert user
        return user.id, ledger.ensure_wallet(session.connection(), "user", user.id, now=now())


def give(app: Flask, count: int, ends_in: timedelta | None = None) -> int:
    """Give Alice credits; return the grant's id."""
    _, wallet_id = wallet(app)
    with app.app_context(), transaction() as session:
        grant = ledger.grant(
            session.connection(),
            wallet_id,
            ledger.NewGrant(
                amount_micro=count * CREDIT,
                source="promotion",
                origin=f"promotion:{secrets.token_hex(8)}",
                expires_at=now() + ends_in if ends_in else NEVER,
            ),
            now=now(),
        )
    assert grant
    return grant.id


def hold(app: Flask, count: float, low: int = 10) -> Charge:
    user_id, wallet_id = wallet(app)
    with app.app_context(), transaction() as session:
        return ledger.hold(
            session.connection(),
            wallet_id,
            ledger.NewCharge(
                amount_micro=int(count * CREDIT),
                key=secrets.token_hex(8),
                digest="",
                operation="text-to-image",
                actor=user_id,
                low_micro=low * CREDIT,
            ),
            now=now(),
        )


def settle(app: Flask, charge: Charge, *, capture: bool) -> None:
    with app.app_context(), transaction() as session:
        if capture:
            ledger.capture(session.connection(), charge.id, charge.amount_micro, now=now())
        else:
            ledger.release(session.connection(), charge.id, now=now())


def send_reminders(app: Flask, outbox: Outbox, event: str) -> list[tuple[str, str]]:
    """Run the jobs and send the emails; return subject and address of those of one event."""
    with app.app_context():
        tasks.warn_of_expiry()
        tasks.warn_low_balance()
        emails.deliver_due()
    return [
        (message.subject.strip(), message.to) for message in outbox.sent if message.event == event
    ]


def test_expiring_credits_are_reminded_of_thirty_seven_and_one_days_before(
    app: Flask, alice: Person, charlie: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    give(app, 60, 40 * DAY)
    reminders: dict[int, str] = {}
    for passed in range(42):
        before = len(send_reminders(app, outbox, "credits_expiring"))
        send_reminders(app, outbox, "credits_expiring")
        messages = send_reminders(app, outbox, "credits_expiring")
        assert len(messages) - before == 0, "a second run sends nothing new"
        if len(messages) > len(reminders):
            assert len(messages) == len(reminders) + 1
            reminders[passed] = messages[-1][0]
            assert messages[-1][1] == "alice@example.com"
        clock.advance(DAY)
    assert reminders == {
        10: "60 credits expire within 30 days",
        33: "60 credits expire within 7 days",
        39: "60 credits expire within a day",
    }


def test_credits_that_expire_together_are_one_email_and_later_ones_another(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    for count, days in ((1, 36), (2, 36), (4, 36.5), (8, 38)):
        give(app, count, days * DAY)
    clock.advance(7 * DAY)
    assert [subject for subject, _ in send_reminders(app, outbox, "credits_expiring")] == [
        "7 credits expire within 30 days"
    ]
    message = next(message for message in outbox.sent if message.event == "credits_expiring")
    assert message.text.count("Until ") == 2
    assert "3 credits" in message.text
    assert "Total: 7 credits" in message.text
    clock.advance(2 * DAY)
    assert (
        send_reminders(app, outbox, "credits_expiring")[-1][0] == "8 credits expire within 30 days"
    )


def test_a_missed_day_is_made_up_for_but_a_past_reminder_is_not_sent_late(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    give(app, 60, 40 * DAY)
    clock.advance(15 * DAY)  # nobody looked at 30 days
    assert (
        send_reminders(app, outbox, "credits_expiring")[-1][0] == "60 credits expire within 30 days"
    )
    clock.advance(24.5 * DAY)  # nor at 7
    assert len(send_reminders(app, outbox, "credits_expiring")) == 2
    assert (
        send_reminders(app, outbox, "credits_expiring")[-1][0] == "60 credits expire within a day"
    )


def test_short_lived_and_frozen_credits_get_no_reminder(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    give(app, 5, 6 * DAY)
    frozen = give(app, 7, 40 * DAY)
    with app.app_context(), transaction() as session:
        ledger.freeze(session.connection(), frozen, now=now())
    assert send_reminders(app, outbox, "credits_expiring") == []
    clock.advance(12 * DAY)
    assert send_reminders(app, outbox, "credits_expiring") == []


def test_a_frozen_account_is_reminded_after_it_is_unfrozen(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    give(app, 60, 40 * DAY)
    _, wallet_id = wallet(app)
    with app.app_context(), transaction() as session:
        ledger.freeze_wallet(session.connection(), wallet_id, now=now())
    clock.advance(20 * DAY)  # while the account is frozen, no credits lose time
    assert send_reminders(app, outbox, "credits_expiring") == []
    with app.app_context(), transaction() as session:
        ledger.unfreeze_wallet(session.connection(), wallet_id, now=now())
    assert send_reminders(app, outbox, "credits_expiring") == []
    clock.advance(10 * DAY)
    assert [subject for subject, _ in send_reminders(app, outbox, "credits_expiring")] == [
        "60 credits expire within 30 days"
    ]


def test_an_unsubscribed_user_gets_no_reminder(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    alice.post("/settings/notifications")
    give(app, 60, 31 * DAY)
    hold(app, 105)
    clock.advance(DAY)
    assert send_reminders(app, outbox, "credits_expiring") == []
    assert send_reminders(app, outbox, "low_balance") == []


def test_a_job_that_dies_before_its_commit_sends_the_reminder_next_time(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(app, 60, 31 * DAY)
    clock.advance(DAY)
    settle(app, hold(app, 1, low=110), capture=True)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch, app.app_context():
        patch.setattr("creditapp.emails.reminders.notify", fail)
        tasks.warn_of_expiry()
        with pytest.raises(RuntimeError):
            tasks.warn_low_balance()
    clock.advance(ledger.outbox.LEASE)
    for _ in range(3):
        ending = send_reminders(app, outbox, "credits_expiring")
        assert [subject for subject, _ in ending] == ["59 credits expire within 30 days"]
        low = send_reminders(app, outbox, "low_balance")
        assert [subject for subject, _ in low] == ["Your balance is low: 109 credits left"]


def test_a_low_balance_is_reminded_of_once_until_it_rises(
    app: Flask, alice: Person, outbox: Outbox
) -> None:
    settle(app, hold(app, 40), capture=True)
    assert send_reminders(app, outbox, "low_balance") == [], "ten are not below ten"
    settle(app, hold(app, 1), capture=True)
    assert send_reminders(app, outbox, "low_balance") == [
        ("Your balance is low: 9 credits left", "alice@example.com")
    ]
    settle(app, hold(app, 1), capture=True)
    assert len(send_reminders(app, outbox, "low_balance")) == 1, "it was sent already"
    give(app, 5)
    settle(app, hold(app, 4), capture=True)
    assert [subject for subject, _ in send_reminders(app, outbox, "low_balance")] == [
        "Your balance is low: 9 credits left"
    ] * 2


def test_held_credits_that_return_cause_no_reminder(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    charge = hold(app, 45)
    assert send_reminders(app, outbox, "low_balance") == []
    settle(app, charge, capture=False)
    clock.advance(ledger.outbox.LEASE)
    assert send_reminders(app, outbox, "low_balance") == []

    hold(app, 45)
    assert send_reminders(app, outbox, "low_balance") == []
    for _ in range(4):
        clock.advance(ledger.outbox.LEASE)
        send_reminders(app, outbox, "low_balance")
    assert len(send_reminders(app, outbox, "low_balance")) == 1, (
        "a hold that stays is as good as spent"
    )


def test_an_image_that_makes_the_balance_low_is_reminded_of_at_the_users_threshold(
    app: Flask, alice: Person, outbox: Outbox, queue: Queue
) -> None:
    alice.post(emailed_paths(outbox, queue, "verify", "alice@example.com")[0])
    alice.post("/settings/profile", {"name": "Alice", "low_balance": "110"})
    make(alice, queue)
    assert len(send_reminders(app, outbox, "low_balance")) == 1
    message = outbox.sent[-1]
    assert "falls below 110 credits" in message.text
    assert "Hello Alice," in message.text
    make(alice, queue)
    assert len(send_reminders(app, outbox, "low_balance")) == 1


def test_the_nightly_cleanup_keeps_unsent_reminders(
    app: Flask, alice: Person, clock: StoppedClock
) -> None:
    hold(app, 45)
    clock.advance(40 * DAY)
    with app.app_context():
        tasks.forget()
        with transaction() as session:
            topics = session.execute(text("SELECT DISTINCT topic FROM outbox")).scalars().all()
    assert topics == ["low_balance"]
