"""The gallery and the images in it belong to whoever made them."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from creditapp.accounts import find_by_email
from creditapp.clock import now
from creditapp.db import snapshot, transaction
from creditapp.generation import feedback
from creditapp.generation.models import Asset, Generation
from creditapp.ids import new_id
from creditapp.media import Media
from creditapp.services import get
from tests.app_factory import Person, Queue
from tests.pages import parse_html
from tests.web.steps import HTMX, image_urls, make

pytestmark = pytest.mark.databases("sqlite", "postgresql")


def hang(app: Flask, person: Person, count: int, prompt: str = "a boat") -> None:
    """Put images into a gallery without drawing them."""
    with app.app_context(), transaction() as session:
        user = find_by_email(session, person.email)
        assert user is not None
        for number in range(count):
            generation = Generation(
                id=new_id("gen"), owner_kind="user", owner_id=user.id,
                request_key=f"test:{prompt}:{number}", request_digest="0" * 64,
                operation="text-to-image", model="nano-banana", model_name="Nano Banana",
                prompt=f"{prompt} {number}", n=1, size="1024x1024", seed=number,
                catalog_version="x", funding="wallet", quoted_micro=500_000,
                charged_micro=500_000, state="succeeded", attempt=1, progress=100, delivered=1,
                preview=False, provider="offline", created_at=now(), finished_at=now(),
            )  # fmt: skip
            session.add(generation)
            session.flush()
            session.add(
                Asset(
                    id=new_id("ast"), generation_id=generation.id, position=0,
                    media_key=f"{number:032x}.png", mime_type="image/png", width=1024,
                    height=1024, created_at=now(),
                )
            )  # fmt: skip


def test_an_empty_gallery_invites(alice: Person) -> None:
    page = alice.page("/gallery")
    assert "No images yet" in page.text
    assert page.has('main a[href="/"]')


def test_the_gallery_shows_images_newest_first(alice: Person, queue: Queue) -> None:
    first = make(alice, queue, "a fox in the snow")
    second = make(alice, queue, "two boats", n="2")
    page = alice.page("/gallery")
    assert len(image_urls(page)) == 3
    assert page.text.index("two boats") < page.text.index("a fox in the snow")
    for made in (first, second):
        assert page.has(f'a[href="{made}"]')


def test_images_made_together_show_one_cost(alice: Person, queue: Queue) -> None:
    make(alice, queue, "two boats", n="2")
    make(alice, queue, "a fox in the snow")
    fox, *boats = alice.page("/gallery").texts("figure")
    assert "images" not in fox
    assert any("for 2 images" in each for each in boats)


def test_a_search_finds_words_as_they_were_typed(app: Flask, alice: Person) -> None:
    for prompt in ("a fox in the snow", "Über den Dächern", "100% cotton"):
        hang(app, alice, 1, prompt)
    searches = {
        "fox": 1, "FOX": 1, "Über": 1, "snow%": 0, "_": 0, "\\": 0, "'; DROP TABLE": 0,
        "100%": 1, "   ": 3, "x" * 5000: 0,
    }  # fmt: skip
    for words, found in searches.items():
        page = alice.page("/gallery", query_string={"q": words})
        assert len(image_urls(page)) == found, words
        answer = alice.browser.get("/gallery", query_string={"q": words}, headers=HTMX)
        fragment = parse_html(answer.text)
        assert not fragment.has("html")
        assert len(image_urls(fragment)) == found
        assert "HX-Request" in answer.headers["Vary"]


def test_a_search_for_html_is_shown_as_text(alice: Person) -> None:
    words = '"><script>alert(1)</script>'
    page = alice.page("/gallery", query_string={"q": words})
    assert page.value("q") == words
    assert "alert(1)" not in "".join(script.html for script in page.all("script"))


def test_a_large_gallery_comes_in_pages_that_keep_the_search(app: Flask, alice: Person) -> None:
    hang(app, alice, 26, "a boat & a buoy")
    hang(app, alice, 3, "a fox")
    first = alice.page("/gallery", query_string={"q": "boat &"})
    second = alice.page(first.one('a[href*="cursor="]')["href"])
    assert (len(image_urls(first)), len(image_urls(second))) == (24, 2)
    assert not set(image_urls(first)) & set(image_urls(second))
    assert "26 images" in first.text
    assert not second.has('[href*="cursor="]')


def test_a_strangers_gallery_is_empty_and_guests_are_asked_in(
    alice: Person, charlie: Person, guest: Person, queue: Queue
) -> None:
    make(alice, queue, "a fox in the snow")
    assert image_urls(charlie.page("/gallery?q=fox")) == []
    sent_on = guest.browser.get("/gallery?q=fox")
    assert (sent_on.status_code, sent_on.location) == (303, "/auth/login?next=/gallery?q%3Dfox")
    assert guest.post("/gallery").status_code == 405


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
    app: Flask, alice: Person, queue: Queue
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
    assert list(folder.rglob("*.png")) == []
    assert alice.balance() == 49.5
    assert "0.5" in alice.page("/dashboard").one("#history").text


def test_a_file_that_was_lost_is_a_missing_image_and_no_failure(alice: Person, app: Flask) -> None:
    hang(app, alice, 1)
    (image,) = image_urls(alice.page("/gallery"))
    assert alice.browser.get(image).status_code == 404


def test_a_favourite_is_kept_apart_and_only_by_its_owner(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    hang(app, alice, 2)
    first, second = _made(app)
    assert alice.post(f"/generations/{first}/star", {"starred": "1"}).status_code == 303
    page = alice.page("/gallery?starred=1")
    assert page.has(f'a[href="/generations/{first}"]')
    assert second not in page.html
    assert page.has('[aria-pressed="true"]')
    stranger = Person(app).sign_up("stranger@example.com")
    assert stranger.post(f"/generations/{first}/star", {"starred": "0"}).status_code == 404
    sent = alice.post(f"/generations/{first}/star", {"starred": "0", "next": "//evil.example"})
    assert sent.headers["Location"] == "/gallery"
    assert "No favourites yet" in alice.browser.get("/gallery?starred=1").text


def test_a_star_and_a_deletion_come_back_to_the_search_they_were_made_in(
    alice: Person, queue: Queue
) -> None:
    made = make(alice, queue, "two boats & a buoy", n="2")
    alice.post(f"{made}/star", {"starred": "1"})
    here = "/gallery?q=boats+%26+a&starred=1"
    for headers in ({}, HTMX):
        page = alice.page(here, headers=headers)
        assert len(page.all(f'[name=next][value="{here}"]')) == 4
        assert "Delete these 2 images?" in page.text
        assert page.has('a[href="/gallery?q=boats%20%26%20a"]')
    assert alice.page(here).one("form[role=search]").value("starred") == "1"
    for act in ("star", "delete"):
        sent = alice.post(f"{made}/{act}", {"next": here})
        assert (sent.status_code, sent.location) == (303, here)
    other = make(alice, queue)
    assert "Delete this image?" in alice.browser.get("/gallery").text
    assert alice.post(f"{other}/delete", {"next": "//evil.example"}).location == "/gallery"


def test_a_report_reaches_the_operator_in_its_owners_words(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    hang(app, alice, 1)
    (made,) = _made(app)
    assert "Report a problem" in alice.browser.get(f"/generations/{made}").text
    for bad in ("", "   ", "x" * 501, "a\0b", "\x1b[31mred"):
        assert alice.post(f"/generations/{made}/report", {"report": bad}).status_code == 422
    sent = alice.post(f"/generations/{made}/report", {"report": "  It has\r\nsix\tfingers "})
    assert sent.status_code == 303
    stranger = Person(app).sign_up("stranger@example.com")
    assert stranger.post(f"/generations/{made}/report", {"report": "mine"}).status_code == 404
    with app.app_context(), snapshot() as session:
        (found,) = feedback.reported(session)
    assert (found.id, found.report_text) == (made, "It has six fingers")


def _made(app: Flask) -> list[str]:
    """Return the ids of everything that was made, the oldest first."""
    with app.app_context(), snapshot() as session:
        return list(session.scalars(select(Generation.id).order_by(Generation.id)))
