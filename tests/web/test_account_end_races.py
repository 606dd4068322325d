"""Requests that were let in before their account was deleted, and whose transaction comes after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import func, select

from creditapp import api_keys, credentials, ledger
from creditapp.accounts import Member, User, find_by_email
from creditapp.api_keys import ApiKey, KeySettings
from creditapp.chat.models import Conversation, Message, UsageRecord
from creditapp.clock import StoppedClock
from creditapp.credentials import VENDORS, ProviderKey
from creditapp.db import snapshot, transaction
from creditapp.errors import AppError, AuthenticationRequired, NotFound
from creditapp.features import FeatureSpend, spending
from creditapp.features.grants import OperatorGrant, give
from creditapp.generation.models import FINISHED, Generation, Prompt, Upload
from creditapp.generation.moderation import Moderation
from creditapp.generation.uploads import store
from creditapp.ledger.models import Charge, Note, RequestKey
from creditapp.media import Media
from creditapp.payments.purchases.idempotency import PurchaseRequest, store_once
from creditapp.services import get, provide
from tests.app_factory import Person, Queue
from tests.web.steps import PASSWORD, log_in, make

pytestmark = pytest.mark.databases("sqlite", "postgresql")

PATH = "/settings/delete"
CONFIRMED = {"current_password": PASSWORD}


@pytest.fixture
def delete(app: Flask, alice: Person) -> Callable[[], None]:
    """A function that deletes Alice's account from her phone, during another request of hers."""
    phone, statuses = Person(app), list[int]()
    log_in(phone, "alice@example.com")

    def act() -> None:
        thread = threading.Thread(
            target=lambda: statuses.append(phone.post(PATH, CONFIRMED).status_code)
        )
        thread.start()
        thread.join()
        assert statuses == [303]

    return act


class Slow:
    """A moderation that takes so long that the account is deleted meanwhile."""

    asks = True

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    def check(self, _prompts: Sequence[str]) -> None:
        self._meanwhile()


def left(app: Flask) -> list[str]:
    """Return the tables that hold a row of what was asked for."""
    tables = (Generation, Prompt, Upload, UsageRecord, Conversation, Message, Charge)
    with app.app_context(), snapshot() as session:
        report = ledger.proof.check(session.connection())
        assert report.ok, report.as_text()
        rows = {each: session.scalar(select(func.count()).select_from(each)) for each in tables}
        return [each.__tablename__ for each, number in rows.items() if number]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/generate-image", {"prompt": "a quay", "model": "nano-banana"}),
        ("/api/chat", {"messages": [{"role": "user", "content": "a quay"}]}),
        ("/api/summarize", {"text": "a quay"}),
        ("/api/embeddings", {"input": "a quay"}),
    ],
    ids=str,
)
def test_an_order_that_comes_to_the_books_after_the_deletion_leaves_nothing(
    app: Flask, alice: Person, delete: Callable[[], None], path: str, body: dict[str, Any]
) -> None:
    provide(app, Moderation, Slow(delete))
    answer = alice.call("POST", path, body, Prefer="respond-async", Idempotency_Key="one")
    assert (answer.status_code, answer.json["code"]) == (401, "authentication_required")
    assert left(app) == []


