"""The proof names the wallet of every alteration by hand; sealed entries cannot be rewritten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, text

from creditapp import ledger
from creditapp.db import transaction
from creditapp.ledger import triggers
from tests.ledger.cast import START, Person, create_ledger, open_engine

ALTERATIONS = {
    "a balance": "UPDATE wallets SET available_micro = available_micro + 1 WHERE id = :wallet",
    "the held balance": "UPDATE wallets SET held_micro = held_micro + 1 WHERE id = :wallet",
    "the frozen balance": "UPDATE wallets SET frozen_micro = frozen_micro + 1 WHERE id = :wallet",
    "the owed balance": "UPDATE wallets SET owed_micro = owed_micro + 1 WHERE id = :wallet",
    "the number of entries": "UPDATE wallets SET seq = seq + 1 WHERE id = :wallet",
    "a lifetime number": "UPDATE wallets SET lifetime_spent_micro = 0 WHERE id = :wallet",
    "a late clock": "UPDATE wallets SET next_expiry_at = '9999-12-31 00:00:00.000000'"
    " WHERE id = :wallet",
    "a grant's remaining amount": "UPDATE grants"
    " SET remaining_micro = remaining_micro - 1 WHERE remaining_micro > 0"
    " AND wallet_id = :wallet",
    "a grant's amount": "UPDATE grants"
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
    "a hold made a capture": "UPDATE charges SET state = 'captured' WHERE state = 'open'"
    " AND wallet_id = :wallet",
    "a spend made a release": "UPDATE charges SET state = 'released', captured_micro = 0"
    " WHERE operation = 'image' AND state = 'captured' AND wallet_id = :wallet",
    "a charge's captured amount": "UPDATE charges"
    " SET captured_micro = captured_micro - 1 WHERE state = 'captured'"
    " AND wallet_id = :wallet",
    "an allocation's captured amount": "UPDATE allocations"
    " SET captured_micro = captured_micro - 1 WHERE charge_id ="
    " (SELECT MIN(id) FROM charges WHERE wallet_id = :wallet)",
    "an allocation's grant": "DELETE FROM allocations WHERE charge_id ="
    " (SELECT MIN(id) FROM charges WHERE wallet_id = :wallet)",
    "an entry's amount": "UPDATE entries"
    " SET amount_micro = amount_micro - 1 WHERE seq = 2 AND kind = 'grant'"
    " AND wallet_id = :wallet",
    "an entry's balance": "UPDATE entries"
    " SET balance_after_micro = balance_after_micro + 1 WHERE seq = 2"
    " AND wallet_id = :wallet",
    "two entries that cancel out": "UPDATE entries"
    " SET amount_micro = amount_micro + CASE seq WHEN 1 THEN 1"
    " ELSE -1 END, balance_after_micro = balance_after_micro + CASE seq WHEN 1 THEN 1 ELSE 0 END"
    " WHERE seq IN (1, 2) AND wallet_id = :wallet",
    "an entry's kind": "UPDATE entries"
    " SET kind = 'purchase', account = 'sales' WHERE kind = 'grant'"
    " AND wallet_id = :wallet",
    "an entry's charge": "UPDATE entries SET charge_id = NULL WHERE kind = 'spend'"
    " AND wallet_id = :wallet",
    "an entry in the middle": "DELETE FROM entries WHERE seq = 2 AND wallet_id = :wallet",
    "the last entry": "DELETE FROM entries WHERE wallet_id = :wallet AND seq ="
    " (SELECT seq FROM wallets WHERE id = :wallet)",
    "the last entry and its number": "DELETE FROM entries WHERE wallet_id = :wallet AND seq ="
    " (SELECT seq FROM wallets WHERE id = :wallet);"
    "UPDATE wallets SET seq = seq - 1 WHERE id = :wallet",
}


def wallet_of(connection: Connection, name: str) -> int:
    wallet = ledger.find_wallet(connection, "user", name)
    assert wallet is not None
    return wallet


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger of the test's own: these tests take its triggers and constraints away."""
    engine = open_engine(database_url)
    create_ledger(engine)
    yield engine
    engine.dispose()


@contextmanager
def altering(engine: Engine) -> Iterator[Connection]:
    """Write as the owner of the database: without triggers and constraints, then restore both."""
    with transaction(engine) as session:
        connection = session.connection()
        drop_guards(connection)
        yield connection
        restore_guards(connection)


