"""Submission: price orders, take their payment and store them, queue the work."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp.catalog import Catalog, Model, Operation, Quote, amount, guest_refusal
from creditapp.catalog import quote as catalog_quote
from creditapp.db import insert_once, reading, stop_reading, transaction
from creditapp.errors import (
    AppError,
    AuthenticationRequired,
    Conflict,
    IdempotencyKeyReused,
    NotFound,
)
from creditapp.generation import funding, own_keys, prompts, queries, worker
from creditapp.generation.funding import Caller
from creditapp.generation.models import Generation
from creditapp.generation.moderation import Moderation
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.orders import ONCE, Order
from creditapp.generation.providers import Providers, ProviderUnavailable
from creditapp.generation.queries import GenerationResult
from creditapp.generation.sources import Sources, find_sources, note_use
from creditapp.ids import new_id
from creditapp.ledger import InsufficientCredits
from creditapp.services import get


class PriceRose(Conflict):
    """The order costs more than the price that its sender saw."""

    title = "The price has changed"


@dataclass(frozen=True)
class SubmitHooks:
    """Receivers of what happens here, connected by ``create_app``."""

    topup_due: Callable[[str, int], object]
    """Called after the commit with the id of a member whose balance fell below the threshold of
    automatic top-ups, and the microcredits left to spend."""


@dataclass(frozen=True)
class PricedOrder:
    """An order with its sources, its quote, and its model if the model has the price."""

    order: Order
    sources: Sources
    quote: Quote
    model: Model | None

    @property
    def priced(self) -> Model | Operation:
        """The catalog's entry that has the price: the model, or the operation."""
        entry = self.model or get(Catalog).operation(self.quote.operation)
        if entry is None:
            raise LookupError("the catalog priced an operation that it does not have")
        return entry


NO_SOURCES: Sources = {}


def price(order: Order, sources: Sources = NO_SOURCES) -> PricedOrder:
    """Return an order with its quote; raise ``ValidationFailed`` naming each wrong field.

    ``sources`` are the files that it starts from, as far as they are known.
    """
    catalog = get(Catalog)
    quote = catalog_quote(catalog, order.price_request(sources))
    model = catalog.model(quote.model) if quote.model else None
    return PricedOrder(order, sources, quote, model)


def submit(
    order: Order, by: Caller, *, key: str, now: datetime, price_limit_micro: int | None = None
) -> GenerationResult:
    """Hold the price, store the generation and queue its work. Owns its transaction.

    The same ``key`` from the same caller returns the generation that it created before, whatever
    its state; with another order it raises ``IdempotencyKeyReused``. Of requests with one key at
    the same moment, one creates it and the others return it. Raises ``PriceRose`` when the order
    costs a member more than ``price_limit_micro``, ``InsufficientCredits`` (402),
    ``GuestLimitReached``, ``GuestBudgetReached`` or ``RateLimited`` (429), ``AccountFrozen`` (403),
    ``MissingApiKey`` (400), ``ProviderUnavailable`` and ``ModerationUnavailable`` (503),
    ``PromptNotAllowed`` and ``ValidationFailed`` (422); none of them leaves a trace.
    """
    _moderate([order], by, key, first_key=key)
    try:
        with transaction() as session:
            result = _create(session, order, by, key, now, price_limit_micro)
    except AppError:
        # A request with the same key may have come first, with the row and the last credits: what
        # this one held is rolled back.
        earlier = None if key.startswith(ONCE) else queries.find_by_key(reading(), by, key)
        if earlier is None:
            raise
        return _replay(reading(), earlier, order)
    if not result.replayed:
        worker.enqueue(result.generation)
        _report_balance(by, result.available_micro)
    return result


def submit_batch(
    orders: Sequence[Order],
    by: Caller,
    *,
    key: str,
    now: datetime,
    price_limit_micro: int | None = None,
) -> tuple[GenerationResult, ...]:
    """Submit several orders of a member, such as one prompt for several models: all or none.

    One transaction holds every price and stores every generation; they share a ``batch_id``, and
    their keys are ``key.0``, ``key.1`` and so on. ``price_limit_micro`` is that of the sum.
    Repeated and simultaneous requests, and refusals, are those of ``submit``; guests get
    ``AuthenticationRequired``.
    """
    if by.member is None:
        raise AuthenticationRequired("Sign up to compare models.")
    _moderate(orders, by, key, first_key=f"{key}.0")
    try:
        with transaction() as session:
            results = _create_batch(session, orders, by, key, now, price_limit_micro)
    except AppError:
        earlier = None if key.startswith(ONCE) else queries.find_by_key(reading(), by, f"{key}.0")
        if earlier is None:
            raise
        return _replay_batch(reading(), by, earlier, orders)
    for result in results:
        if not result.replayed:
            worker.enqueue(result.generation)
    _report_balance(by, results[-1].available_micro)
    return results


def _moderate(orders: Sequence[Order], by: Caller, key: str, *, first_key: str) -> None:
    """Ask the moderation about new orders; nothing is held and no read is open meanwhile."""
    moderation = get(Moderation)
    if not moderation.asks:
        return
    if not key.startswith(ONCE) and queries.find_by_key(reading(), by, first_key) is not None:
        return  # it is answered with what was ordered before
    stop_reading()
    moderation.check([order.prompt_text() for order in orders])


