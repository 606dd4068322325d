"""Files that a browser plays by itself: ranges, and a policy under which its own page works."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import update

from creditapp.db import transaction
from creditapp.generation.models import Asset
from creditapp.media import Media
from creditapp.services import get
from tests.app_factory import Person, Queue
from tests.conventions.files import ROOT
from tests.pages import parse_html
from tests.web.steps import image_urls, make

SAMPLES = ROOT / "static" / "img" / "examples"


def play(app: Flask, person: Person, queue: Queue, sample: Path, mime_type: str) -> str:
    """Put a sample in the place of a generated image; return its URL."""
    page = parse_html(person.browser.get(make(person, queue)).text)
    url = image_urls(page)[0]
    with app.app_context():
        key = get(Media).store(sample.read_bytes(), mime_type)
        with transaction() as session:
            values = {"media_key": key, "mime_type": mime_type, "milliseconds": 3000}
            session.execute(update(Asset).where(Asset.id == url[len("/media/") :]).values(values))
    return url


@pytest.mark.parametrize(
    ("name", "mime_type"), [("waves.mp4", "video/mp4"), ("melody.mp3", "audio/mpeg")]
)
def test_a_player_asks_for_parts_of_a_file(
    app: Flask, alice: Person, queue: Queue, name: str, mime_type: str
) -> None:
    whole = (SAMPLES / name).read_bytes()
    url = play(app, alice, queue, SAMPLES / name, mime_type)
    answer = alice.browser.get(url)
    assert (answer.status_code, answer.mimetype, answer.data) == (200, mime_type, whole)
    assert answer.headers["Accept-Ranges"] == "bytes"

    part = alice.browser.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.data) == (206, whole[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
    beyond = alice.browser.get(url, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416
    assert Person(app).browser.get(url, headers={"Range": "bytes=0-9"}).status_code == 404


def test_a_file_opened_by_itself_may_play_and_nothing_else(
    app: Flask, alice: Person, queue: Queue
) -> None:
    url = play(app, alice, queue, SAMPLES / "waves.mp4", "video/mp4")
    policy = alice.browser.get(url).headers["Content-Security-Policy"]
    assert "media-src 'self'" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    # A sandbox would take the cookies from the player's own request, and so the file.
    assert "sandbox" not in policy
