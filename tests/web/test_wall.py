"""The wall of the studio: every state of a job, its place in the queue, batches, few queries."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from creditapp.accounts import find_by_email
from creditapp.clock import now
from creditapp.db import transaction
from creditapp.generation.models import Asset, Generation
from creditapp.ids import new_id
from tests.app_factory import Person, Queue
from tests.pages import Element, parse_html
from tests.web.steps import HTMX, make, queries, submit

pytestmark = pytest.mark.databases("sqlite", "postgresql")


@pytest.fixture
def bob(app: Flask) -> Person:
    """Another member of the same site."""
    return Person(app).sign_up("bob@example.com")


def put(
    app: Flask, person: Person, *, mime_type: str = "image/png", delivered: int = 0, **values: Any
) -> str:
    """Insert a generation of a member with its assets; return its id."""
    with app.app_context(), transaction() as session:
        user = find_by_email(session, person.email)
        assert user is not None
        generation_id = new_id("gen")
        row: dict[str, Any] = {
            "id": generation_id, "owner_kind": "user", "owner_id": user.id,
            "request_key": f"test:{generation_id}", "request_digest": "0" * 64,
            "operation": "text-to-image", "model": "nano-banana", "model_name": "Nano Banana",
            "prompt": "a quay", "n": max(1, delivered), "size": "1024x1024", "seed": 1,
            "catalog_version": "x", "funding": "wallet", "quoted_micro": 500_000,
            "charged_micro": 0, "state": "succeeded", "attempt": 1, "progress": 0,
            "delivered": delivered, "preview": False, "provider": "offline", "created_at": now(),
        }  # fmt: skip
        generation = Generation(**(row | values))
        session.add(generation)
        session.flush()
        for position in range(delivered):
            session.add(
                Asset(
                    id=new_id("ast"), generation_id=generation.id, position=position,
                    media_key=f"{position:032x}.png", mime_type=mime_type, width=1024,
                    height=1024, milliseconds=2500, created_at=now(),
                    **{name: getattr(generation, name) for name in Asset.COPIED},
                )
            )  # fmt: skip
    return generation_id


def card(person: Person, generation_id: str) -> Element:
    """Return the card as it is polled."""
    answer = person.browser.get(f"/generations/{generation_id}/card", headers=HTMX)
    assert answer.status_code == 200, answer.text
    return parse_html(answer.text)


def test_a_queued_job_tells_its_place_among_all_who_wait(
    app: Flask, alice: Person, bob: Person
) -> None:
    for _ in range(2):
        put(app, bob, state="queued")
    put(app, bob, state="queued", provider="openai")
    put(app, bob, state="running")
    waiting = put(app, alice, state="queued")
    page = card(alice, waiting)
    assert "Waiting, 2 ahead of you" in page.text
    assert page.has("article[hx-get]")
    assert not page.has("progress")
    alone = put(app, alice, state="queued", provider="google")
    assert "Waiting, next in the queue" in card(alice, alone).text


def test_a_running_job_shows_what_has_arrived_and_how_long_it_takes(
    app: Flask, alice: Person
) -> None:
    with app.app_context():
        started = now() - timedelta(seconds=7)
    running = put(
        app, alice, state="running", n=4, delivered=1, progress=30, provider_started_at=started
    )
    page = card(alice, running)
    assert "1 of 4 ready" in page.text
    assert "7 s, usually about 8 s" in page.text
    assert page.one("progress")["value"] == "30"
    assert len(page.all("figure img")) == 1
    assert page.has("figure[hx-preserve]"), "the image stays while the card is replaced"
    assert len(page.all("svg.frame")) == 3
    assert len(page.all(".frame-arc")) == 1, "one ring for the job"
    assert "0.5 credits held, charged when done" in page.text


@pytest.mark.parametrize(
    ("state", "seconds", "every"),
    [("queued", 0, "300ms"), ("running", 2, "300ms"), ("running", 3, "1s"), ("queued", 60, "1s")],
)
def test_a_job_is_polled_more_often_in_its_first_seconds(
    app: Flask, alice: Person, state: str, seconds: int, every: str
) -> None:
    with app.app_context():
        began = now() - timedelta(seconds=seconds)
    going = put(app, alice, state=state, created_at=began)
    assert card(alice, going).one("article")["hx-trigger"] == f"every {every}"


def test_a_finished_job_is_not_polled_and_says_so_once(alice: Person, queue: Queue) -> None:
    path = submit(alice, model="nano-banana", n="2").location
    queue.run()
    answer = alice.browser.get(f"{path}/card", headers=HTMX)
    page = parse_html(answer.text)
    assert not page.has("article[hx-get]")
    assert "2 images are ready." in page.one("#live").text
    events = json.loads(answer.headers["HX-Trigger"])
    assert events["job-ended"] == {"id": str(path).rpartition("/")[2], "state": "succeeded"}
    assert "balance-changed" in events


def test_a_failed_job_says_why_and_that_nothing_was_charged(app: Flask, alice: Person) -> None:
    failed = put(
        app, alice, state="failed", error_code="generation_timeout", error_text="Too slow."
    )
    page = card(alice, failed)
    assert "Too slow." in page.text
    assert "0 credits charged" in page.text
    assert page.one("[data-use-again]").text == "Try again"


@pytest.mark.parametrize(
    ("operation", "mime_type", "player"),
    [("audio", "audio/mpeg", "audio"), ("video", "video/mp4", "video"),
     ("lipsync", "video/mp4", "video"), ("upscale", "image/png", "figure img")],
)  # fmt: skip
def test_every_operation_is_shown_by_its_player(
    app: Flask, alice: Person, operation: str, mime_type: str, player: str
) -> None:
    done = put(
        app, alice, operation=operation, model=operation, model_name="A model", delivered=1,
        mime_type=mime_type, size="" if operation == "audio" else "640x360",
        prompt="" if operation in ("upscale", "lipsync") else "a quay",
    )  # fmt: skip
    page = alice.page("/").one(f"#job-{done}")
    assert page.has(player)
    assert page.one("h3").text.strip(), "a job without a prompt has a title too"
    assert page.has(".acts a")


@pytest.mark.parametrize("operation", ["audio", "video", "lipsync", "upscale"])
def test_every_operation_waits_and_fails_on_its_card(
    app: Flask, alice: Person, operation: str
) -> None:
    values = {"operation": operation, "model": operation, "size": "", "prompt": ""}
    for state in ("queued", "running", "failed", "canceled"):
        page = card(alice, put(app, alice, state=state, **values))
        assert page.has(f".job-card-{state}")


def test_again_bears_no_price_because_it_makes_nothing(alice: Person, queue: Queue) -> None:
    made = make(alice, queue, "a fox")
    for path, place in (("/", ".job-card"), (made, ".generation-acts")):
        link = alice.page(path).one(f"{place} [data-use-again]")
        assert link.text == "Use again"
        assert link["href"].startswith("/?operation=text-to-image&prompt=a+fox&")


def test_results_of_several_models_stand_side_by_side_with_their_prices(
    app: Flask, alice: Person
) -> None:
    put(app, alice, prompt="an older one", delivered=1)
    for name, micro in (("Nano Banana", 500_000), ("Flux Dev", 1_000_000)):
        put(app, alice, model_name=name, charged_micro=micro, delivered=1, batch_id="bat_1")
    put(app, alice, prompt="a newer one", delivered=1)
    page = alice.page("/")
    batch = page.one(".job-batch")
    assert [each.text for each in batch.all(".job-card-model")] == ["Nano Banana", "Flux Dev"]
    assert "1.5 credits together" in batch.text
    assert len(page.all("#jobs > *")) == 3
    one = card(alice, batch.all("article")[0]["id"].removeprefix("job-"))
    assert one.has(".job-card-compared"), "it stays a part of the comparison while it is polled"


def test_one_of_several_results_is_kept_as_a_favourite(app: Flask, alice: Person) -> None:
    for _ in range(2):
        put(app, alice, delivered=1, batch_id="bat_1")
    form = alice.page("/").all(".job-batch form.favourite")[1]
    assert form.one("button").text == "Keep this one"
    answer = alice.post("/images/star", form.fields(), headers=HTMX)
    pressed = parse_html(answer.text).all("form:not([hx-swap-oob])")
    assert [each.one("button").text for each in pressed] == ["Kept"]
    assert alice.page("/").texts(".job-batch form.favourite button") == ["Keep this one", "Kept"]
    assert len(alice.page("/gallery?starred=1").all(".image-card")) == 1


def test_an_edit_shows_the_image_that_it_started_from(app: Flask, alice: Person) -> None:
    put(app, alice, delivered=1)
    link = alice.page("/").one(".job-card-image a.job-card-open")["href"]
    source = link.rpartition("/")[2]
    put(app, alice, operation="image-to-image", delivered=1, parameters={"images": [source]})
    shown = alice.page("/").one(".job-card-sources a")
    assert shown["href"] == link
    assert shown.one("img")["alt"] == "this image"


def test_a_batch_is_never_cut_by_the_end_of_the_wall(app: Flask, alice: Person) -> None:
    for _ in range(3):
        put(app, alice, batch_id="bat_1", delivered=1)
    for _ in range(11):
        put(app, alice, delivered=1)
    page = alice.page("/")
    assert len(page.one(".job-batch").all("article")) == 3


def test_running_jobs_are_there_again_after_a_visit_elsewhere(app: Flask, alice: Person) -> None:
    running = put(app, alice, state="running", n=2, delivered=1, progress=50)
    alice.page("/credits")
    page = alice.page("/")
    assert page.one(f"#job-{running}")["hx-get"] == f"/generations/{running}/card"
    assert len(page.all(f"#job-{running} figure img")) == 1


def test_a_full_wall_asks_as_often_as_one_with_a_single_job(
    app: Flask, alice: Person, bob: Person
) -> None:
    put(app, alice, state="queued")
    for number in range(12):
        put(app, bob, delivered=4, batch_id=f"bat_{number // 3}")
    put(app, bob, state="queued")
    counts = []
    for person in (alice, bob):
        person.page("/")
        with queries(app) as statements:
            person.page("/")
        counts.append(len(statements))
    # One more reads the rest of a batch that the page would cut.
    assert counts[1] <= counts[0] + 1
    assert counts[1] <= 12


def test_an_empty_wall_has_one_heading_beside_the_forms(alice: Person) -> None:
    page = alice.page("/")
    results = page.one("#results")
    assert results.one(".empty h2").text == "Nothing here yet"
    assert len(results.all(".empty-prompt")) >= 3
