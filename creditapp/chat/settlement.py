"""Settlement: end a turn once, capture the real cost of its tokens, release the rest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import structlog
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from creditapp import accounts, ledger
from creditapp.catalog import Catalog, versions
from creditapp.chat.live import TurnResult
from creditapp.chat.models import Message, UsageRecord
from creditapp.chat.usage import TokenUsage, stored_usage
from creditapp.db import transaction, update_if
from creditapp.generation.orders import ONCE
from creditapp.generation.providers import ProviderError
from creditapp.services import get

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a turn ends, and what it is charged for."""

    finish_reason: str
    text: str
    usage: TokenUsage
    error: ProviderError | None = None

    @property
    def is_charged(self) -> bool:
        """Whether there is something to pay for.

        A failure before the first word is free, though the vendor may have read the prompt. A user
        who stops the answer before it pays for the prompt.
        """
        return bool(self.text) or self.finish_reason != "failed"


def settle(
    record_id: str,
    ending: Ending,
    *,
    now: datetime,
    conditions: tuple[ColumnElement[bool], ...] = (),
) -> TurnResult:
    """Settle a turn in one transaction; return its result, which an earlier settlement may be.

    Owns its transaction. A second settlement changes nothing.
    """
    with transaction() as session:
        return post_settlement(session, record_id, ending, now=now, conditions=conditions)


def post_settlement(
    session: Session,
    record_id: str,
    ending: Ending,
    *,
    now: datetime,
    conditions: tuple[ColumnElement[bool], ...] = (),
) -> TurnResult:
    """Settle as ``settle`` does, in the caller's transaction."""
    record = session.get_one(UsageRecord, record_id)
    cost_micro = _cost_micro(session, record, ending) if ending.is_charged else 0
    settled = update_if(
        session,
        record,
        UsageRecord.state == "open",
        *conditions,
        state="settled",
        settled_at=now,
        cost_micro=cost_micro,
        finish_reason=ending.finish_reason,
        error_code=ending.error.code if ending.error else None,
        error_text=str(ending.error)[:240] if ending.error else None,
        **asdict(ending.usage),
    )
    if settled:
        _store_text(session, record, ending.text)
        _post(session, record, now)
    else:
        session.refresh(record)
    return result_of(session, record, ending.error)


def result_of(
    session: Session, record: UsageRecord, error: ProviderError | None = None
) -> TurnResult:
    """Return the result of a settled record."""
    connection, available_micro = session.connection(), 0
    if record.charge_id is not None:
        available_micro = ledger.charge_by_id(connection, record.charge_id).available_micro
    elif wallet_id := ledger.find_wallet(connection, "user", record.user_id):
        moment = record.settled_at or record.created_at
        available_micro = ledger.balance(connection, wallet_id, now=moment).available_micro
    status = error.status if error is not None else 502
    return TurnResult(
        record, stored_usage(record), available_micro, status if record.error_code else 200
    )


def _cost_micro(session: Session, record: UsageRecord, ending: Ending) -> int:
    """Return the cost by the catalog that the turn pinned, at most what is held."""
    if record.funding == "own_key":
        return 0
    catalog = get(Catalog)
    if catalog.version != record.catalog_version:
        catalog = versions.pinned(session, record.catalog_version) or catalog
    model = catalog.language_model(record.model)
    if model is None:
        log.error("model of a turn not in its catalog", usage=record.id, model=record.model)
        return record.held_micro
    cost_micro = ending.usage.cost_micro(catalog, model)
    if cost_micro > record.held_micro:
        log.warning(
            "usage above the hold", usage=record.id, cost_micro=cost_micro, held=record.held_micro
        )
    return min(cost_micro, record.held_micro)


def _store_text(session: Session, record: UsageRecord, text: str) -> None:
    if record.message_id is not None:
        session.get_one(Message, record.message_id).text = text
    elif record.answer is not None:
        record.answer = None if record.request_key.startswith(ONCE) else text


def _post(session: Session, record: UsageRecord, now: datetime) -> None:
    if record.charge_id is None:
        return
    connection = session.connection()
    charge = ledger.capture(connection, record.charge_id, record.cost_micro, now=now)
    # The hold says nothing about a low balance: most of it comes back.
    after_micro, threshold_micro = charge.available_micro, _threshold_micro(session, record)
    if after_micro < threshold_micro <= after_micro + record.cost_micro:
        payload = {"available_micro": after_micro, "threshold_micro": threshold_micro}
        event = ledger.outbox.event_row("low_balance", charge.wallet_id, now, payload)
        ledger.outbox.insert(connection, [event])


def _threshold_micro(session: Session, record: UsageRecord) -> int:
    user = accounts.find(session, record.user_id)
    own_micro = user.low_balance_micro if user is not None else None
    return get(Catalog).low_balance_micro if own_micro is None else own_micro
