"""The gallery and the images in it belong to whoever made them."""

from __future__ import annotations

import json
import tracemalloc
from datetime import timedelta
from io import BytesIO
from zipfile import ZIP_STORED, ZipFile

import pytest
from flask import Flask

from creditapp.accounts import find_by_email
from creditapp.clock import StoppedClock, now
from creditapp.db import transaction
from creditapp.generation import archive as archive_module
from creditapp.generation.models import Asset, Generation
from creditapp.ids import new_id
from creditapp.rate_limits import SELECTED_IMAGES_MAX
from tests.app_factory import Person, Queue
from tests.pages import Element, parse_html
from tests.web.shown_images import put
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
                    owner_kind="user", owner_id=user.id,
                    operation=generation.operation, model=generation.model,
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
    assert first != second
    assert len(page.all('a[href^="/images/"]')) == 3


def test_every_image_shows_its_own_cost_and_offers_to_delete_it_alone(
    alice: Person, queue: Queue
) -> None:
    make(alice, queue, "two boats", n="2")
    make(alice, queue, "a fox in the snow")
    fox, *boats = alice.page("/gallery").all("figure")
    assert "Delete all" not in fox.text
    for boat in boats:
        assert boat.one(".meta .amount").text == "0.5 credits"
        assert "Delete all 2" in boat.text


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


def test_a_favourite_is_kept_apart_and_only_by_its_owner(
    app: Flask, alice: Person, charlie: Person, queue: Queue
) -> None:
    make(alice, queue, "two boats", n="2")
    first, second = (url.rpartition("/")[2] for url in image_urls(alice.page("/gallery")))
    star = {"images": first, "starred": "1"}
    assert charlie.post("/images/star", star).status_code == 404
    assert alice.post("/images/star", star).status_code == 303
    page = alice.page("/gallery?starred=1")
    assert image_urls(page) == [f"/media/{first}"]
    assert page.has(f'#tile-favourite-{first}[aria-pressed="true"]')
    assert charlie.post("/images/star", {"images": first, "starred": "0"}).status_code == 404
    answer = alice.post("/images/star", {**star, "starred": "0", "place": "tile"}, headers=HTMX)
    fragment = parse_html(answer.text)
    assert fragment.has(f'#tile-favourite-{first}[aria-pressed="false"]')
    told = json.loads(answer.headers["HX-Trigger-After-Swap"])
    assert told == {"images-starred": {"images": [first], "starred": False}}
    sent = alice.post("/images/star", {"images": second, "next": "//evil.example"})
    assert sent.headers["Location"] == "/gallery"
    assert alice.post("/images/star", {"starred": "1"}).status_code == 422


def test_a_star_and_a_deletion_come_back_to_the_search_they_were_made_in(
    alice: Person, queue: Queue
) -> None:
    make(alice, queue, "two boats & a buoy", n="2")
    urls = image_urls(alice.page("/gallery"))
    first, second = (url.rpartition("/")[2] for url in urls)
    for each in (first, second):
        alice.post("/images/star", {"images": each, "starred": "1"})
    here = "/gallery?q=boats+%26+a&starred=1"
    for headers in ({}, HTMX):
        page = alice.page(here, headers=headers)
        assert page.one(f"#tile-star-{first}").value("next") == here
        assert page.one(f"#delete-{first} form[action='/images/delete']").value("next") == here
    for path in ("/images/star", "/images/delete"):
        sent = alice.post(path, {"images": first, "starred": "1", "next": here})
        assert (sent.status_code, sent.location) == (303, here)
    assert alice.post("/images/delete", {"images": second, "next": "//evil.example"}).location == (
        "/gallery"
    )


