"""Errors that every route shares: forgery, invalid bodies, wrong methods, unknown paths."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from creditapp.config import Settings
from creditapp.http.policies import policy_of
from creditapp.services import get, provide
from tests.api.contract import Program, check_problem
from tests.api.test_keys import create
from tests.api.test_spending import ADMIN_KEY
from tests.app_factory import Person
from tests.generation.studio import Studio, wallet

IMAGE = "/api/generate-image"
BODY = {"prompt": "a quay", "model": "nano-banana"}
NOW = {"Prefer": "respond-async"}
NO_KEYS = ("/api/keys", "/api/webhook-endpoints", "/api/billing/auto-topup")
"""Routes that only a member's own browser may call."""


def post(person: Person, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return person.browser.post(IMAGE, json=BODY, headers=NOW | named)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "http://localhost"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "https://evil.example"},
    ],
    ids=str,
)
def test_a_call_from_our_own_pages_is_accepted(
    alice: Person, studio: Studio, headers: dict[str, str]
) -> None:
    assert post(alice, **headers).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "null"},
        {"Referer": "http://localhost/"},
        {"X_CSRFToken": "made up"},
        {"X_CSRFToken": "", "Sec_Fetch_Site": "cross-site"},
    ],
    ids=str,
)
def test_a_call_that_another_site_could_have_made_is_refused(
    alice: Person, guest: Person, studio: Studio, headers: dict[str, str]
) -> None:
    guest.browser.get("/")
    for person in (alice, guest):
        answer = post(person, **headers)
        assert answer.status_code == 403
        assert check_problem(answer)["code"] == "csrf_failed"
    assert wallet(alice) == (50, 0)
    made = studio.ask(alice)
    answer = alice.browser.delete(
        f"/api/generations/{made}", headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403
    assert studio.generation(made).state == "queued"


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        ("text/plain", {"Origin": "https://evil.example"}),
        ("application/json", {"Origin": "null"}),
        ("application/json", {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"}),
        ("application/x-www-form-urlencoded", {"Sec-Fetch-Site": "cross-site"}),
        ("multipart/form-data; boundary=x", {"Origin": "https://evil.example"}),
    ],
    ids=str,
)
def test_a_page_of_another_site_reaches_no_route_with_a_persons_session(
    app: Flask, alice: Person, content_type: str, headers: dict[str, str]
) -> None:
    tried = 0
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}:
            if policy_of(app, rule.endpoint) in ("key", "signature"):
                continue
            path = re.sub(r"<[^>]+>", "one", rule.rule)
            answer = alice.browser.open(
                path, method=method, data=b"", content_type=content_type, headers=headers
            )
            assert answer.status_code == 403, (method, path, answer.status_code)
            assert "Access-Control-Allow-Origin" not in answer.headers
            tried += 1
    assert tried > 90


