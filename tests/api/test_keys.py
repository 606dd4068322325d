"""API keys: what a program may do with one, how much, until when, and that nobody else may."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from creditapp.api_keys import KEYS_MAX, ApiKey
from creditapp.catalog import Catalog, credit_costs
from creditapp.clock import StoppedClock
from creditapp.db import snapshot
from creditapp.generation.providers import GenerationFailed
from creditapp.services import get
from tests.api.contract import Document, Program
from tests.app_factory import Person
from tests.generation.studio import Scripted, Studio
from tests.generation.test_submit import at_once

IMAGE = "/api/generate-image"
BODY = {"prompt": "a quay", "model": "nano-banana"}
"""Costs half a credit."""


class KeyHolder:
    """A program with an API key and no cookie; each response is checked against the document."""

    def __init__(self, app: Flask, key: str) -> None:
        self.app, self.key = app, key
        self.document = Document(app)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"Authorization": f"Bearer {self.key}", **named}
        answer = self.app.test_client().open(path, method=method, json=body, headers=named)
        return self.document.check(method, path, answer) if path.startswith("/api/") else answer

    def code(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """Return the code of a refusal, or the status of a success."""
        answer = self.call(method, path, body, **headers)
        return answer.json["code"] if answer.status_code >= 400 else answer.status_code


def create(person: Person, **settings: object) -> Any:
    """Create a key that may do everything, but for ``settings``; return it as its owner sees it."""
    body = {"name": "Builder", "scopes": ["read", "generate", "spend", "purchase"], **settings}
    answer = Program(person).call("POST", "/api/keys", body)
    assert answer.status_code == 201, answer.text
    return answer.json


def holder(person: Person, **settings: object) -> KeyHolder:
    return KeyHolder(person.app, create(person, **settings)["key"])


def test_a_key_is_shown_once_and_is_stored_nowhere(
    app: Flask, api: Program, clock: StoppedClock
) -> None:
    made = create(api.person, name="  Nightly   builder ", scopes=["generate", "read"])
    assert made["key"].startswith("cak_")
    assert len(made["key"]) > 40
    assert (made["name"], made["scopes"]) == ("Nightly builder", ["read", "generate"])
    assert made["key"].endswith(made["lastCharacters"])
    assert [made[name] for name in ("models", "budget", "expiresAt", "lastUsedAt")] == [None] * 4
    assert KeyHolder(app, made["key"]).call("GET", "/api/credits").json["credits"]["balance"] == 50
    page = api.get("/api/keys")
    (listed,) = page["items"]
    assert page["nextCursor"] is None
    assert "key" not in listed
    assert listed["lastUsedAt"] == f"{clock.now():%Y-%m-%dT%H:%M:%S}.000Z"
    with app.app_context(), snapshot() as session:
        row = session.execute(select(ApiKey.__table__)).one()
    assert made["key"] not in str(row)


@pytest.mark.parametrize(
    ("scope", "method", "path", "body"),
    [
        ("read", "GET", "/api/credits", None),
        ("read", "GET", "/api/generations", None),
        ("read", "POST", "/api/quotes", BODY),
        ("generate", "POST", IMAGE, BODY),
        ("generate", "POST", "/api/chat", {"messages": [{"role": "user", "content": "Hello"}]}),
        ("purchase", "POST", "/api/billing/checkout-session", {"packId": "none"}),
    ],
    ids=str,
)
def test_a_key_does_what_its_scopes_say_and_nothing_else(
    alice: Person, scope: str, method: str, path: str, body: object
) -> None:
    others = [each for each in ("read", "generate", "spend", "purchase") if each != scope]
    assert holder(alice, scopes=others).code(method, path, body) == "forbidden"
    prefer = {"Prefer": "respond-async"}
    outcome = holder(alice, scopes=[scope]).code(method, path, body, **prefer)
    assert outcome in (200, 202, "not_found")


def test_a_key_opens_no_page_form_or_key(alice: Person, studio: Studio) -> None:
    program = holder(alice)
    key_id = Program(alice).get("/api/keys")["items"][0]["id"]
    assert program.code("GET", "/api/keys") == "forbidden"
    assert program.code("POST", "/api/keys", {"name": "x", "scopes": ["read"]}) == "forbidden"
    assert program.code("DELETE", f"/api/keys/{key_id}") == "forbidden"
    for path in ("/settings", "/dashboard", "/admin"):
        assert program.call("GET", path).status_code in (403, 404)
    assert program.call("POST", "/settings/password").status_code == 403
    made = studio.make(alice)
    (asset,) = [each.id for each in studio.assets() if each.generation_id == made.id]
    assert program.call("GET", f"/media/{asset}").status_code == 200


def test_a_key_that_has_ended_or_never_was_opens_nothing(
    app: Flask, api: Program, charlie: Person, clock: StoppedClock
) -> None:
    ends_at = clock.now() + timedelta(hours=1)
    made = create(api.person, expiresAt=ends_at.isoformat())
    program = KeyHolder(app, made["key"])
    assert program.code("GET", "/api/credits") == 200
    strangers = Program(charlie)
    strangers.refused(404, "not_found", "DELETE", f"/api/keys/{made['id']}")
    strangers.refused(404, "not_found", "PATCH", f"/api/keys/{made['id']}", {"name": "mine"})
    for wrong in (made["key"][:-1], made["key"] + "x", made["key"].upper(), "cak_", "", "é" * 9):
        latin = wrong.encode("utf-8").decode("latin-1")
        assert KeyHolder(app, latin).code("GET", "/api/credits") == "token_invalid", wrong
    clock.advance(timedelta(hours=1))
    assert program.code("GET", "/api/credits") == "token_expired"
    second = create(api.person)
    assert api.call("DELETE", f"/api/keys/{second['id']}").status_code == 204
    assert KeyHolder(app, second["key"]).code("POST", IMAGE, BODY) == "token_invalid"
    assert api.get("/api/keys")["items"] == []
    api.refused(404, "not_found", "DELETE", f"/api/keys/{second['id']}")


def test_a_cookie_counts_nothing_beside_a_key(app: Flask, alice: Person, charlie: Person) -> None:
    key = create(alice)["key"]
    answer = charlie.call("POST", IMAGE, BODY, Authorization=f"Bearer {key}", Prefer="wait=0")
    assert answer.status_code in (200, 202), answer.text
    assert (alice.balance(), charlie.balance()) == (49.5, 50)
    wrong = charlie.call("GET", "/api/credits", Authorization="Bearer cak_wrong")
    assert wrong.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_a_budget_is_what_its_charges_take_and_begins_anew(
    api: Program, studio: Studio, provider: Scripted, clock: StoppedClock
) -> None:
    program = holder(api.person, budget={"amount": 1.2, "period": "day"})
    prefer = {"Prefer": "respond-async"}
    assert program.code("POST", IMAGE, BODY, **prefer) == 202
    provider.script = [GenerationFailed("broken")]
    studio.queue.run()
    provider.forget()
    (key,) = api.get("/api/keys")["items"]
    assert key["budget"]["spent"] == 0, "a failed generation counts nothing"
    assert [program.code("POST", IMAGE, BODY, **prefer) for _ in range(2)] == [202, 202]
    refusal = program.call("POST", IMAGE, BODY)
    assert (refusal.status_code, refusal.json["code"]) == (402, "budget_exceeded")
    assert [str(refusal.json[name]) for name in ("required", "limit")] == ["0.5", "1.2"]
    midnight = (clock.now() + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    assert refusal.json["resetAt"] == f"{midnight:%Y-%m-%dT%H:%M:%S}.000Z"
    assert api.person.balance() == 49, "the balance is there; the key may not use it"
    (key,) = api.get("/api/keys")["items"]
    assert key["budget"] == {
        "amount": Decimal("1.2"), "period": "day", "spent": 1, "resetsAt": refusal.json["resetAt"],
    }  # fmt: skip
    clock.advance(midnight - clock.now())
    assert program.code("POST", IMAGE, BODY, **prefer) == 202


@pytest.mark.databases("sqlite", "postgresql")
def test_calls_at_once_never_pass_a_budget(alice: Person, studio: Studio) -> None:
    key, calls = create(alice, budget={"amount": 3})["key"], 50
    headers = {"Authorization": f"Bearer {key}", "Prefer": "respond-async"}

    def order() -> TestResponse:
        return alice.app.test_client().post(IMAGE, json=BODY, headers=headers)

    outcomes = Counter(
        answer.json.get("code", answer.status_code) for answer in at_once(calls, order)
    )
    assert outcomes == {202: 6, "budget_exceeded": calls - 6}
    studio.queue.run()
    assert alice.balance() == 47
    studio.check()


def test_a_key_uses_only_its_models(api: Program) -> None:
    program = holder(api.person, models=["nano-banana"])
    assert program.code("POST", IMAGE, BODY, Prefer="respond-async") == 202
    other = program.call("POST", IMAGE, {**BODY, "model": "gpt-image"})
    assert (other.status_code, other.json["code"]) == (403, "forbidden")
    assert "nano-banana" in other.json["detail"]
    chat = {"messages": [{"role": "user", "content": "Hello"}]}
    assert program.code("POST", "/api/chat", chat) == "forbidden"
    assert program.code("POST", "/api/embeddings", {"input": "Hello"}) == "forbidden"


def test_a_request_says_what_it_may_cost_at_most(api: Program) -> None:
    for headers, body in (({}, {**BODY, "n": 3, "maxCredits": 1}), ({"X-Max-Credits": "1"}, BODY)):
        answer = api.call("POST", IMAGE, {"n": 3, **body}, **headers)
        assert (answer.status_code, answer.json["code"]) == (402, "max_credits_exceeded")
        assert (answer.json["required"], answer.json["limit"]) == (1.5, 1)
        assert answer.json["resetAt"] is None
    assert api.person.balance() == 50
    assert api.call("POST", IMAGE, {**BODY, "maxCredits": 0.5}, Prefer="wait=0").status_code == 202
    for wrong in (0, -1, True, "ten", "1", [1], {"a": 1}, 10**10, 0.0000001):
        api.refused(422, "validation_failed", "POST", IMAGE, {**BODY, "maxCredits": wrong})
    for header in ("1_0", "nan", "-1", "1, 5", "1e309", "0.0000001", "0x5", ""):
        answer = api.call("POST", IMAGE, BODY, X_Max_Credits=header)
        assert answer.json["code"] == "validation_failed", header


def test_of_header_and_body_the_smaller_limit_counts(api: Program) -> None:
    """A header that a client sends with every request raises no limit of one request."""
    order = {**BODY, "n": 3}
    for header, member in (("100", 1), ("1", 100)):
        answer = api.call("POST", IMAGE, {**order, "maxCredits": member}, X_Max_Credits=header)
        assert (answer.status_code, answer.json["code"]) == (402, "max_credits_exceeded")
        assert answer.json["limit"] == 1
    assert api.person.balance() == 50


def test_a_key_is_changed_from_its_next_request_on(api: Program) -> None:
    made = create(api.person, budget={"amount": 5, "period": "week"})
    path = f"/api/keys/{made['id']}"
    changed = api.call("PATCH", path, {"scopes": ["read"], "name": "Reader"}).json
    assert (changed["name"], changed["scopes"]) == ("Reader", ["read"])
    assert changed["budget"]["period"] == "week", "what is left out stays"
    program = KeyHolder(api.person.app, made["key"])
    assert program.code("POST", IMAGE, BODY) == "forbidden"
    assert api.call("PATCH", path, {"budget": None}).json["budget"] is None


def test_wrong_settings_of_a_key_are_named(api: Program) -> None:
    wrongs: list[dict[str, Any]] = [
        *({"name": ""}, {"name": "x" * 61}, {"name": "a\nb"}, {"name": 7}, {"name": None}),
        *({"scopes": []}, {"scopes": ["admin"]}, {"scopes": "read"}),
        *({"models": []}, {"models": ["gpt-9"]}, {"models": "nano-banana"}),
        *({"budget": {"amount": value}} for value in (0, -1, True, "5", 10**10, 1e-7, None)),
        *({"budget": {"amount": 1, "period": "year"}}, {"budget": 5}),
        *({"expiresAt": end} for end in ("2020-01-01T00:00:00Z", "soon", "2999-01-01")),
    ]
    for wrong in wrongs:
        body = {"name": "Builder", "scopes": ["read"], **wrong}
        problem = api.refused(422, "validation_failed", "POST", "/api/keys", body)
        (field,) = wrong
        assert all(error["field"].startswith(field) for error in problem["errors"]), wrong


def test_a_member_has_a_number_of_keys_at_most(
    api: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditapp.api_keys.keys.KEYS_MAX", 3)
    body = {"name": "Builder", "scopes": ["read"]}
    answers = at_once(6, lambda: api.person.call("POST", "/api/keys", body))
    assert Counter(answer.status_code for answer in answers) == {201: 3, 409: 3}
    assert KEYS_MAX == 50


def test_every_model_of_the_catalog_can_be_named_in_a_key(app: Flask, api: Program) -> None:
    with app.app_context():
        catalog = get(Catalog)
    costs = credit_costs(catalog)
    models = {each.model for cost in costs for each in cost.models}
    models |= {cost.operation for cost in costs if not cost.models}
    assert models >= {"nano-banana", "audio", "video", "lipsync", "upscale"}
    assert create(api.person, models=sorted(models))["models"] == sorted(models)


def test_a_key_for_speech_alone_speaks_and_does_nothing_else(api: Program) -> None:
    program = holder(api.person, models=["audio"])
    speech = {"text": "Good morning"}
    assert program.code("POST", "/api/generate-audio", speech, Prefer="wait=0") == 202
    assert [each["id"] for each in program.call("GET", "/v1/models").json["data"]] == ["audio"]
    tool = {"name": "list_models", "arguments": {}}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": tool}
    listed = program.call("POST", "/mcp", asked).json["result"]["structuredContent"]["operations"]
    assert [each["operation"] for each in listed] == ["audio"]
    video = {"prompt": "a quay", "seconds": 3}
    for path, body in ((IMAGE, BODY), ("/api/generate-video", video)):
        assert program.code("POST", path, body) == "forbidden"
    drawing = holder(api.person, models=["nano-banana"])
    assert drawing.code("POST", "/api/generate-audio", speech) == "forbidden"
