"""The viewer shows one image with everything about it, over any page and as a page of its own."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from creditapp.clock import StoppedClock
from creditapp.generation import deletion
from tests.app_factory import Person, Queue
from tests.pages import Element, parse_html
from tests.web.shown_images import put
from tests.web.steps import HTMX, make, queries

pytestmark = pytest.mark.databases("sqlite", "postgresql")

QUERIES_MAX = 10


def facts(page: Element) -> dict[str, str]:
    names, values = page.texts(".image-facts dt"), page.texts(".image-facts dd")
    return dict(zip(names, values, strict=True))


def turns(page: Element) -> tuple[str | None, str | None]:
    """Return the ids of the images that previous and next lead to."""
    found = []
    for direction in ("previous", "next"):
        links = page.all(f"#viewer-{direction}")
        found.append(urlsplit(links[0]["href"]).path.rpartition("/")[2] if links else None)
    return found[0], found[1]


def test_an_image_is_shown_whole_with_its_prompt_settings_and_own_price(
    alice: Person, queue: Queue
) -> None:
    made = make(alice, queue, "two boats\nat night", n="2")
    images = [each["href"] for each in alice.page("/gallery").all(".image-card-frame")]
    page = alice.page(images[0])
    asset_id = urlsplit(images[0]).path.rpartition("/")[2]
    assert page.has(f'.viewer-stage img[src="/media/{asset_id}"]')
    assert page.one("#viewer-prompt").text == "two boats at night"
    told = facts(page)
    assert told["Model"] == "Nano Banana"
    assert told["Operation"] == "Text to image"
    assert told["Price"] == "0.5 credits"
    assert told["Pixels"] == "1024 × 1024"
    assert told["Shape"] == "1:1"
    assert told["Seed"].isdecimal()
    assert page.one(f'a[href="{made}"]').text == "All 2 made together"
    assert "Delete all 2" in page.text
    over = parse_html(alice.browser.get(images[0], headers=HTMX).text)
    assert over.has("dialog.viewer-dialog #viewer")
    assert not over.has("html")
    assert facts(over) == told


def test_previous_and_next_follow_the_list_one_came_from(app: Flask, alice: Person) -> None:
    (fox,) = put(app, alice, "a fox")
    (boat,) = put(app, alice, "a boat", model="flux-dev")
    (other_fox,) = put(app, alice, "another fox")
    assert turns(alice.page(f"/images/{boat}")) == (other_fox, fox)
    assert turns(alice.page(f"/images/{other_fox}")) == (None, boat)
    filtered = alice.page("/gallery?q=fox").one(f'[data-asset="{fox}"] .image-card-frame')["href"]
    page = alice.page(filtered)
    assert turns(page) == (other_fox, None)
    step = page.one("#viewer-previous")["href"]
    assert parse_qs(urlsplit(step).query) == {"list": ["gallery"], "q": ["fox"]}
    assert page.one(".crumbs a")["href"].startswith("/gallery?")
    assert turns(alice.page(f"/images/{boat}?list=gallery&model=flux-dev")) == (None, None)
    by_itself = alice.page(f"/images/{boat}").one(".crumbs a")["href"]
    assert by_itself.startswith("/generations/gen_")


def test_images_of_one_moment_are_turned_without_leaving_one_out(app: Flask, alice: Person) -> None:
    put(app, alice, n=4)
    put(app, alice, n=3)
    shown = [each["data-asset"] for each in alice.page("/gallery").all(".image-card")]
    assert len(set(shown)) == 7
    walked, here = [], shown[0]
    while here:
        walked.append(here)
        before, after = turns(alice.page(f"/images/{here}"))
        assert before == (walked[-2] if len(walked) > 1 else None)
        here = after or ""
    assert walked == shown


def test_only_its_owner_sees_it(
    app: Flask, alice: Person, charlie: Person, guest: Person, queue: Queue
) -> None:
    (asset_id,) = put(app, alice)
    for path in (f"/images/{asset_id}", f"/images/{asset_id}?list=gallery"):
        assert alice.browser.get(path).status_code == 200
        for stranger in (charlie, guest):
            assert stranger.browser.get(path).status_code == 404
    for path in ("/images/zip", "/images/ast_none", "/images/" + "ast_" + "0" * 26):
        assert alice.browser.get(path).status_code == 404
    made = make(guest, queue, "a guest's boat")
    page = guest.page(guest.page(made).one(".image-card-frame")["href"])
    assert facts(page)["Price"] == "free"
    assert not page.has(".viewer .favourite")
    assert not page.has(".viewer-steps")


def test_it_leads_on_to_the_studio_with_this_file_as_its_source(app: Flask, alice: Person) -> None:
    (image,) = put(app, alice, "a fox & a hen")
    page = alice.page(f"/images/{image}")
    links = {link.text: link["href"] for link in page.all(".viewer-steps a")}
    fields = {name: parse_qs(urlsplit(href).query) for name, href in links.items()}
    assert fields["Make variations"] == {
        "operation": ["image-to-image"], "images": [image], "prompt": ["a fox & a hen"]
    }  # fmt: skip
    assert fields["Use as source"] == {"operation": ["image-to-image"], "images": [image]}
    assert fields["Upscale"] == {"operation": ["upscale"], "image": [image]}
    assert fields["Make a video"] == {"operation": ["video"], "images": [image]}
    (voice,) = put(app, alice, mime_type="audio/wav", data=b"RIFF", operation="audio")
    page = alice.page(f"/images/{voice}")
    assert page.has(f'audio[src="/media/{voice}"]')
    (link,) = page.all(".viewer-steps a")
    assert parse_qs(urlsplit(link["href"]).query) == {"operation": ["lipsync"], "audio": [voice]}
    (film,) = put(app, alice, mime_type="video/mp4", data=b"film", operation="video")
    assert alice.page(f"/images/{film}").has(f'video[src="/media/{film}"]')
    assert facts(alice.page(f"/images/{film}"))["Length"] == "4.2 s"


def test_an_edit_is_shown_beside_what_it_started_from_until_that_is_deleted(
    app: Flask, alice: Person, charlie: Person, clock: StoppedClock
) -> None:
    (source,) = put(app, alice, "a fox")
    (foreign,) = put(app, charlie, "not alice's")
    values = {"images": [source, foreign], "sources": {source: ["k", "image/png"]}}
    (edited,) = put(app, alice, "with a hat", operation="image-to-image", parameters=values)
    page = alice.page(f"/images/{edited}")
    assert page.one(".compare-before img")["src"] == f"/media/{source}"
    assert page.one(".compare-after img")["src"] == f"/media/{edited}"
    assert page.one("[data-compare]")["type"] == "range"
    assert [each["href"] for each in page.all(".image-facts-sources a")] == [f"/images/{source}"]
    alice.post("/images/delete", {"images": source})
    page = alice.page(f"/images/{edited}")
    assert not page.has(".compare")
    assert "Started from" not in facts(page)
    clock.advance(timedelta(seconds=deletion.UNDO_SECONDS))
    with app.app_context():
        deletion.sweep(now=clock.now())
    assert alice.browser.get(f"/images/{edited}").status_code == 200


def test_a_deletion_in_the_viewer_leads_back_to_its_list(app: Flask, alice: Person) -> None:
    first, second = put(app, alice, "two boats", n=2)
    page = alice.page(f"/images/{first}?list=gallery&q=boats")
    form = page.one("#viewer-delete form[action='/images/delete']")
    answer = alice.browser.post("/images/delete", data=form.fields())
    assert answer.location == "/gallery?list=gallery&q=boats"
    assert alice.browser.get(f"/images/{first}").status_code == 404
    page = alice.page(f"/images/{second}")
    assert "made together" not in page.text
    answer = alice.browser.post(
        "/images/delete", data=page.one("#viewer-delete form[action='/images/delete']").fields()
    )
    assert answer.location.startswith("/generations/")


def test_a_report_from_the_viewer_comes_back_to_it(app: Flask, alice: Person) -> None:
    (image,) = put(app, alice)
    form = alice.page(f"/images/{image}").one("form[action$='/report']")
    fields = {**form.fields(), "report": "six fingers"}
    answer = alice.browser.post(form["action"], data=fields)
    assert (answer.status_code, answer.location) == (303, f"/images/{image}")


def test_the_viewer_asks_a_bounded_number_of_times(app: Flask, alice: Person) -> None:
    (source,) = put(app, alice)
    values = {"images": [source], "sources": {source: ["k", "image/png"]}}
    edited = put(app, alice, n=4, operation="image-to-image", parameters=values)
    counts = set()
    for _ in range(2):
        for path in (f"/images/{edited[1]}", f"/images/{edited[1]}?list=gallery&q=boat"):
            with queries(app) as statements:
                assert alice.browser.get(path).status_code == 200
            counts.add(len(statements))
        for _number in range(30):
            put(app, alice)
    assert len(counts) == 1
    assert counts.pop() <= QUERIES_MAX
