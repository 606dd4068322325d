"""Seals: a digest of the new entries, chained to the last one and carried out of the database.

Triggers refuse a change of the history; whoever owns the database can drop them. A seal makes
that visible afterwards, if its digest was also kept somewhere else: a log, a file, a mailbox.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row

from creditapp.ledger.sql import read, write

FIRST: Final = "0" * 64
"""What the first seal is chained to."""

ENTRIES_MOST: Final = 50_000
"""About how many entries one seal covers: less than a second's work."""

_LAST: Final = read("SELECT number, digest FROM seals ORDER BY number DESC LIMIT 1")
_ALL: Final = read("SELECT number, previous, digest, entries FROM seals ORDER BY number")
_INSERT: Final = write(
    "INSERT INTO seals (number, previous, digest, entries, sealed_at)"
    " VALUES (:number, :previous, :digest, :entries, :now)"
)
_COMPLETE: Final = write(
    "UPDATE seals SET digest = :digest, entries = :entries WHERE number = :number"
)
_FORGET: Final = write("DELETE FROM seals WHERE number = :number")
# A wallet's lines commit in the order of their numbers, because its row is the lock: what one
# statement sees of a wallet is a beginning of its history without a gap.
_SPANS: Final = write(
    "INSERT INTO seal_spans (wallet_id, first_seq, last_seq, seal_number)"
    " SELECT id, sealed + 1,"
    " CASE WHEN seq > sealed + :most THEN sealed + :most ELSE seq END, :number"
    " FROM (SELECT w.id, w.seq, COALESCE(s.last_seq, 0) AS sealed,"
    " SUM(w.seq - COALESCE(s.last_seq, 0)) OVER (ORDER BY w.id)"
    " - (w.seq - COALESCE(s.last_seq, 0)) AS earlier"
    " FROM wallets w LEFT JOIN"
    " (SELECT wallet_id, MAX(last_seq) AS last_seq FROM seal_spans GROUP BY wallet_id) s"
    " ON s.wallet_id = w.id WHERE w.seq > COALESCE(s.last_seq, 0)) fresh"
    " WHERE earlier < :most"
)
_SEALED: Final = read(
    "SELECT e.wallet_id, e.seq, e.kind, e.account, e.amount_micro, e.balance_after_micro,"
    " e.charge_id,"
    " e.grant_id, e.effective_at, e.recorded_at FROM seal_spans s JOIN entries e"
    " ON e.wallet_id = s.wallet_id AND e.seq BETWEEN s.first_seq AND s.last_seq"
    " WHERE s.seal_number = :number ORDER BY e.wallet_id, e.seq",
    "effective_at",
    "recorded_at",
)


@dataclass(frozen=True)
class Sealed:
    """A new seal; ``line`` is what goes to the log, the file and the mail."""

    number: int
    digest: str
    entries: int
    sealed_at: datetime

    @property
    def line(self) -> str:
        """The seal in one line of text."""
        moment = self.sealed_at.astimezone(UTC).isoformat(timespec="seconds")
        return f"seal {self.number} {moment} entries={self.entries} sha256={self.digest}"


def seal(
    connection: Connection, *, now: datetime, entries_most: int = ENTRIES_MOST
) -> Sealed | None:
    """Seal the entries since the last seal; None if there are none.

    One seal covers about ``entries_most`` entries, because on SQLite nobody can spend meanwhile:
    call it, each time in a transaction of its own, until it returns None. Two sealers at once:
    the second waits and then fails on the seal's number, harmlessly.
    """
    last = connection.execute(_LAST).one_or_none()
    number, previous = (last.number + 1, last.digest) if last else (1, FIRST)
    connection.execute(
        _INSERT, {"number": number, "previous": previous, "digest": "", "entries": 0, "now": now}
    )
    spans = connection.execute(_SPANS, {"number": number, "most": entries_most}).rowcount
    if not spans:
        connection.execute(_FORGET, {"number": number})
        return None
    count, digest = _digest(previous, _entries(connection, number))
    connection.execute(_COMPLETE, {"number": number, "digest": digest, "entries": count})
    return Sealed(number, digest, count, now)


def check_seals(
    connection: Connection, exported: Mapping[int, str] | None = None
) -> tuple[int, list[str]]:
    """Recompute every seal; return how many there are and a sentence for each that differs.

    ``exported`` are the digests by number as they were kept outside: an owner of the database can
    recompute the chain inside it, but not those.
    """
    broken = []
    expected_number, chained_to = 1, FIRST
    for number, previous, digest, count in connection.execute(_ALL).all():
        if number != expected_number:
            broken.append(f"seal {expected_number} is missing")
        if previous != chained_to:
            broken.append(f"seal {number} is not chained to the one before")
        found, recomputed = _digest(previous, _entries(connection, number))
        if found != count:
            broken.append(f"seal {number} covers {count} entries, {found} are there")
        elif recomputed != digest:
            broken.append(f"seal {number}: its entries were altered")
        if exported and exported.get(number, digest) != digest:
            broken.append(f"seal {number} is not the one that was kept outside")
        expected_number, chained_to = number + 1, digest
    missing = [number for number in sorted(exported or {}) if number >= expected_number]
    broken += [f"seal {number} is missing" for number in missing]
    return expected_number - 1, broken


def _entries(connection: Connection, number: int) -> Iterable[Row[*tuple[Any, ...]]]:
    return connection.execute(_SEALED, {"number": number}, execution_options={"yield_per": 5000})


def _digest(previous: str, rows: Iterable[Row[*tuple[Any, ...]]]) -> tuple[int, str]:
    digest = hashlib.sha256(previous.encode())
    count = 0
    for *values, effective_at, recorded_at in rows:
        words = "|".join(map(str, values))
        moments = "|".join(
            (
                effective_at.isoformat(timespec="microseconds"),
                recorded_at.isoformat(timespec="microseconds"),
            )
        )
        digest.update(f"{words}|{moments}\n".encode())
        count += 1
    return count, digest.hexdigest()