def test_a_file_that_is_rewritten_during_the_deletion_is_not_kept(
    app: Flask, alice: Person, delete: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite = store.rewrite

    def slow(*arguments: Any) -> dict[str, Any]:
        delete()
        return rewrite(*arguments)

    monkeypatch.setattr(store, "rewrite", slow)
    image = BytesIO()
    Image.new("RGB", (8, 8)).save(image, "PNG")
    headers = {"Sec-Fetch-Site": "same-origin"}
    answer = alice.browser.post(
        "/api/uploads", data=image.getvalue(), content_type="image/png", headers=headers
    )
    assert (answer.status_code, answer.json["code"]) == (401, "authentication_required")
    assert left(app) == []
    with app.app_context():
        assert list(get(Media).keys()) == []


def alice_before(app: Flask) -> User:
    """Return Alice's row as a request found it before her account is deleted."""
    with app.app_context(), snapshot() as session:
        user = find_by_email(session, "alice@example.com")
    assert user is not None
    return user


def test_a_deleted_account_gets_no_key_and_no_checkout(
    app: Flask, alice: Person, clock: StoppedClock, delete: Callable[[], None]
) -> None:
    user = alice_before(app)
    delete()
    settings = KeySettings(name="late", scopes=["read"])
    request = PurchaseRequest(user.id, "one", "digest", clock.now())
    verbs: list[Callable[[Any], object]] = [
        lambda session: api_keys.create_key(session, user.id, settings, now=clock.now()),
        lambda session: credentials.store_key(
            session, user.id, VENDORS["openai"], "late", checked_at=None, now=clock.now()
        ),
        lambda session: store_once(session, request, lambda: pytest.fail("a purchase")),
    ]
    with app.app_context():
        for verb in verbs:
            with pytest.raises(AuthenticationRequired), transaction() as session:
                verb(session)
        with snapshot() as session:
            for table in (ApiKey, ProviderKey):
                assert session.scalars(select(table)).all() == []


def test_a_deleted_account_spends_nothing_and_is_given_nothing(
    app: Flask, alice: Person, clock: StoppedClock, delete: Callable[[], None]
) -> None:
    user = alice_before(app)
    delete()
    at = clock.now()
    member = Member(user.id, user.email, False, True, None, "session", at, None, None)
    order = FeatureSpend(amount_micro=1, feature="letters", key="one")
    held = FeatureSpend(amount_micro=1, feature="letters", key="two", hold_seconds=60)
    grant = OperatorGrant(user_id=user.id, amount_micro=1, reason="for the wait", key="three")
    verbs: list[tuple[type[AppError], Callable[[Any], object]]] = [
        (AuthenticationRequired, lambda session: spending.spend(session, member, order, now=at)),
        (AuthenticationRequired, lambda session: spending.hold(session, member, held, now=at)),
        (NotFound, lambda session: give(session, grant, now=at)),
    ]
    with app.app_context():
        for refusal, verb in verbs:
            with pytest.raises(refusal), transaction() as session:
                verb(session)
    assert left(app) == []


@pytest.mark.parametrize("path", ["/api/credits/spend", "/api/credits/holds"])
def test_a_spend_and_a_deletion_at_once_are_one_before_the_other(app: Flask, path: str) -> None:
    body = {"amount": 1, "feature": "letters", "description": "A letter to Anna"}
    for number in range(4):
        email = f"person{number}@example.com"
        person, phone = Person(app).sign_up(email), Person(app)
        log_in(phone, email)
        form = {**CONFIRMED, "csrf_token": phone.token()}
        start, statuses = threading.Barrier(2), dict[str, int]()

        def spend(person: Person = person, start: Any = start, statuses: Any = statuses) -> None:
            start.wait()
            answer = person.call("POST", path, body, Idempotency_Key="one")
            statuses["spend"] = answer.status_code

        def end(
            phone: Person = phone, start: Any = start, statuses: Any = statuses, form: Any = form
        ) -> None:
            start.wait()
            statuses["end"] = phone.browser.post(PATH, data=form).status_code

        threads = [threading.Thread(target=each) for each in (spend, end)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses["spend"] in (200, 201, 401)
        assert statuses["end"] in (303, 409)
        assert texts(app) == 0 or statuses["end"] == 409, statuses
    with app.app_context(), snapshot() as session:
        report = ledger.proof.check(session.connection())
        assert report.ok, report.as_text()


def test_an_order_and_a_deletion_at_once_are_one_before_the_other(app: Flask) -> None:
    """Either the order is charged and the account stays, or nothing of the order does."""
    for number in range(6):
        email = f"person{number}@example.com"
        person, phone = Person(app).sign_up(email), Person(app)
        log_in(phone, email)
        token, start, outcome = phone.token(), threading.Barrier(2), dict[str, int]()

        def order(person: Person = person, start: Any = start, outcome: Any = outcome) -> None:
            start.wait()
            body = {"prompt": "a quay", "model": "nano-banana"}
            answer = person.call("POST", "/api/generate-image", body, Prefer="respond-async")
            outcome["order"] = answer.status_code

        def end(
            phone: Person = phone, start: Any = start, outcome: Any = outcome, token: str = token
        ) -> None:
            start.wait()
            form = {**CONFIRMED, "csrf_token": token}
            outcome["end"] = phone.browser.post(PATH, data=form).status_code

        threads = [threading.Thread(target=each) for each in (order, end)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcome in ({"order": 202, "end": 409}, {"order": 401, "end": 303}), outcome
    with app.app_context(), snapshot() as session:
        report = ledger.proof.check(session.connection())
        assert report.ok, report.as_text()


def test_texts_in_the_books_and_in_reports_end_with_the_account(
    app: Flask, alice: Person, queue: Queue, delete: Callable[[], None]
) -> None:
    bob = Person(app).sign_up("bob@example.com")
    for person in (alice, bob):
        made = make(person, queue, "a pier")
        assert person.post(f"{made}/report", {"report": "It shows my aunt Anna"}).status_code == 303
        spend = {"amount": 1, "feature": "letters", "description": "A letter to Anna"}
        for path, body in (("/api/credits/spend", spend), ("/api/embeddings", {"input": "Anna"})):
            assert person.call("POST", path, body, Idempotency_Key="one").status_code == 200
    assert texts(app) == 4 * 2
    delete()
    assert texts(app) == 4, "Bob's are his"
    assert bob.call("GET", "/api/credits/transactions").json["items"][1]["description"] == (
        "A letter to Anna"
    )


def texts(app: Flask) -> int:
    """Return the number of texts that a person wrote, or that stand for one."""
    with app.app_context(), snapshot() as session:
        reports = session.scalars(select(Generation).where(Generation.report_text.is_not(None)))
        assert all(each.state in FINISHED and each.reported_at for each in reports)
        queries = (
            select(func.count()).where(Generation.report_text.is_not(None)),
            select(func.count()).where(Note.text.like("%Anna%")),
            select(func.count()).select_from(RequestKey),
        )
        return sum(session.scalar(query) or 0 for query in queries)
