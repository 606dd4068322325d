"""A member's long history, written by SQL: what a year of use leaves in the tables."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, text

from creditapp.generation.models import Asset, Generation, Prompt
from creditapp.ledger.sql import write

_NUMBERS = (
    "WITH RECURSIVE n(i) AS (SELECT CAST(:first AS BIGINT)"
    " UNION ALL SELECT i + 1 FROM n WHERE i < :last) "
)
_CHARGES = write(
    "INSERT INTO charges (wallet_id, key, digest, operation, amount_micro, captured_micro, state,"
    " actor, feature, created_at, settled_at, entry_seq) "
    + _NUMBERS
    + "SELECT :wallet_id, 'history:' || i, 'd', 'text-to-image', 1000, 1000, 'captured', 'usr',"
    " 'studio', :now, :settled_at, i FROM n WHERE i % :every <> 0"
)
_CAPTURES = write(
    "INSERT INTO entries (wallet_id, seq, kind, account, amount_micro, balance_after_micro,"
    " charge_id, effective_at, recorded_at)"
    " SELECT wallet_id, entry_seq, 'capture', 'usage', -1000, 1000, id, :now, :recorded_at"
    " FROM charges WHERE wallet_id = :wallet_id AND key LIKE 'history:%'"
)
_PURCHASES = write(
    "INSERT INTO entries (wallet_id, seq, kind, account, amount_micro, balance_after_micro,"
    " effective_at, recorded_at) "
    + _NUMBERS
    + "SELECT :wallet_id, i, 'purchase', 'sales', 1000, 1000, :now, :recorded_at"
    " FROM n WHERE i % :every = 0"
)
_LAST_ENTRY = text("UPDATE wallets SET seq = :last WHERE id = :wallet_id")


def write_history(
    connection: Connection,
    user_id: str,
    *,
    entries: int,
    images: int,
    now: datetime,
    purchase_every: int = 500,
) -> None:
    """Add entries to a member's wallet, and generations of one image each, the last made now.

    One entry in ``purchase_every`` is a purchase; all others are captures.
    """
    wallet_id, first = connection.execute(
        text("SELECT id, seq + 1 FROM wallets WHERE owner_id = :user_id"), {"user_id": user_id}
    ).one()
    values = {"wallet_id": wallet_id, "first": first, "last": first + entries - 1}
    moments = dict.fromkeys(("now", "settled_at", "recorded_at"), now)
    for statement in (_CHARGES, _CAPTURES, _PURCHASES, _LAST_ENTRY):
        connection.execute(statement, {**values, **moments, "every": purchase_every})
    write_images(connection, user_id, images, now)


def write_images(connection: Connection, user_id: str, images: int, now: datetime) -> None:
    """Add generations of one image and one prompt each, a minute apart, the last made now."""
    made = [
        _generation(user_id, number, now - timedelta(minutes=number)) for number in range(images)
    ]
    connection.execute(insert(Generation), made)
    connection.execute(insert(Asset), [_asset(generation) for generation in made])
    connection.execute(insert(Prompt), [_prompt(generation) for generation in made])


def _generation(user_id: str, number: int, at: datetime) -> dict[str, object]:
    return {
        "id": f"gen_{10**19 - number:020d}{user_id[-6:]}",
        "owner_kind": "user",
        "owner_id": user_id,
        "request_key": f"history:{number}",
        "request_digest": "0" * 64,
        "operation": "text-to-image",
        "model": "nano-banana",
        "model_name": "Nano Banana",
        "prompt": f"a boat {number}",
        "n": 1,
        "size": "1024x1024",
        "seed": number,
        "parameters": {},
        "catalog_version": "history",
        "funding": "wallet",
        "quoted_micro": 500_000,
        "quoted_units": 1,
        "charged_micro": 500_000,
        "state": "succeeded",
        "attempt": 1,
        "progress": 100,
        "delivered": 1,
        "preview": False,
        "provider": "offline",
        "created_at": at,
        "finished_at": at,
    }


def _asset(generation: dict[str, object]) -> dict[str, object]:
    return {
        "id": str(generation["id"]).replace("gen_", "ast_"),
        "generation_id": generation["id"],
        "owner_kind": generation["owner_kind"],
        "owner_id": generation["owner_id"],
        "operation": generation["operation"],
        "model": generation["model"],
        "position": 0,
        "media_key": f"{generation['seed']:032x}.png",
        "mime_type": "image/png",
        "width": 1024,
        "height": 1024,
        "created_at": generation["created_at"],
    }


def _prompt(generation: dict[str, object]) -> dict[str, object]:
    return {
        "id": str(generation["id"]).replace("gen_", "prm_"),
        "owner_kind": generation["owner_kind"],
        "owner_id": generation["owner_id"],
        "digest": f"{generation['seed']:064x}",
        "operation": generation["operation"],
        "text": generation["prompt"],
        "model": generation["model"],
        "settings": {},
        "first_used_at": generation["created_at"],
        "last_used_at": generation["created_at"],
        "uses": 1,
    }
