"""Every route that spends: what it may cost at most, and what its answer says that it cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from creditapp.jobs.engine import JobStore
from creditapp.services import provide
from tests.api.contract import Document
from tests.api.test_keys import holder
from tests.app_factory import Person
from tests.fuzz_api.callers import AtOnce
from tests.generation.orders import ORDERS
from tests.generation.studio import Studio

FEATURE = {"amount": 2, "feature": "count"}
TALK = {"messages": [{"role": "user", "content": "Hello"}]}

Body = Callable[[Studio, Person], dict[str, Any]]
SPENDING: dict[str, Body] = {
    **{order.path: order.body for name, order in ORDERS.items() if name != "image-to-image"},
    "/api/generate-nano-banana": lambda _studio, _person: {"prompt": "a quay"},
    "/api/credits/spend": lambda _studio, _person: FEATURE,
    "/api/credits/holds": lambda _studio, _person: FEATURE,
    "/api/example/use-credits": lambda _studio, _person: {"text": "Three plain words"},
    "/api/chat": lambda _studio, _person: TALK,
    "/api/agent": lambda _studio, _person: TALK,
    "/api/summarize": lambda _studio, _person: {"text": "A long text."},
    "/api/embeddings": lambda _studio, _person: {"input": "Harbour"},
    "/v1/images/generations": lambda _studio, _person: {"prompt": "a quay"},
    "/v1/chat/completions": lambda _studio, _person: TALK | {"model": "gpt-6-luna"},
    "/v1/audio/speech": lambda _studio, _person: {
        "model": "audio",
        "input": "Hello",
        "voice": "coral",
    },
    "/v1/embeddings": lambda _studio, _person: {
        "model": "text-embedding-3-small",
        "input": "Harbour",
    },
}
CAPTURE = "/api/credits/holds/{hold_id}/capture"
ELSEWHERE = {"/v1/images/edits", "/mcp", CAPTURE}
"""tests/openai_shape/money, tests/api/test_mcp.py and tests/api/test_spending.py try these."""


def test_every_route_that_takes_a_highest_price_is_tried(app: Flask) -> None:
    paths = Document(app).json["paths"]
    taking = {
        path
        for path, methods in paths.items()
        for operation in methods.values()
        if any(each["name"] == "X-Max-Credits" for each in operation["parameters"])
    }
    assert taking == SPENDING.keys() | ELSEWHERE
    saying = {
        path
        for path, methods in paths.items()
        for operation in methods.values()
        for response in operation["responses"].values()
        if "X-Credits-Cost" in response.get("headers", {})
    }
    released = "/api/credits/holds/{hold_id}/release"
    # An agent pays by its receipt: one credit, whatever else the request says.
    assert saying - {"/api/images/generate"} == (taking - {"/mcp"}) | {released}


@pytest.mark.parametrize("path", SPENDING)
def test_every_route_that_spends_refuses_what_costs_more_than_allowed(
    app: Flask, alice: Person, studio: Studio, path: str
) -> None:
    provide(app, JobStore, AtOnce(app))
    program, body = holder(alice), SPENDING[path](studio, alice)
    key = {"Idempotency_Key": "one"}
    refused = program.call("POST", path, body, X_Max_Credits="0.000001", **key)
    problem = refused.json if "code" in refused.json else refused.json["error"]
    assert (refused.status_code, problem["code"]) == (402, "max_credits_exceeded"), refused.text
    assert "X-Credits-Cost" not in refused.headers
    assert alice.balance() == 50
    same = program.call("POST", path, {**body, "maxCredits": 0.000001}, **key)
    assert same.status_code == 402, same.text
    assert alice.balance() == 50


@pytest.mark.parametrize("path", SPENDING)
def test_every_answer_that_spent_says_what_it_cost_and_what_is_left(
    app: Flask, alice: Person, studio: Studio, path: str
) -> None:
    provide(app, JobStore, AtOnce(app))
    program, body = holder(alice), SPENDING[path](studio, alice)
    answer = program.call("POST", path, body, X_Max_Credits="50", Idempotency_Key="one")
    assert answer.status_code in (200, 201), answer.text
    cost, left = (float(answer.headers[name]) for name in ("X-Credits-Cost", "X-Credits-Remaining"))
    assert cost > 0
    assert cost + left == pytest.approx(50)
    assert float(alice.balance()) == left
    if answer.is_json and path != "/api/credits/holds":
        charge = answer.json.get("credits") or answer.json["usage"]["credits"]
        assert (float(charge["used"]), float(charge["remaining"])) == (cost, left)
