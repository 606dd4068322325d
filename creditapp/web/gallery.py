"""The gallery, and the pictures themselves, which only their owner may see."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import structlog
from flask import Blueprint, Response, request, send_file
from sqlalchemy import func, select

from creditapp.db import reading, transaction
from creditapp.errors import NotFound
from creditapp.generation import GenerationResult, feedback
from creditapp.generation.models import Asset, Generation
from creditapp.http.policies import policy
from creditapp.http.rendering import go, page_or_block
from creditapp.http.sessions import require_member
from creditapp.http.viewer import caller, notify, safe_path
from creditapp.media import Media
from creditapp.services import get
from creditapp.web import view_models

PAGE_SIZE = 24

pages = Blueprint("gallery", __name__)
log = structlog.get_logger(__name__)


@pages.get("/gallery")
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
    starred = request.args.get("starred") == "1"
    if starred:
        owned.append(Generation.starred_at.is_not(None))
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
    narrowed = {"q": words, "starred": "1" if starred else ""}
    return page_or_block(
        "pages/gallery/index.html",
        "grid",
        items=[view_models.item(GenerationResult(made), asset) for made, asset in page],
        q=words,
        starred=starred,
        here=_address(narrowed),
        next_url=_address(narrowed | {"cursor": page[-1][1].id}) if more else None,
        total=total or 0,
    )


@pages.post("/generations/<generation_id>/star")
@policy("user")
def star(generation_id: str) -> Response:
    """Make a picture a favourite, or no longer, and go back to where it hangs."""
    with transaction() as writing:
        feedback.star(writing, generation_id, caller(), starred=request.form.get("starred") == "1")
    return go(safe_path(request.form.get("next"), "/gallery"))


@pages.post("/generations/<generation_id>/report")
@policy("public")
def report(generation_id: str) -> Response:
    """Tell the operator what is wrong with a picture."""
    with transaction() as writing:
        feedback.report(writing, generation_id, caller(), request.form.get("report", ""))
    log.warning("picture reported", generation=generation_id)
    notify("info", text="Thank you. Your report is with the people who run this site.")
    return go(f"/generations/{generation_id}")


@pages.get("/media/<asset_id>")
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
            get(Media).path(asset.media_key),
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


def _address(query: dict[str, str]) -> str:
    said = urlencode({name: text for name, text in query.items() if text})
    return f"/gallery?{said}" if said else "/gallery"


def _file_name(prompt: str) -> str:
    words = "".join(c if c.isalnum() and c.isascii() else " " for c in prompt).split()
    return "-".join(words[:8]).lower()[:60] or "picture"
