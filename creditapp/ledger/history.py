"""Statement of a wallet: its entries as the owner reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam

from creditapp.db import UtcDateTime
from creditapp.ledger.charges import entry_id
from creditapp.ledger.entry_types import TYPE_OF_KIND
from creditapp.ledger.sql import write

_SEQ_MAX: Final = 2**62

_PAGE: Final = (
    write(
        "SELECT e.wallet_id, e.seq, e.kind, e.amount_micro, e.balance_after_micro, e.effective_at,"
        " e.recorded_at, e.charge_id, e.grant_id, c.operation, c.key, c.feature, c.actor,"
        " c.api_key_id, c.request_id, c.amount_micro, g.source, g.origin,"
        " COALESCE(n.text, m.text)"
        " FROM entries e LEFT JOIN charges c ON c.id = e.charge_id"
        " LEFT JOIN grants g ON g.id = e.grant_id"
        " LEFT JOIN notes n ON n.wallet_id = e.wallet_id AND n.seq = e.seq"
        " LEFT JOIN notes m ON m.charge_id = e.charge_id"
        " WHERE e.wallet_id = :wallet_id AND e.seq < :before_seq AND e.kind IN :kinds"
        " ORDER BY e.seq DESC LIMIT :limit"
    )
    .bindparams(bindparam("kinds", expanding=True))
    .columns(effective_at=UtcDateTime(), recorded_at=UtcDateTime())
)


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
    now: datetime,
    limit: int,
    before_seq: int | None = None,
    types: Sequence[str] | None = None,
) -> list[StatementLine]:
    """Return the newest ``limit`` lines before ``before_seq``, of the given public types.

    One query. The next page begins before the ``seq`` of the last line. No entry has a moment
    after ``now``; the parameter keeps the reads alike.
    """
    kinds = [kind for kind, type_ in TYPE_OF_KIND.items() if types is None or type_ in types]
    rows = connection.execute(
        _PAGE,
        {
            "wallet_id": wallet_id,
            "before_seq": _SEQ_MAX if before_seq is None else before_seq,
            "kinds": kinds,
            "limit": limit,
        },
    )
    return [_line(row) for row in rows]


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
