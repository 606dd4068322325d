"""Credits that end soon and a balance that fell: told once, at the right moment."""

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
from tests.web.steps import make

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
            count * CREDIT,
            source="promotion",
            origin=f"promotion:{secrets.token_hex(8)}",
            now=now(),
            expires_at=now() + ends_in if ends_in else NEVER,
        )
    assert grant
    return grant.id


def hold(app: Flask, count: float, low: int = 10) -> Charge:
    user_id, wallet_id = wallet(app)
    with app.app_context(), transaction() as session:
        return ledger.hold(
            session.connection(),
            wallet_id,
            int(count * CREDIT),
            key=secrets.token_hex(8),
            digest="",
            operation="text-to-image",
            now=now(),
            actor=user_id,
            low_micro=low * CREDIT,
        )


def end(app: Flask, charge: Charge, *, keep: bool) -> None:
    with app.app_context(), transaction() as session:
        if keep:
            ledger.capture(session.connection(), charge.id, charge.amount_micro, now=now())
        else:
            ledger.release(session.connection(), charge.id, now=now())


def look(app: Flask, outbox: Outbox, event: str) -> list[tuple[str, str]]:
    """Let the jobs look and the mails go; return subject and address of those of one kind."""
    with app.app_context():
        tasks.warn_of_expiry()
        tasks.warn_low_balance()
        emails.deliver_due()
    return [(each.subject.strip(), each.to) for each in outbox.sent if each.event == event]


def test_credits_that_end_are_told_of_thirty_seven_and_one_days_before(
    app: Flask, alice: Person, charlie: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    give(app, 60, 40 * DAY)
    told: dict[int, str] = {}
    for passed in range(42):
        before = len(look(app, outbox, "credits_expiring"))
        look(app, outbox, "credits_expiring")
        mails = look(app, outbox, "credits_expiring")
        assert len(mails) - before == 0, "a second look tells nothing new"
        if len(mails) > len(told):
            assert len(mails) == len(told) + 1
            told[passed] = mails[-1][0]
            assert mails[-1][1] == "alice@example.com"
        clock.advance(DAY)
    assert told == {
        10: "60 credits end within 30 days",
        33: "60 credits end within 7 days",
        39: "60 credits end within a day",
    }


def test_lots_that_end_together_are_one_mail_and_later_ones_another(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    for count, days in ((1, 36), (2, 36), (4, 36.5), (8, 38)):
        give(app, count, days * DAY)
    clock.advance(7 * DAY)
    assert [subject for subject, _ in look(app, outbox, "credits_expiring")] == [
        "7 credits end within 30 days"
    ]
    mail = next(each for each in outbox.sent if each.event == "credits_expiring")
    assert mail.text.count("Until ") == 2
    assert "3 credits" in mail.text
    assert "Together: 7 credits" in mail.text
    clock.advance(2 * DAY)
    assert look(app, outbox, "credits_expiring")[-1][0] == "8 credits end within 30 days"


def test_a_missed_day_is_made_up_for_and_a_missed_moment_is_not_told_late(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    give(app, 60, 40 * DAY)
    clock.advance(15 * DAY)  # nobody looked at 30 days
    assert look(app, outbox, "credits_expiring")[-1][0] == "60 credits end within 30 days"
    clock.advance(24.5 * DAY)  # nor at 7
    assert len(look(app, outbox, "credits_expiring")) == 2
    assert look(app, outbox, "credits_expiring")[-1][0] == "60 credits end within a day"


def test_what_never_had_so_long_is_spent_or_is_frozen_is_not_told_of(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    give(app, 5, 6 * DAY)
    frozen = give(app, 7, 40 * DAY)
    with app.app_context(), transaction() as session:
        ledger.freeze(session.connection(), frozen, now=now())
    assert look(app, outbox, "credits_expiring") == []
    clock.advance(12 * DAY)
    assert look(app, outbox, "credits_expiring") == []


def test_who_switched_it_off_is_not_told(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    alice.post("/settings/notifications")
    give(app, 60, 31 * DAY)
    hold(app, 105)
    clock.advance(DAY)
    assert look(app, outbox, "credits_expiring") == []
    assert look(app, outbox, "low_balance") == []


def test_a_job_that_dies_before_its_commit_tells_it_the_next_time(
    app: Flask,
    alice: Person,
    outbox: Outbox,
    clock: StoppedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give(app, 60, 31 * DAY)
    clock.advance(DAY)
    end(app, hold(app, 1, low=110), keep=True)

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch, app.app_context():
        patch.setattr("creditapp.emails.reminders.tell", dies)
        tasks.warn_of_expiry()
        with pytest.raises(RuntimeError):
            tasks.warn_low_balance()
    clock.advance(ledger.outbox.LEASE)
    for _ in range(3):
        ending = look(app, outbox, "credits_expiring")
        assert [subject for subject, _ in ending] == ["59 credits end within 30 days"]
        low = look(app, outbox, "low_balance")
        assert [subject for subject, _ in low] == ["Your balance is low: 109 credits left"]


def test_a_low_balance_is_told_once_until_it_has_risen(
    app: Flask, alice: Person, outbox: Outbox
) -> None:
    end(app, hold(app, 40), keep=True)
    assert look(app, outbox, "low_balance") == [], "ten are not below ten"
    end(app, hold(app, 1), keep=True)
    assert look(app, outbox, "low_balance") == [
        ("Your balance is low: 9 credits left", "alice@example.com")
    ]
    end(app, hold(app, 1), keep=True)
    assert len(look(app, outbox, "low_balance")) == 1, "it was told already"
    give(app, 5)
    end(app, hold(app, 4), keep=True)
    assert [each[0] for each in look(app, outbox, "low_balance")] == [
        "Your balance is low: 9 credits left"
    ] * 2


def test_what_is_set_aside_and_comes_back_alarms_nobody(
    app: Flask, alice: Person, outbox: Outbox, clock: StoppedClock
) -> None:
    charge = hold(app, 45)
    assert look(app, outbox, "low_balance") == []
    end(app, charge, keep=False)
    clock.advance(ledger.outbox.LEASE)
    assert look(app, outbox, "low_balance") == []

    hold(app, 45)
    assert look(app, outbox, "low_balance") == []
    for _ in range(4):
        clock.advance(ledger.outbox.LEASE)
        look(app, outbox, "low_balance")
    assert len(look(app, outbox, "low_balance")) == 1, "a hold that stays is as good as spent"


def test_a_picture_that_makes_the_balance_low_is_told_at_the_persons_own_threshold(
    app: Flask, alice: Person, outbox: Outbox, queue: Queue
) -> None:
    alice.post("/settings/profile", {"name": "Alice", "low_balance": "50"})
    make(alice, queue)
    assert len(look(app, outbox, "low_balance")) == 1
    mail = outbox.sent[-1]
    assert "falls below 50 credits" in mail.text
    assert "Hello Alice," in mail.text
    make(alice, queue)
    assert len(look(app, outbox, "low_balance")) == 1


def test_the_nightly_forgetting_keeps_what_is_still_to_be_told(
    app: Flask, alice: Person, clock: StoppedClock
) -> None:
    hold(app, 45)
    clock.advance(40 * DAY)
    with app.app_context():
        tasks.forget()
        with transaction() as session:
            topics = session.execute(text("SELECT DISTINCT topic FROM outbox")).scalars().all()
    assert topics == ["low_balance"]
