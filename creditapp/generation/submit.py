"""A generation from the wish to the queue: quote, submit, look at, cancel, delete.

``submit`` writes the claim on the money and the row in one transaction; the caller enqueues the
work after the commit. What happens from then on is in ``work``.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, aliased

from creditapp.catalog import Catalog, Model, PriceRequest, Quote, Shape, guest_refusal
from creditapp.catalog import quote as quote_price
from creditapp.catalog.models import TEXT_TO_IMAGE
from creditapp.clock import now
from creditapp.db import changed, insert_once
from creditapp.errors import (
    AuthenticationRequired,
    Conflict,
    IdempotencyKeyReused,
    NotFound,
    ValidationFailed,
)
from creditapp.generation import funding
from creditapp.generation.funding import Caller
from creditapp.generation.models import Asset, Generation
from creditapp.generation.orders import ImageOrder
from creditapp.generation.providers import Providers
from creditapp.ids import new_id
from creditapp.services import get

ONCE = "once:"
"""How a key begins that was drawn for one request: nobody has used it before."""

_ID = re.compile(r"gen_[0-9a-z]{26}")


@dataclass(frozen=True)
class Made:
    """A generation with what it delivered, and whether this answer is a repeated one."""

    generation: Generation
    assets: tuple[Asset, ...] = ()
    replayed: bool = False
    available_micro: int | None = None
    """What the member can spend after this submission set its price aside; else None."""


def ordered_model(order: ImageOrder) -> Model:
    """Return the model that an order names, or the catalog's own choice; 422 for an unknown one."""
    catalog = get(Catalog)
    model = catalog.model(order.model or catalog.default_model)
    if model is None:
        names = ", ".join(each.id for each in catalog.models)
        raise ValidationFailed.of("model", f"There is no such model. There are: {names}.")
    return model


def ordered_shape(order: ImageOrder, model: Model) -> Shape:
    """Return the picture's shape; 422 for one that the model cannot make."""
    shape = model.shape(order.size)
    if shape is None:
        sizes = ", ".join(each.size for each in model.shapes)
        raise ValidationFailed.of("size", f"{model.name} makes these sizes: {sizes}.")
    return shape


def price(order: ImageOrder) -> Quote:
    """Return what an order costs and why; raise ``ValidationFailed`` for what no model can make."""
    model = ordered_model(order)
    ordered_shape(order, model)
    return quote_price(get(Catalog), _priced_by(order))


def _priced_by(order: ImageOrder) -> PriceRequest:
    return PriceRequest(
        operation=TEXT_TO_IMAGE,
        model=order.model,
        n=order.n,
        quality=order.quality,
        size=order.size,
    )


def submit(session: Session, order: ImageOrder, by: Caller, *, key: str) -> Made:
    """Set the price aside and store the generation; the caller commits, then enqueues ``work``.

    The same ``key`` from the same caller returns the generation it made before, whatever its state;
    with another order it raises ``IdempotencyKeyReused``. Raises ``InsufficientCredits`` (402),
    ``GuestLimitReached`` or ``GuestBudgetReached`` (429), ``AccountFrozen`` (403),
    ``ModelUnavailable`` (503) and ``ValidationFailed`` (422); none of them leaves a trace.
    """
    earlier = None if key.startswith(ONCE) else _find_by_key(session, by, key)
    if earlier is not None:
        return _replay(session, earlier, order)
    catalog = get(Catalog)
    model = ordered_model(order)
    quote = price(order)
    refusal = guest_refusal(catalog, _priced_by(order)) if by.member is None else None
    if refusal:
        raise AuthenticationRequired(refusal)
    provider = get(Providers).require(model)
    generation = Generation(
        id=new_id("gen"),
        owner_kind=by.owner[0],
        owner_id=by.owner[1],
        request_key=key,
        request_digest=order.digest(),
        operation=TEXT_TO_IMAGE,
        model=model.id,
        model_name=model.name,
        prompt=order.prompt,
        n=order.n,
        size=ordered_shape(order, model).size,
        # Where it makes no difference to the price it makes none to the work either.
        quality=(order.quality or model.default_quality) if model.qualities else None,
        seed=secrets.randbits(31),
        catalog_version=catalog.version,
        funding="wallet" if by.member else "guest",
        quoted_micro=quote.cost_micro,
        charged_micro=0,
        state="queued",
        attempt=1,
        progress=0,
        delivered=0,
        preview=get(Providers).is_preview(model),
        provider=provider.name,
        created_at=now(),
    )
    # The row comes first: its unique key decides between two submissions at once, and the one that
    # loses has not touched the wallet.
    if not insert_once(session, generation, ["owner_kind", "owner_id", "request_key"]):
        earlier = _find_by_key(session, by, key)
        if earlier is None:
            raise Conflict("This request is being withdrawn. Try again.")
        return _replay(session, earlier, order)
    return Made(generation, available_micro=funding.take(session, generation, quote, by))


