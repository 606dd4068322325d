"""Accounts as people meet them: joining, entering, leaving, recovering."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask

from creditapp.catalog import Catalog
from creditapp.clock import StoppedClock
from creditapp.runtime import tasks
from creditapp.services import get, provide
from tests.app_factory import Outbox, Person, Queue
from tests.pages import parse_html
from tests.web.steps import PASSWORD, emailed_paths, image_urls, log_in, make


def test_signing_up_gives_fifty_credits_and_signs_in(guest: Person) -> None:
    answer = guest.post(
        "/auth/signup", {"email": "Dora@Example.com", "password": PASSWORD, "next": "/credits"}
    )
    assert (answer.status_code, answer.location) == (303, "/credits")
    page = guest.browser.get("/credits").text
    assert "Welcome." in page
    assert "50 credits to start with" in page
    assert guest.balance() == 50


def test_past_the_days_budget_welcome_credits_wait_and_the_pages_say_so(
    app: Flask, queue: Queue, outbox: Outbox, clock: StoppedClock
) -> None:
    with app.app_context():
        catalog = get(Catalog).model_copy(update={"welcome_daily_budget_micro": 149_000_000})
        provide(app, Catalog, catalog)
    for name in ("ann", "bob"):
        assert "to start with" in Person(app).page("/auth/signup").one(".auth-panel").text
        assert Person(app).sign_up(f"{name}@example.com").balance() == 50
    dora = Person(app)
    panel = dora.page("/auth/signup").one(".auth-panel").text
    assert "50 credits when you confirm your email address" in panel
    dora.post("/auth/signup", {"email": "dora@example.com", "password": PASSWORD})
    assert "wait until you confirm your email address" in dora.browser.get("/").text
    assert dora.balance() == 0
    dora.post(emailed_paths(outbox, queue, "verify", "dora@example.com")[0])
    assert dora.balance() == 110
    clock.advance(timedelta(days=1))
    assert Person(app).sign_up("eve@example.com").balance() == 50


def test_the_images_of_a_guest_come_along(guest: Person, queue: Queue) -> None:
    made = make(guest, queue)
    image = image_urls(guest.page(made))[0]
    assert "1 image" in guest.browser.get("/auth/signup").text
    guest.sign_up("dora@example.com")
    assert "Your image is" in guest.browser.get("/").text
    assert image in guest.browser.get("/gallery").text
    assert guest.browser.get(image).status_code == 200
    assert guest.balance() == 50


def test_logging_in_brings_the_images_of_the_guest_too(
    app: Flask, alice: Person, queue: Queue
) -> None:
    elsewhere = Person(app)
    made = make(elsewhere, queue)
    log_in(elsewhere, "alice@example.com")
    image = image_urls(elsewhere.page(made))[0]
    assert alice.browser.get(image).status_code == 200


def test_a_guest_who_used_a_key_of_the_member_logs_in_and_keeps_both_images(
    app: Flask, alice: Person
) -> None:
    def make_with_key(person: Person) -> str:
        body = {"prompt": "A boat", "model": "flux-dev"}
        told = {"Idempotency_Key": "1", "Prefer": "respond-async"}
        answer = person.call("POST", "/api/generate-image", body, **told)
        assert answer.status_code == 202, answer.text
        return str(answer.json["id"])

    elsewhere = Person(app)
    made = {make_with_key(alice), make_with_key(elsewhere)}
    log_in(elsewhere, "alice@example.com")
    listed = elsewhere.call("GET", "/api/generations").json["items"]
    assert {each["id"] for each in listed} == made
    assert make_with_key(elsewhere) in made  # the member's own key still repeats


def test_a_taken_address_gets_a_neutral_page_and_its_owner_one_email_a_day(
    guest: Person, alice: Person, queue: Queue, outbox: Outbox, clock: StoppedClock
) -> None:
    for _ in range(3):
        answer = guest.post(
            "/auth/signup", {"email": "ALICE@example.com", "password": "another long password"}
        )
        assert answer.status_code == 200
        assert "Check your email" in answer.text
        for telling in ("already", "has an account", "exists"):
            assert telling not in parse_html(answer.text).one("main").text
    assert guest.browser.get("/dashboard").status_code == 303
    assert len(emailed_paths(outbox, queue, "account_exists", "alice@example.com")) == 1
    clock.advance(timedelta(days=1))
    guest.post("/auth/signup", {"email": "alice@example.com", "password": "another long password"})
    assert len(emailed_paths(outbox, queue, "account_exists", "alice@example.com")) == 2
    assert log_in(guest, "alice@example.com").status_code == 303


@pytest.mark.parametrize(
    ("email", "password", "words"),
    [
        ("", PASSWORD, "address"),
        ("not an address", PASSWORD, "address"),
        ("dora@example.com", "short", "at least 10"),
        ("dora@example.com", "dora@example.com", "password"),
        ("dora@example.com", "", "10"),
    ],
)
def test_a_wrong_field_is_named_and_what_was_typed_is_kept(
    app: Flask, email: str, password: str, words: str
) -> None:
    guest = Person(app)
    answer = guest.post("/auth/signup", {"email": email, "password": password, "next": "/credits"})
    assert answer.status_code == 422
    page = parse_html(answer.text)
    assert page.has("[aria-invalid=true]")
    assert words in page.text.lower()
    assert (page.value("email"), page.value("next")) == (email, "/credits")
    assert page.one("input[type=password]")["value"] == ""


def test_a_wrong_password_and_an_unknown_address_get_the_same_words(
    app: Flask, alice: Person
) -> None:
    wrong = log_in(Person(app), "alice@example.com", "a wrong password").text
    unknown = log_in(Person(app), "alicf@example.com", "a wrong password").text
    assert "The address or the password is wrong" in wrong
    comparable = [without_ids(page.replace("alicf", "alice")) for page in (wrong, unknown)]
    assert comparable[0] == comparable[1]


def test_guessing_is_stopped_for_a_while(
    app: Flask, alice: Person, guest: Person, clock: StoppedClock
) -> None:
    for _ in range(10):
        assert log_in(guest, "alice@example.com", "a wrong password").status_code == 401
    stopped = log_in(guest, "alice@example.com")
    assert stopped.status_code == 429
    assert 0 < int(stopped.headers["Retry-After"]) <= 15 * 60
    assert stopped.headers["RateLimit-Remaining"] == "0"
    assert 'data-code="rate_limited"' in stopped.text
    assert 'value="alice@example.com"' in stopped.text
    clock.advance(timedelta(minutes=16))
    assert log_in(guest, "alice@example.com").status_code == 303


def test_logging_out_ends_the_session_and_a_get_does_not(alice: Person) -> None:
    assert alice.browser.get("/auth/logout").status_code == 405
    assert alice.browser.get("/dashboard").status_code == 200
    answer = alice.post("/auth/logout")
    assert (answer.status_code, answer.location) == (303, "/")
    assert alice.browser.get("/dashboard").status_code == 303
    assert "You are logged out." in alice.browser.get("/").text


def test_logging_out_everywhere_ends_what_others_copied(alice: Person) -> None:
    """A browser's own log-out leaves the other devices of the person alone."""
    other = Person(alice.app)
    assert log_in(other, "alice@example.com").status_code == 303
    alice.post("/auth/logout")
    assert other.browser.get("/dashboard").status_code == 200
    assert log_in(alice, "alice@example.com").status_code == 303
    assert "Log out everywhere" in alice.browser.get("/settings").text
    answer = alice.post("/auth/logout", {"everywhere": "1"})
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert other.browser.get("/dashboard").status_code == 303
    assert alice.browser.get("/dashboard").status_code == 303


