"""Images in a gallery that nobody had to draw, with the values that a test needs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Flask

from creditapp.accounts import find_by_email
from creditapp.clock import now
from creditapp.db import transaction
from creditapp.generation.models import Asset, Generation
from creditapp.ids import new_id
from creditapp.media import Media
from creditapp.services import get
from tests.app_factory import Person


def put(
    app: Flask,
    person: Person,
    prompt: str = "a boat",
    *,
    n: int = 1,
    data: bytes = b"",
    mime_type: str = "image/png",
    pixels: tuple[int, int] = (1024, 1024),
    at: datetime | None = None,
    **values: Any,
) -> list[str]:
    """Put ``n`` files of one generation into a gallery; return the ids of the assets.

    ``values`` are further columns of the generation.
    """
    with app.app_context(), transaction() as session:
        user = find_by_email(session, person.email)
        assert user is not None
        created_at = at or now()
        generation_id = new_id("gen")
        columns: dict[str, Any] = {
            "id": generation_id, "owner_kind": "user", "owner_id": user.id,
            "request_key": f"test:{generation_id}", "request_digest": "0" * 64,
            "operation": "text-to-image", "model": "nano-banana", "model_name": "Nano Banana",
            "prompt": prompt, "n": n, "size": f"{pixels[0]}x{pixels[1]}", "seed": 7,
            "catalog_version": "x", "funding": "wallet", "quoted_micro": 500_000 * n,
            "charged_micro": 500_000 * n, "state": "succeeded", "attempt": 1, "progress": 100,
            "delivered": n, "preview": False, "provider": "offline", "parameters": {},
            "created_at": created_at, "provider_started_at": created_at,
            "finished_at": created_at,
        }  # fmt: skip
        generation = Generation(**(columns | values))
        session.add(generation)
        session.flush()
        assets = []
        for position in range(n):
            stored = get(Media).store(data, mime_type) if data else f"{position:032x}.png"
            assets.append(
                Asset(
                    id=new_id("ast"), generation_id=generation.id, position=position,
                    media_key=stored, mime_type=mime_type, created_at=created_at,
                    width=pixels[0] if mime_type != "audio/wav" else None,
                    height=pixels[1] if mime_type != "audio/wav" else None,
                    milliseconds=None if mime_type.startswith("image/") else 4200,
                    **{name: getattr(generation, name) for name in Asset.COPIED},
                )
            )  # fmt: skip
        session.add_all(assets)
        return [asset.id for asset in assets]