def _create_batch(
    session: Session,
    orders: Sequence[Order],
    by: Caller,
    key: str,
    now: datetime,
    price_limit_micro: int | None,
) -> tuple[GenerationResult, ...]:
    earlier = None if key.startswith(ONCE) else queries.find_by_key(session, by, f"{key}.0")
    if earlier is not None:
        return _replay_batch(session, by, earlier, orders)
    batch = [price(order, find_sources(session, by, order.source_ids())) for order in orders]
    sum_micro = sum(priced.quote.cost_micro for priced in batch)
    _check_price(sum_micro, by, price_limit_micro)
    batch_id, held_micro, results = new_id("bat"), 0, []
    for number, priced in enumerate(batch):
        generation = _new_generation(session, priced, by, f"{key}.{number}", now)
        generation.batch_id = batch_id
        try:
            available_micro = _store(session, generation, priced, by, now)
        except InsufficientCredits as refusal:
            # The refusal is of the whole batch, whose earlier holds are rolled back with it.
            raise InsufficientCredits(sum_micro, refusal.balance_micro + held_micro) from None
        held_micro += priced.quote.cost_micro
        results.append(GenerationResult(generation, available_micro=available_micro))
    return tuple(results)


def _replay_batch(
    session: Session, by: Caller, earlier: Generation, orders: Sequence[Order]
) -> tuple[GenerationResult, ...]:
    generations = queries.list_batch(session, by, earlier.batch_id)
    if len(generations) != len(orders):
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request.")
    pairs = zip(generations, orders, strict=True)
    return tuple(_replay(session, generation, order) for generation, order in pairs)


def _report_balance(by: Caller, available_micro: int | None) -> None:
    if by.member is None or available_micro is None or by.member.topup_below_micro is None:
        return
    if available_micro < by.member.topup_below_micro:
        get(SubmitHooks).topup_due(by.member.id, available_micro)


def _create(
    session: Session,
    order: Order,
    by: Caller,
    key: str,
    now: datetime,
    price_limit_micro: int | None,
) -> GenerationResult:
    earlier = None if key.startswith(ONCE) else queries.find_by_key(session, by, key)
    if earlier is not None:
        return _replay(session, earlier, order)
    if by.funding == "guest":
        refusal = guest_refusal(get(Catalog), order.price_request(NO_SOURCES))
        if refusal:
            raise AuthenticationRequired(refusal)
    priced = price(order, find_sources(session, by, order.source_ids()))
    _check_price(priced.quote.cost_micro, by, price_limit_micro)
    generation = _new_generation(session, priced, by, key, now)
    available_micro = _store(session, generation, priced, by, now)
    return GenerationResult(generation, available_micro=available_micro)


def _store(
    session: Session, generation: Generation, priced: PricedOrder, by: Caller, now: datetime
) -> int | None:
    """Take the payment and insert the row; return the microcredits that a member has left."""
    available_micro = funding.reserve(session, generation, priced.quote, by, now)
    if not generation.request_key.startswith(ONCE):
        queries.require_new(session, by, generation.request_key)
    # After the hold, so that the row is written once, and whole.
    if not insert_once(session, generation, ["owner_kind", "owner_id", "request_key"]):
        raise Conflict("This request is being withdrawn. Try again.")
    prompts.remember(session, [generation])
    note_use(session, priced.sources, now)
    return available_micro


def _check_price(cost_micro: int, by: Caller, price_limit_micro: int | None) -> None:
    is_charged = by.funding == "wallet"
    if is_charged and price_limit_micro is not None and cost_micro > price_limit_micro:
        raise PriceRose(
            f"The price is {amount(get(Catalog), cost_micro)} with these settings. "
            "Press Generate again to go ahead."
        )


def _new_generation(
    session: Session, priced: PricedOrder, by: Caller, key: str, now: datetime
) -> Generation:
    order, quote, catalog = priced.order, priced.quote, get(Catalog)
    values = asdict(order.values(priced.priced, priced.sources))
    if order.partial_images:
        values["parameters"] = {**values["parameters"], "partial_images": order.partial_images}
    if values["seed"] is None:
        values["seed"] = secrets.randbits(31)
    model_id = quote.model or quote.operation
    served = OPERATIONS[quote.operation].served_by(catalog, model_id)
    if served is None:
        raise ProviderUnavailable(permanent=True, reason="not_in_catalog")
    if by.member is not None:
        by.member.require_model(model_id)
    own_key = own_keys.find_key(session, by, served, now)
    route = get(Providers).require(served, own_key=own_key)
    owner_kind, owner_id = by.owner
    generation = Generation(
        id=new_id("gen"),
        owner_kind=owner_kind,
        owner_id=owner_id,
        request_key=key,
        request_digest=order.digest(),
        operation=quote.operation,
        model=model_id,
        model_name=quote.model_name,
        **values,
        catalog_version=quote.version,
        funding=by.funding,
        quoted_micro=funding.price_micro(quote, by),
        quoted_units=quote.units,
        charged_micro=0,
        state="queued",
        attempt=1,
        progress=0,
        delivered=0,
        preview=route.preview,
        provider=route.name,
        created_at=now,
    )
    if own_key is not None:
        own_keys.attach(generation, served, own_key)
    return generation


def _replay(session: Session, earlier: Generation, order: Order) -> GenerationResult:
    if earlier.request_digest != order.digest():
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request.")
    if earlier.deleted_at is not None:
        raise NotFound("The result of this request has been deleted.")
    return queries.with_assets(session, earlier, replayed=True)
