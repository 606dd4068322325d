"""Statement of a wallet: its entries as the owner reads them."""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row
from sqlalchemy.sql.selectable import TextualSelect

from creditapp.ledger.charges import entry_id
from creditapp.ledger.entry_types import TYPE_OF_KIND, TYPES
from creditapp.ledger.sql import read

_SEQ_MAX: Final = 2**62

CURSOR: Final = re.compile(r"[0-9]{1,18}")
"""The cursor of a statement: the number of the last entry shown."""


def _page(sought: str, order: str = "DESC") -> TextualSelect:
    return read(
        "SELECT e.wallet_id, e.seq, e.kind, e.amount_micro, e.balance_after_micro, e.effective_at,"
        " e.recorded_at, e.charge_id, e.grant_id, c.operation, c.key, c.feature, c.actor,"
        " c.api_key_id, c.request_id, c.amount_micro, g.source, g.origin,"
        " COALESCE(n.text, m.text)"
        " FROM entries e LEFT JOIN charges c ON c.id = e.charge_id"
        " LEFT JOIN grants g ON g.id = e.grant_id"
        " LEFT JOIN notes n ON n.wallet_id = e.wallet_id AND n.seq = e.seq"
        " LEFT JOIN notes m ON m.charge_id = e.charge_id"
        f" WHERE e.wallet_id = :wallet_id AND {sought} ORDER BY e.seq {order} LIMIT :limit",
        "effective_at",
        "recorded_at",
    )


def _newest_of(kind: str) -> str:
    # One range of the index (wallet_id, kind, seq), however rare the kind is: a list of kinds
    # would be read whole and sorted, or looked for among all other entries.
    return (
        "SELECT seq FROM (SELECT seq FROM entries WHERE wallet_id = :wallet_id"
        f" AND kind = '{kind}' AND seq < :before_seq ORDER BY seq DESC LIMIT :limit) newest"
    )


_PAGE_OF_TYPE: Final = {
    type_: _page(
        "e.seq IN ("
        + " UNION ALL ".join(_newest_of(kind) for kind, of in TYPE_OF_KIND.items() if of == type_)
        + ")"
    )
    for type_ in TYPES
}
_PAGE: Final = _page("e.seq < :before_seq")
_AFTER: Final = _page("e.seq > :after_seq", order="ASC")


@dataclass(frozen=True)
class StatementLine:
    """One entry with its public type, its note, and its charge or grant."""

    id: str
    seq: int
    kind: str
    type: str
    amount_micro: int
    """Signed; 0 for a hold that was released, such as that of a failed generation."""
    balance_after_micro: int
    """Total balance after the entry, with held and frozen credits."""
    operation: str
    """Operation that the credits paid for; for a grant its source."""
    note: str | None
    charge_id: int | None
    charge_key: str | None
    grant_id: int | None
    grant_origin: str | None
    """Origin of the grant, such as ``purchase:<id>``."""
    metadata: dict[str, str | int]
    effective_at: datetime
    created_at: datetime


def statement(
    connection: Connection,
    wallet_id: int,
    *,
    limit: int,
    before_seq: int | None = None,
    type_: str | None = None,
) -> list[StatementLine]:
    """Return the newest ``limit`` lines before ``before_seq``, of a public type or of all.

    One query. The next page begins before the ``seq`` of the last line.
    """
    rows = connection.execute(
        _PAGE if type_ is None else _PAGE_OF_TYPE[type_],
        {
            "wallet_id": wallet_id,
            "before_seq": _SEQ_MAX if before_seq is None else before_seq,
            "limit": limit,
        },
    )
    return [_line(row) for row in rows]


def entries_after(
    connection: Connection, wallet_id: int, after_seq: int, *, limit: int
) -> list[StatementLine]:
    """Return the oldest ``limit`` lines after ``after_seq``, in the order they were written.

    Numbers have no gaps and are given under the wallet's lock, so that a reader who remembers the
    last one misses none.
    """
    values = {"wallet_id": wallet_id, "after_seq": after_seq, "limit": limit}
    return [_line(row) for row in connection.execute(_AFTER, values)]


def _line(row: Row[*tuple[Any, ...]]) -> StatementLine:
    (
        wallet_id, seq, kind, amount_micro, balance_after_micro, effective_at, recorded_at,
        charge_id, grant_id, operation, key, feature, actor, api_key_id, request_id,
        charge_amount_micro, source, origin, note,
    ) = row  # fmt: skip
    metadata = {
        "key": key,
        "feature": feature,
        "actor": actor,
        "apiKeyId": api_key_id,
        "requestId": request_id,
        "source": source,
        "asked": charge_amount_micro if kind in ("capture", "release") else None,
    }
    return StatementLine(
        id=entry_id(wallet_id, seq),
        seq=seq,
        kind=kind,
        type=TYPE_OF_KIND[kind],
        amount_micro=amount_micro,
        balance_after_micro=balance_after_micro,
        operation=operation or source or kind,
        note=note,
        charge_id=charge_id,
        charge_key=key,
        grant_id=grant_id,
        grant_origin=origin,
        metadata={name: value for name, value in metadata.items() if value},
        effective_at=effective_at,
        created_at=recorded_at,
    )
