"""Embeddings: one call without a stream, held, made and settled in the caller's thread."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.orm import Session

from creditapp import clock
from creditapp.accounts import Member
from creditapp.catalog import Catalog
from creditapp.catalog.selection import language_model
from creditapp.chat import own_keys, turns
from creditapp.chat.live import TurnResult
from creditapp.chat.models import UsageRecord
from creditapp.chat.own_keys import NO_KEYS
from creditapp.chat.providers import ChatMessage, ChatProviders, ChatRequest, ChatRoute, Embedded
from creditapp.chat.settlement import Ending, post_settlement, result_of, settle
from creditapp.chat.usage import TokenUsage, count_tokens
from creditapp.db import reading, stop_reading, transaction
from creditapp.generation.delivery import persist
from creditapp.generation.moderation import Moderation
from creditapp.generation.orders import ONCE
from creditapp.generation.providers import GenerationFailed, ProviderError
from creditapp.ledger import idempotency
from creditapp.logs import error_fields
from creditapp.services import get

LEASE_SECONDS: Final = 300
"""Longer than any call: nothing renews it, and recovery releases what a dead process left."""
ROUTE: Final = "/api/embeddings"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """The vectors with what they cost."""

    vectors: Sequence[Sequence[float]] = field(repr=False)
    result: TurnResult
    replayed: bool = False


def embed(
    texts: Sequence[str],
    model_id: str | None,
    by: Member,
    *,
    key: str,
    now: datetime,
    request_keys: Mapping[str, str] = NO_KEYS,
    dimensions: int | None = None,
) -> EmbeddingResult:
    """Return the vector of each text, of ``dimensions`` numbers where the caller chose so.

    Owns its transactions; none is open during the call. Repeated requests and refusals are as those
    of ``turns.start``. A failure of the vendor raises ``ProviderError``, with nothing charged.
    """
    model = language_model(get(Catalog), "embeddings", model_id)
    by.require_model(model.id)
    messages = [ChatMessage("user", text) for text in texts]
    options = {} if dimensions is None else {"dimensions": dimensions}
    digest = hashlib.sha256(
        json.dumps([model_id, list(texts), *options.values()]).encode()
    ).hexdigest()
    request_key = f"{ONCE}{secrets.token_hex(16)}"
    _moderate(texts, by, key, digest)
    with transaction() as session:
        if (earlier := _claim(session, by, key, digest, now)) is not None:
            return earlier
        own_key = own_keys.find(session, by, model, request_keys)
        route = get(ChatProviders).require(model, own_key=own_key.key if own_key else None)
        route.require_options(options)
        record = turns.new_record("embeddings", model, route, by, request_key, digest, now)
        record.lease_until = now + timedelta(seconds=LEASE_SECONDS)
        turns.fund(session, record, by, model, messages, own_key, now)
        turns.insert_new(session, record)
    stop_reading()
    embedded = _call(route, messages, options)
    failure = embedded if isinstance(embedded, ProviderError) else None
    if own_key is not None:
        own_key.note_outcome(by.id, failure, now=clock.now())
    if isinstance(embedded, ProviderError):
        embedded = own_key.explain(embedded) if own_key is not None else embedded
        _give_back(record, embedded, by, key, now)
        raise embedded
    usage = count_tokens(embedded.usage, input_estimate=record.input_tokens, text="")
    ending = Ending("stop", "", usage)
    result = persist(lambda: _settle(record.id, ending, embedded, by, key, digest), record.id)
    return EmbeddingResult(embedded.vectors, result)


def _moderate(texts: Sequence[str], by: Member, key: str, digest: str) -> None:
    """Ask the moderation about new texts; nothing is held and no read is open meanwhile."""
    moderation = get(Moderation)
    if not moderation.asks:
        return
    if not key.startswith(ONCE):
        stored = idempotency.stored_response(reading().connection(), by.id, ROUTE, key, digest)
        if stored is not None:
            return  # they are answered as before
    stop_reading()
    moderation.check(texts)


def _call(
    route: ChatRoute, messages: Sequence[ChatMessage], options: Mapping[str, int]
) -> Embedded | ProviderError:
    try:
        return route.embed(ChatRequest(messages=messages, max_output_tokens=0, options=options))
    except ProviderError as error:
        log.warning("provider call failed", code=error.code, reason=error.reason)
        return error
    except Exception as error:
        # The text of a foreign exception may hold the texts: only its type and place are logged.
        log.error("provider failed", **error_fields(error))
        return GenerationFailed("The model failed in a way that we did not foresee.")


def _claim(
    session: Session, by: Member, key: str, digest: str, now: datetime
) -> EmbeddingResult | None:
    """Claim the caller's key; return what an earlier request with it stored, if anything."""
    if key.startswith(ONCE):
        return None
    lapsed_before = now - timedelta(seconds=LEASE_SECONDS)
    stored = idempotency.claim(
        session.connection(), by.id, ROUTE, key, digest, now=now, lapsed_before=lapsed_before
    )
    if stored is None:
        return None
    content = json.loads(stored)
    record = session.get_one(UsageRecord, content["usage"])
    return EmbeddingResult(content["vectors"], result_of(session, record), replayed=True)


def _settle(
    record_id: str, ending: Ending, embedded: Embedded, by: Member, key: str, digest: str
) -> TurnResult:
    """Settle the call, and store its vectors for a repeated request in the same transaction."""
    with transaction() as session:
        result = post_settlement(session, record_id, ending, now=clock.now())
        if not key.startswith(ONCE):
            stored = json.dumps({"usage": record_id, "vectors": embedded.vectors})
            idempotency.complete(session.connection(), by.id, ROUTE, key, digest, stored)
        return result


def _give_back(
    record: UsageRecord, error: ProviderError, by: Member, key: str, now: datetime
) -> None:
    """Release the hold and the key, so that the same request can be tried again."""
    ending = Ending("failed", "", TokenUsage(input_tokens=record.input_tokens), error)
    persist(lambda: settle(record.id, ending, now=clock.now()), record.id)
    with transaction() as session:
        idempotency.release(session.connection(), by.id, ROUTE, key, since=now)