def test_an_image_deleted_by_htmx_leaves_the_page_with_an_offer_to_undo(
    alice: Person, queue: Queue
) -> None:
    make(alice, queue, "two boats", n="2")
    urls = image_urls(alice.page("/gallery"))
    first = urls[0].rpartition("/")[2]
    answer = alice.post("/images/delete", {"images": first, "next": "/gallery"}, headers=HTMX)
    told = json.loads(answer.headers["HX-Trigger-After-Swap"])
    assert told == {"images-deleted": {"images": [first]}}
    toast = parse_html(answer.text).one("#toasts")
    assert toast["hx-swap-oob"] == "true"
    fields = toast.one("form").fields()
    assert image_urls(alice.page("/gallery")) == urls[1:]
    undone = alice.post("/images/restore", fields)
    assert (undone.status_code, undone.location) == (303, "/gallery")
    page = alice.page("/gallery")
    assert "Restored." in page.text
    assert image_urls(page) == urls


def ids(page: Element) -> list[str]:
    return [card["data-asset"] for card in page.all(".image-card")]


def test_each_filter_shows_what_it_names_and_all_together(
    app: Flask, alice: Person, clock: StoppedClock
) -> None:
    old = clock.now() - timedelta(days=40)
    (fox,) = put(app, alice, "a fox")
    (wide,) = put(app, alice, "a wide fox", model="flux-dev", pixels=(1536, 1024))
    (tall,) = put(app, alice, "a tall boat", pixels=(1024, 1536), operation="image-to-image")
    (film,) = put(app, alice, "a film", operation="video", mime_type="video/mp4", data=b"film")
    (voice,) = put(app, alice, "a voice", operation="audio", mime_type="audio/wav", data=b"RIFF")
    (early,) = put(app, alice, "an early fox", at=old)
    alice.post("/images/star", {"images": wide, "starred": "1"})
    today = clock.now().date().isoformat()
    shown = {
        "": {fox, wide, tall, film, voice, early},
        "model=flux-dev": {wide},
        "model=gone": set(),
        "operation=image-to-image": {tall},
        "operation=nonsense": {fox, wide, tall, film, voice, early},
        "kind=video": {film},
        "kind=audio": {voice},
        "kind=image": {fox, wide, tall, early},
        "shape=landscape&kind=image": {wide},
        "shape=portrait": {tall},
        "shape=square&kind=image": {fox, early},
        "starred=1": {wide},
        f"since={today}": {fox, wide, tall, film, voice},
        f"until={old.date()}": {early},
        f"since={old.date()}&until={old.date()}": {early},
        f"since={today}&until={old.date()}": set(),
        "since=yesterday": {fox, wide, tall, film, voice, early},
        "q=fox&shape=landscape&model=flux-dev&starred=1&operation=text-to-image&kind=image": {wide},
        "q=fox&shape=landscape&model=nano-banana": set(),
    }
    for query, expected in shown.items():
        page = alice.page(f"/gallery?{query}")
        assert set(ids(page)) == expected, query
        if not expected:
            assert "Nothing found" in page.text
    form = alice.page(f"/gallery?shape=landscape&since={today}").one(".gallery-filters")
    assert (form.value("shape"), form.value("since")) == ("landscape", today)
    assert form.value("model") == ""
    pushed = alice.browser.get("/gallery?q=&shape=landscape&model=", headers=HTMX)
    assert pushed.headers["HX-Push-Url"] == "/gallery?shape=landscape"


def test_an_image_without_a_picture_is_named(app: Flask, alice: Person) -> None:
    (voice,) = put(app, alice, "a voice", operation="audio", mime_type="audio/wav", data=b"RIFF")
    card = alice.page("/gallery").one(f'[data-asset="{voice}"]')
    assert "Audio , 4.2 s" in card.text or "Audio, 4.2 s" in card.text
    assert not card.has("img")


def test_the_size_of_the_images_is_kept(app: Flask, alice: Person) -> None:
    put(app, alice)
    assert alice.page("/gallery").has(".image-grid-medium")
    assert alice.page("/gallery?tiles=small").has(".image-grid-small")
    assert alice.page("/gallery").has(".image-grid-small")
    assert alice.page("/gallery?tiles=huge").has(".image-grid-small")


