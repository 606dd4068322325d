"""The chat page without a script: ask, read the answer and its cost, edit, repeat, stop, delete."""

from __future__ import annotations

import re
import time

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from creditapp import accounts
from creditapp.accounts import AccountRules
from creditapp.chat.providers import Finished, ReportedUsage, TextDelta
from creditapp.clock import now
from creditapp.db import transaction
from creditapp.services import get
from tests.app_factory import Person
from tests.chat.scripted import Gate, ScriptedChat, Turns, wallet
from tests.web.steps import HTMX


def send(person: Person, form: str, page: str = "/chat", **fields: str) -> TestResponse:
    """Post a form of a page, with the page's nonce unless another is given."""
    nonce = fields.pop("nonce", "") or person.page(page).value("nonce")
    return person.post(form, {"nonce": nonce, **fields})


def ask(person: Person, text: str, page: str = "/chat", **fields: str) -> str:
    """Send a message from a page; return the path of the conversation once it is answered."""
    answer = send(person, "/chat/messages", page, text=text, **fields)
    assert answer.status_code == 303, answer.text
    return settled(person, str(answer.headers["Location"]))


def settled(person: Person, path: str) -> str:
    """Wait until no answer of a conversation is being written."""
    for _ in range(200):
        if not person.page(path).has('[aria-busy="true"]'):
            return path
        time.sleep(0.02)
    raise AssertionError("the answer does not end")


def questions(person: Person, path: str) -> list[str]:
    return person.page(path).texts(".chat-message-question .chat-message-text")


def test_a_question_is_answered_and_charged_what_the_page_says(
    alice: Person, turns: Turns, provider: ScriptedChat
) -> None:
    provider.script = (
        TextDelta("It is **tall**. <script>alert(1)</script>"),
        ReportedUsage(input_tokens=1000, output_tokens=200),
        Finished("stop"),
    )
    path = ask(alice, "What is a lighthouse?")
    assert questions(alice, path) == ["What is a lighthouse?"]
    page = alice.page(path)
    answer = page.one(".chat-message-markdown")
    assert answer.one("strong").text == "tall"
    assert not answer.has("script")
    assert "1,000 tokens in, 200 out" in page.one(".chat-message-foot").text
    assert page.one("h1").text == "What is a lighthouse?"
    assert page.has(f'.conversation-list a[href="{path}"][aria-current="page"]')
    balance, held = wallet(alice)
    assert held == 0
    cost = turns.record().cost_micro / 1_000_000
    assert round(50 - balance, 6) == cost > 0
    assert page.one("#chat-spent").text.endswith(f"This conversation cost {cost:g} credits.")
    assert (
        alice.page("/dashboard").one(".usage-chart .title-row .amount").text == f"{cost:g} credits"
    )
    answers = f"/chat/answers/{turns.record().id}"
    assert alice.browser.get(answers).location == path
    assert f"cost {cost:g}" in alice.browser.get(answers, headers=HTMX).text


def test_an_answer_shows_while_it_is_written_and_its_stop_is_paid(
    alice: Person, turns: Turns, provider: ScriptedChat
) -> None:
    gate = Gate()
    provider.script = (TextDelta("Once "), gate, TextDelta("upon"), Finished("stop"))
    answer = send(alice, "/chat/messages", text="Tell a story.")
    path = str(answer.headers["Location"])
    assert gate.reached.wait(20)
    page = alice.page(path)
    assert page.has('.chat-message-answer[aria-busy="true"]')
    assert page.has('noscript meta[http-equiv="refresh"]')
    stop = page.one(".chat-message-answer form")["action"]
    assert alice.post(stop).status_code == 303
    gate.opened.set()
    settled(alice, path)
    assert turns.record().cost_micro > 0
    assert alice.post(stop).status_code == 409, "it has ended"


def test_an_edited_question_takes_the_place_of_all_that_followed(
    alice: Person, turns: Turns, provider: ScriptedChat
) -> None:
    path = ask(alice, "First")
    conversation_id = path.rpartition("/")[2]
    ask(alice, "Second", path, conversation=conversation_id)
    edit = alice.page(path).all(".chat-message-question a")[0]["href"].partition("#")[0]
    assert alice.page(edit).one("textarea").text.strip() == "First"
    edited = re.search(r"edit=(\w+)", edit)
    assert edited
    ask(alice, "Third", edit, conversation=conversation_id, edited=edited[1])
    assert questions(alice, path) == ["Third"]
    assert [each.text for each in provider.requests[-1].messages] == ["Third"]
    assert len(turns.records()) == 3, "what was replaced had been paid for"


