"""The pages of the webhooks: created and shown once, changed, rotated, tried, deleted."""

from __future__ import annotations

import socket
from typing import NoReturn

import pytest
from flask import Flask
from sqlalchemy import select

from creditapp import webhooks_out
from creditapp.clock import now
from creditapp.db import snapshot
from creditapp.runtime import tasks
from creditapp.webhooks_out import WebhookEndpoint, addresses
from tests.app_factory import Person, Queue
from tests.pages import parse_html
from tests.web.steps import HTMX, queries

PATH = "/settings/webhooks"
FIELDS = {
    "url": "https://hooks.example.com/in",
    "description": "Builder",
    "events": ["credits.low"],
}
NONCE = {"nonce": "of-one-form-as-shown"}


def create(person: Person, **fields: str) -> tuple[str, str]:
    """Create an endpoint; return its page and its secret."""
    page = parse_html(person.post(PATH, {**FIELDS, **NONCE, **fields}).text)
    link = person.page(PATH).all(".webhook-endpoint h3 a")[0]["href"]
    return link, page.one("#new-secret").text


def test_an_endpoint_is_created_shown_once_changed_and_deleted(alice: Person) -> None:
    assert "You have none yet" in alice.page(PATH).one("main").text
    assert "/settings/webhooks" in alice.browser.get("/settings").text
    answer = alice.post(PATH, FIELDS | NONCE)
    assert answer.headers["Cache-Control"] == "no-store"
    secret = parse_html(answer.text).one("#new-secret").text
    assert secret.startswith("whsec_")
    (link,) = [a["href"] for a in alice.page(PATH).all(".webhook-endpoint h3 a")]
    page = alice.page(link)
    assert secret not in page.text
    assert page.value("url") == FIELDS["url"]
    assert page.all('[name="enabled"][checked]')
    answer = alice.post(link, {**FIELDS, "description": "Ledger", "events": ["purchase.paid"]})
    assert answer.status_code == 303
    text = alice.page(PATH).one(".webhook-endpoint").text
    assert "Ledger" in text
    assert "purchase.paid" in text
    assert "Off." in text, "the box was not ticked"
    alice.post(link, {**FIELDS, "enabled": "1"})
    assert "Off." not in alice.page(PATH).one(".webhook-endpoint").text
    assert alice.post(f"{link}/delete").status_code == 303
    assert not alice.page(PATH).all(".webhook-endpoint")
    assert alice.browser.get(link).status_code == 404


def test_a_new_secret_is_shown_once_and_the_old_one_signs_for_a_day(alice: Person) -> None:
    link, secret = create(alice)
    answer = alice.post(f"{link}/rotate", NONCE)
    assert answer.headers["Cache-Control"] == "no-store"
    new = parse_html(answer.text).one("#new-secret").text
    assert new != secret
    page = alice.page(link)
    assert new not in page.text
    assert "The old one ends" in page.one("main").text


def test_a_double_click_creates_one_endpoint_and_one_new_secret(alice: Person) -> None:
    """A second new secret would end the one that the receiver knows."""
    link, secret = create(alice)
    assert create(alice) == (link, secret)
    new, again = (
        parse_html(alice.post(f"{link}/rotate", NONCE).text).one("#new-secret").text
        for _ in range(2)
    )
    assert new == again != secret
    with alice.app.app_context(), snapshot() as session:
        (row,) = session.scalars(select(WebhookEndpoint)).all()
        assert webhooks_out.secrets_of(row, now=now()) == [new, secret]


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("url", "http://hooks.example.com/", "https://"),
        ("url", "https://192.168.0.1/", "not public"),
        ("events", [], "at least one event."),
        ("events", ["credits.stolen"], "at least one"),
        ("description", "x" * 101, "at most 100"),
    ],
)
def test_a_wrong_field_is_named_and_what_was_typed_is_kept(
    alice: Person, field: str, value: str, word: str
) -> None:
    answer = alice.post(PATH, {**FIELDS, **NONCE, field: value})
    assert answer.status_code == 422
    page = parse_html(answer.text)
    assert word in page.one("main").text
    kept = "url" if field == "description" else "description"
    assert page.value(kept) == FIELDS[kept]
    assert not alice.page(PATH).all(".webhook-endpoint")
    link, _ = create(alice)
    answer = alice.post(link, {**FIELDS, field: value})
    assert answer.status_code == 422
    assert word in parse_html(answer.text).one("main").text