def test_a_fragment_leaves_a_notice_to_the_next_page(guest: Person) -> None:
    """She has just signed up, and a card in another tab asks for its news first."""
    alice = guest.sign_up("alice@example.com")
    part = alice.browser.get("/gallery", headers={"HX-Request": "true"})
    assert (part.status_code, "Welcome." in part.text) == (200, False)
    assert "Welcome." in alice.browser.get("/").text


def test_a_page_for_members_comes_back_after_logging_in(app: Flask, alice: Person) -> None:
    person = Person(app)
    sent_on = person.browser.get("/dashboard?type=bought")
    assert sent_on.status_code == 303
    assert sent_on.location == "/auth/login?next=/dashboard?type%3Dbought"
    form = person.browser.get(sent_on.location).text
    assert 'name="next" value="/dashboard?type=bought"' in form
    answer = log_in(person, "alice@example.com", next="/dashboard?type=bought")
    assert answer.location == "/dashboard?type=bought"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/" + "a" * 600,
        "",
    ],
)
def test_next_never_leads_to_another_site(app: Flask, elsewhere: str) -> None:
    person = Person(app)
    assert (
        person.post(
            "/auth/signup", {"email": "dora@example.com", "password": PASSWORD, "next": elsewhere}
        ).location
        == "/"
    )
    for page in ("/auth/login", "/auth/signup"):
        answer = person.browser.get(page, query_string={"next": elsewhere})
        assert (answer.status_code, answer.location) == (303, "/")
    person.post("/auth/logout")
    assert log_in(person, "dora@example.com", next=elsewhere).location == "/"