def drop_guards(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    else:
        connection.exec_driver_sql(_DROP_CHECKS)
    for statement in triggers.REMOVE[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def restore_guards(connection: Connection) -> None:
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


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_the_proof_names_the_wallet_that_was_altered(history: Engine, alteration: str) -> None:
    with altering(history) as connection:
        alice = wallet_of(connection, "alice")
        changed = 0
        for statement in ALTERATIONS[alteration].split(";"):
            parameters = {"wallet": alice} if ":wallet" in statement else {}
            changed += connection.execute(text(statement), parameters).rowcount
        assert changed, "the alteration found nothing to alter"
    with history.connect() as connection:
        report = ledger.proof.check(connection)
    assert not report.ok
    for result in report.results:
        assert result.broken == len(result.findings) + result.unnamed
        verdict = f"BROKEN {result.broken} times" if result.findings else "holds"
        assert any(
            line.startswith(result.name) and line.endswith(verdict)
            for line in report.as_text().splitlines()
        )
    named = {finding.wallet_id for result in report.results for finding in result.findings}
    assert named == {alice}
    assert f"wallet {alice}:" in report.as_text()
    assert report.as_dict()["ok"] is False


def test_an_untouched_ledger_holds_every_invariant_and_is_counted(history: Engine) -> None:
    with history.connect() as connection:
        report = ledger.proof.check(connection, with_seals=True)
    assert report.ok, report.as_text()
    counts = {result.name: result.checked for result in report.results}
    assert (counts["wallet balances"], counts["grant parts"]) == (2, 6)
    assert report.accounts["sales"] == (2, 100)
    assert report.accounts["usage"][1] == -2 * 16
    assert "The ledger is whole." in report.as_text()


@pytest.mark.parametrize("number", [0, 1])
def test_the_proof_finds_a_missing_trigger(history: Engine, number: int) -> None:
    with transaction(history) as session:
        name = list(triggers.expected(history.dialect.name))[number]
        where = "" if history.dialect.name == "sqlite" else " ON entries"
        session.connection().exec_driver_sql(f"DROP TRIGGER {name}{where}")
    with history.connect() as connection:
        report = ledger.proof.check(connection)
    assert not report.ok
    assert f"trigger {name} is missing" in report.as_text()


def test_the_proof_finds_a_trigger_that_does_nothing(history: Engine) -> None:
    with transaction(history) as session:
        connection = session.connection()
        if history.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER entries_refuse_delete")
            connection.exec_driver_sql(
                "CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries BEGIN SELECT 1; END"
            )
        else:
            connection.exec_driver_sql(
                "CREATE OR REPLACE FUNCTION entries_refuse_change() RETURNS trigger"
                " LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$"
            )
    with history.connect() as connection:
        report = ledger.proof.check(connection)
    assert "is altered" in report.as_text()


def test_the_proof_finds_a_disabled_trigger(history: Engine) -> None:
    if history.dialect.name == "sqlite":
        return  # SQLite cannot disable a trigger
    with transaction(history) as session:
        session.connection().exec_driver_sql("ALTER TABLE entries DISABLE TRIGGER ALL")
    with history.connect() as connection:
        assert not ledger.proof.check(connection).ok


# Seals


def seal(engine: Engine) -> ledger.NewSeal | None:
    with transaction(engine) as session:
        return ledger.seal(session.connection(), now=START)


def broken_seals(engine: Engine, exported: dict[int, str] | None = None) -> tuple[int, list[str]]:
    with engine.connect() as connection:
        return ledger.check_seals(connection, exported)


def test_a_seal_covers_new_entries_and_is_chained(history: Engine) -> None:
    first = seal(history)
    assert first is not None
    assert "seal 1 " in first.line
    assert first.digest in first.line
    assert seal(history) is None  # nothing new
    with transaction(history) as session:
        Person(session.connection(), "charlie").gets(5)
    second = seal(history)
    assert second is not None
    assert (second.number, second.entries) == (2, 1)
    assert broken_seals(history) == (2, [])


def test_a_long_history_is_sealed_in_parts(history: Engine) -> None:
    counts = []
    while True:
        with transaction(history) as session:
            part = ledger.seal(session.connection(), now=START, entries_max=5)
        if part is None:
            break
        counts.append(part.entries)
    assert sum(counts) == 14
    assert len(counts) > 1
    assert broken_seals(history) == (len(counts), [])


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE entries SET recorded_at = effective_at, amount_micro = -9 WHERE kind = 'spend'"
         " AND seq = 4", "seal 1: its entries were altered"),
        ("DELETE FROM entries WHERE seq = 7", "seal 1 covers 14 entries, 12 exist"),
        ("UPDATE seals SET digest = 'f' || SUBSTR(digest, 2), previous = previous",
         "seal 1: its entries were altered"),
        ("DELETE FROM seal_spans WHERE wallet_id = 1", "seal 1 covers 14 entries, 7 exist"),
    ],
)  # fmt: skip
def test_an_alteration_of_sealed_entries_is_found(
    history: Engine, statement: str, sentence: str
) -> None:
    assert seal(history)
    with altering(history) as connection:
        connection.execute(text(statement))
    assert broken_seals(history) == (1, [sentence])
    with history.connect() as connection:
        report = ledger.proof.check(connection, with_seals=True)
    assert sentence in report.as_text()


def test_a_recomputed_chain_differs_from_the_exported_digests(history: Engine) -> None:
    first = seal(history)
    assert first is not None
    exported = {1: first.digest}
    assert broken_seals(history, exported) == (1, [])
    with altering(history) as connection:
        connection.exec_driver_sql("DELETE FROM seal_spans")
        connection.exec_driver_sql("DELETE FROM seals")
        connection.exec_driver_sql("UPDATE entries SET effective_at = recorded_at, kind = kind")
        connection.exec_driver_sql("DELETE FROM entries WHERE seq = 7")
        connection.exec_driver_sql("UPDATE wallets SET seq = 6")
    assert seal(history)
    assert broken_seals(history) == (1, [])
    assert broken_seals(history, exported) == (1, ["seal 1 is not the one that was kept outside"])
    with altering(history) as connection:
        connection.exec_driver_sql("DELETE FROM seal_spans")
        connection.exec_driver_sql("DELETE FROM seals")
    assert broken_seals(history, exported) == (0, ["seal 1 is missing"])
