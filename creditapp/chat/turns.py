"""Turns: hold the worst case, store the question, and let a reader fetch the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.orm import Session

from creditapp import accounts, ledger
from creditapp.accounts import Member
from creditapp.catalog import Catalog
from creditapp.catalog.models import LanguageModel, TokenOperation
from creditapp.catalog.selection import language_model
from creditapp.chat import context, conversations, funding, images, own_keys, reader
from creditapp.chat.instructions import INSTRUCTIONS
from creditapp.chat.live import LiveTurn
from creditapp.chat.models import UsageRecord
from creditapp.chat.orders import ChatOrder
from creditapp.chat.own_keys import NO_KEYS, OwnKey
from creditapp.chat.providers import ChatMessage, ChatProviders, ChatRequest, ChatRoute
from creditapp.chat.queries import find_by_key, text_of
from creditapp.chat.reader import VendorCall
from creditapp.chat.settlement import result_of
from creditapp.chat.slots import ChatSlots
from creditapp.chat.usage import input_estimate
from creditapp.db import insert_once, reading, stop_reading, transaction
from creditapp.errors import AppError, IdempotencyInProgress, IdempotencyKeyReused, NotFound
from creditapp.generation.moderation import Moderation
from creditapp.generation.orders import ONCE
from creditapp.generation.sources import Sources
from creditapp.ids import new_id
from creditapp.services import get


def start(
    order: ChatOrder,
    by: Member,
    *,
    key: str,
    now: datetime,
    request_keys: Mapping[str, str] = NO_KEYS,
) -> LiveTurn:
    """Hold the price, store the question and start to read the answer. Owns its transaction.

    Where the member pays with own keys, that of ``request_keys`` or the stored one pays and nothing
    is held.

    Returns the turn, to tail. The same ``key`` from the same member returns the settled turn that
    it made before (``replayed``); while that is open it raises ``IdempotencyInProgress``, with
    another order ``IdempotencyKeyReused``. Raises ``MissingApiKey`` (400),
    ``InsufficientCredits`` (402), ``AccountFrozen`` (403), ``NotFound`` (404),
    ``PromptNotAllowed`` and ``ValidationFailed`` (422), ``RateLimited`` (429),
    ``ModerationUnavailable`` and ``ProviderUnavailable`` (503); none of them leaves a trace.
    """
    _moderate(order, by, key)
    slots = get(ChatSlots)
    slots.take(by.id)
    free = partial(slots.free, by.id)
    is_read = False
    try:
        turn, call = _open(order, by, key, now, request_keys)
        if call is not None:
            is_read = True
            reader.read(turn, call, ended=free)
        return turn
    finally:
        if not is_read:
            free()


def _moderate(order: ChatOrder, by: Member, key: str) -> None:
    """Ask the moderation about new messages; nothing is held and no read is open meanwhile."""
    moderation = get(Moderation)
    if not moderation.asks:
        return
    if _earlier(reading(), by, key) is not None:
        return  # it is answered with what was asked before
    stop_reading()
    # The system's message is the caller's own text too. Answers are the model's.
    moderation.check([each.text for each in order.messages if each.role != "assistant"])


def _open(
    order: ChatOrder, by: Member, key: str, now: datetime, request_keys: Mapping[str, str]
) -> tuple[LiveTurn, VendorCall | None]:
    """Return the new turn with its call of the vendor, or a settled earlier turn alone."""
    try:
        with transaction() as session:
            earlier = _earlier(session, by, key)
            if earlier is not None:
                return replay(session, earlier, order.digest()), None
            return _create(session, order, by, key, now, request_keys)
    except AppError:
        # A request with the same key may have come first: what this one held is rolled back.
        earlier = _earlier(reading(), by, key)
        if earlier is None:
            raise
        return replay(reading(), earlier, order.digest()), None


def _earlier(session: Session, by: Member, key: str) -> UsageRecord | None:
    """Return the record that a request with this key made before; one without a key has none."""
    return None if key.startswith(ONCE) else find_by_key(session, by.id, key)


def _create(
    session: Session,
    order: ChatOrder,
    by: Member,
    key: str,
    now: datetime,
    request_keys: Mapping[str, str],
) -> tuple[LiveTurn, VendorCall]:
    model = language_model(get(Catalog), order.source, order.model)
    by.require_model(model.id)
    own_key = own_keys.find(session, by, model, request_keys)
    route = get(ChatProviders).require(model, own_key=own_key.key if own_key else None)
    route.require_options(order.options)
    history = conversations.history(
        session, order.conversation_id, by.id, until=order.from_position
    )
    messages, sent_images = images.find(session, by, history, order.messages)
    images.require_taken(get(Catalog), model, sent_images)
    schema, instructions = order.schema_message(), INSTRUCTIONS.get(order.source, ())
    # What the model reads. Messages of the system are never left out, so that the schema is first.
    read, omitted = context.fit(model, [*schema, *instructions, *messages])
    prompt = read[len(schema) :]
    sent_images = {id: sent_images[id] for each in prompt for id in each.image_ids}
    record = new_record(order.source, model, route, by, key, order.digest(), now)
    record.omitted_messages = omitted
    max_output_tokens = fund(
        session, record, by, model, read, own_key, now, order.max_output_tokens
    )
    # Whoever had the wallet before may have stored this turn. An insert would then wait for its
    # settlement, and that one for the wallet: read before it.
    if _earlier(session, by, key) is not None:
        raise IdempotencyInProgress
    if order.is_stateless:
        record.answer = ""
    else:
        _store_messages(session, record, order, by, sent_images, now)
    insert_new(session, record)
    request = ChatRequest(
        messages=prompt, max_output_tokens=max_output_tokens, options=order.options
    )
    return LiveTurn(record), VendorCall(route, request, own_key, sent_images)


def _store_messages(
    session: Session,
    record: UsageRecord,
    order: ChatOrder,
    by: Member,
    sent_images: Sources,
    now: datetime,
) -> None:
    """Store the question and an empty answer. After the hold: the wallet's lock comes first."""
    if order.conversation_id is not None and order.from_position is not None:
        conversations.supersede(session, order.conversation_id, order.from_position, now)
    conversation_id, answer = conversations.store(
        session, order.conversation_id, by.id, order.source, order.messages, now
    )
    images.bind(session, conversation_id, sent_images, now)
    record.conversation_id, record.message_id = conversation_id, answer.id


