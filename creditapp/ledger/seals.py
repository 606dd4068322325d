"""Seals: digests of the new entries, each chained to the last one and exported.

Triggers refuse a change of the history, but the owner of the database can drop them. A seal makes
that visible afterwards, if its digest was also kept outside: in a log, a file, an email.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row

from creditapp.ledger.sql import read, write

FIRST: Final = "0" * 64
"""Digest to which the first seal is chained."""

ENTRIES_MAX: Final = 50_000
"""Approximate number of entries per seal: less than a second's work."""

_LINE: Final = re.compile(r"^seal (\d+) .* sha256=([0-9a-f]{64})$", re.MULTILINE)

_LAST: Final = read("SELECT number, digest FROM seals ORDER BY number DESC LIMIT 1")
_ALL: Final = read("SELECT number, previous, digest, entries FROM seals ORDER BY number")
_INSERT: Final = write(
    "INSERT INTO seals (number, previous, digest, entries, sealed_at)"
    " VALUES (:number, :previous, :digest, :entries, :now)"
)
_FINISH: Final = write(
    "UPDATE seals SET digest = :digest, entries = :entries WHERE number = :number"
)
_DELETE: Final = write("DELETE FROM seals WHERE number = :number")
# A wallet's entries commit in the order of their numbers, because its row is the lock: one
# statement sees the beginning of a wallet's history, without a gap.
_SPANS: Final = write(
    "INSERT INTO seal_spans (wallet_id, first_seq, last_seq, seal_number)"
    " SELECT id, sealed + 1,"
    " CASE WHEN seq > sealed + :entries_max THEN sealed + :entries_max ELSE seq END, :number"
    " FROM (SELECT w.id, w.seq, COALESCE(s.last_seq, 0) AS sealed,"
    " SUM(w.seq - COALESCE(s.last_seq, 0)) OVER (ORDER BY w.id)"
    " - (w.seq - COALESCE(s.last_seq, 0)) AS earlier"
    " FROM wallets w LEFT JOIN"
    " (SELECT wallet_id, MAX(last_seq) AS last_seq FROM seal_spans GROUP BY wallet_id) s"
    " ON s.wallet_id = w.id WHERE w.seq > COALESCE(s.last_seq, 0)) fresh"
    " WHERE earlier < :entries_max"
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
class NewSeal:
    """A new seal; its ``line`` goes to the log, the file and the email."""

    number: int
    digest: str
    entries: int
    sealed_at: datetime

    @property
    def line(self) -> str:
        """One line of text with the seal."""
        moment = self.sealed_at.astimezone(UTC).isoformat(timespec="seconds")
        return f"seal {self.number} {moment} entries={self.entries} sha256={self.digest}"


def seal(
    connection: Connection, *, now: datetime, entries_max: int = ENTRIES_MAX
) -> NewSeal | None:
    """Seal the entries since the last seal; return None if there are none.

    One seal covers about ``entries_max`` entries, because on SQLite no one can spend meanwhile:
    call it, each time in a transaction of its own, until it returns None. Of two concurrent
    sealers, the second waits and then fails on the seal's number, harmlessly.
    """
    last = connection.execute(_LAST).one_or_none()
    number, previous = (last.number + 1, last.digest) if last else (1, FIRST)
    connection.execute(
        _INSERT, {"number": number, "previous": previous, "digest": "", "entries": 0, "now": now}
    )
    spans = connection.execute(_SPANS, {"number": number, "entries_max": entries_max}).rowcount
    if not spans:
        connection.execute(_DELETE, {"number": number})
        return None
    count, digest = _digest(previous, _entries(connection, number))
    connection.execute(_FINISH, {"number": number, "digest": digest, "entries": count})
    return NewSeal(number, digest, count, now)


def check_seals(
    connection: Connection, exported: Mapping[int, str] | None = None
) -> tuple[int, list[str]]:
    """Recompute every seal; return their number and a sentence for each that differs.

    ``exported`` has the digests that were kept outside, by number: the owner of the database can
    recompute the chain inside it, but not those.
    """
    sentences = []
    expected_number, expected_previous = 1, FIRST
    for number, previous, digest, count in connection.execute(_ALL).all():
        if number != expected_number:
            sentences.append(f"seal {expected_number} is missing")
        if previous != expected_previous:
            sentences.append(f"seal {number} is not chained to the one before")
        found_count, recomputed = _digest(previous, _entries(connection, number))
        if found_count != count:
            sentences.append(f"seal {number} covers {count} entries, {found_count} exist")
        elif recomputed != digest:
            sentences.append(f"seal {number}: its entries were altered")
        if exported and exported.get(number, digest) != digest:
            sentences.append(f"seal {number} is not the one that was kept outside")
        expected_number, expected_previous = number + 1, digest
    missing = [number for number in sorted(exported or {}) if number >= expected_number]
    sentences += [f"seal {number} is missing" for number in missing]
    return expected_number - 1, sentences


def exported_seals(path: Path) -> dict[int, str]:
    """Return the digests by number in a file with one seal's ``line`` per line; none without it.

    A number that occurs twice is of a database that was restored: the last one counts.
    """
    if not path.exists():
        return {}
    return {int(number): digest for number, digest in _LINE.findall(path.read_text())}


def _entries(connection: Connection, number: int) -> Iterable[Row[*tuple[Any, ...]]]:
    return connection.execute(_SEALED, {"number": number}, execution_options={"yield_per": 5000})


def _digest(previous: str, rows: Iterable[Row[*tuple[Any, ...]]]) -> tuple[int, str]:
    digest = hashlib.sha256(previous.encode())
    count = 0
    for *columns, effective_at, recorded_at in rows:
        text = "|".join(map(str, columns))
        moments = "|".join(
            (
                effective_at.isoformat(timespec="microseconds"),
                recorded_at.isoformat(timespec="microseconds"),
            )
        )
        digest.update(f"{text}|{moments}\n".encode())
        count += 1
    return count, digest.hexdigest()
