"""The gallery, and the pictures themselves, which only their owner may see."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, request, send_file
from sqlalchemy import func, select

from creditapp.db import reading
from creditapp.errors import NotFound
from creditapp.generation.lifecycle import Made
from creditapp.generation.models import Asset, Generation
from creditapp.media import Media
from creditapp.web import shapes
from creditapp.web.rendering import page_or_block
from creditapp.web.security import policy, require_member
from creditapp.web.studio import generation
from creditapp.web.viewers import caller
from creditapp.wiring import the

PAGE_SIZE = 24


def register(app: Flask) -> None:
    """The gallery stands on the studio's blueprint, which is registered there."""


@generation.get("/gallery")
@policy("user")
def gallery() -> Response:
    """Show everything that a member made, newest first, with a search in the prompts."""
    member = require_member()
    words = request.args.get("q", "").strip()[:200]
    session = reading()
    owned: list[Any] = [
        Generation.owner_kind == "user",
        Generation.owner_id == member.id,
        Generation.deleted_at.is_(None),
    ]
    if words:
        pattern = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        # Both sides are lowered by the database: SQLite and Python differ beyond ASCII.
        owned.append(Generation.prompt.ilike(f"%{pattern}%", escape="\\"))
    query = (
        select(Generation, Asset)
        .join(Asset, Asset.generation_id == Generation.id)
        .where(*owned)
        .order_by(Asset.id.desc())
        .limit(PAGE_SIZE + 1)
    )
    if cursor := request.args.get("cursor", ""):
        query = query.where(Asset.id < cursor)
    rows = session.execute(query).all()
    total = session.scalar(
        select(func.count())
        .select_from(Asset)
        .join(Generation, Asset.generation_id == Generation.id)
        .where(*owned)
    )
    page, more = rows[:PAGE_SIZE], len(rows) > PAGE_SIZE
    next_url = None
    if more:
        query_string = {"cursor": page[-1][1].id, "q": words}
        next_url = f"/gallery?{urlencode({k: v for k, v in query_string.items() if v})}"
    return page_or_block(
        "pages/gallery/index.html",
        "grid",
        items=[shapes.item(Made(made), asset) for made, asset in page],
        q=words,
        next_url=next_url,
        total=total or 0,
    )


@generation.get("/media/<asset_id>")
@policy("public")
def media(asset_id: str) -> Response:
    """Send a picture to its owner; to anybody else there is none."""
    kind, owner_id = caller().owner
    found = (
        reading()
        .execute(
            select(Asset, Generation.prompt)
            .join(Generation, Asset.generation_id == Generation.id)
            .where(
                Asset.id == asset_id,
                Generation.owner_kind == kind,
                Generation.owner_id == owner_id,
                Generation.deleted_at.is_(None),
            )
        )
        .first()
    )
    if found is None:
        raise NotFound("There is no such picture here.")
    asset, prompt = found
    try:
        response = send_file(
            the(Media).path(asset.media_key),
            mimetype=asset.mime_type,
            as_attachment=bool(request.args.get("download")),
            download_name=f"{_file_name(prompt)}.{asset.mime_type.partition('/')[2]}",
            conditional=True,
            max_age=31536000,
        )
    except FileNotFoundError:
        # Deleted between the row's reading and the file's opening, or lost with a disk.
        raise NotFound("This picture is gone.") from None
    # Private: a shared cache must never hand one person's picture to another.
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    return response


def _file_name(prompt: str) -> str:
    words = "".join(c if c.isalnum() and c.isascii() else " " for c in prompt).split()
    return "-".join(words[:8]).lower()[:60] or "picture"
