"""Limits of the account pages: what they count, before what, and whom they lock out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from creditapp.accounts import passwords
from creditapp.clock import StoppedClock
from tests.app_factory import Outbox, Person, Queue
from tests.pages import parse_html
from tests.web.steps import PASSWORD, emailed_paths, log_in
from tests.web.test_auth import without_ids

NEW = "a brand new password"


@pytest.fixture
def alice(app: Flask) -> Person:
    """Alice signed up by the form, so that her browser is known."""
    return Person(app).sign_up("alice@example.com")


@pytest.fixture
def charlie(app: Flask) -> Person:
    """Charlie did too."""
    return Person(app).sign_up("charlie@example.com")


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each password that is hashed or compared, with the time that takes."""
    passwords.verify("", None)  # what an unknown address is compared with is hashed once
    seen: list[str] = []
    for name in ("_hash", "verify"):
        real: Callable[..., object] = getattr(passwords, name)

        def counted(password: str, *rest: object, real: Callable[..., object] = real) -> object:
            seen.append(password)
            return real(password, *rest)

        monkeypatch.setattr(passwords, name, counted)
    return seen


def test_no_throttled_route_hashes_a_password(
    app: Flask, alice: Person, queue: Queue, outbox: Outbox, hashes: list[str]
) -> None:
    stranger = Person(app)
    stranger.post("/auth/forgot", {"email": "alice@example.com"})
    (link,) = emailed_paths(outbox, queue, "reset", "alice@example.com")

    def tries(route: str, person: Person, fields: dict[str, str]) -> list[TestResponse]:
        token = person.token()
        send = person.browser.post
        return [send(route, data={**fields, "csrf_token": token}) for _ in range(110)]

    routes: list[tuple[str, Person, dict[str, str]]] = [
        ("/auth/login", stranger, {"email": "bob@example.com", "password": "wrong"}),
        ("/auth/signup", stranger, {"email": "alice@example.com", "password": NEW}),
        ("/settings/password", alice, {"current_password": "wrong", "password": NEW}),
        (f"{link}x", stranger, {"password": NEW}),
    ]
    for route, person, fields in routes:
        hashes.clear()
        answers = tries(route, person, fields)
        throttled = sum(answer.status_code == 429 for answer in answers)
        compared = len(answers) - throttled
        assert throttled > 50 or "reset" in route, route
        assert len(hashes) <= compared, f"{route}: {len(hashes)} hashes, {throttled} throttled"
    assert len(hashes) == 0, "a wrong link hashes nothing"


def test_a_new_password_is_hashed_only_after_the_current_one_was_right(
    alice: Person, hashes: list[str]
) -> None:
    fields = {"current_password": "not my password", "password": NEW}
    assert alice.post("/settings/password", fields).status_code == 422
    assert hashes == ["not my password"]


def test_strangers_do_not_lock_an_owner_out_of_a_browser_that_knows_the_account(
    app: Flask, alice: Person, clock: StoppedClock
) -> None:
    alice.post("/auth/logout")
    for network in range(4):
        stranger = Person(app)
        stranger.browser.environ_base["REMOTE_ADDR"] = f"198.51.{network}.1"
        for _ in range(10):
            log_in(stranger, "alice@example.com", "a wrong password")
    fresh = Person(app)
    assert log_in(fresh, "alice@example.com").status_code == 429
    assert log_in(alice, "alice@example.com").status_code == 303
    # Her right password opened the address for all; the mark alone guesses no further.
    alice.post("/auth/logout")
    tries = [log_in(alice, "alice@example.com", "a wrong password") for _ in range(11)]
    assert [answer.status_code for answer in tries] == [401] * 10 + [429]


def test_a_mark_of_another_account_or_of_nobody_opens_nothing(
    app: Flask, alice: Person, charlie: Person
) -> None:
    charlie.post("/auth/logout")
    mark = charlie.browser.get_cookie("creditapp_known")
    assert mark is not None
    for number in range(31):
        stranger = Person(app)
        stranger.browser.environ_base["REMOTE_ADDR"] = f"198.51.{number}.1"
        log_in(stranger, "alice@example.com", "a wrong password")
    for forged in (mark.value, "x", "~", ".", "a.b~c.d", "é", "x" * 5000, ""):
        charlie.browser.set_cookie("creditapp_known", forged)
        assert log_in(charlie, "alice@example.com").status_code == 429, forged[:20]


def test_after_a_reset_the_owner_logs_in_at_once(
    app: Flask, alice: Person, queue: Queue, outbox: Outbox
) -> None:
    for number in range(31):
        stranger = Person(app)
        stranger.browser.environ_base["REMOTE_ADDR"] = f"198.51.{number}.1"
        log_in(stranger, "alice@example.com", "a wrong password")
    owner = Person(app)
    owner.post("/auth/forgot", {"email": "alice@example.com"})
    owner.post(emailed_paths(outbox, queue, "reset", "alice@example.com")[0], {"password": NEW})
    assert log_in(Person(app), "alice@example.com", NEW).status_code == 303


def test_after_three_taken_addresses_no_sign_up_of_a_network_tells_any_more(
    app: Flask, queue: Queue, outbox: Outbox, clock: StoppedClock
) -> None:
    for number in range(5):
        owner = Person(app)
        owner.browser.environ_base["REMOTE_ADDR"] = f"198.51.{number}.1"
        owner.sign_up(f"owner{number}@example.com")

    def sign_up(email: str) -> TestResponse:
        return Person(app).post("/auth/signup", {"email": email, "password": PASSWORD})

    assert sign_up("before@example.com").status_code == 303
    for number in range(3):
        assert sign_up(f"owner{number}@example.com").status_code == 200
    taken, free = sign_up("owner3@example.com"), sign_up("dora@example.com")
    assert taken.status_code == free.status_code == 200
    assert without_ids(taken.text).replace("owner3@", "dora@") == without_ids(free.text)
    cookies = [
        sorted(cookie.partition("=")[0] for cookie in answer.headers.getlist("Set-Cookie"))
        for answer in (taken, free)
    ]
    assert cookies[0] == cookies[1]
    # Nor does the log-in tell: the password of a hidden sign-up is not kept.
    for email in ("owner3@example.com", "dora@example.com"):
        assert log_in(Person(app), email, "another password").status_code == 401
    assert log_in(Person(app), "dora@example.com").status_code == 401
    # Whoever reads the email opens the account, and chooses its password there.
    dora = Person(app)
    (link,) = emailed_paths(outbox, queue, "verify", "dora@example.com")
    reset = dora.post(link).location
    assert reset is not None
    assert parse_html(dora.browser.get(reset).text).has("input[name=password]")
    assert dora.post(reset, {"password": NEW}).status_code == 303
    assert dora.balance() == 110
    clock.advance(timedelta(days=1))
    assert sign_up("later@example.com").status_code == 303