def test_the_selection_is_downloaded_as_one_archive_byte_by_byte(
    app: Flask, alice: Person, charlie: Person
) -> None:
    first = put(app, alice, "a fox", n=2, data=b"one file")
    second = put(app, alice, "a fox", data=b"another file" * 50_000)
    other = put(app, alice, "", data=b"RIFF", mime_type="audio/wav", operation="audio")
    foreign = put(app, charlie, "a secret", data=b"not alice's")
    lost = put(app, alice, "lost")
    chosen = [*first, *second, *other, *foreign, *lost, first[0]]
    page = alice.page("/gallery")
    form = page.one("#selection")
    assert {box["value"] for box in page.all('input[form="selection"]')} == {
        *first, *second, *other, *lost
    }  # fmt: skip
    answer = alice.browser.post(form["action"], data={**form.fields(), "images": chosen})
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="images.zip"'
    with ZipFile(BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {ZIP_STORED}
        files = {name: archive.read(name) for name in archive.namelist()}
    assert set(files) == {"a-fox-1.png", "a-fox-2.png", "a-fox.png", "audio.wav"}
    delivered = [alice.browser.get(f"/media/{each}").data for each in (*first, *second, *other)]
    assert sorted(files.values()) == sorted(delivered)
    only_foreign = alice.browser.post(
        form["action"], data={**form.fields(), "images": [*foreign, *lost]}
    )
    assert only_foreign.status_code == 404
    assert alice.post("/images/zip").status_code == 422


def test_names_in_an_archive_differ_and_its_size_is_bounded(
    app: Flask, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [put(app, alice, "a fox", data=bytes([number]) * 9)[0] for number in range(3)]
    token = alice.token()
    answer = alice.browser.post("/images/zip", data={"csrf_token": token, "images": chosen})
    with ZipFile(BytesIO(answer.data)) as archive:
        assert archive.namelist() == ["a-fox.png", "a-fox-2.png", "a-fox-3.png"]
    monkeypatch.setattr(archive_module, "ARCHIVE_BYTES_MAX", 26)
    answer = alice.browser.post("/images/zip", data={"csrf_token": token, "images": chosen})
    assert answer.status_code == 422
    many = [f"ast_{number:026d}" for number in range(SELECTED_IMAGES_MAX + 1)]
    for path in ("/images/zip", "/images/star", "/images/delete"):
        answer = alice.browser.post(path, data={"csrf_token": token, "images": many})
        assert answer.status_code == 422
        assert f"at most {SELECTED_IMAGES_MAX}" in answer.text


def test_an_archive_is_never_whole_in_memory_and_sent_one_at_a_time(
    app: Flask, alice: Person, charlie: Person
) -> None:
    chosen = [put(app, alice, data=bytes(4_000_000))[0] for _ in range(6)]
    data = {"csrf_token": alice.token(), "images": chosen}
    tracemalloc.start()
    answer = alice.browser.post("/images/zip", data=data, buffered=False)
    pieces = iter(answer.response)
    size = len(next(pieces))
    assert alice.browser.post("/images/zip", data=data).status_code == 429
    size += sum(len(piece) for piece in pieces)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000 < 24_000_000 < size
    answer.close()
    assert alice.browser.post("/images/zip", data=data).status_code == 200


def test_several_are_starred_and_deleted_together_and_restored(app: Flask, alice: Person) -> None:
    chosen = [*put(app, alice, n=2), *put(app, alice)]
    (other,) = put(app, alice)
    token = alice.token()
    fields = {"csrf_token": token, "images": chosen, "next": "/gallery?q=boat"}
    answer = alice.browser.post("/images/star", data={**fields, "starred": "1"})
    assert answer.location == "/gallery?q=boat"
    assert set(ids(alice.page("/gallery?starred=1"))) == set(chosen)
    alice.browser.post("/images/delete", data=fields)
    page = alice.page("/gallery")
    assert "3 images deleted." in page.text
    assert ids(page) == [other]
    alice.browser.post("/images/restore", data=page.one(".toast form").fields())
    page = alice.page("/gallery")
    assert "3 images restored." in page.text
    assert set(ids(page)) == {*chosen, other}
    assert set(ids(alice.page("/gallery?starred=1"))) == set(chosen)
