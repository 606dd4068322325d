"""The prompt history: all that was sent, apart from images, until its owner forgets it."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import func, select

from creditapp.accounts import find_by_email
from creditapp.clock import StoppedClock, now
from creditapp.db import snapshot, transaction
from creditapp.generation import prompts
from creditapp.generation.models import Generation, Prompt
from creditapp.ids import new_id
from tests.app_factory import Person, Queue
from tests.pages import Element, parse_html
from tests.web.steps import HTMX, make, queries

pytestmark = pytest.mark.databases("sqlite", "postgresql")


def row(owner_id: str, prompt: str, operation: str, at: datetime, **values: object) -> Generation:
    return Generation(
        **{
            "id": new_id("gen"), "owner_kind": "user", "owner_id": owner_id,
            "request_key": new_id("key"), "request_digest": "0" * 64, "operation": operation,
            "model": "nano-banana", "model_name": "Nano Banana", "prompt": prompt, "n": 1,
            "size": "1024x1024", "seed": 7, "parameters": {}, "catalog_version": "x",
            "funding": "wallet", "quoted_micro": 500_000, "state": "queued", "provider": "offline",
            "created_at": at, **values,
        }
    )  # fmt: skip


def send(
    app: Flask, person: Person, *texts: str, operation: str = "text-to-image", **values: object
) -> None:
    """Put prompts into a history as submitting does, a second apart."""
    with app.app_context(), transaction() as session:
        user = find_by_email(session, person.email)
        assert user is not None
        for number, each in enumerate(texts):
            at = now() + timedelta(seconds=number)
            prompts.remember(session, [row(user.id, each, operation, at, **values)])


def shown(page: Element) -> list[str]:
    """Return the texts of the prompts on a page."""
    return [each.text.strip() for each in page.all("article > .prompt-card-text")]


def forget_paths(page: Element) -> list[str]:
    return [form["action"] for form in page.all('article form[action$="/forget"]')]


def test_an_empty_history_invites(alice: Person) -> None:
    page = alice.page("/history")
    assert "No prompts yet" in page.text
    assert page.has('main a[href="/"]')
    assert not page.has("#forget-all")


def test_every_prompt_that_was_sent_is_kept_once_the_last_first(
    alice: Person, queue: Queue, clock: StoppedClock
) -> None:
    for prompt in ("a fox in the snow", "two boats", "a fox in the snow"):
        make(alice, queue, prompt)
        clock.advance(timedelta(minutes=1))
    page = alice.page("/history")
    assert shown(page) == ["a fox in the snow", "two boats"]
    fox, boats = page.texts("article")
    assert "used 2 times" in fox
    assert "Nano Banana" in fox
    assert "Text to image" in fox
    assert "used" not in boats


def test_the_api_is_kept_too_and_a_repeated_request_counts_once(alice: Person) -> None:
    body = {"prompt": "a quay", "model": "nano-banana", "idempotencyKey": "k1"}
    for _ in range(2):
        alice.call("POST", "/api/generate-image", body, Prefer="respond-async")
    page = alice.page("/history")
    assert shown(page) == ["a quay"]
    assert "times" not in page.one("article").text


def test_what_was_refused_is_not_kept(alice: Person) -> None:
    body = {"prompt": "a quay", "model": "gpt-image", "quality": "high", "n": 4}
    for _ in range(2):
        answer = alice.call("POST", "/api/generate-image", body, Prefer="respond-async")
    assert answer.status_code == 402
    page = alice.page("/history")
    assert "times" not in page.text


def test_deleting_an_image_leaves_its_prompt_and_the_other_way_round(
    alice: Person, queue: Queue
) -> None:
    fox, boats = make(alice, queue, "a fox in the snow"), make(alice, queue, "two boats")
    alice.post(f"{fox}/delete")
    page = alice.page("/history")
    assert sorted(shown(page)) == ["a fox in the snow", "two boats"]
    for path in forget_paths(page):
        assert alice.post(path).status_code == 303
    assert shown(alice.page("/history")) == []
    assert "two boats" in alice.page(boats).text


def test_use_again_fills_the_studio_as_it_was_sent(alice: Person, queue: Queue) -> None:
    make(alice, queue, "a fox & a crow, 100 %", n="2", size="1:1")
    page = alice.page("/history")
    answer = alice.browser.get(page.one('a[href$="/use"]')["href"])
    assert answer.status_code == 303
    sent = parse_qs(urlsplit(answer.location).query)
    assert sent["prompt"] == ["a fox & a crow, 100 %"]
    assert (sent["operation"], sent["model"], sent["n"]) == (
        ["text-to-image"], ["nano-banana"], ["2"],
    )  # fmt: skip
    assert "seed" not in sent, "a drawn seed is no setting"
    studio = alice.page(answer.location)
    assert studio.one("textarea[name=prompt]").text.strip() == "a fox & a crow, 100 %"
    assert studio.has('input[name=model][value="nano-banana"][checked]')


def test_the_settings_of_the_last_use_are_kept_and_no_file(app: Flask, alice: Person) -> None:
    source = new_id("ast")
    parameters = {"seconds": 7, "images": [source], "mask": source, "sources": {source: ["k", "t"]}}
    send(app, alice, "it rains", operation="video", model="video", size="1280x720",
         parameters=parameters, negative_prompt="people")  # fmt: skip
    with app.app_context(), snapshot() as session:
        prompt = session.scalars(select(Prompt)).one()
    assert prompt.settings == {
        "n": 1, "size": "1280x720", "seconds": 7, "negativePrompt": "people",
    }  # fmt: skip
    page = alice.page("/history")
    sent = parse_qs(urlsplit(alice.browser.get(page.one('a[href$="/use"]')["href"]).location).query)
    assert sent["seconds"] == ["7"]
    assert "model" not in sent, "the operation has a price of its own"


def test_several_models_at_once_are_one_use(app: Flask, alice: Person) -> None:
    with app.app_context(), transaction() as session:
        user = find_by_email(session, alice.email)
        assert user is not None
        for model in ("nano-banana", "flux-dev"):
            each = row(user.id, "a fox", "text-to-image", now(), model=model, batch_id="bat_1")
            prompts.remember(session, [each])
    page = alice.page("/history")
    assert "times" not in page.text
    assert "Flux Dev" in page.text


def test_a_search_finds_words_as_they_were_typed(app: Flask, alice: Person) -> None:
    send(app, alice, "a fox in the snow", "Über den Dächern", "100% cotton", "snake_case")
    searches = {
        "fox": 1, "FOX": 1, "Über": 1, "snow%": 0, "%": 1, "_": 1, "\\": 0, "/": 0,
        "'; DROP TABLE": 0, "100%": 1, "   ": 4, "x" * 5000: 0,
    }  # fmt: skip
    for words, found in searches.items():
        page = alice.page("/history", query_string={"q": words})
        assert len(shown(page)) == found, words
        answer = alice.browser.get("/history", query_string={"q": words}, headers=HTMX)
        fragment = parse_html(answer.text)
        assert not fragment.has("html")
        assert len(shown(fragment)) == found
        assert "HX-Request" in answer.headers["Vary"]


def test_a_filter_shows_one_operation_and_keeps_the_search(app: Flask, alice: Person) -> None:
    send(app, alice, "the sea", "a boat")
    send(app, alice, "the sea", operation="audio", model="audio")
    page = alice.page("/history", query_string={"q": "sea"})
    assert len(shown(page)) == 2
    link = next(each for each in page.all("nav.filter a") if "operation=audio" in each["href"])
    page = alice.page(link["href"])
    assert (shown(page), page.value("q")) == (["the sea"], "sea")
    assert page.one('nav.filter a[aria-current="true"]')["href"] == link["href"]
    assert shown(alice.page("/history?operation=lipsync")) == []
    assert shown(alice.page("/history?operation=none%27")) == []


def test_a_long_history_comes_in_pages_that_keep_the_filter(app: Flask, alice: Person) -> None:
    send(app, alice, *(f"boat & buoy {number:02}" for number in range(26)), "a fox")
    first = alice.page("/history", query_string={"q": "boat &"})
    second = alice.page(first.one('a[href*="cursor="]')["href"])
    texts = shown(first) + shown(second)
    assert texts == [f"boat & buoy {number:02}" for number in reversed(range(26))]
    assert len(shown(second)) == 2
    assert not second.has('[href*="cursor="]')


@pytest.mark.parametrize("cursor", ["x", "1.prm_", "99999999999999999.prm_" + "0" * 26, "'"])
def test_a_cursor_that_is_none_shows_the_first_page(app: Flask, alice: Person, cursor: str) -> None:
    send(app, alice, "a fox")
    assert shown(alice.page("/history", query_string={"cursor": cursor})) == ["a fox"]


def test_prompts_of_the_same_moment_are_not_lost_between_pages(app: Flask, alice: Person) -> None:
    with app.app_context(), transaction() as session:
        user = find_by_email(session, alice.email)
        assert user is not None
        rows = [row(user.id, f"fox {number}", "text-to-image", now()) for number in range(30)]
        prompts.remember(session, rows)
    first = alice.page("/history")
    second = alice.page(first.one('a[href*="cursor="]')["href"])
    assert len(set(shown(first) + shown(second))) == 30


def test_one_is_forgotten_for_real_and_the_page_keeps_its_place(app: Flask, alice: Person) -> None:
    send(app, alice, "a fox", "two boats")
    page = alice.page("/history?q=fox")
    action = forget_paths(page)[0]
    fields = page.one(f'form[action="{action}"]').fields()
    answer = alice.post(action, {"next": fields["next"]})
    assert answer.location == "/history?q=fox"
    assert count(app) == 1
    assert alice.post(action).status_code == 404


def test_all_are_forgotten_after_a_question(app: Flask, alice: Person, charlie: Person) -> None:
    send(app, alice, "a fox", "two boats")
    send(app, charlie, "a quay")
    page = alice.page("/history")
    assert page.has('#forget-all form[action="/history/forget"]')
    alice.post("/history/forget")
    page = alice.page("/history")
    assert "2 prompts are forgotten" in page.text
    assert shown(page) == []
    assert shown(charlie.page("/history")) == ["a quay"]


def count(app: Flask) -> int:
    with app.app_context(), snapshot() as session:
        return session.scalar(select(func.count()).select_from(Prompt)) or 0


def test_nobody_sees_uses_or_forgets_the_prompts_of_others(
    app: Flask, alice: Person, charlie: Person, guest: Person
) -> None:
    send(app, alice, "a secret garden")
    path = forget_paths(alice.page("/history"))[0]
    assert shown(charlie.page("/history?q=secret")) == []
    assert charlie.browser.get(path.replace("/forget", "/use")).status_code == 404
    assert charlie.post(path).status_code == 404
    for url in ("/history", path.replace("/forget", "/use")):
        assert guest.browser.get(url).status_code == 303
    assert guest.post(path).status_code == 401
    assert guest.post("/history/forget").status_code == 401
    assert count(app) == 1


def test_a_guest_has_no_history_and_begins_one_by_signing_up(
    app: Flask, guest: Person, queue: Queue
) -> None:
    make(guest, queue, "a fox in the snow")
    make(guest, queue, "a fox in the snow")
    assert count(app) == 0
    guest.sign_up("dora@example.com")
    page = guest.page("/history")
    assert shown(page) == ["a fox in the snow"]


def test_the_prompts_of_a_guest_join_those_of_the_account(
    app: Flask, alice: Person, queue: Queue, clock: StoppedClock
) -> None:
    make(alice, queue, "a fox in the snow")
    clock.advance(timedelta(minutes=1))
    guest = Person(app)
    make(guest, queue, "a fox in the snow", n="1", size="3:2")
    make(guest, queue, "two boats")
    clock.advance(timedelta(minutes=1))
    make(alice, queue, "a quay")
    fields = {"email": "alice@example.com", "password": "correct horse battery"}
    assert guest.post("/auth/login", fields).status_code == 303
    page = alice.page("/history")
    assert set(shown(page)) == {"a quay", "a fox in the snow", "two boats"}
    assert shown(page)[0] == "a quay"
    fox = next(each for each in page.all("article") if "fox" in each.text)
    assert "used 2 times" in fox.text
    use = alice.browser.get(fox.one('a[href$="/use"]')["href"])
    assert "1536x1024" in use.location, "the settings of the later use"


def test_submitting_costs_one_statement_more_and_a_page_none(app: Flask, alice: Person) -> None:
    body = {"prompt": "a quay", "model": "nano-banana"}
    with queries(app) as seen:
        alice.call("POST", "/api/generate-image", body, Prefer="respond-async")
    assert len([each for each in seen if "prompts" in each]) == 1
    with queries(app) as seen:
        alice.page("/history")
    assert len([each for each in seen if "prompts" in each]) == 1