def test_a_session_planted_beforehand_is_not_the_one_that_logs_in(
    app: Flask, alice: Person
) -> None:
    mallory, victim = Person(app), Person(app)
    planted = mallory.token()
    cookie = mallory.browser.get_cookie("creditapp_session")
    assert cookie is not None
    victim.browser.set_cookie("creditapp_session", cookie.value)
    assert log_in(victim, "alice@example.com").status_code == 303
    assert mallory.browser.get("/dashboard").status_code == 303
    after = victim.browser.get_cookie("creditapp_session")
    assert after is not None
    assert after.value != cookie.value
    # The token that the planted session knew is worth nothing in the new one.
    with victim.browser.session_transaction() as session:
        assert session.get("csrf_token") is None
    refused = victim.browser.post("/auth/logout", data={"csrf_token": planted})
    assert refused.status_code == 403


def test_a_session_cookie_is_out_of_reach_of_scripts_and_other_sites(guest: Person) -> None:
    answer = guest.post("/auth/signup", {"email": "dora@example.com", "password": PASSWORD})
    cookies = [c for c in answer.headers.getlist("Set-Cookie") if "creditapp_session" in c]
    assert len(cookies) == 1
    assert "HttpOnly" in cookies[0]
    assert "SameSite=Lax" in cookies[0]


def test_a_link_by_email_sets_a_forgotten_password_once(
    app: Flask, alice: Person, queue: Queue, outbox: Outbox
) -> None:
    person = Person(app)
    known = person.post("/auth/forgot", {"email": "alice@example.com"})
    unknown = person.post("/auth/forgot", {"email": "nobody@example.com"})
    assert known.status_code == unknown.status_code == 200
    assert without_ids(known.text) == without_ids(unknown.text).replace("nobody@", "alice@")
    (link,) = emailed_paths(outbox, queue, "reset", "alice@example.com")
    assert emailed_paths(outbox, queue, "reset", "nobody@example.com") == []
    assert "New password" in person.browser.get(link).text
    weak = person.post(link, {"password": "short"})
    assert (weak.status_code, "at least 10" in weak.text) == (422, True)
    done = person.post(link, {"password": "a brand new password"})
    assert (done.status_code, done.location) == (303, "/")
    assert "You are logged out on all other devices." in person.browser.get("/").text
    assert alice.browser.get("/dashboard").status_code == 303
    again = person.post(link, {"password": "yet another password"})
    assert again.status_code == 401
    assert "This link has expired" in again.text
    assert person.browser.get(link).status_code == 401
    assert log_in(Person(app), "alice@example.com").status_code == 401
    assert log_in(Person(app), "alice@example.com", "a brand new password").status_code == 303


def test_a_reset_link_ends_after_an_hour_and_with_a_password_change(
    app: Flask, alice: Person, queue: Queue, outbox: Outbox, clock: StoppedClock
) -> None:
    person = Person(app)
    person.post("/auth/forgot", {"email": "alice@example.com"})
    (link,) = emailed_paths(outbox, queue, "reset", "alice@example.com")
    clock.advance(timedelta(minutes=61))
    late = person.browser.get(link)
    assert (late.status_code, "This link has expired" in late.text) == (401, True)
    person.post("/auth/forgot", {"email": "alice@example.com"})
    fresh = emailed_paths(outbox, queue, "reset", "alice@example.com")[-1]
    assert person.browser.get(fresh).status_code == 200
    alice.post(
        "/settings/password", {"current_password": PASSWORD, "password": "changed by herself"}
    )
    assert person.browser.get(fresh).status_code == 401
    assert person.post(fresh, {"password": "stolen password"}).status_code == 401


@pytest.mark.parametrize("token", ["x", "a.b.c", "%2e%2e", "a" * 3000])
def test_a_made_up_link_says_that_it_has_ended(app: Flask, token: str) -> None:
    person = Person(app)
    assert person.browser.get(f"/auth/reset/{token}").status_code == 401
    for purpose in ("reset", "verify"):
        answer = person.post(f"/auth/{purpose}/{token}", {"password": "a brand new password"})
        assert answer.status_code == 401
        assert "This link has expired" in answer.text


