"""Whatever is altered by hand, the proof names the wallet; what was sealed cannot be rewritten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, text

from creditapp import ledger
from creditapp.db import transaction
from creditapp.ledger import triggers
from tests.ledger.cast import DAY, START, Person

ALTERATIONS = {
    "a balance": "UPDATE wallets SET available_micro = available_micro + 1 WHERE id = :wallet",
    "what is held": "UPDATE wallets SET held_micro = held_micro + 1 WHERE id = :wallet",
    "what is frozen": "UPDATE wallets SET frozen_micro = frozen_micro + 1 WHERE id = :wallet",
    "what is owed": "UPDATE wallets SET owed_micro = owed_micro + 1 WHERE id = :wallet",
    "the number of lines": "UPDATE wallets SET seq = seq + 1 WHERE id = :wallet",
    "a lifetime number": "UPDATE wallets SET lifetime_spent_micro = 0 WHERE id = :wallet",
    "a late clock": "UPDATE wallets SET next_expiry_at = '9999-12-31 00:00:00.000000'"
    " WHERE id = :wallet",
    "what remains of a grant": "UPDATE grants"
    " SET remaining_micro = remaining_micro - 1 WHERE remaining_micro > 0"
    " AND wallet_id = :wallet",
    "what a grant was": "UPDATE grants"
    " SET amount_micro = amount_micro + 5 WHERE wallet_id = :wallet",
    "a grant's source": "UPDATE grants SET source = 'gift' WHERE source = 'purchase'"
    " AND wallet_id = :wallet",
    "a grant's freeze": "UPDATE grants SET frozen_at = created_at WHERE source = 'purchase'"
    " AND wallet_id = :wallet",
    "a reversal": "UPDATE grants SET revoked_target_micro = 2 WHERE source = 'promotion'"
    " AND wallet_id = :wallet",
    "a debt": "UPDATE grants"
    " SET owed_micro = owed_micro + 1 WHERE remaining_micro = 0 AND source = 'welcome'"
    " AND wallet_id = :wallet",
    "a hold that was taken over": "UPDATE charges SET state = 'captured' WHERE state = 'open'"
    " AND wallet_id = :wallet",
    "a spend made a release": "UPDATE charges SET state = 'released', captured_micro = 0"
    " WHERE operation = 'image' AND state = 'captured' AND wallet_id = :wallet",
    "what a charge keeps": "UPDATE charges"
    " SET captured_micro = captured_micro - 1 WHERE state = 'captured'"
    " AND wallet_id = :wallet",
    "what an allocation keeps": "UPDATE allocations"
    " SET captured_micro = captured_micro - 1 WHERE charge_id ="
    " (SELECT MIN(id) FROM charges WHERE wallet_id = :wallet)",
    "an allocation's grant": "DELETE FROM allocations WHERE charge_id ="
    " (SELECT MIN(id) FROM charges WHERE wallet_id = :wallet)",
    "a line's amount": "UPDATE entries"
    " SET amount_micro = amount_micro - 1 WHERE seq = 2 AND kind = 'grant'"
    " AND wallet_id = :wallet",
    "a line's balance": "UPDATE entries"
    " SET balance_after_micro = balance_after_micro + 1 WHERE seq = 2"
    " AND wallet_id = :wallet",
    "two lines that cancel out": "UPDATE entries"
    " SET amount_micro = amount_micro + CASE seq WHEN 1 THEN 1"
    " ELSE -1 END, balance_after_micro = balance_after_micro + CASE seq WHEN 1 THEN 1 ELSE 0 END"
    " WHERE seq IN (1, 2) AND wallet_id = :wallet",
    "a line's kind": "UPDATE entries SET kind = 'purchase', account = 'sales' WHERE kind = 'grant'"
    " AND wallet_id = :wallet",
    "a line's charge": "UPDATE entries SET charge_id = NULL WHERE kind = 'spend'"
    " AND wallet_id = :wallet",
    "a line in the middle": "DELETE FROM entries WHERE seq = 2 AND wallet_id = :wallet",
    "the last line": "DELETE FROM entries WHERE wallet_id = :wallet AND seq ="
    " (SELECT seq FROM wallets WHERE id = :wallet)",
    "the last line and its number": "DELETE FROM entries WHERE wallet_id = :wallet AND seq ="
    " (SELECT seq FROM wallets WHERE id = :wallet);"
    "UPDATE wallets SET seq = seq - 1 WHERE id = :wallet",
}


@pytest.fixture
def story(engine: Engine) -> Engine:
    """Alice and Bob with some of everything in their history."""
    with transaction(engine) as session:
        connection = session.connection()
        for name in ("alice", "bob"):
            person = Person(connection, name)
            person.buys(50, expires_at=START + 90 * DAY)
            person.gets(10)
            person.gets(7, "promotion")
            person.spends(10)
            person.holds(3)
            held = person.holds(5)
            ledger.capture(connection, held.id, 4, now=START)
            ledger.release(connection, person.holds(2).id, now=START)
            person.spends(2)
    return engine


def wallet_of(connection: Connection, name: str) -> int:
    wallet = ledger.find_wallet(connection, "user", name)
    assert wallet is not None
    return wallet


@contextmanager
def by_hand(engine: Engine) -> Iterator[Connection]:
    """Write as somebody who owns the database: no trigger, no constraint, and back again."""
    with transaction(engine) as session:
        connection = session.connection()
        drop(connection)
        yield connection
        restore(connection)


def drop(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    else:
        connection.exec_driver_sql(_DROP_CHECKS)
    for statement in triggers.REMOVE[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def restore(connection: Connection) -> None:
    ledger.install_triggers(connection)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = OFF")


_DROP_CHECKS = """
DO $$ DECLARE c record; BEGIN
  FOR c IN SELECT conrelid::regclass AS owner, conname FROM pg_constraint WHERE contype = 'c'
    AND connamespace = 'public'::regnamespace
  LOOP EXECUTE format('ALTER TABLE %%s DROP CONSTRAINT %%I', c.owner, c.conname); END LOOP;
