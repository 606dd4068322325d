"""Limits of requests by what they cost, and what every refusal of a limit tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from creditapp.errors import RateLimited
from creditapp.http.rate_limiting import limiter
from tests.app_factory import Person, build_app, close_app
from tests.conventions.files import texts


@pytest.fixture
def limited_app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """An app with the limiter on, as outside of tests."""
    enabled, limiter.enabled = limiter.enabled, True
    app = build_app(database_url, tmp_path)
    app.config["RATELIMIT_ENABLED"] = True
    limiter.init_app(app)
    # A window that ends in the middle would begin to count anew.
    with time_machine.travel(datetime(2026, 1, 1, 12, tzinfo=UTC), tick=False):
        yield app
    limiter.reset()
    limiter.enabled = enabled
    close_app(app)


def from_network(browser: FlaskClient, path: str, address: str, **options: object) -> TestResponse:
    return browser.open(path, environ_base={"REMOTE_ADDR": address}, **options)


def test_exports_are_limited_by_network_and_pages_are_not(limited_app: Flask) -> None:
    alice = Person(limited_app).sign_up("alice@example.com")
    path = "/dashboard/history.csv"
    answers = [from_network(alice.browser, path, "10.0.0.1").status_code for _ in range(31)]
    assert answers == [200] * 30 + [429]
    assert from_network(alice.browser, "/dashboard", "10.0.0.1").status_code == 200
    assert from_network(alice.browser, path, "10.0.1.1").status_code == 200


def test_a_program_is_told_what_its_key_has_left(limited_app: Flask) -> None:
    browser = limited_app.test_client()

    def left(key: str | None) -> tuple[str, str]:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        answer = from_network(browser, "/api/credit-packs", "10.0.0.9", headers=headers)
        assert 1 <= int(answer.headers["RateLimit-Reset"]) <= 60
        return answer.headers["RateLimit-Limit"], answer.headers["RateLimit-Remaining"]

    assert [left("cak_one"), left("cak_one")] == [("600", "599"), ("600", "598")]
    assert left("cak_two") == ("600", "599")
    assert left(None) == ("1200", "1196"), "all of them count for their network"
    assert "RateLimit-Limit" not in browser.get("/").headers
    assert "RateLimit-Limit" not in browser.get("/healthz").headers
    for path in ("/llms.txt", "/.well-known/did.json"):
        assert "RateLimit-Limit" in browser.get(path).headers, path


def test_unpaid_payment_requests_are_limited_and_paid_ones_are_not(limited_app: Flask) -> None:
    browser = limited_app.test_client()

    def buy(**headers: str) -> TestResponse:
        body = {"json": {"count": 1}, "headers": headers}
        return from_network(browser, "/images/buy", "10.0.0.1", method="POST", **body)

    tokens = [buy().text for _ in range(60)]
    assert (buy().status_code, buy().json["code"]) == (429, "rate_limited")
    path, body = "/api/agents/sandbox-payments", {"paymentRequestToken": tokens[0]}
    paid = from_network(browser, path, "10.0.0.1", method="POST", json=body)
    assert paid.status_code == 200
    other = {"method": "POST", "json": {"count": 1}}
    assert from_network(browser, "/api/images/buy", "10.9.1.1", **other).status_code == 402
    assert from_network(browser, "/api/images/generate", "10.0.0.1", **other).status_code == 429


def test_a_key_has_one_limit_however_its_header_is_written(limited_app: Flask) -> None:
    browser = limited_app.test_client()
    left = []
    for header in ("Bearer cak_one", "bearer cak_one", "BEARER   cak_one ", "bEaReR cak_one"):
        headers = {"Authorization": header}
        answer = from_network(browser, "/api/credit-packs", "10.0.0.8", headers=headers)
        left.append(answer.headers["RateLimit-Remaining"])
    assert left == ["599", "598", "597", "596"]


def test_limits_hold_in_each_process_while_redis_is_away(database_url: str, tmp_path: Path) -> None:
    enabled, limiter.enabled = limiter.enabled, True
    app = build_app(database_url, tmp_path, {"REDIS_URL": "redis://127.0.0.1:1/0"})
    app.config["RATELIMIT_ENABLED"] = True
    limiter.init_app(app)
    browser = app.test_client()
    paths = (f"/credits-demo/header/none-{number}" for number in range(31))
    statuses = [from_network(browser, path, "10.0.2.1").status_code for path in paths]
    limiter.enabled = enabled
    close_app(app)
    assert statuses == [404] * 30 + [429]


def test_paths_of_examples_that_do_not_exist_are_limited_and_pages_are_not(
    limited_app: Flask,
) -> None:
    browser = limited_app.test_client()
    for number in range(30):
        path = f"/credits-demo/header/none-{number}"
        assert from_network(browser, path, "10.0.0.1").status_code == 404
    assert from_network(browser, "/credits-demo/header/none", "10.0.0.1").status_code == 429
    for path in ("/credits-demo/header/user", "/api/openapi.json"):
        from_network(browser, path, "10.0.1.1")  # whoever comes first builds it
        assert from_network(browser, path, "10.0.0.1").status_code == 200


def test_only_webhooks_without_a_signature_are_limited(limited_app: Flask) -> None:
    browser = limited_app.test_client()
    path = "/api/webhooks/stripe"
    for _ in range(600):
        assert from_network(browser, path, "10.0.0.1", method="POST").status_code == 400
    refused = from_network(browser, path, "10.0.0.1", method="POST")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert from_network(browser, path, "10.0.1.1", method="POST").status_code == 400


def test_every_429_says_after_how_many_whole_seconds(limited_app: Flask) -> None:
    browser = limited_app.test_client()
    paths = {
        "page": lambda: browser.get("/credits-demo/header/none"),
        "component": lambda: browser.get(
            "/credits-demo/header/none", headers={"HX-Request": "true"}
        ),
        "JSON": lambda: browser.get(
            "/credits-demo/header/none", headers={"Accept": "application/json"}
        ),
    }
    for _ in range(30):
        browser.get("/credits-demo/header/none")
    for name, call in paths.items():
        answer = call()
        assert answer.status_code == 429, name
        assert answer.headers["Retry-After"].isdecimal(), name
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["RateLimit-Reset"] == answer.headers["Retry-After"]
        assert answer.headers["RateLimit-Remaining"] == "0"


def test_every_rate_limit_is_built_with_its_seconds() -> None:
    error = RateLimited.after(2.1, "Try again later.", limit=20)
    assert error.headers == {
        "Retry-After": "3",
        "RateLimit-Limit": "20",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "3",
    }
    assert RateLimited.after(-5, "Now.").headers["Retry-After"] == "1"
    by_hand = [
        name
        for name, text in texts(".py").items()
        if name.startswith("creditapp/") and re.search(r"raise RateLimited\b(?!\.after)", text)
    ]
    assert by_hand == []
