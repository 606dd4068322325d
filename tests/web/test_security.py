"""Headers, CSRF, cookies and the caller's address, on every route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from creditapp.config import Settings
from creditapp.http import sessions
from creditapp.http.policies import policy_of
from creditapp.http.rate_limiting import limiter
from creditapp.http.rendering import go
from creditapp.http.sessions import GUEST_COOKIE
from creditapp.services import get
from tests.app_factory import Person, build_app, close_app
from tests.pages import parse_html
from tests.web.steps import HTMX, make, submit

_PLACEHOLDER = re.compile(r"<(?:\w+:)?\w+>")


@pytest.fixture
def behind_proxies(
    database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Flask]:
    """The app behind the test's number of trusted proxies."""
    environ = {"CREDITAPP_TRUSTED_PROXIES": str(request.param)}
    app = build_app(database_url, tmp_path, environ)
    yield app
    close_app(app)


def every_address(app: Flask) -> list[tuple[str, str]]:
    return [
        (method, _PLACEHOLDER.sub("x", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
    ]


def test_every_response_has_the_headers_errors_included(app: Flask, client: FlaskClient) -> None:
    addresses = [*every_address(app), ("GET", "/nothing-here"), ("PUT", "/credits")]
    for method, path in addresses:
        answer = client.open(path, method=method)
        headers = answer.headers
        # What asks the jobs is tested with jobs; here nobody works.
        assert answer.status_code < 500 or path in ("/readyz", "/metrics"), (method, path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["X-Request-Id"].startswith("req_")
        if answer.mimetype == "text/html" and headers["Cache-Control"] != "no-store":
            # A page that all visitors share has an ETag instead, and sets no cookie.
            assert headers["Cache-Control"] == "no-cache", path
            assert "ETag" in headers, path
            assert "Set-Cookie" not in headers, path


def test_in_production_cookies_and_transport_are_secure(database_url: str, tmp_path: Path) -> None:
    environ = {
        "CREDITAPP_ENV": "production",
        "SITE_URL": "https://credits.example",
        "STRIPE_SECRET_KEY": "sk_live_x",
        "STRIPE_WEBHOOK_SECRET": "whsec_x",
        "MAIL_URL": "smtp://localhost:25",
    }
    app = build_app(database_url, tmp_path, environ)
    answer = app.test_client().get("/", base_url="https://credits.example")
    assert "max-age=63072000" in answer.headers["Strict-Transport-Security"]
    assert "https://checkout.stripe.com" in answer.headers["Content-Security-Policy"]
    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    for cookie in cookies:
        assert "Secure" in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
    close_app(app)


def test_every_unsafe_route_refuses_a_form_without_its_token(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    checked = 0
    for rule in app.url_map.iter_rules():
        if policy_of(app, rule.endpoint) in ("key", "signature"):
            continue
        for method in {"POST", "PUT", "PATCH", "DELETE"} & (rule.methods or set()):
            path = _PLACEHOLDER.sub("x", rule.rule)
            for token in ({}, {"csrf_token": "made up"}):
                answer = alice.browser.open(path, method=method, data={"prompt": "x", **token})
                assert answer.status_code == 403, (method, path)
            other_site = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
            answer = alice.browser.open(path, method=method, json={}, headers=other_site)
            assert answer.status_code == 403, (method, path)
            checked += 1
    assert checked >= 12
    assert alice.browser.get("/dashboard").status_code == 200


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, False),
        ({"X-CSRFToken": "made up", "Sec-Fetch-Site": "same-origin"}, False),
        ({}, False),
    ],
)
def test_a_json_call_with_a_session_comes_from_this_site(
    app: Flask, headers: dict[str, str], allowed: bool
) -> None:
    alice = Person(app).sign_up("alice@example.com")
    answer = alice.browser.post("/api/quotes", json={"model": "flux-dev"}, headers=headers)
    assert answer.status_code == (200 if allowed else 403)
    if not allowed:
        assert answer.json["code"] == "csrf_failed"


def test_a_program_without_cookies_needs_no_token(client: FlaskClient) -> None:
    answer = client.post("/api/quotes", json={"model": "flux-dev"})
    assert answer.status_code == 200


def test_an_expired_session_in_the_middle_of_a_form_keeps_what_was_typed(app: Flask) -> None:
    person = Person(app)
    typed = 'a "fox" <in> the snow\nand a second line'
    fields = person.page("/").fields()
    person.browser.delete_cookie("creditapp_session")
    stale = {**fields, "prompt": typed, "model": "nano-banana", "n": "1"}
    refused = person.browser.post("/generations", data=stale)
    assert refused.status_code == 403
    assert 'data-code="csrf_failed"' in refused.text
    kept = parse_html(refused.text).one('form[action="/generations"]').fields()
    assert kept["prompt"].replace("\r\n", "\n") == typed
    assert (kept["model"], kept["nonce"]) == ("nano-banana", fields["nonce"])
    again = person.browser.post("/generations", data=kept)
    assert again.status_code == 303
    assert 'a "fox" <in> the snow' in person.page(again.location).text


def test_a_refused_form_never_shows_a_password_again(app: Flask) -> None:
    person = Person(app)
    stale = {"csrf_token": "stale", "email": "dora@example.com", "password": "my own secret words"}
    for path in ("/auth/login", "/auth/signup", "/auth/reset/x", "/settings/password"):
        answer = person.browser.post(path, data={**stale, "current_password": "my own old words"})
        assert answer.status_code in (401, 403)
        assert "my own" not in answer.text


def test_htmx_gets_the_same_error_as_a_component(app: Flask) -> None:
    person = Person(app)
    answer = person.browser.post("/generations", data={"prompt": "a kept fox"}, headers=HTMX)
    assert answer.status_code == 403
    assert "<html" not in answer.text
    assert 'data-code="csrf_failed"' in answer.text
    assert "a kept fox" in answer.text


def test_a_tampered_session_cookie_signs_no_one_in(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    cookie = alice.browser.get_cookie("creditapp_session")
    assert cookie is not None
    for forged in (cookie.value[:-2] + "xx", "x" + cookie.value, "", "a.b.c"):
        alice.browser.set_cookie("creditapp_session", forged)
        assert alice.browser.get("/dashboard").status_code == 303


def test_a_tampered_guest_cookie_is_a_new_guest_who_sees_nothing(
    guest: Person, queue: object
) -> None:
    made = make(guest, queue)  # type: ignore[arg-type]  # the fixture's own type
    assert guest.browser.get(made).status_code == 200
    cookie = guest.browser.get_cookie(GUEST_COOKIE)
    assert cookie is not None
    owner, _, signature = cookie.value.rpartition(".")
    for forged in (f"{owner}.{signature[:-2]}xx", owner, f"{owner}x.{signature}", "", "." * 300):
        guest.browser.set_cookie(GUEST_COOKIE, forged)
        assert guest.browser.get(made).status_code == 404
    guest.browser.set_cookie(GUEST_COOKIE, cookie.value)
    assert guest.browser.get(made).status_code == 200


def test_deleting_the_cookie_returns_no_images(guest: Person, queue: object) -> None:
    for _ in range(3):
        make(guest, queue)  # type: ignore[arg-type]  # the fixture's own type
        guest.browser.delete_cookie(GUEST_COOKIE)
    assert submit(guest, "one more").status_code == 429
    assert submit(Person(guest.app), "a second browser").status_code == 429


def test_a_forged_address_opens_no_new_window_without_proxies(app: Flask) -> None:
    statuses = [
        _generate(app, "10.1.1.1", f"203.0.113.{number}").status_code for number in range(4)
    ]
    assert statuses == [202, 202, 202, 429]


@pytest.mark.parametrize("behind_proxies", [1, 2], indirect=True)
def test_behind_proxies_the_entry_of_the_outermost_trusted_one_counts(
    behind_proxies: Flask,
) -> None:
    with behind_proxies.app_context():
        proxies = get(Settings).trusted_proxies
    ours = ", 10.0.0.2" * (proxies - 1)
    for number in range(3):
        forged = f"203.0.113.{number}, 192.0.2.1{ours}"
        assert _generate(behind_proxies, "10.0.0.1", forged).status_code == 202
    forged = f"203.0.113.77, 192.0.2.1{ours}"
    assert _generate(behind_proxies, "10.0.0.1", forged).status_code == 429
    another_person = f"192.0.2.2{ours}"
    assert _generate(behind_proxies, "10.0.0.1", another_person).status_code == 202


def test_the_header_of_the_clients_address_is_a_setting(database_url: str, tmp_path: Path) -> None:
    environ = {"CREDITAPP_TRUSTED_PROXIES": "1", "CREDITAPP_CLIENT_IP_HEADER": "X-Real-IP"}
    app = build_app(database_url, tmp_path, environ)

    def status(real: str, forwarded: str) -> int:
        answer = app.test_client().post(
            "/api/generate-image",
            json={"prompt": "a boat", "model": "nano-banana"},
            headers={"Prefer": "respond-async", "X-Real-IP": real, "X-Forwarded-For": forwarded},
        )
        return answer.status_code

    statuses = [status("192.0.2.1", f"203.0.113.{number}") for number in range(4)]
    assert statuses == [202, 202, 202, 429]
    assert status("198.51.100.1", "203.0.113.1") == 202
    close_app(app)


@pytest.mark.parametrize("behind_proxies", [2], indirect=True)
def test_a_request_through_too_few_proxies_is_noted_once_without_its_address(
    behind_proxies: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    sessions._warn_of_missing_proxy.cache_clear()
    assert _generate(behind_proxies, "10.0.0.1", "192.0.2.1, 10.0.0.2").status_code == 202
    assert "CREDITAPP_TRUSTED_PROXIES" not in caplog.text
    for _ in range(2):
        _generate(behind_proxies, "10.0.0.1", "192.0.2.7")
    assert caplog.text.count("CREDITAPP_TRUSTED_PROXIES") == 1
    assert "192.0.2.7" not in caplog.text


def test_all_addresses_of_an_ipv6_subscriber_are_one_network(app: Flask) -> None:
    for number in range(3):
        assert _generate(app, f"2001:db8:1:2::{number + 1}").status_code == 202
    assert _generate(app, "2001:db8:1:2:ffff::9").status_code == 429
    assert _generate(app, "2001:db8:1:3::1").status_code == 202


@pytest.mark.parametrize(
    "path",
    ["/gallery?q=%00", "/gallery?cursor=a%00b", "/media/%00", "/generations/x%00", "/?prompt=%00"],
)
def test_a_nul_is_refused(alice: Person, path: str) -> None:
    assert alice.browser.get(path).status_code == 400


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_an_address_with_other_letters_is_quoted_in_every_redirect(
    app: Flask, headers: dict[str, str]
) -> None:
    with app.test_request_context("/", headers=headers):
        answer = go("/gallery?q=für 2 €")
        sent = dict(answer.get_wsgi_headers({"REQUEST_METHOD": "GET", "HTTP_HOST": "localhost"}))
    address = sent["HX-Redirect" if headers else "Location"]
    assert address.removeprefix("http://localhost") == "/gallery?q=f%C3%BCr%202%20%E2%82%AC"


def test_a_body_that_is_too_large_is_refused_with_413(app: Flask) -> None:
    person = Person(app)
    answer = person.browser.post(
        "/generations", data={"prompt": "x" * 300_000, "csrf_token": "any"}
    )
    assert answer.status_code == 413
    assert 'data-code="payload_too_large"' in answer.text
    told = person.browser.post("/generations", data={"prompt": "x" * 300_000}, headers=HTMX)
    assert told.status_code == 413
    assert "<html" not in told.text


def test_too_many_requests_return_retry_after(database_url: str, tmp_path: Path) -> None:
    enabled, limiter.enabled = limiter.enabled, True
    app = build_app(database_url, tmp_path)
    app.config["RATELIMIT_ENABLED"] = True
    try:
        # As the app does outside of tests, where a thousand requests a minute are no attack.
        limiter.init_app(app)
        browser = app.test_client()
        answers = [browser.get("/api/credit-packs") for _ in range(1200)]
        answers.append(browser.get("/api/credits"))  # one limit for all routes
        probe, metrics = browser.get("/healthz"), browser.get("/metrics")
        neighbour = browser.get("/api/plans", environ_base={"REMOTE_ADDR": "127.0.0.2"})
    finally:
        limiter.reset()
        limiter.enabled = enabled
        close_app(app)
    assert {answer.status_code for answer in answers[:1200]} == {200}
    assert neighbour.status_code == 200
    assert (probe.status_code, metrics.status_code) == (200, 429)
    assert "Retry-After" not in answers[0].headers
    refused = answers[-1]
    assert refused.status_code == 429
    assert refused.json["code"] == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit-Limit"] == "1200"
    assert refused.json["requestId"].startswith("req_")


def _generate(app: Flask, remote: str, forwarded: str | None = None):  # type: ignore[no-untyped-def]
    headers = {"Prefer": "respond-async"} | ({"X-Forwarded-For": forwarded} if forwarded else {})
    return app.test_client().post(
        "/api/generate-image",
        json={"prompt": "a boat", "model": "nano-banana"},
        headers=headers,
        environ_base={"REMOTE_ADDR": remote},
    )