def find(session: Session, generation_id: str, by: Caller) -> Made:
    """Return the caller's own generation; ``NotFound`` for a stranger's, as for none at all."""
    if _ID.fullmatch(generation_id) is None:
        # Not only sooner: PostgreSQL refuses a text with a NUL in it, whatever is asked about it.
        raise NotFound("There is no such picture here.")
    kind, owner_id = by.owner
    generation = session.scalar(
        select(Generation).where(
            Generation.id == generation_id,
            Generation.owner_kind == kind,
            Generation.owner_id == owner_id,
            Generation.deleted_at.is_(None),
        )
    )
    if generation is None:
        raise NotFound("There is no such picture here.")
    return Made(generation, assets_of(session, [generation]).get(generation.id, ()))


def assets_of(session: Session, generations: Sequence[Generation]) -> dict[str, tuple[Asset, ...]]:
    """Return the assets of many generations in one query."""
    ids = [generation.id for generation in generations]
    found: dict[str, list[Asset]] = {}
    if not ids:
        return {}
    query = select(Asset).where(Asset.generation_id.in_(ids)).order_by(Asset.position)
    for asset in session.scalars(query):
        found.setdefault(asset.generation_id, []).append(asset)
    return {generation_id: tuple(assets) for generation_id, assets in found.items()}


def cancel(session: Session, generation_id: str, by: Caller) -> Generation:
    """Stop a generation: a queued one at once, a running one when its worker next looks.

    What a running one has delivered by then is kept and paid for; the rest returns. Raises
    ``Conflict`` when it has already ended.
    """
    generation = find(session, generation_id, by).generation
    moment = now()
    if _change_state(session, generation, "queued", state="canceled", finished_at=moment):
        funding.give_back(session, generation, moment)
        return generation
    asked = session.execute(
        update(Generation)
        .where(Generation.id == generation.id, Generation.state == "running")
        .values(cancel_requested_at=moment)
    )
    if changed(asked) == 0:
        raise Conflict("It has already ended.")
    generation.cancel_requested_at = moment
    return generation


def delete(session: Session, generation_id: str, by: Caller) -> list[str]:
    """Hide a finished generation for good; return the media keys that the caller now removes."""
    generation = find(session, generation_id, by).generation
    if not generation.finished:
        raise Conflict("It is still being made. Cancel it first.")
    hidden = session.execute(
        update(Generation)
        .where(Generation.id == generation.id, Generation.deleted_at.is_(None))
        .values(deleted_at=now(), prompt="")
        .execution_options(synchronize_session=False)
    )
    if changed(hidden) == 0:
        raise NotFound("There is no such picture here.")
    gone = sql_delete(Asset).where(Asset.generation_id == generation.id)
    return list(session.scalars(gone.returning(Asset.media_key)))


def adopt(session: Session, cookie_id: str, user_id: str) -> int:
    """Give a guest's pictures to the account that the guest opened; return how many.

    One that is still being made moves too; how it is paid for stays as it was submitted. A request
    key that the account has used already is given up, because two rows cannot bear it.
    """
    theirs = Generation.owner_kind == "guest", Generation.owner_id == cookie_id
    mine = aliased(Generation)
    taken = select(mine.request_key).where(mine.owner_kind == "user", mine.owner_id == user_id)
    session.execute(
        update(Generation)
        .where(*theirs, Generation.request_key.in_(taken))
        .values(request_key="adopted:" + Generation.id)
        .execution_options(synchronize_session=False)
    )
    return changed(
        session.execute(
            update(Generation)
            .where(*theirs, Generation.deleted_at.is_(None))
            .values(owner_kind="user", owner_id=user_id)
            .execution_options(synchronize_session=False)
        )
    )


def count_of_guest(session: Session, cookie_id: str) -> int:
    """Return how many pictures a guest has made: what would move into an account."""
    made = (
        select(func.count())
        .select_from(Generation)
        .where(
            Generation.owner_kind == "guest",
            Generation.owner_id == cookie_id,
            Generation.state == "succeeded",
            Generation.deleted_at.is_(None),
        )
    )
    return session.scalar(made) or 0


def _find_by_key(session: Session, by: Caller, key: str) -> Generation | None:
    kind, owner_id = by.owner
    return session.scalar(
        select(Generation).where(
            Generation.owner_kind == kind,
            Generation.owner_id == owner_id,
            Generation.request_key == key,
        )
    )


def _replay(session: Session, earlier: Generation, order: ImageOrder) -> Made:
    if earlier.request_digest != order.digest():
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request.")
    if earlier.deleted_at is not None:
        raise NotFound("What this request made has been deleted.")
    return Made(earlier, assets_of(session, [earlier]).get(earlier.id, ()), replayed=True)


def _change_state(session: Session, generation: Generation, was: str, **values: object) -> bool:
    """Compare-and-set the state; the row object follows when it was this caller who changed it."""
    result = session.execute(
        update(Generation)
        .where(Generation.id == generation.id, Generation.state == was)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    if changed(result) == 0:
        return False
    for name, value in values.items():
        setattr(generation, name, value)
    return True
