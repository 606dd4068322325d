"""The example feature: it spends once for each form, says so, and costs nothing when refused."""

from __future__ import annotations

from flask import Flask

from tests.app_factory import Person
from tests.pages import parse_html

RESULT = "section[aria-labelledby=try] [role=status]"


def test_words_are_counted_for_a_credit_and_the_same_form_pays_once(alice: Person) -> None:
    page = alice.page("/example-ai")
    fields = {"text": "A quiet harbour at dusk", "nonce": page.value("nonce")}
    answer = alice.post("/example-ai", fields)
    assert "5 words" in parse_html(answer.text).one(RESULT).text
    assert alice.balance() == 49
    again = alice.post("/example-ai", fields)
    assert "cost nothing again" in parse_html(again.text).one(RESULT).text
    assert alice.balance() == 49
    edited = alice.post("/example-ai", {**fields, "text": "Other words"})
    assert "2 words" in parse_html(edited.text).one(RESULT).text
    wrong = alice.post("/example-ai", {**fields, "text": "  "})
    assert wrong.status_code == 422
    assert alice.balance() == 48


def test_a_guest_is_asked_to_sign_up_and_sees_the_code(app: Flask) -> None:
    page = Person(app).page("/example-ai")
    assert "Sign up" in page.one("main").text
    assert "spend(session" in page.one("#example-code").text