END $$
"""


@pytest.mark.parametrize("what", ALTERATIONS)
def test_the_proof_names_the_wallet_in_which_something_was_altered(
    story: Engine, what: str
) -> None:
    with by_hand(story) as connection:
        alice = wallet_of(connection, "alice")
        changed = 0
        for statement in ALTERATIONS[what].split(";"):
            parameters = {"wallet": alice} if ":wallet" in statement else {}
            changed += connection.execute(text(statement), parameters).rowcount
        assert changed, "the alteration found nothing to alter"
    with story.connect() as connection:
        report = ledger.proof.check(connection)
    assert not report.ok
    named = {finding.wallet_id for result in report.results for finding in result.findings}
    assert named == {alice}
    assert f"wallet {alice}:" in report.as_text()
    assert report.as_dict()["ok"] is False


def test_an_untouched_ledger_is_whole_and_counted(story: Engine) -> None:
    with story.connect() as connection:
        report = ledger.proof.check(connection, with_seals=True)
    assert report.ok, report.as_text()
    counts = {result.name: result.checked for result in report.results}
    assert (counts["wallet balances"], counts["grant parts"]) == (2, 6)
    assert report.accounts["sales"] == (2, 100)
    assert report.accounts["usage"][1] == -2 * 16
    assert "The ledger is whole." in report.as_text()


@pytest.mark.parametrize("number", [0, 1])
def test_the_proof_misses_a_trigger(story: Engine, number: int) -> None:
    with transaction(story) as session:
        name = list(triggers.expected(story.dialect.name))[number]
        where = "" if story.dialect.name == "sqlite" else " ON entries"
        session.connection().exec_driver_sql(f"DROP TRIGGER {name}{where}")
    with story.connect() as connection:
        report = ledger.proof.check(connection)
    assert not report.ok
    assert f"trigger {name} is missing" in report.as_text()


def test_the_proof_sees_through_a_trigger_that_does_nothing(story: Engine) -> None:
    with transaction(story) as session:
        connection = session.connection()
        if story.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER entries_refuse_delete")
            connection.exec_driver_sql(
                "CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries BEGIN SELECT 1; END"
            )
        else:
            connection.exec_driver_sql(
                "CREATE OR REPLACE FUNCTION entries_refuse_change() RETURNS trigger"
                " LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$"
            )
    with story.connect() as connection:
        report = ledger.proof.check(connection)
    assert "is altered" in report.as_text()


def test_a_disabled_trigger_is_a_missing_one(story: Engine) -> None:
    if story.dialect.name == "sqlite":
        return  # SQLite cannot disable a trigger
    with transaction(story) as session:
        session.connection().exec_driver_sql("ALTER TABLE entries DISABLE TRIGGER ALL")
    with story.connect() as connection:
        assert not ledger.proof.check(connection).ok


# Seals


def sealed(engine: Engine) -> ledger.NewSeal | None:
    with transaction(engine) as session:
        return ledger.seal(session.connection(), now=START)


def seals_found_broken(
    engine: Engine, exported: dict[int, str] | None = None
) -> tuple[int, list[str]]:
    with engine.connect() as connection:
        return ledger.check_seals(connection, exported)


def test_seals_chain_what_is_new(story: Engine) -> None:
    first = sealed(story)
    assert first is not None
    assert "seal 1 " in first.line
    assert first.digest in first.line
    assert sealed(story) is None  # nothing new
    with transaction(story) as session:
        Person(session.connection(), "charlie").gets(5)
    second = sealed(story)
    assert second is not None
    assert (second.number, second.entries) == (2, 1)
    assert seals_found_broken(story) == (2, [])


def test_a_long_history_is_sealed_in_parts(story: Engine) -> None:
    counts = []
    while True:
        with transaction(story) as session:
            part = ledger.seal(session.connection(), now=START, entries_max=5)
        if part is None:
            break
        counts.append(part.entries)
    assert sum(counts) == 14
    assert len(counts) > 1
    assert seals_found_broken(story) == (len(counts), [])


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE entries SET recorded_at = effective_at, amount_micro = -9 WHERE kind = 'spend'"
         " AND seq = 4", "seal 1: its entries were altered"),
        ("DELETE FROM entries WHERE seq = 7", "seal 1 covers 14 entries, 12 exist"),
        ("UPDATE seals SET digest = 'f' || SUBSTR(digest, 2), previous = previous",
         "seal 1: its entries were altered"),
        ("DELETE FROM seal_spans WHERE wallet_id = 1", "seal 1 covers 14 entries, 7 exist"),
    ],
)  # fmt: skip
def test_what_was_sealed_cannot_be_altered_unseen(story: Engine, statement: str, says: str) -> None:
    assert sealed(story)
    with by_hand(story) as connection:
        connection.execute(text(statement))
    assert seals_found_broken(story) == (1, [says])
    with story.connect() as connection:
        report = ledger.proof.check(connection, with_seals=True)
    assert says in report.as_text()


def test_a_chain_that_was_computed_again_differs_from_what_was_kept_outside(
    story: Engine,
) -> None:
    first = sealed(story)
    assert first is not None
    outside = {1: first.digest}
    assert seals_found_broken(story, outside) == (1, [])
    with by_hand(story) as connection:
        connection.exec_driver_sql("DELETE FROM seal_spans")
        connection.exec_driver_sql("DELETE FROM seals")
        connection.exec_driver_sql("UPDATE entries SET effective_at = recorded_at, kind = kind")
        connection.exec_driver_sql("DELETE FROM entries WHERE seq = 7")
        connection.exec_driver_sql("UPDATE wallets SET seq = 6")
    assert sealed(story)
    assert seals_found_broken(story) == (1, [])
    assert seals_found_broken(story, outside) == (
        1,
        ["seal 1 is not the one that was kept outside"],
    )
    with by_hand(story) as connection:
        connection.exec_driver_sql("DELETE FROM seal_spans")
        connection.exec_driver_sql("DELETE FROM seals")
    assert seals_found_broken(story, outside) == (0, ["seal 1 is missing"])