def test_confirming_the_address_gives_sixty_once(
    guest: Person, alice: Person, queue: Queue, outbox: Outbox
) -> None:
    (link,) = emailed_paths(outbox, queue, "verify", "alice@example.com")
    # A program that follows the link confirms nothing.
    assert guest.browser.get(link).status_code == 200
    assert alice.balance() == 50
    assert "You get 60 credits for it" in alice.browser.get(link).text
    assert alice.post(link).status_code == 303
    page = alice.browser.get("/").text
    assert "Your email address is confirmed." in page
    assert "60 credits added" in page
    assert alice.balance() == 110
    for again in (alice.post(link), alice.browser.get(link)):
        assert again.status_code == 200
        assert "Your email address is confirmed" in again.text
    elsewhere = guest.post(link)
    assert elsewhere.status_code == 401
    assert "This link has expired" in elsewhere.text
    assert alice.balance() == 110


def test_an_address_confirmed_in_another_browser_says_nothing_of_the_account(
    app: Flask, alice: Person, queue: Queue, outbox: Outbox
) -> None:
    (link,) = emailed_paths(outbox, queue, "verify", "alice@example.com")
    elsewhere = Person(app)
    answer = elsewhere.post(link)
    assert "Your email address is confirmed" in answer.text
    assert "110" not in answer.text
    assert alice.balance() == 110
    assert elsewhere.browser.get("/dashboard").status_code == 303


def test_the_link_is_sent_again_and_only_while_it_is_needed(
    alice: Person, queue: Queue, outbox: Outbox, clock: StoppedClock
) -> None:
    clock.advance(timedelta(days=8))
    old = emailed_paths(outbox, queue, "verify", "alice@example.com")
    assert alice.post("/auth/verify").location == "/settings"
    links = emailed_paths(outbox, queue, "verify", "alice@example.com")
    assert len(links) == len(old) + 1
    alice.post(links[-1])
    clock.advance(timedelta(hours=1))
    alice.browser.get("/")
    alice.post("/auth/verify")
    assert "Your email address is already confirmed." in alice.browser.get("/settings").text
    assert len(emailed_paths(outbox, queue, "verify", "alice@example.com")) == len(links)


def test_emails_to_an_unconfirmed_address_carry_no_word_of_the_sender(
    app: Flask, queue: Queue, outbox: Outbox, clock: StoppedClock
) -> None:
    """Mallory signs up with a victim's address and chooses the name."""
    mallory = Person(app).sign_up("victim@example.com")
    name = {"name": "Your account is locked", "low_balance": "50"}
    assert mallory.post("/settings/profile", name).status_code == 303
    clock.advance(timedelta(hours=1))
    mallory.post("/auth/verify")
    Person(app).post("/auth/forgot", {"email": "victim@example.com"})
    Person(app).post("/auth/signup", {"email": "victim@example.com", "password": PASSWORD})
    make(mallory, queue)
    with app.app_context():
        tasks.warn_low_balance()
    links = emailed_paths(outbox, queue, "verify", "victim@example.com")
    sent = {email.event: email for email in outbox.sent}
    assert sent.keys() == {"verify", "reset", "account_exists", "low_balance"}
    for email in outbox.sent:
        assert "locked" not in email.subject + email.text + email.html, email.event
        assert email.text.startswith("Hello,")
    mallory.post(links[-1])
    clock.advance(timedelta(hours=1))
    Person(app).post("/auth/forgot", {"email": "victim@example.com"})
    queue.run()
    assert outbox.sent[-1].text.startswith("Hello Your account is locked,")


def test_only_members_ask_for_the_link_again(guest: Person) -> None:
    answer = guest.post("/auth/verify")
    assert answer.status_code == 401
    assert 'data-code="authentication_required"' in answer.text


def test_a_member_has_no_use_for_the_forms(alice: Person) -> None:
    for page in ("/auth/signup", "/auth/login"):
        answer = alice.browser.get(f"{page}?next=/gallery")
        assert (answer.status_code, answer.location) == (303, "/gallery")


def test_a_network_that_opens_account_after_account_is_slowed(app: Flask) -> None:
    for number in range(20):
        Person(app).sign_up(f"person{number}@example.com")
    refused = Person(app).post(
        "/auth/signup", {"email": "one-more@example.com", "password": PASSWORD}
    )
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0


def without_ids(page: str) -> str:
    """Remove what differs between any two pages: the request's id and the token."""
    for field in parse_html(page).all("[name=csrf_token]"):
        page = page.replace(field["value"], "")
    return re.sub(r"req_\w+", "", page)
