"""The page of one generation."""

from __future__ import annotations

from io import BytesIO
from zipfile import ZipFile

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from creditapp.db import snapshot, transaction
from creditapp.generation import feedback
from creditapp.generation.models import Asset, Generation
from tests.app_factory import Person, Queue
from tests.pages import parse_html
from tests.web.shown_images import put
from tests.web.steps import HTMX, image_urls, make, submit
from tests.web.test_gallery import hang

pytestmark = pytest.mark.databases("sqlite", "postgresql")


def test_a_report_reaches_the_operator_in_its_owners_words(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    hang(app, alice, 1)
    with app.app_context(), snapshot() as session:
        made = session.scalars(select(Generation.id)).one()
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


def test_a_generation_shows_all_its_images_its_settings_and_its_price(
    app: Flask, alice: Person, queue: Queue
) -> None:
    made = make(alice, queue, "three boats", n="3")
    page = alice.page(made)
    assert len(page.all(".generation-images .image-card")) == 3
    assert page.one("h1").text == "three boats"
    names, values = page.texts(".image-facts dt"), page.texts(".image-facts dd")
    facts = dict(zip(names, values, strict=True))
    assert (facts["Model"], facts["Price"]) == ("Nano Banana", "1.5 credits for 3")
    assert facts["Seed"].isdecimal()
    assert page.one("#generation-link").text == f"http://localhost{made}"
    assert "Delete these 3 images?" in page.text
    answer = alice.browser.get(page.one('a[href$="/zip"]')["href"])
    with ZipFile(BytesIO(answer.data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert sorted(files) == ["three-boats-1.png", "three-boats-2.png", "three-boats-3.png"]
    for url in image_urls(page):
        assert alice.browser.get(url).data in files.values()


def test_a_generation_of_which_one_was_deleted_still_says_what_was_paid(
    app: Flask, alice: Person
) -> None:
    first, second, _ = put(app, alice, "three boats", n=3)
    made = alice.page(f"/images/{first}").one('.viewer-text a[href^="/generations/"]')["href"]
    alice.post("/images/delete", {"images": first})
    page = alice.page(made)
    assert len(page.all(".generation-images .image-card")) == 2
    assert "were made" not in page.one(".generation-text").text
    assert "1.5 credits for 3" in page.text
    (partly,) = put(app, alice, "two of four", n=1, delivered=1)
    assert second != partly


def test_a_part_that_was_made_says_so(app: Flask, alice: Person) -> None:
    first, _ = put(app, alice, "four boats", n=2)
    with app.app_context(), transaction() as session:
        session.execute(update(Generation).values(n=4))
    made = alice.page(f"/images/{first}").one('.viewer-text a[href^="/generations/"]')["href"]
    assert "2 of 4 were made. You only paid for 2." in alice.page(made).text


def test_one_turns_from_a_generation_to_the_next(
    app: Flask, alice: Person, charlie: Person
) -> None:
    for prompt in ("first", "second", "third"):
        put(app, alice, prompt)
        put(app, charlie, "charlie's")
    latest, *_ = alice.page("/gallery").all(".image-card-frame")
    path = alice.page(latest["href"]).one('.viewer-text a[href^="/generations/"]')["href"]
    seen = []
    while path:
        page = alice.page(path)
        seen.append(page.one("h1").text)
        older = page.all('a[rel="next"]')
        if len(seen) > 1:
            back = alice.page(page.one('a[rel="prev"]')["href"])
            assert back.one("h1").text == seen[-2]
        path = older[0]["href"] if older else ""
    assert seen == ["third", "second", "first"]


def test_a_running_generation_keeps_its_card_and_a_strangers_is_not_found(
    alice: Person, charlie: Person, queue: Queue
) -> None:
    answer = submit(alice, "a boat", model="nano-banana")
    page = alice.page(str(answer.location))
    assert page.has(".job-card")
    assert page.one("#generation")["hx-trigger"] == "balance-changed from:body"
    queue.run()
    done = parse_html(alice.browser.get(str(answer.location), headers=HTMX).text)
    assert done.has(".generation-images")
    assert not done.one("#generation").has_attribute("hx-get")
    for path in (answer.location, f"{answer.location}/zip"):
        assert charlie.browser.get(str(path)).status_code == 404


def test_a_failed_generation_is_removed_and_comes_back(app: Flask, alice: Person) -> None:
    put(app, alice, "a boat", n=1, state="failed", delivered=0)
    with app.app_context(), transaction() as session:
        session.execute(delete(Asset))
        made = session.scalars(select(Generation.id)).one()
    answer = alice.post(f"/generations/{made}/delete")
    assert answer.status_code == 303
    page = alice.page("/gallery")
    assert "Removed." in page.text
    assert alice.browser.get(f"/generations/{made}").status_code == 404
    alice.browser.post("/images/restore", data=page.one(".toast form").fields())
    assert alice.browser.get(f"/generations/{made}").status_code == 200
