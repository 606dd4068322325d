"""Scheduled tasks, called as the schedule calls them."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.clock import StoppedClock
from creditapp.config import Settings
from creditapp.db import snapshot, transaction
from creditapp.runtime import tasks
from creditapp.services import get
from tests.app_factory import Person


def test_the_nightly_seal_is_written_to_a_file_and_holds(app: Flask, alice: Person) -> None:
    assert alice.balance() == 50
    with app.app_context():
        tasks.seal()
        file = get(Settings).data_dir / "seals.log"
        lines = file.read_text().splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("seal 1 ")
        tasks.seal()
        assert file.read_text().splitlines() == lines, "a day without entries needs no seal"
        with snapshot() as session:
            assert ledger.proof.check(session.connection(), with_seals=True).ok


def test_the_expiry_job_records_expired_credits(
    app: Flask, alice: Person, clock: StoppedClock
) -> None:
    with app.app_context():
        with transaction() as session:
            connection = session.connection()
            wallet_id = _wallet(session)
            ledger.grant(
                connection,
                wallet_id,
                ledger.NewGrant(
                    amount_micro=5_000_000,
                    source="promotion",
                    origin="promotion:autumn",
                    expires_at=clock.now() + timedelta(days=1),
                ),
                now=clock.now(),
            )
        assert alice.balance() == 55
        clock.advance(timedelta(days=2))
        tasks.expire_credits()
        with snapshot() as session:
            lines = ledger.statement(session.connection(), wallet_id, limit=1)
            assert (lines[0].type, lines[0].amount_micro) == ("EXPIRY", -5_000_000)
            assert ledger.proof.check(session.connection()).ok


def _wallet(session: Session) -> int:

    return int(session.execute(text("SELECT id FROM wallets")).scalar_one())
