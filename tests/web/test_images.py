"""Images and their files belong to whoever made them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from creditapp.clock import StoppedClock
from creditapp.generation import deletion
from creditapp.media import Media
from creditapp.runtime import tasks
from creditapp.services import get
from tests.app_factory import Person, Queue
from tests.web.steps import image_urls, make
from tests.web.test_gallery import hang

pytestmark = pytest.mark.databases("sqlite", "postgresql")


def test_an_image_is_sent_to_its_owner_alone(
    alice: Person, charlie: Person, guest: Person, queue: Queue
) -> None:
    made = make(alice, queue, "A Fox in the snow!")
    (image,) = image_urls(alice.page(made))
    answer = alice.browser.get(image)
    assert answer.status_code == 200
    assert answer.mimetype == "image/png"
    assert answer.data.startswith(b"\x89PNG")
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "attachment" not in answer.headers.get("Content-Disposition", "")
    saved = alice.browser.get(f"{image}?download=1")
    assert saved.headers["Content-Disposition"] == "attachment; filename=a-fox-in-the-snow.png"
    unchanged = alice.browser.get(image, headers={"If-None-Match": answer.headers["ETag"]})
    assert unchanged.status_code == 304
    for stranger in (charlie, guest):
        for path in (image, made, f"{made}/card"):
            assert stranger.browser.get(path).status_code == 404
        for action in ("cancel", "delete"):
            assert stranger.post(f"{made}/{action}").status_code == 404
        told = stranger.browser.get(image, headers={"Accept": "application/json"})
        assert told.json["code"] == "not_found"
    assert alice.browser.get(image).status_code == 200
    assert alice.post(image).status_code == 405


def test_a_guests_image_is_that_browsers_alone(app: Flask, guest: Person, queue: Queue) -> None:
    made = make(guest, queue)
    (image,) = image_urls(guest.page(made))
    assert guest.browser.get(image).status_code == 200
    assert Person(app).browser.get(image).status_code == 404


def test_a_deleted_image_is_gone_with_its_file_and_its_cost_stays_in_the_history(
    app: Flask, alice: Person, queue: Queue, clock: StoppedClock
) -> None:
    made = make(alice, queue, "a fox in the snow")
    (image,) = image_urls(alice.page(made))
    with app.app_context():
        folder = get(Media).path("0" * 32 + ".png").parents[2]
    assert len(list(folder.rglob("*.png"))) == 1
    answer = alice.post(f"{made}/delete")
    assert (answer.status_code, answer.location) == (303, "/gallery")
    assert "Deleted." in alice.browser.get("/gallery").text
    for path in (made, image, f"{made}/card"):
        assert alice.browser.get(path).status_code == 404
    assert alice.post(f"{made}/delete").status_code == 404
    clock.advance(timedelta(seconds=deletion.UNDO_SECONDS))
    with app.app_context():
        tasks.erase_deleted()
    assert list(folder.rglob("*.png")) == []
    assert alice.balance() == 49.5
    assert "0.5" in alice.page("/dashboard").one("#history").text


def test_a_file_that_was_lost_is_a_missing_image_and_no_failure(alice: Person, app: Flask) -> None:
    hang(app, alice, 1)
    (image,) = image_urls(alice.page("/gallery"))
    assert alice.browser.get(image).status_code == 404