def test_an_answer_is_repeated_once_however_often_the_button_is_pressed(
    alice: Person, turns: Turns, provider: ScriptedChat
) -> None:
    path = ask(alice, "What is a pier?")
    first = alice.page(path).one(".chat-message-answer")["id"]
    nonce = alice.page(path).one(".chat-message-again [name=nonce]")["value"]
    for _ in range(2):
        assert send(alice, f"{path}/again", nonce=nonce).status_code == 303
        settled(alice, path)
    assert alice.page(path).one(".chat-message-answer")["id"] != first
    assert [each.text for each in provider.requests[-1].messages] == ["What is a pier?"]
    assert len(turns.records()) == 2


def test_a_strangers_conversation_does_not_exist(
    alice: Person, charlie: Person, turns: Turns
) -> None:
    path = ask(alice, "secret words")
    usage_id = turns.record().id
    assert charlie.browser.get(path).status_code == 404
    assert charlie.browser.get(f"/chat/answers/{usage_id}").status_code == 404
    for form, fields in (
        ("/chat/messages", {"text": "x", "conversation": path.rpartition("/")[2]}),
        (f"{path}/again", {}),
        (f"{path}/delete", {}),
        (f"/chat/answers/{usage_id}/stop", {}),
    ):
        answer = send(charlie, form, **fields)
        assert answer.status_code == 404, form
        assert "secret" not in answer.text
    assert len(turns.records()) == 1


def test_a_deleted_conversation_leaves_its_cost_and_no_word(alice: Person, turns: Turns) -> None:
    path = ask(alice, "words to forget")
    cost_micro = turns.record().cost_micro
    assert send(alice, f"{path}/delete").status_code == 303
    assert alice.browser.get(path).status_code == 404
    assert turns.texts() == []
    assert turns.record().cost_micro == cost_micro


@pytest.mark.parametrize(
    ("text", "said"), [("  ", "Write a message."), ("a" * 20_001, "20,000 fit")]
)
def test_a_wrong_message_costs_nothing(alice: Person, turns: Turns, text: str, said: str) -> None:
    answer = send(alice, "/chat/messages", text=text)
    assert answer.status_code == 422
    assert said in answer.text
    assert turns.records() == []


def test_too_few_credits_are_said_in_the_conversation_with_the_packs(
    alice: Person, turns: Turns
) -> None:
    turns.spend_down_to("0.05")
    answer = send(alice, "/chat/messages", text="one more")
    assert answer.status_code == 402
    assert "one more" in answer.text
    assert "Creator" in answer.text
    assert "choose a plan" in answer.text
    assert turns.records() == []


def test_tokens_are_listed_by_source_and_conversation(
    alice: Person, charlie: Person, turns: Turns
) -> None:
    assert not alice.page("/dashboard/tokens").has(".token-usage")
    path = ask(alice, "What is a lighthouse?")
    ask(alice, "And a pier?", path, conversation=path.rpartition("/")[2])
    body = {"text": "Sum this up."}
    assert alice.call("POST", "/api/summarize", body).status_code == 200
    table = alice.page("/dashboard/tokens").one(".token-usage")
    summary, chat = table.all("tbody tr")
    assert chat.one("th a")["href"] == path
    assert chat.texts("td.num")[:3] == ["2", "2,000", "400"]
    assert summary.one(".sub").text == "Summaries"
    assert not summary.has("a")
    assert not charlie.page("/dashboard/tokens").has(".token-usage")


def test_an_account_that_ends_leaves_no_word(
    app: Flask, alice: Person, charlie: Person, turns: Turns
) -> None:
    ask(alice, "words of Alice")
    ask(charlie, "words of Charlie")
    with app.app_context(), transaction() as session:
        user = accounts.find_by_email(session, alice.email)
        assert user is not None
        accounts.delete_account(session, user, get(AccountRules), now=now())
    texts = [text for _, text in turns.texts()]
    assert "words of Charlie" in texts
    assert "words of Alice" not in texts
    assert len(turns.records()) == 2
