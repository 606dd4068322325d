"""The least code that writes the ledger's rows: stored functions, and SQLite's driver alone.

It writes the same rows to the same tables as ``creditapp/ledger/``, without refusal texts, replays
or partial captures.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
from sqlalchemy.engine import make_url

Step = Callable[[int, str], None]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AMOUNT = 1000

_PARTS = """
  SELECT id, offset_micro, CASE WHEN offset_micro + remaining_micro <= {amount}
      THEN remaining_micro ELSE {amount} - offset_micro END AS part_micro
  FROM (SELECT id, remaining_micro, SUM(remaining_micro) OVER (ORDER BY priority, expires_at,
      CASE WHEN scope = '*' THEN 1 ELSE 0 END, id) - remaining_micro AS offset_micro,
      SUM(remaining_micro) OVER () AS total_micro FROM grants
    WHERE wallet_id = {wallet} AND remaining_micro > 0 AND frozen_at IS NULL
      AND expires_at > {now} AND scope IN ('*', 'image')) ordered
  WHERE total_micro >= {amount} AND offset_micro < {amount}
"""
_PLPGSQL_PARTS = _PARTS.format(amount="p_amount", wallet="p_wallet", now="p_now")
_DEBIT = """
  UPDATE wallets SET available_micro = available_micro - p_amount,
    held_micro = held_micro + {held}, seq = seq + {entries},
    lifetime_spent_micro = lifetime_spent_micro + {spent}
    WHERE id = p_wallet AND available_micro >= p_amount AND frozen_at IS NULL
      AND next_expiry_at > p_now
    RETURNING seq, available_micro + held_micro + frozen_micro INTO v_seq, v_balance;
  IF NOT FOUND THEN RAISE EXCEPTION 'insufficient'; END IF;
  INSERT INTO charges (wallet_id, key, digest, operation, amount_micro, captured_micro, state,
    actor, feature, created_at, settled_at, entry_seq)
    VALUES (p_wallet, p_key, 'd', 'image', p_amount, p_amount, {state}, 'usr', 'studio',
      p_now, {settled}, {entry})
    ON CONFLICT (wallet_id, key) DO NOTHING RETURNING id INTO v_charge;
  IF v_charge IS NULL THEN RAISE EXCEPTION 'repeated'; END IF;
  INSERT INTO allocations (charge_id, grant_id, offset_micro, amount_micro, captured_micro)
    SELECT v_charge, id, offset_micro, part_micro, part_micro FROM ({parts}) parts;
  UPDATE grants SET remaining_micro = grants.remaining_micro - allocations.amount_micro
    FROM allocations
    WHERE allocations.charge_id = v_charge AND grants.id = allocations.grant_id;
"""
_ENTRY = """
  INSERT INTO entries (wallet_id, seq, kind, account, amount_micro, balance_after_micro, charge_id,
    effective_at, recorded_at)
    VALUES (p_wallet, v_seq, '{kind}', 'usage', -p_amount, v_balance, v_charge, p_now, p_now);
  INSERT INTO outbox (topic, subject, payload, created_at)
    VALUES ('captured', p_wallet::text, json_build_object('charge', v_charge, 'key', p_key,
      'amount_micro', p_amount)::text, p_now);
"""
_FUNCTION = """
CREATE FUNCTION {name}(p_wallet bigint, p_amount bigint, p_key text, p_now timestamptz,
  v_charge bigint DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_seq bigint; v_balance bigint;
BEGIN {body} RETURN v_charge; END $$
"""
_SPEND = _DEBIT.format(
    held="0", entries="1", spent="p_amount", state="'captured'", settled="p_now", entry="v_seq",
    parts=_PLPGSQL_PARTS,
)  # fmt: skip
_HOLD = _DEBIT.format(
    held="p_amount", entries="0", spent="0", state="'open'", settled="NULL", entry="NULL",
    parts=_PLPGSQL_PARTS,
)  # fmt: skip
_CAPTURE = """
  UPDATE wallets SET held_micro = held_micro - p_amount, seq = seq + 1,
    lifetime_spent_micro = lifetime_spent_micro + p_amount WHERE id = p_wallet
    RETURNING seq, available_micro + held_micro + frozen_micro INTO v_seq, v_balance;
  UPDATE charges SET state = 'captured', settled_at = p_now, entry_seq = v_seq
    WHERE id = v_charge AND state = 'open';
  IF NOT FOUND THEN RAISE EXCEPTION 'settled'; END IF;
"""

FUNCTIONS = (
    _FUNCTION.format(name="bench_spend", body=_SPEND + _ENTRY.format(kind="spend")),
    _FUNCTION.format(name="bench_hold", body=_HOLD),
    _FUNCTION.format(name="bench_capture", body=_CAPTURE + _ENTRY.format(kind="capture")),
)
"""Stored functions of PostgreSQL's limit."""


def spend(url: str) -> Step:
    """Return the fastest spend on this database."""
    return _sqlite(url, pairs=False) if url.startswith("sqlite") else _spend_postgresql(url)


def pair(url: str) -> Step:
    """Return the fastest hold, and its capture in a transaction of its own."""
    return _sqlite(url, pairs=True) if url.startswith("sqlite") else _pair_postgresql(url)


def _connect(url: str) -> psycopg.Connection:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain)


def _spend_postgresql(url: str) -> Step:
    connection = _connect(url)
    cursor = connection.cursor()

    def step(wallet: int, key: str) -> None:
        cursor.execute("SELECT bench_spend(%s, %s, %s, %s)", (wallet, AMOUNT, key, NOW))
        cursor.fetchone()
        connection.commit()

    return step


