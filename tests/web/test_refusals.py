"""Every error in the caller's form: a page, a component for HTMX, problem+json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from creditapp.catalog import Catalog
from creditapp.db import db
from creditapp.services import get, provide
from tests.app_factory import Person, Queue
from tests.pages import parse_html
from tests.web.steps import HTMX, log_in, make, order, submit

JSON = {"Accept": "application/json"}


def test_the_address_of_a_form_says_in_plain_words_that_it_has_no_page(app: Flask) -> None:
    browser = Person(app).browser
    page = browser.get("/settings/notifications")
    assert page.status_code == 405
    assert "POST" in page.headers["Allow"]
    assert "There is no page here" in parse_html(page.text).one("h1").text
    assert "POST" not in parse_html(page.text).one("main").text
    told = browser.get("/settings/notifications", headers=JSON)
    assert "accepts only OPTIONS and POST" in told.json["detail"]


def test_an_error_has_one_status_in_every_form(app: Flask) -> None:
    person = Person(app)
    cases = {
        "/nothing-here": (404, "not_found"),
        "/generations/gen_none": (404, "not_found"),
        "/media/ast_none": (404, "not_found"),
    }
    for path, (status, code) in cases.items():
        page = person.browser.get(path)
        part = person.browser.get(path, headers=HTMX)
        told = person.browser.get(path, headers=JSON)
        assert page.status_code == part.status_code == told.status_code == status
        assert f'data-code="{code}"' in page.text
        assert f'data-code="{code}"' in part.text
        assert "<html" in page.text
        assert "<html" not in part.text
        assert told.json["code"] == code
        assert told.mimetype == "application/problem+json"
        assert_complete(told)
        for answer in (page, part):
            # A mistyped address leads to no failure in the log: its id would only alarm.
            assert answer.headers["X-Request-Id"] not in answer.text
            assert "HX-Request" in answer.headers["Vary"]


def test_a_mistyped_address_gets_a_calm_page_with_ways_on(app: Flask, alice: Person) -> None:
    page = alice.page("/nothing-here")
    assert page.one("h1").text == "There is nothing here"
    assert page.has(".problem-calm")
    for path in ("/", "/gallery", "/dashboard", "/credits"):
        assert page.has(f'main a[href="{path}"]'), path
    guest = Person(app).page("/nothing-here").one("main")
    assert not guest.has('a[href="/gallery"]')


def test_only_errors_that_the_log_explains_show_the_request_id(app: Flask, alice: Person) -> None:
    guest = Person(app).browser
    not_logged_in = guest.get("/dashboard", headers=HTMX)
    wrong_filter = alice.browser.get("/dashboard?type=none", headers=HTMX)
    for answer, status in ((not_logged_in, 401), (wrong_filter, 422)):
        assert answer.status_code == status
        assert answer.headers["X-Request-Id"] not in answer.text
    expired = alice.browser.post("/credits/checkout", data={"pack": "creator"}, headers=HTMX)
    assert expired.status_code == 403
    assert expired.headers["X-Request-Id"] in expired.text


def test_too_many_tries_count_down_once(app: Flask) -> None:
    guest = Person(app)
    for _ in range(10):
        log_in(guest, "alice@example.com", "wrong password")
    answer = parse_html(log_in(guest, "alice@example.com", "wrong password").text)
    waits = answer.one("main").text.count("Try again")
    assert waits == 1
    assert answer.one("[data-until] time").text == "in 15 min"


def test_a_page_restored_from_htmx_history_is_whole(app: Flask) -> None:
    restored = {**HTMX, "HX-History-Restore-Request": "true"}
    answer = Person(app).browser.get("/nothing-here", headers=restored)
    assert "<html" in answer.text


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 10_000, "a\x00b", "bell\x07", "\x1b[31m"])
def test_a_wrong_prompt_is_refused_and_kept(app: Flask, prompt: str) -> None:
    person = Person(app)
    page = submit(person, prompt)
    assert page.status_code == 422
    assert 'aria-invalid="true"' in page.text
    assert page.text.count('id="field-prompt-error"') == 1
    assert "data-code=" not in page.text
    told = person.call("POST", "/api/generate-image", {"prompt": prompt})
    assert (told.status_code, told.json["code"]) == (422, "validation_failed")
    assert told.json["errors"][0]["field"] == "prompt"
    assert person.call("GET", "/api/credits").json["guestInfo"]["remaining"] == 3


@pytest.mark.parametrize(
    "prompt", ["🦊 im Schnee", "雪の中の狐", "a\nb\tc", "<b>&amp;</b>", "' OR 1=1"]
)
def test_a_prompt_may_use_any_script_and_symbol(
    app: Flask, guest: Person, queue: Queue, prompt: str
) -> None:
    made = make(guest, queue, prompt)
    assert guest.call("GET", f"/api{made}").json["prompt"] == prompt
    assert "<b>&amp;" not in guest.browser.get(made).text


@pytest.mark.parametrize("n", ["0", "5", "-1", "x", "1.5", "٣"])
def test_a_wrong_count_is_refused_by_the_form(app: Flask, n: str) -> None:
    alice = Person(app).sign_up("alice@example.com")
    answer = submit(alice, "a fox", model="flux-dev", n=n)
    assert answer.status_code in (422, 303 if n == "٣" else 422)
    assert answer.status_code == 303 or alice.balance() == 50


@pytest.mark.parametrize("n", [0, 5, "2", True, 1.5, None, [1]])
def test_a_wrong_count_is_refused_by_the_api(app: Flask, n: object) -> None:
    alice = Person(app).sign_up("alice@example.com")
    answer = alice.call("POST", "/api/generate-image", {"prompt": "a fox", "n": n})
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert answer.json["errors"][0]["field"] == "n"
    assert alice.balance() == 50


def test_an_unknown_or_unavailable_model_is_refused(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    page = submit(alice, "a fox", model="no-such-model")
    assert page.status_code == 422
    assert "There is no model" in page.text
    assert "a fox" in page.text
    assert alice.balance() == 50


def test_too_few_credits_show_the_shortfall_and_where_to_buy(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    choice = {"model": "gpt-image", "quality": "high", "n": "4"}
    assert submit(alice, "a fox", **choice).status_code == 303
    page = submit(alice, "another fox", **choice)
    assert page.status_code == 402
    assert 'data-code="insufficient_credits"' in page.text
    assert "another fox" in page.text
    for words in ("This needs", "You have", "Short"):
        assert words in page.text
    part = htmx_submit(alice, "another fox", **choice)
    assert part.status_code == 402
    assert "<html" not in part.text
    assert parse_html(part.text).has('a[href^="/credits?next="][href*="pack=creator"]')
    told = alice.call(
        "POST", "/api/generate-image",
        {"prompt": "another fox", "model": "gpt-image", "quality": "high", "n": 4},
    )  # fmt: skip
    assert told.status_code == 402
    assert_complete(told)
    facts = {name: told.json[name] for name in ("code", "required", "balance", "shortfall")}
    assert facts == {
        "code": "insufficient_credits", "required": 32, "balance": 18, "shortfall": 14,
    }  # fmt: skip
    assert alice.balance() == 18


def test_a_guest_without_images_left_sees_when_they_reset(guest: Person, queue: Queue) -> None:
    for _ in range(3):
        make(guest, queue)
    page = submit(guest, "a fourth fox")
    part = htmx_submit(guest, "a fourth fox")
    told = guest.call("POST", "/api/generate-image", {"prompt": "a fourth fox"})
    for answer in (page, part, told):
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 24 * 3600
    for answer in (page, part):
        assert 'data-code="guest_limit_reached"' in answer.text
        assert "/auth/signup?next=" in answer.text
        assert "data-until" in answer.text
    assert "a fourth fox" in page.text
    assert_complete(told)
    assert told.json["code"] == "guest_limit_reached"
    assert told.json["limit"] == 3
    assert told.json["remaining"] == 0
    assert told.json["resetAt"] == "2026-11-22T12:00:00Z"
    assert told.json["signupUrl"] == "/auth/signup"
    assert told.json["signupCredits"] == 50


def test_a_used_up_guest_budget_refuses_every_guest(app: Flask) -> None:

    with app.app_context():
        provide(app, Catalog, get(Catalog).model_copy(update={"guest_daily_budget": 1}))
    assert submit(Person(app), model="nano-banana").status_code == 303
    other = Person(app)
    refused = submit(other, "a fox", model="nano-banana")
    assert refused.status_code == 429
    assert 'data-code="guest_budget_reached"' in refused.text
    told = other.call("POST", "/api/generate-image", {"prompt": "a fox", "model": "nano-banana"})
    assert told.json["code"] == "guest_budget_reached"
    assert int(told.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    "choice", [{"model": "gpt-image"}, {"n": "2"}, {"model": "nano-banana-pro", "n": "4"}]
)
def test_models_not_for_guests_need_an_account(app: Flask, choice: dict[str, str]) -> None:
    person = Person(app)
    page = submit(person, "a fox", **choice)
    assert page.status_code == 401
    assert 'data-code="authentication_required"' in page.text
    assert "/auth/signup?next=" in page.text
    body: dict[str, Any] = {"prompt": "a fox", **choice}
    if "n" in body:
        body["n"] = int(body["n"])
    told = person.call("POST", "/api/generate-image", body)
    assert told.status_code == 401
    assert told.json["signupUrl"] == "/auth/signup"
    assert "WWW-Authenticate" in told.headers
    assert person.call("GET", "/api/credits").json["guestInfo"]["remaining"] == 3


def test_a_higher_price_than_shown_needs_another_click(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    refused = submit(alice, "a fox", model="nano-banana-pro", shown_micro="500000")
    assert refused.status_code == 409
    assert 'data-code="conflict"' in refused.text
    assert "The price has changed" in refused.text
    assert alice.balance() == 50
    many = submit(alice, "a fox", model="nano-banana-pro", n="9")
    assert many.status_code == 422
    assert "Nano Banana Pro makes 1 to 4 images at once." in many.text
    accepted = submit(alice, "a fox", model="nano-banana-pro", shown_micro="2000000")
    assert accepted.status_code == 303


def test_a_double_click_generates_once(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    wish = order(alice, "a fox", model="flux-dev")
    first, second = alice.post("/generations", wish), alice.post("/generations", wish)
    assert first.location == second.location
    assert alice.balance() == 49
    edited = alice.post("/generations", {**wish, "prompt": "a fox at night"})
    assert edited.location != first.location
    assert alice.balance() == 48


def test_a_key_used_for_another_body_is_refused(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    headers = {"Idempotency_Key": "my key", "Prefer": "respond-async"}
    body = {"prompt": "a fox", "model": "flux-dev"}
    first = alice.call("POST", "/api/generate-image", body, **headers)
    same = alice.call("POST", "/api/generate-image", body, **headers)
    assert same.json["id"] == first.json["id"]
    assert same.headers["Idempotent-Replayed"] == "true"
    other = alice.call("POST", "/api/generate-image", {**body, "prompt": "a hen"}, **headers)
    assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused")
    assert alice.balance() == 49


@pytest.mark.parametrize(
    ("data", "mimetype", "status", "code"),
    [
        ("{", "application/json", 400, "malformed_request"),
        ("[]", "application/json", 400, "malformed_request"),
        ('{"n": NaN}', "application/json", 400, "malformed_request"),
        ("[" * 100_000, "application/json", 400, "malformed_request"),
        ("prompt=x", "text/plain", 415, "unsupported_media_type"),
    ],
)
def test_a_body_that_is_not_json_is_refused(
    client: FlaskClient, data: str, mimetype: str, status: int, code: str
) -> None:
    answer = client.post("/api/generate-image", data=data, content_type=mimetype)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert_complete(answer)


def test_a_wrong_method_returns_the_allowed_ones(app: Flask) -> None:
    person = Person(app)
    answer = person.browser.get("/auth/logout", headers=JSON)
    assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]
    assert person.browser.get("/auth/logout", headers=HTMX).status_code == 405


@pytest.mark.parametrize("path", ["/", "/dashboard", "/nothing-here", "/credits", "/auth/login"])
def test_without_its_database_the_app_returns_500_in_every_form(
    app: Flask, alice: Person, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    break_database(app, monkeypatch)
    for headers, shape in (({}, "<html"), (HTMX, "<section"), (JSON, '"code"')):
        answer = alice.browser.get(path, headers=headers)
        # That there is no such address can be said without a database, to a program at least.
        known = path == "/nothing-here" and headers == JSON
        assert answer.status_code == (404 if known else 500), headers
        assert shape in answer.text
        assert answer.headers["X-Request-Id"] in answer.text
        for secret in ("Traceback", "sqlalchemy", "SELECT", "OperationalError"):
            assert secret not in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert alice.browser.get("/healthz").status_code == 200


def test_an_internal_error_is_shown_without_its_cause(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setitem(app.view_functions, "generation.studio", marked_public(fail))
    person = Person(app)
    told = person.browser.get("/", headers=JSON)
    assert (told.status_code, told.json["code"]) == (500, "internal_error")
    assert_complete(told)
    for headers in ({}, HTMX, JSON):
        assert "hunter2" not in person.browser.get("/", headers=headers).text


def marked_public(view: Callable[[], str]) -> Callable[[], str]:
    view.policy = "public"  # type: ignore[attr-defined]  # what the decorator does
    return view


def break_database(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every new database connection fail."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("connection refused"))

    with app.app_context():
        db.session.remove()
        db.engine.dispose()
        monkeypatch.setattr(db.engine, "connect", refuse)
        monkeypatch.setattr(db.engine, "raw_connection", refuse)
        monkeypatch.setattr(db.engine.dialect, "connect", refuse)


def htmx_submit(person: Person, prompt: str, **fields: str) -> TestResponse:
    return person.post("/generations", order(person, prompt, **fields), headers=HTMX)


def assert_complete(answer: TestResponse) -> None:
    """Assert that a problem has every member, and the status of its response."""
    problem = answer.json
    assert answer.mimetype == "application/problem+json"
    assert problem["status"] == answer.status_code
    assert problem["error"] == problem["detail"]
    assert problem["type"].endswith(f"#{problem['code']}")
    assert problem["title"]
    assert problem["requestId"] == answer.headers["X-Request-Id"]