def new_record(
    source: TokenOperation,
    model: LanguageModel,
    route: ChatRoute,
    by: Member,
    key: str,
    digest: str,
    now: datetime,
) -> UsageRecord:
    """Return the open record of a call, which is not stored yet and has no hold."""
    return UsageRecord(
        id=new_id("use"),
        user_id=by.id,
        request_key=key,
        request_digest=digest,
        source=source,
        provider=route.name,
        model=model.id,
        model_name=model.name,
        catalog_version=get(Catalog).version,
        preview=route.preview,
        omitted_messages=0,
        funding="wallet",
        held_micro=0,
        cost_micro=0,
        input_tokens=0,
        cached_tokens=0,
        cache_write_tokens=0,
        output_tokens=0,
        reasoning_tokens=0,
        estimated=True,
        state="open",
        created_at=now,
        lease_until=now + timedelta(seconds=reader.LEASE_SECONDS),
    )


def fund(
    session: Session,
    record: UsageRecord,
    by: Member,
    model: LanguageModel,
    prompt: Sequence[ChatMessage],
    own_key: OwnKey | None,
    now: datetime,
    output_tokens_max: int | None = None,
) -> int:
    """Hold the worst case of a call and note it on its record; nothing for an own key.

    Returns how many tokens the answer may have.
    """
    accounts.require_open(session, by.id)
    record.input_tokens = input_estimate(model, prompt)
    if own_key is not None:
        record.funding = "own_key"
        return min(output_tokens_max or model.max_output_tokens, model.max_output_tokens)
    charge = ledger.NewCharge(
        amount_micro=0,
        key=f"usage:{record.id}",
        digest=record.request_digest,
        operation=record.source,
        actor=by.id,
        api_key_id=by.key_id,
        budget=by.budget,
        max_micro=by.max_micro,
        note=model.name,
    )
    connection = session.connection()
    held = funding.hold(
        connection,
        by,
        get(Catalog),
        model,
        prompt,
        charge,
        now=now,
        output_tokens_max=output_tokens_max,
    )
    record.wallet_id, record.charge_id = held.charge.wallet_id, held.charge.id
    record.held_micro = held.charge.amount_micro
    return held.max_output_tokens


def insert_new(session: Session, record: UsageRecord) -> None:
    """Insert the record; raise ``IdempotencyInProgress`` where its key has one."""
    session.flush()
    if not insert_once(session, record, ["user_id", "request_key"]):
        raise IdempotencyInProgress


def replay(session: Session, earlier: UsageRecord, digest: str) -> LiveTurn:
    """Return a settled turn; raise as ``start`` for an open one, or another order."""
    if earlier.request_digest != digest:
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request.")
    if earlier.state == "open":
        raise IdempotencyInProgress
    if earlier.message_id is None and earlier.answer is None:
        raise NotFound("The answer to this request has been deleted.")
    turn = LiveTurn(earlier, replayed=True)
    turn.append(text_of(session, earlier))
    turn.finish(result_of(session, earlier))
    return turn