def _pair_postgresql(url: str) -> Step:
    connection = _connect(url)
    cursor = connection.cursor()

    def step(wallet: int, key: str) -> None:
        cursor.execute("SELECT bench_hold(%s, %s, %s, %s)", (wallet, AMOUNT, key, NOW))
        row = cursor.fetchone()
        connection.commit()
        assert row
        capture = (wallet, AMOUNT, key, NOW, row[0])
        cursor.execute("SELECT bench_capture(%s, %s, %s, %s, %s)", capture)
        cursor.fetchone()
        connection.commit()

    return step


class _Sqlite:
    """SQLite's driver alone, waiting for the writer's lock as the app does."""

    def __init__(self, url: str) -> None:
        path = make_url(url).database or ""
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        self.execute = connection.execute
        # The app has set WAL mode on the file.
        self.execute_when_free("PRAGMA synchronous=FULL")
        self.execute_when_free("PRAGMA foreign_keys=ON")

    def begin(self) -> None:
        self.execute_when_free("BEGIN IMMEDIATE")

    def execute_when_free(self, statement: str) -> None:
        while True:
            try:
                self.execute(statement)
                return
            except sqlite3.OperationalError:
                time.sleep(random.uniform(0.0001, 0.001))

    def debit(self, wallet: int, key: str, *, hold: bool) -> tuple[int, int, int]:
        held, entries, spent = (AMOUNT, 0, 0) if hold else (0, 1, AMOUNT)
        seq, balance = self.execute(
            "UPDATE wallets SET available_micro = available_micro - ?,"
            " held_micro = held_micro + ?, seq = seq + ?,"
            " lifetime_spent_micro = lifetime_spent_micro + ? WHERE id = ? AND available_micro >= ?"
            " AND frozen_at IS NULL AND next_expiry_at > ?"
            " RETURNING seq, available_micro + held_micro + frozen_micro",
            (AMOUNT, held, entries, spent, wallet, AMOUNT, _TEXT_NOW),
        ).fetchall()[0]
        charge = self.execute(
            "INSERT INTO charges (wallet_id, key, digest, operation, amount_micro,"
            " captured_micro, state, actor, feature, created_at, settled_at, entry_seq)"
            " VALUES (?, ?, 'd', 'image', ?, ?, ?, 'usr', 'studio', ?, ?, ?)"
            " ON CONFLICT (wallet_id, key) DO NOTHING RETURNING id",
            (wallet, key, AMOUNT, AMOUNT, "open" if hold else "captured", _TEXT_NOW,
             None if hold else _TEXT_NOW, None if hold else seq),
        ).fetchall()[0][0]  # fmt: skip
        self.execute(_SQLITE_ALLOCATE, {"charge": charge, "wallet": wallet, "now": _TEXT_NOW})
        self.execute(
            "UPDATE grants"
            " SET remaining_micro = grants.remaining_micro - allocations.amount_micro"
            " FROM allocations"
            " WHERE allocations.charge_id = ? AND grants.id = allocations.grant_id",
            (charge,),
        )
        return charge, seq, balance

    def capture(self, wallet: int, charge: int) -> tuple[int, int]:
        seq, balance = self.execute(
            "UPDATE wallets SET held_micro = held_micro - ?, seq = seq + 1,"
            " lifetime_spent_micro = lifetime_spent_micro + ? WHERE id = ?"
            " RETURNING seq, available_micro + held_micro + frozen_micro",
            (AMOUNT, AMOUNT, wallet),
        ).fetchall()[0]
        self.execute(
            "UPDATE charges SET state = 'captured', settled_at = ?, entry_seq = ?"
            " WHERE id = ? AND state = 'open'",
            (_TEXT_NOW, seq, charge),
        )
        return seq, balance

    def entry(self, wallet: int, kind: str, charge: int, key: str, seq: int, balance: int) -> None:
        self.execute(
            "INSERT INTO entries (wallet_id, seq, kind, account, amount_micro,"
            " balance_after_micro, charge_id, effective_at, recorded_at)"
            " VALUES (?, ?, ?, 'usage', ?, ?, ?, ?, ?)",
            (wallet, seq, kind, -AMOUNT, balance, charge, _TEXT_NOW, _TEXT_NOW),
        )
        payload = f'{{"charge":{charge},"key":"{key}","amount_micro":{AMOUNT}}}'
        self.execute(
            "INSERT INTO outbox (topic, subject, payload, created_at) VALUES ('captured', ?, ?, ?)",
            (str(wallet), payload, _TEXT_NOW),
        )


_TEXT_NOW = "2026-01-01 00:00:00.000000"
_SQLITE_ALLOCATE = (
    "INSERT INTO allocations (charge_id, grant_id, offset_micro, amount_micro, captured_micro)"
    " SELECT :charge, id, offset_micro, part_micro, part_micro FROM ("
    + _PARTS.format(amount=AMOUNT, wallet=":wallet", now=":now")
    + ") parts"
)


def _sqlite(url: str, *, pairs: bool) -> Step:
    driver = _Sqlite(url)

    def step(wallet: int, key: str) -> None:
        driver.begin()
        charge, seq, balance = driver.debit(wallet, key, hold=pairs)
        if pairs:
            driver.execute("COMMIT")
            driver.begin()
            seq, balance = driver.capture(wallet, charge)
        driver.entry(wallet, "capture" if pairs else "spend", charge, key, seq, balance)
        driver.execute("COMMIT")

    return step
