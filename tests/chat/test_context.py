"""The context of a model: the oldest turns of a long conversation are left out, and it is said."""

from __future__ import annotations

import pytest
from flask import Flask

from creditapp.catalog import Catalog
from creditapp.catalog.models import LanguageModel
from creditapp.chat import context
from creditapp.chat.providers import ChatMessage
from creditapp.services import get, provide
from tests.app_factory import Person
from tests.chat.scripted import ScriptedChat, Turns, ask, events, wallet
from tests.chat.test_images import data_url, show
from tests.chat.test_vendors import model_named
from tests.generation.files import png


@pytest.fixture
def model(app: Flask) -> LanguageModel:
    """GPT-6 Luna with room for 100 tokens besides its answer; an image counts 40 of them."""
    small = model_named("gpt-6-luna", context_tokens=8192 + 100, image_tokens=40)
    with app.app_context():
        catalog = get(Catalog)
    others = [each for each in catalog.language_models if each.id != small.id]
    provide(app, Catalog, catalog.model_copy(update={"language_models": (small, *others)}))
    return small


def test_the_oldest_turns_are_left_out_and_the_page_says_so(
    alice: Person, turns: Turns, provider: ScriptedChat, model: LanguageModel
) -> None:
    first = ask(alice, "one " * 20)
    assert first.json["omittedMessages"] == 0
    conversation_id = first.json["conversationId"]
    second = ask(alice, "two " * 20, conversationId=conversation_id)
    assert second.json["omittedMessages"] == 0
    third = ask(alice, "three " * 12, conversationId=conversation_id, stream=True)
    assert dict(events(third))["done"]["omittedMessages"] == 2
    sent = [each.text.split()[0] for each in provider.requests[-1].messages]
    assert sent == ["two", "Hello", "three"], "a turn goes as a whole"
    page = alice.page(f"/chat/{conversation_id}")
    assert "did not read the oldest 2 messages" in page.all(".chat-message-answer")[-1].text
    assert "did not read" not in page.all(".chat-message-answer")[0].text
    # The hold is that of what was sent.
    most = sum(8 + len(each.text.encode()) for each in provider.requests[-1].messages)
    assert turns.records()[-1].held_micro == -(-most * 125 // 10) + 8192 * 50


def test_a_message_that_is_too_long_alone_is_refused_before_anything_is_held(
    alice: Person, turns: Turns, provider: ScriptedChat, model: LanguageModel
) -> None:
    answer = ask(alice, "word " * 100)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "messages")
    assert answer.json["detail"] == (
        "This message has about 175 tokens, and GPT-6 Luna reads at most 100. "
        "Shorten it, or choose another model."
    )
    assert ask(alice, "word " * 100, model="gpt-6.1-terra").status_code == 200
    assert show(alice, *[data_url(png(9, n)) for n in (1, 2, 3)]).status_code == 422
    assert len(provider.requests) == len(turns.records()) == 1
    assert wallet(alice)[1] == 0


def test_instructions_and_the_newest_message_stay() -> None:
    model = model_named("gpt-6-luna", context_tokens=8192 + 60)
    system = ChatMessage("system", "Be brief.")
    texts = [ChatMessage("user", "a" * 60), ChatMessage("assistant", "b" * 60)] * 3
    newest = ChatMessage("user", "c" * 60)
    assert context.fit(model, [system, *texts, newest]) == ([system, newest], 6)
    unknown = model_named("gpt-6-luna", context_tokens=None)
    assert context.fit(unknown, [system, *texts, newest]) == ([system, *texts, newest], 0)
