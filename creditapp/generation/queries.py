"""Reads of generations: by id, by request key, with their assets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from creditapp.errors import NotFound
from creditapp.generation.funding import Caller
from creditapp.generation.models import Asset, Generation

_ID = re.compile(r"gen_[0-9a-z]{26}")


@dataclass(frozen=True)
class GenerationResult:
    """A generation with its assets; ``replayed`` when a repeated request found it."""

    generation: Generation
    assets: tuple[Asset, ...] = ()
    replayed: bool = False
    available_micro: int | None = None
    """A member's balance after this request's hold; None when it made none."""


def find(session: Session, generation_id: str, by: Caller) -> GenerationResult:
    """Return the caller's own generation; raise ``NotFound`` for any other id."""
    generation = None
    # PostgreSQL refuses a text with a NUL in it, so only what looks like an id is looked up.
    if _ID.fullmatch(generation_id):
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
        raise NotFound("There is no such image here.")
    return with_assets(session, generation)


def find_by_key(session: Session, by: Caller, key: str) -> Generation | None:
    """Return the generation that the caller's earlier request with this key created."""
    kind, owner_id = by.owner
    return session.scalar(
        select(Generation).where(
            Generation.owner_kind == kind,
            Generation.owner_id == owner_id,
            Generation.request_key == key,
        )
    )


def with_assets(
    session: Session, generation: Generation, *, replayed: bool = False
) -> GenerationResult:
    """Return a generation together with its assets."""
    assets = assets_of(session, [generation]).get(generation.id, ())
    return GenerationResult(generation, assets, replayed)


def assets_of(session: Session, generations: Sequence[Generation]) -> dict[str, tuple[Asset, ...]]:
    """Return the assets of many generations in one query, by the generation's id."""
    if not generations:
        return {}
    ids = [generation.id for generation in generations]
    query = select(Asset).where(Asset.generation_id.in_(ids)).order_by(Asset.position)
    assets: dict[str, tuple[Asset, ...]] = {}
    for asset in session.scalars(query):
        assets[asset.generation_id] = (*assets.get(asset.generation_id, ()), asset)
    return assets


def count_of_guest(session: Session, cookie_id: str) -> int:
    """Return how many images a guest has: those that would move into an account."""
    query = (
        select(func.count())
        .select_from(Generation)
        .where(
            Generation.owner_kind == "guest",
            Generation.owner_id == cookie_id,
            Generation.state == "succeeded",
            Generation.deleted_at.is_(None),
        )
    )
    return session.scalar(query) or 0
