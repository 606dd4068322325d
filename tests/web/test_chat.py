"""The chat page: what it offers, its list of conversations, long ones, and a catalog without chat.

``tests/chat/test_page.py`` asks, edits, stops and deletes there.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from creditapp.accounts import find_by_email
from creditapp.catalog import Catalog, load_catalog
from creditapp.chat.models import Conversation, Message
from creditapp.clock import now
from creditapp.db import transaction
from creditapp.ids import new_id
from creditapp.services import provide
from tests.app_factory import Person
from tests.web.steps import queries

pytestmark = pytest.mark.databases("sqlite", "postgresql")


def write_conversations(person: Person, count: int, messages: int = 2) -> list[str]:
    """Write conversations of a member, a minute apart; return their ids, the newest first."""
    ids = []
    with person.app.app_context(), transaction() as session:
        user = find_by_email(session, person.email)
        assert user is not None
        for number in range(count):
            moment = now() - timedelta(minutes=number)
            ids.append(new_id("cnv"))
            session.add(
                Conversation(
                    id=ids[-1],
                    user_id=user.id,
                    source="chat",
                    title=f"About {number}",
                    length=messages,
                    created_at=moment,
                    updated_at=moment,
                )
            )
            session.flush()
            for position in range(messages):
                session.add(
                    Message(
                        id=new_id("msg"),
                        conversation_id=ids[-1],
                        position=position,
                        role="user",
                        text=f"Question {position}",
                        created_at=moment,
                    )
                )
    return ids


def test_a_new_chat_offers_models_with_their_prices_and_ways_to_begin(alice: Person) -> None:
    page = alice.page("/chat")
    assert "GPT-6 Luna: quick answers" in page.texts("#field-model option")
    assert "a million tokens read" in page.one("#chat-form .chat-costs").text
    start = page.all(".chat-starts a")[0]
    assert alice.page(start["href"]).one("textarea").text.strip() == start.text
    assert "You are talking to a machine" in page.text


def test_the_list_of_conversations_is_paged_and_costs_the_same_for_many(alice: Person) -> None:
    ids = write_conversations(alice, 35)
    path, seen = "/chat", []
    for _ in range(2):
        with queries(alice.app) as statements:
            page = alice.page(path)
        assert len(statements) <= 8
        seen += [link["href"] for link in page.all("#conversations li > a:not(.button)")]
        more = page.all('#conversations a[href*="cursor="]')
        path = more[0]["href"] if more else ""
    assert seen == [f"/chat/{each}" for each in ids]
    assert path == ""


def test_a_long_conversation_shows_its_newest_messages_and_the_way_to_the_earlier(
    alice: Person,
) -> None:
    (conversation_id,) = write_conversations(alice, 1, messages=75)
    with queries(alice.app) as statements:
        page = alice.page(f"/chat/{conversation_id}")
    assert len(statements) <= 10
    shown = page.texts(".chat-message-text")
    assert shown == [f"Question {number}" for number in range(15, 75)]
    earlier = alice.page(page.one('a[href*="before="]')["href"])
    assert earlier.texts(".chat-message-text") == [f"Question {number}" for number in range(15)]


def test_a_catalog_without_chat_has_no_chat_page(app: Flask, alice: Person) -> None:
    assert alice.page("/").has('header a[href="/chat"]')
    provide(app, Catalog, load_catalog("agents"))
    assert not alice.page("/").has('header a[href="/chat"]')
    assert alice.browser.get("/chat").status_code == 404


def test_a_guest_logs_in_first(app: Flask) -> None:
    answer = Person(app).browser.get("/chat")
    assert answer.status_code in (302, 303, 401)