def test_a_page_whose_name_leads_to_this_server_is_a_stranger(app: Flask, alice: Person) -> None:
    """DNS rebinding: the browser sends the page's own name as Host and Origin, and no cookie."""
    for path in ("/mcp", "/v1/images/generations", "/api/credits/spend", "/api/keys"):
        answer = app.test_client().post(
            path,
            json={},
            base_url="http://evil.example",
            headers={"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code == 401, path


def test_the_token_of_the_session_is_enough(alice: Person, charlie: Person, studio: Studio) -> None:
    token = alice.token()
    assert post(alice, X_CSRFToken=token, Sec_Fetch_Site="cross-site").status_code == 202
    assert post(charlie, X_CSRFToken=token).status_code == 403, "another session's token"


def test_a_program_without_cookies_is_a_guest(app: Flask, guest: Person, studio: Studio) -> None:
    answer = post(guest)
    assert answer.status_code == 202
    assert answer.json["guestInfo"]["remaining"] == 2


@pytest.mark.parametrize(
    ("data", "content_type", "status", "code"),
    [
        ("", "application/json", 400, "malformed_request"),
        ("{", "application/json", 400, "malformed_request"),
        ("[]", "application/json", 400, "malformed_request"),
        ('"text"', "application/json", 400, "malformed_request"),
        ("null", "application/json", 400, "malformed_request"),
        ('{"prompt": NaN}', "application/json", 400, "malformed_request"),
        ('{"n": Infinity}', "application/json", 400, "malformed_request"),
        (b"\xff\xfe{\x00}", "application/json", 400, "malformed_request"),
        (b'{"prompt": "\xff"}', "application/json", 400, "malformed_request"),
        ("[" * 100_000, "application/json", 400, "malformed_request"),
        ('{"n": 1e99999999999999999999}', "application/json", 400, "malformed_request"),
        ('{"n": ' + "1" * 5000 + "}", "application/json", 400, "malformed_request"),
        (json.dumps(BODY), "text/plain", 415, "unsupported_media_type"),
        (json.dumps(BODY), "application/xml", 415, "unsupported_media_type"),
        (json.dumps(BODY), "", 415, "unsupported_media_type"),
        (json.dumps({"prompt": "x" * 1_100_000}), "application/json", 413, "payload_too_large"),
        (b"x" * (21 * 1024 * 1024), "application/json", 413, "payload_too_large"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_an_unreadable_body_is_refused(
    api: Program, data: Any, content_type: str, status: int, code: str
) -> None:
    browser = api.person.browser
    for path in (IMAGE, "/api/generate-nano-banana", "/api/quotes"):
        answer = browser.post(
            path,
            data=data,
            content_type=content_type,
            headers={"Sec-Fetch-Site": "same-origin", **NOW},
        )
        assert answer.status_code == status, (path, answer.text)
        assert check_problem(api.document.check("POST", path, answer))["code"] == code
    assert wallet(api.person) == (50, 0)


def test_a_member_that_a_body_has_twice_is_refused_by_name_on_every_route(
    app: Flask, alice: Person, studio: Studio
) -> None:
    """Which of the two a program meant is unpredictable, and an amount must not be."""
    with app.app_context():
        provide(app, Settings, get(Settings).model_copy(update={"admin_api_key": ADMIN_KEY}))
    paths = app.test_client().get("/api/openapi.json").json["paths"]
    routes = [
        (method, re.sub(r"{\w+}", "one", path))
        for path, operations in paths.items()
        for method, operation in operations.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]
    assert len(routes) > 35
    program = {"Authorization": f"Bearer {create(alice)['key']}"}
    for method, path in routes:
        for body in ('{"amount": 1, "amount": 2}', '{"a": [{"amount": 1, "b": 2, "amount": 1}]}'):
            headers = {} if path.startswith(NO_KEYS) else program
            headers |= {"x-admin-key": ADMIN_KEY, "Sec-Fetch-Site": "same-origin"}
            answer = alice.browser.open(
                path, method=method, data=body, content_type="application/json", headers=headers
            )
            assert answer.status_code == 400, (method, path, answer.text)
            assert 'the member \\"amount\\" twice' in answer.text, (method, path, answer.text)
    assert wallet(alice) == (50, 0)


@pytest.mark.parametrize("path", [IMAGE, "/api/quotes"])
def test_a_body_of_many_members_is_refused_before_validation(api: Program, path: str) -> None:
    for count in (65, 50_000):
        crowd = {str(number): 0 for number in range(count)}
        problem = api.refused(400, "malformed_request", "POST", path, crowd)
        assert "more than 64 members" in problem["detail"]


def test_an_error_is_short_however_much_is_wrong(api: Program) -> None:
    crowd = {"k" * 10_000 + str(number): 0 for number in range(64)}
    problem = api.refused(422, "validation_failed", "POST", IMAGE, crowd)
    assert len(problem["errors"]) == 20
    assert len(json.dumps(problem)) < 20_000
    assert "kkk…" in problem["errors"][-1]["message"]


def test_an_empty_model_is_no_model_and_nothing_is_charged(api: Program, studio: Studio) -> None:
    body = {"prompt": "a quay", "model": ""}
    problem = api.refused(422, "validation_failed", "POST", IMAGE, body)
    assert [error["field"] for error in problem["errors"]] == ["model"]
    assert api.call("GET", "/api/credits").json["credits"]["balance"] == 50


def test_a_members_value_may_be_long(api: Program, studio: Studio) -> None:
    answer = api.call("POST", IMAGE, {**BODY, "models": list(range(1000))}, **NOW)
    assert answer.status_code == 202


def test_other_json_content_types_are_accepted(api: Program, studio: Studio) -> None:
    answer = api.person.browser.post(
        IMAGE,
        data=json.dumps(BODY),
        content_type="application/vnd.example+json; charset=utf-8",
        headers={"Sec-Fetch-Site": "same-origin", **NOW},
    )
    assert answer.status_code == 202


def test_a_form_is_not_json(alice: Person) -> None:
    answer = alice.post(IMAGE, {"prompt": "a quay"})
    assert check_problem(answer)["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", IMAGE), ("PUT", IMAGE), ("DELETE", "/api/credits"), ("POST", "/api/credits")],
)
def test_a_wrong_method_returns_the_allowed_ones(alice: Person, method: str, path: str) -> None:
    answer = alice.call(method, path)
    assert answer.status_code == 405
    assert check_problem(answer)["code"] == "method_not_allowed"
    assert answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/images/buy", "/images/generate", "/ack/receipts", "/mcp"])
def test_a_wrong_method_of_a_programs_address_below_no_api_returns_json_too(
    app: Flask, path: str
) -> None:
    answer = app.test_client().delete(path)
    assert answer.status_code == 405
    assert check_problem(answer)["code"] == "method_not_allowed"


def test_unknown_paths_are_not_found(alice: Person) -> None:
    for path in ("/api/nothing", "/api/generations/", "/api/"):
        answer = alice.call("GET", path)
        assert (answer.status_code, check_problem(answer)["code"]) == (404, "not_found")


def test_a_nul_in_a_url_is_refused(alice: Person) -> None:
    for path in ("/api/generations/%00", "/api/generations?cursor=%00", "/media/%00"):
        answer = alice.call("GET", path)
        assert answer.status_code in (400, 404)


def test_an_unexpected_error_returns_only_its_id(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret: sk-123, a quay")

    monkeypatch.setattr("creditapp.api.quotes.price", fail)
    person = Person(app)
    answer = person.call("POST", "/api/quotes", {"prompt": "a quay"})
    assert answer.status_code == 500
    problem = check_problem(answer)
    assert problem["code"] == "internal_error"
    assert "sk-123" not in answer.text
    assert "quay" not in answer.text


def test_a_route_without_a_policy_is_forbidden(own_app: Flask) -> None:
    own_app.add_url_rule("/api/forgotten", "api.forgotten", lambda: "secrets")
    answer = Person(own_app).call("GET", "/api/forgotten")
    assert answer.status_code == 403
    assert check_problem(answer)["code"] == "forbidden"


def test_no_cache_stores_a_response(api: Program, studio: Studio) -> None:
    for path in ("/api/credits", "/api/generations", "/api/quotes-that-are-not"):
        answer = api.person.call("GET", path)
        assert answer.headers["Cache-Control"] == "no-store", path


def test_every_error_has_the_support_address(client: FlaskClient) -> None:
    answer = client.get("/api/nothing")
    assert "supportEmail" not in check_problem(answer)
