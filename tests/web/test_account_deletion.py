"""The page that deletes an account: what it says, what it asks, what is gone and what is kept."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from creditapp import credentials, ledger
from creditapp.accounts import User, find_by_email
from creditapp.chat.models import Conversation, Message
from creditapp.clock import StoppedClock, now
from creditapp.credentials import VENDORS, ProviderKey
from creditapp.db import snapshot, transaction
from creditapp.generation import deletion
from creditapp.generation.models import Asset, Generation, Prompt, Upload
from creditapp.generation.uploads import sweep_uploads
from creditapp.ledger.models import Entry
from creditapp.media import Media
from creditapp.services import get
from tests.app_factory import Person, Queue
from tests.payments.plan_shop import PlanShop
from tests.shop_app import ShopApp
from tests.web.steps import HTMX, PASSWORD, log_in, make
from tests.web.test_chat import write_conversations

pytestmark = pytest.mark.databases("sqlite", "postgresql")

PATH = "/settings/delete"
CONFIRMED = {"current_password": PASSWORD}


def count(app: Flask, model: type) -> int:
    with app.app_context(), snapshot() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def user_id(app: Flask) -> str:
    with app.app_context(), snapshot() as session:
        user = find_by_email(session, "alice@example.com")
        assert user is not None
        return user.id


def test_everything_personal_is_gone_and_the_books_stay_whole(
    app: Flask, queue: Queue, clock: StoppedClock
) -> None:
    alice, bob = Person(app).sign_up("alice@example.com"), Person(app).sign_up("bob@example.com")
    phone = Person(app)
    log_in(phone, "alice@example.com")
    make(bob, queue, "a pier")
    with app.app_context():
        bobs_files = len(list(get(Media).keys()))
    make(alice, queue, "a secret garden")
    write_conversations(alice, 2)
    with app.app_context(), transaction() as session:
        credentials.store_key(
            session,
            user_id(app),
            VENDORS["openai"],
            "sk-of-alice-0123456789",  # pragma: allowlist secret
            checked_at=None,
            now=now(),
        )
    entries = count(app, Entry)
    page = alice.page(PATH)
    assert "49" in page.one(".account-deletion").text
    answer = alice.post(PATH, CONFIRMED)
    assert (answer.status_code, answer.location) == (303, "/")
    assert "storage" in answer.headers["Clear-Site-Data"]
    assert "Your account is deleted." in alice.page("/").text
    for person in (alice, phone):
        assert "/auth/login" in str(person.browser.get("/settings").location)
    assert log_in(Person(app), "alice@example.com").status_code == 401
    clock.advance(timedelta(hours=1))
    assert count(app, Asset) == 2, "hidden, until the sweep"
    with app.app_context():
        deletion.sweep(now=now())
        sweep_uploads(now=now())
    assert [count(app, each) for each in (Asset, Conversation, Message, ProviderKey, Upload)] == [
        1,
        0,
        0,
        0,
        0,
    ]
    with app.app_context(), snapshot() as session:
        assert "secret" not in str(session.scalars(select(Generation.prompt)).all())
        assert session.scalars(select(Prompt.text)).all() == ["a pier"]
        kept = session.scalars(select(User).where(User.deleted_at.is_not(None))).one()
        assert (kept.email, kept.name, kept.password_hash) == ("", "", None)
        report = ledger.proof.check(session.connection())
        assert report.ok, report.as_text()
        assert len(list(get(Media).keys())) == bobs_files > 0
    assert count(app, Entry) == entries, "the history of the credits is kept"
    again = Person(app).sign_up("alice@example.com")
    assert again.balance() == 0, "a second welcome"
    assert bob.page("/gallery").all(".image-card")


@pytest.mark.parametrize("password", ["", "not my password", "a\0b"])
def test_a_wrong_password_deletes_nothing(app: Flask, password: str) -> None:
    alice = Person(app).sign_up("alice@example.com")
    answer = alice.post(PATH, {"current_password": password})
    assert answer.status_code == 422
    assert "This is not your current password." in answer.text
    assert alice.browser.get("/settings").status_code == 200


def test_an_account_without_a_password_types_its_address(app: Flask, alice: Person) -> None:
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(password_hash=None))
    assert not alice.page(PATH).has("input[type=password]")
    assert alice.post(PATH, {"email": "bob@example.com"}).status_code == 422
    assert alice.post(PATH, {"email": " Alice@example.com "}).location == "/"
    assert alice.browser.get("/settings").status_code == 303


def test_what_is_still_being_made_is_waited_for(app: Flask, alice: Person, queue: Queue) -> None:
    order = {"prompt": "a boat", "model": "flux-dev"}
    made = alice.call("POST", "/api/generate-image", order, Prefer="respond-async")
    answer = alice.post(PATH, CONFIRMED)
    assert answer.status_code == 409
    assert "Something is still being made." in answer.text
    assert alice.balance() == 49, "it is held as before"
    alice.post(f"/generations/{made.json['id']}/cancel")
    assert alice.post(PATH, CONFIRMED).location == "/"


def test_a_payment_on_its_way_is_waited_for(shop_app: ShopApp) -> None:
    buyer = shop_app.person()
    purchase = shop_app.start_checkout(shop_app.user_of(buyer))
    shop_app.pay(purchase, "pays-later")
    shop_app.sync(purchase)
    assert not buyer.page(PATH).has("form[action='/settings/delete']")
    answer = buyer.post(PATH, CONFIRMED)
    assert answer.status_code == 409
    assert "A payment of yours is on its way." in answer.text


def test_a_plan_is_canceled_first_and_then_ends_with_the_account(shop_app: ShopApp) -> None:
    plans, buyer = PlanShop(shop_app), shop_app.person()
    plans.subscribe(shop_app.user_of(buyer))
    page = buyer.page(PATH)
    assert "Cancel your plan first" in page.text
    assert not page.has("form[action='/settings/delete']")
    answer = buyer.post(PATH, CONFIRMED)
    assert answer.status_code == 409
    assert "Your plan still renews." in answer.text
    assert buyer.post("/credits/plan/cancel").status_code == 303
    assert "Basic plan until" in buyer.page(PATH).text
    assert buyer.post(PATH, CONFIRMED).location == "/"


def test_two_at_once_delete_it_once(app: Flask, alice: Person) -> None:
    other = Person(app)
    log_in(other, "alice@example.com")
    statuses: list[int] = []
    threads = [
        threading.Thread(
            target=lambda p=person: statuses.append(p.post(PATH, CONFIRMED).status_code)
        )
        for person in (alice, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 303 in statuses
    assert set(statuses) <= {303, 401, 404, 422}
    with app.app_context(), snapshot() as session:
        assert session.scalar(select(func.count()).where(User.deleted_at.is_not(None))) == 1


def test_strangers_and_guests_are_sent_to_log_in(guest: Person) -> None:
    assert "/auth/login" in str(guest.browser.get(PATH).location)
    assert guest.post(PATH, CONFIRMED).status_code == 401
    assert guest.post(PATH, CONFIRMED, headers=HTMX).status_code == 401