def test_a_test_event_shows_in_the_log_and_is_sent_again(
    app: Flask, alice: Person, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_arguments: object, **_options: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    link, _ = create(alice, url="https://hooks.invalid/")
    assert alice.post(f"{link}/test").location.endswith("#log")
    page = alice.page(link)
    assert "Waiting" in page.one(".webhook-delivery").text
    assert page.one("#log")["hx-trigger"] == "every 1s"
    refused = alice.post(f"{link}/test")
    assert refused.status_code == 409
    assert "on its way already" in refused.text
    with app.app_context():
        tasks.sweep_webhooks()
    with monkeypatch.context() as patched:
        patched.setattr(addresses.socket, "getaddrinfo", unknown)
        queue.run()
    page = alice.page(link)
    assert "the name is unknown" in page.one(".webhook-delivery").text
    assert "Failing" in page.one("#log").text
    again = page.one('.webhook-delivery form[action$="/redeliver"]')["action"]
    answer = alice.post(again, headers=HTMX)
    assert answer.status_code == 200
    assert answer.text.strip().startswith("<section")
    assert alice.post(again).location == f"{link}#log"
    assert alice.page(link).one("#log")["hx-trigger"] == "every 1s"
    alice.post(link, FIELDS)  # without the box: off
    assert not alice.page(link).all("#log[hx-trigger]")
    assert alice.post(again).status_code == 409
    assert not alice.page(link).all('form[action$="/test"]')


def test_an_event_that_waited_when_its_endpoint_was_switched_off_can_be_sent(alice: Person) -> None:
    link, _ = create(alice)
    alice.post(f"{link}/test")
    alice.post(link, FIELDS)  # without the box: off
    assert not alice.page(link).all('form[action$="/redeliver"]')
    alice.post(link, {**FIELDS, "enabled": "1"})
    page = alice.page(link)
    assert "Failed" in page.one(".webhook-delivery-state").text
    assert alice.post(page.one('form[action$="/redeliver"]')["action"]).status_code == 303
    assert "Waiting" in alice.page(link).one(".webhook-delivery-state").text


def test_a_strangers_endpoint_is_not_found(app: Flask, alice: Person) -> None:
    link, _ = create(alice)
    alice.post(f"{link}/test")
    (again,) = [form["action"] for form in alice.page(link).all("form[action$=redeliver]")] or [
        f"{link}/deliveries/msg_{'0' * 26}/redeliver"
    ]
    stranger = Person(app).sign_up("stranger@example.com")
    assert stranger.browser.get(link).status_code == 404
    for path in (link, f"{link}/rotate", f"{link}/test", f"{link}/delete", again):
        assert stranger.post(path, FIELDS | NONCE).status_code == 404, path
    assert not stranger.page(PATH).all(".webhook-endpoint")
    assert alice.browser.get(link).status_code == 200


def test_the_pages_ask_little_however_many_there_are(app: Flask, alice: Person) -> None:
    link, _ = create(alice)
    for path in (PATH, link):
        with queries(app) as few:
            alice.browser.get(path)
        assert len(few) <= 12, few
    for number in range(9):
        create(alice, description=f"Builder {number}")
    with queries(app) as many:
        assert len(alice.page(PATH).all(".webhook-endpoint")) == 10
    assert len(many) <= 12
    assert alice.post(PATH, FIELDS | {"nonce": "of-another-form"}).status_code == 409
