"""A stream of the web process shows what a worker process receives from the vendor."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from sqlalchemy import func, select

from creditapp.db import snapshot
from creditapp.generation.models import PartialImage
from tests.fakes import openai_answers
from tests.openai_shape.shop import V1Program, events
from tests.workers import shop

pytestmark = [pytest.mark.slow, pytest.mark.databases("postgresql")]

ORDER = {"model": "gpt-image", "prompt": "a quay", "quality": "low"}


def test_partial_images_cross_from_the_worker_to_the_stream(
    database_url: str, tmp_path: Path
) -> None:
    with shop.opened(database_url, tmp_path) as (site, openai, _):
        openai.event_seconds = 0.5
        buyer = site.sign_up("alice")
        program = V1Program(buyer)
        site.start_workers(1)
        answer = program.post("images/generations", {**ORDER, "stream": True, "partial_images": 3})
        *partial, final = events(answer)
        assert [base64.b64decode(each["b64_json"]) for each in partial] == [
            openai_answers.png(f"partial {index}", 0, 64, 64) for index in range(3)
        ]
        assert final["type"] == "image_generation.completed"
        assert final["credits"] == {"used": 1, "remaining": 49}
        assert openai.count == 1
        assert buyer.balance() == 49
        with site.app.app_context(), snapshot() as session:
            assert session.scalar(select(func.count()).select_from(PartialImage)) == 0
