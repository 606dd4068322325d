"""Cookies of a production app: no sister host can set one in their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.app_factory import Outbox, Person, build_app, close_app
from tests.test_config import PRODUCTION
from tests.web.steps import PASSWORD, log_in
from tests.web.test_security import every_address


@pytest.fixture
def production(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    environ = {**PRODUCTION, "SITE_URL": "https://localhost"}
    app = build_app(database_url, tmp_path, environ, mailer=Outbox())
    app.config["PREFERRED_URL_SCHEME"] = "https"
    yield app
    close_app(app)


def collected(app: Flask) -> set[str]:
    """Return the set that fills with the Set-Cookie headers of every response."""
    cookies, answer = set[str](), app.wsgi_app

    def collecting(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            cookies.update(value for name, value in headers if name.lower() == "set-cookie")
            return start_response(status, headers, *rest)

        return answer(environ, start)

    app.wsgi_app = collecting  # type: ignore[method-assign]  # how Flask is wrapped
    return cookies


def test_every_cookie_of_a_production_app_is_bound_to_its_host(production: Flask) -> None:
    """On every route, for a guest and for a member, signing up, logging in and out."""
    cookies = collected(production)
    member = Person(production)
    member.sign_up("alice@example.com")
    member.post("/auth/logout")
    assert log_in(member, "alice@example.com").status_code == 303
    for method, path in every_address(production):
        if path not in ("/auth/logout", "/readyz", "/metrics"):  # the two ask the jobs
            for browser in (production.test_client(), member.browser):
                browser.set_cookie("remember_token", "x")
                browser.open(path, method=method)
    fields = {"current_password": PASSWORD, "password": "another long password"}
    assert member.post("/settings/password", fields).status_code == 303
    member.post("/auth/logout", {"everywhere": "1"})

    names = {cookie.partition("=")[0] for cookie in cookies}
    assert {"__Host-creditapp_session", "__Host-creditapp_guest"} <= names
    for cookie in cookies:
        attributes = [part.lower() for part in re.split(r";\s*", cookie)[1:]]
        assert cookie.startswith("__Host-"), cookie
        assert {"secure", "path=/", "httponly", "samesite=lax"} <= set(attributes), cookie
        assert not any(part.startswith("domain") for part in attributes), cookie


def test_a_cookie_without_the_prefix_is_no_session(production: Flask) -> None:
    member = Person(production).sign_up("alice@example.com")
    cookie = member.browser.get_cookie("__Host-creditapp_session")
    assert cookie is not None
    assert member.browser.get("/settings").status_code == 200
    victim = production.test_client()
    for name in ("creditapp_session", "remember_token"):
        victim.set_cookie(name, cookie.value)
    assert victim.get("/settings").status_code == 303


def test_a_demo_over_http_keeps_names_that_a_browser_takes_without_https(app: Flask) -> None:
    answer = app.test_client().get("/")
    names = {cookie.partition("=")[0] for cookie in answer.headers.getlist("Set-Cookie")}
    assert names == {"creditapp_session", "creditapp_guest"}
