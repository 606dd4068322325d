"""``/api/example/use-credits``: the worked example of a feature that spends."""

from __future__ import annotations

from flask import Blueprint, Response

from creditapp.api.generations import ChargeAnswer
from creditapp.api.requests import (
    CREDIT_HEADERS,
    IdempotentBody,
    credit_headers,
    parse_spending,
    replay_headers,
)
from creditapp.clock import now
from creditapp.db import transaction
from creditapp.features import example
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Schema
from creditapp.http.viewer import forget_viewer

routes = Blueprint("example", __name__)


class ExampleBody(IdempotentBody):
    """A text whose words are counted for one credit; an idempotency key is required."""

    text: str


class ExampleAnswer(Schema):
    """The words of the text, and the credits that they cost."""

    success: bool = True
    words: int
    characters: int
    credits: ChargeAnswer


@routes.post("/example/use-credits")
@policy("user", scope="spend")
@Documented(
    "An example: count the words of a text for a credit",
    ExampleAnswer,
    body=ExampleBody,
    headers=["Idempotency-Key", "X-Max-Credits"],
    requires_key=True,
    answer_headers=[*CREDIT_HEADERS, "Idempotent-Replayed"],
)
def use_credits() -> Response:
    """Spend one credit and count the words of a text."""
    by, body, key = parse_spending(ExampleBody)
    with transaction() as session:
        counted = example.count_words(session, by, body.text, key=key, now=now())
    spent = counted.spent
    charge = ChargeAnswer(used_micro=spent.captured_micro, remaining_micro=spent.available_micro)
    answer = ExampleAnswer(words=counted.words, characters=counted.characters, credits=charge)
    forget_viewer()
    headers = credit_headers(spent.captured_micro, spent.available_micro)
    return json_response(answer, 200, headers | replay_headers(replayed=spent.replayed))
