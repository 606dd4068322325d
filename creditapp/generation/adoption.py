"""Adoption of a guest's generations by the account that the guest opened."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from creditapp.generation import prompts
from creditapp.generation.models import Asset, Generation


def adopt(session: Session, cookie_id: str, user_id: str) -> int:
    """Move a guest's generations, assets and prompts into an account; return how many.

    An unfinished one moves too and keeps its funding. A request key that the account has used
    already is replaced, because the key is unique for an owner.
    """
    guests = Generation.owner_kind == "guest", Generation.owner_id == cookie_id
    own = aliased(Generation)
    own_keys = select(own.request_key).where(own.owner_kind == "user", own.owner_id == user_id)
    session.execute(
        update(Generation)
        .where(*guests, Generation.request_key.in_(own_keys))
        .values(request_key="adopted:" + Generation.id)
        .execution_options(synchronize_session=False)
    )
    moved = (
        update(Generation)
        .where(*guests, Generation.deleted_at.is_(None))
        .values(owner_kind="user", owner_id=user_id)
    )
    adopted = session.scalars(
        moved.returning(Generation),
        execution_options={"populate_existing": True, "synchronize_session": False},
    ).all()
    # After the generations: settling locks its generation before it inserts the assets.
    of_the_account = select(Generation.id).where(
        Generation.owner_kind == "user", Generation.owner_id == user_id
    )
    assets = (
        update(Asset)
        .where(
            Asset.owner_kind == "guest",
            Asset.owner_id == cookie_id,
            Asset.generation_id.in_(of_the_account),
        )
        .values(owner_kind="user", owner_id=user_id)
    )
    session.connection().execute(assets)
    prompts.remember(session, adopted)
    return len(adopted)
