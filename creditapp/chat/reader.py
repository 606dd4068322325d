"""Reader: the thread that owns a vendor's stream, and the one that stores how far it came.

The HTTP response only tails the turn, so a closed tab changes nothing: the turn is read to its end
and settled. No transaction is open during the call. The second thread renews the lease every
second, stores text and usage, and reads whether the user asked to stop; when the process dies,
recovery settles what was stored.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from creditapp.chat import images
from creditapp.chat.live import LiveTurn
from creditapp.chat.models import Message, UsageRecord
from creditapp.chat.own_keys import OwnKey
from creditapp.chat.providers import ChatRequest, ChatRoute, Finished, ReportedUsage, TextDelta
from creditapp.chat.settlement import Ending, settle
from creditapp.clock import now
from creditapp.db import transaction
from creditapp.generation.delivery import persist
from creditapp.generation.providers import GenerationFailed, ProviderError
from creditapp.generation.sources import Sources
from creditapp.logs import error_fields, failures_logged
from creditapp.services import in_this_app

LEASE_SECONDS: Final = 5
RENEW_SECONDS: Final = 1.0
CHARACTERS_PER_TOKEN_MAX: Final = 32
"""An endpoint that ignores the limit of an answer is cut off at so many."""

NOTHING: Final = "The model ended without a word. Try again, or choose another model."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class VendorCall:
    """The call that answers a turn."""

    route: ChatRoute
    request: ChatRequest
    own_key: OwnKey | None = None
    images: Sources = field(default_factory=dict)
    """Those of the request's messages, whose files are read before the call."""


def read(turn: LiveTurn, call: VendorCall, ended: Callable[[], None]) -> None:
    """Start the threads that read an answer and settle it; call ``ended`` after that."""

    def run() -> None:
        done = threading.Event()
        keeper = threading.Thread(
            target=in_this_app(lambda: _keep(turn, done)), name=f"chat-lease-{turn.record.id}"
        )
        keeper.daemon = True
        keeper.start()
        try:
            finish_reason, error = _receive(turn, call)
            if error is not None and call.own_key is not None:
                error = call.own_key.explain(error)
            _end(turn, finish_reason, error)
        finally:
            done.set()
            ended()
        if call.own_key is not None:
            with failures_logged("key not noted", usage=turn.record.id):
                call.own_key.note_outcome(turn.record.user_id, error, now=now())

    name = f"chat-{turn.record.id}"
    threading.Thread(target=in_this_app(run), name=name, daemon=True).start()


def _receive(turn: LiveTurn, call: VendorCall) -> tuple[str, ProviderError | None]:
    """Read the stream into the turn; return why it ended."""
    finish_reason, characters = "", 0
    try:
        request = replace(call.request, messages=images.read(call.request.messages, call.images))
        with closing(call.route.stream(request)) as events:  # type: ignore[type-var]  # a generator
            for event in events:
                if turn.stop_requested.is_set():
                    return "stopped", None
                match event:
                    case TextDelta(text):
                        turn.append(text)
                        characters += len(text)
                    case ReportedUsage():
                        turn.report(event)
                    case Finished(reason):
                        finish_reason = reason
                if characters > request.max_output_tokens * CHARACTERS_PER_TOKEN_MAX:
                    log.warning("answer above its limit", usage=turn.record.id)
                    return "length", None
    except ProviderError as error:
        log.warning("provider call failed", code=error.code, reason=error.reason)
        # A connection that breaks after the last word takes nothing from the answer.
        if not finish_reason:
            return "failed", error
    except Exception as error:
        # The text of a foreign exception may hold the prompt: only its type and place are logged.
        log.error("provider failed", usage=turn.record.id, **error_fields(error))
        return "failed", GenerationFailed("The model failed in a way that we did not foresee.")
    if not characters and not turn.is_reported:
        return "failed", GenerationFailed(NOTHING, reason="no_text")
    return finish_reason, None


def _end(turn: LiveTurn, finish_reason: str, error: ProviderError | None) -> None:
    """Settle the turn and publish its result; the first of two threads that end it does."""
    if not turn.close():
        return
    text, usage = turn.progress()
    ending = Ending(finish_reason, text, usage, error)
    record_id = turn.record.id
    try:
        result = persist(lambda: settle(record_id, ending, now=now()), record_id)
    except Exception as failure:
        # The database failed for seconds: recovery settles the turn when it answers again.
        log.error("turn not settled", usage=record_id, **error_fields(failure))
        turn.abandon()
    else:
        turn.finish(result)


def _keep(turn: LiveTurn, done: threading.Event) -> None:
    """Store the progress every second until the turn is settled."""
    stored = ""
    while not done.wait(RENEW_SECONDS):
        try:
            text, _ = turn.progress()
            is_open = _checkpoint(turn, with_text=text != stored)
            stored = text
        except Exception as error:
            # The next one tries again; when none succeeds, recovery takes over.
            log.warning("turn not stored", usage=turn.record.id, **error_fields(error))
            continue
        if not is_open or turn.stop_requested.is_set():
            # The reader may be waiting for the vendor: it finds the turn closed later.
            turn.stop_requested.set()
            _end(turn, "stopped", None)
            return


def _checkpoint(turn: LiveTurn, *, with_text: bool) -> bool:
    """Store text, usage and lease; return whether the turn is open. Notes a request to stop."""
    text, usage = turn.progress()
    with transaction() as session:
        row = session.execute(
            update(UsageRecord)
            .where(UsageRecord.id == turn.record.id, UsageRecord.state == "open")
            .values(lease_until=now() + timedelta(seconds=LEASE_SECONDS), **asdict(usage))
            .returning(UsageRecord.stop_requested_at)
            .execution_options(synchronize_session=False)
        ).first()
        if row is not None and with_text:
            _store_text(session, turn.record, text)
    if row is not None and row[0] is not None:
        turn.stop_requested.set()
    return row is not None


def _store_text(session: Session, record: UsageRecord, text: str) -> None:
    if record.message_id is not None:
        session.execute(update(Message).where(Message.id == record.message_id).values(text=text))
    elif record.answer is not None:
        session.execute(
            update(UsageRecord)
            .where(UsageRecord.id == record.id)
            .values(answer=text)
            .execution_options(synchronize_session=False)
        )
