"""``/mcp``: what an assistant's client may ask, what each call costs, and that it is paid once."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, KNOWN_PROTOCOL_VERSIONS
from PIL import Image
from werkzeug.test import TestResponse

from creditapp.generation.providers import GenerationFailed
from creditapp.rate_limits import MCP_BATCH_MAX, MCP_IMAGE_BYTES_MAX
from tests.api.contract import Document
from tests.api.test_keys import create
from tests.app_factory import Person
from tests.generation.studio import IMAGE, Scripted, Studio
from tests.generation.test_submit import at_once

MODERN = "2026-07-28"
ORDER = {"prompt": "a quay", "model": "nano-banana", "waitSeconds": 0}
"""Costs half a credit."""


class Assistant:
    """A client of /mcp with an API key; each answer is checked against the OpenAPI document."""

    def __init__(self, person: Person, **settings: object) -> None:
        self.app = person.app
        self.key = create(person, **settings)["key"]
        self.document = Document(self.app)

    def post(self, body: object, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"Authorization": f"Bearer {self.key}", **named}
        data = body if isinstance(body, bytes) else json.dumps(body)
        return self.app.test_client().post(
            "/mcp", data=data, content_type="application/json", headers=named
        )

    def ask(self, method: str, params: object = None, **headers: str) -> Any:
        """Return the answer to a request, of the newest version with a handshake by default."""
        headers = {"MCP_Protocol_Version": "2025-11-25", **headers}
        body = {"jsonrpc": "2.0", "id": 7, "method": method}
        answer = self.post(body if params is None else {**body, "params": params}, **headers)
        assert answer.status_code == 200, answer.text
        if "result" in answer.json:
            self.document.check("POST", "/mcp", answer)
        assert answer.json["id"] == 7
        return answer.json

    def error(self, method: str, params: object = None, **headers: str) -> int:
        """Return the code of a protocol error."""
        code: int = self.ask(method, params, **headers)["error"]["code"]
        return code

    def use(self, tool: str, arguments: object = None, **headers: str) -> Any:
        """Return the result of a tool."""
        params = {"name": tool} if arguments is None else {"name": tool, "arguments": arguments}
        return self.ask("tools/call", params, **headers)["result"]

    def done(self, tool: str, arguments: object = None, **headers: str) -> Any:
        """Return what a tool answered, which must fit the schema that it declares."""
        result = self.use(tool, arguments, **headers)
        assert not result["isError"], result["content"]
        tools = {each["name"]: each for each in self.ask("tools/list")["result"]["tools"]}
        Draft202012Validator(tools[tool]["outputSchema"]).validate(result["structuredContent"])
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
        return result

    def refused(self, tool: str, arguments: object = None, **headers: str) -> Any:
        """Return the problem that a tool answered with, which cost nothing."""
        result = self.use(tool, arguments, **headers)
        assert result["isError"], result
        assert "structuredContent" not in result, "it would not fit the tool's schema"
        problem = json.loads(result["content"][0]["text"])
        assert result["_meta"]["code"] == problem["code"]
        assert result["_meta"]["credits"]["used"] == 0
        return problem


@pytest.fixture
def assistant(alice: Person) -> Assistant:
    """Alice's assistant, with a key that may do everything."""
    return Assistant(alice)


# --- money ---


@pytest.mark.databases("sqlite", "postgresql")
def test_an_image_is_quoted_made_shown_and_paid_once(
    assistant: Assistant, alice: Person, studio: Studio, provider: Scripted
) -> None:
    quoted = assistant.done("quote", {"prompt": "a quay", "model": "nano-banana", "n": 2})
    assert quoted["structuredContent"]["cost"] == 1
    assert quoted["structuredContent"]["affordable"] is True
    assert quoted["_meta"]["credits"] == {"used": 0, "remaining": 50}

    order = {**ORDER, "n": 2, "idempotencyKey": "first"}
    made = assistant.done("generate", order)
    assert made["structuredContent"]["status"] == "queued"
    assert made["_meta"]["credits"] == {"used": 0, "remaining": 49}, "held, and not charged yet"
    generation_id = made["structuredContent"]["id"]
    studio.queue.run()

    result = assistant.done("get_generation", {"id": generation_id})
    answer = result["structuredContent"]
    assert (answer["status"], answer["credits"]) == ("succeeded", {"used": 1, "remaining": 49})
    assert result["_meta"]["credits"] == {"used": 0, "remaining": 49}, "reading costs nothing"
    images = [each for each in result["content"] if each["type"] == "image"]
    assert [b64decode(each["data"]) for each in images] == [IMAGE, IMAGE]
    again = assistant.done("generate", order)
    assert again["structuredContent"]["id"] == generation_id
    assert again["_meta"]["idempotentReplayed"] is True
    assert [each["type"] for each in again["content"]].count("image") == 2
    assert alice.balance() == 49
    assert len(provider.requests) == 1
    studio.check()


@pytest.mark.databases("sqlite", "postgresql")
def test_a_call_sent_twenty_times_at_once_is_paid_once(
    assistant: Assistant, alice: Person, studio: Studio
) -> None:
    params = {"name": "generate", "arguments": {**ORDER, "idempotencyKey": "once"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answers = at_once(20, lambda: assistant.post(body))
    made = Counter(each.json["result"]["structuredContent"]["id"] for each in answers)
    assert len(made) == 1
    studio.queue.run()
    assert alice.balance() == 49.5
    studio.check()


@pytest.mark.databases("sqlite", "postgresql")
def test_above_the_ceiling_nothing_runs_and_the_answer_says_how_to_go_on(
    assistant: Assistant, alice: Person, studio: Studio, provider: Scripted
) -> None:
    video = {"operation": "video", "prompt": "waves", "seconds": 5, "waitSeconds": 0}
    problem = assistant.refused("generate", video)
    assert problem["code"] == "max_credits_exceeded"
    assert (problem["required"], problem["limit"]) == (25, 10), "10 without maxCredits"
    assert "call again with maxCredits of at least 25" in problem["detail"]
    assert assistant.refused("generate", {**video, "maxCredits": 24.999999})["limit"] == 24.999999
    # A person's ceiling in the settings of the client holds, whatever the model writes.
    capped = assistant.refused("generate", {**video, "maxCredits": 1000}, X_Max_Credits="20")
    assert capped["limit"] == 20
    assert "call again" not in capped["detail"]
    assert provider.requests == []
    assert alice.balance() == 50
    assert studio.generations() == []

    made = assistant.done("generate", {**video, "maxCredits": 25})
    studio.queue.run()
    link = assistant.done("get_generation", {"id": made["structuredContent"]["id"]})["content"][-1]
    assert (link["type"], link["mimeType"]) == ("resource_link", "video/mp4")
    assert link["uri"].startswith("http")
    assert alice.balance() == 25
    studio.check()


def test_a_failure_is_a_result_that_cost_nothing(
    assistant: Assistant, alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.script = [GenerationFailed()]
    made = assistant.done("generate", ORDER)
    studio.queue.run()
    problem = assistant.refused("get_generation", {"id": made["structuredContent"]["id"]})
    assert (problem["code"], problem["creditsCharged"]) == ("generation_failed", 0)
    assert problem["generationId"] == made["structuredContent"]["id"]
    assert alice.balance() == 50
    studio.check()


def test_budget_models_and_balance_of_the_key_hold(alice: Person, studio: Studio) -> None:
    poor = Assistant(alice, budget={"amount": 0.7}, models=["nano-banana", "gpt-image"])
    assert poor.done("generate", ORDER)["structuredContent"]["status"] == "queued"
    assert poor.refused("generate", ORDER)["code"] == "budget_exceeded"
    assert poor.refused("generate", {**ORDER, "model": "flux-dev"})["code"] == "forbidden"
    listed = poor.done("list_models")["structuredContent"]["operations"]
    (images,) = [each for each in listed if each["operation"] == "text-to-image"]
    assert [each["model"] for each in images["models"]] == ["nano-banana", "gpt-image"]
    rich = Assistant(alice)
    large = {"prompt": "a quay", "model": "gpt-image", "quality": "high", "n": 4, "maxCredits": 99}
    assert rich.done("generate", {**large, "waitSeconds": 0})["_meta"]["credits"]["remaining"] < 20
    assert rich.refused("generate", large)["code"] == "insufficient_credits"
    studio.check()


# --- who may ---


@pytest.mark.parametrize(
    ("scope", "tools"),
    [
        ("read", ["list_models", "quote", "get_generation", "balance"]),
        ("generate", ["generate"]),
        ("spend", []),
        ("purchase", []),
    ],
)
def test_a_key_calls_the_tools_of_its_scopes(alice: Person, scope: str, tools: list[str]) -> None:
    assistant = Assistant(alice, scopes=[scope])
    listed = [each["name"] for each in assistant.ask("tools/list")["result"]["tools"]]
    assert listed == tools
    calls: dict[str, dict[str, Any]] = {
        "list_models": {},
        "quote": {"prompt": "a quay"},
        "get_generation": {"id": "gen_none"},
        "balance": {},
        "generate": ORDER,
    }
    for tool, arguments in calls.items():
        result = assistant.use(tool, arguments)
        assert (result["_meta"].get("code") == "forbidden") == (tool not in tools), tool
        if scope in ("spend", "purchase"):
            assert "credits" not in result["_meta"], "the balance is for keys that may read it"


def test_only_a_working_key_is_let_in(app: Flask, assistant: Assistant, alice: Person) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    nobody = app.test_client().post("/mcp", json=body)
    assert nobody.status_code == 401
    assert nobody.json["code"] == "authentication_required"
    assert nobody.headers["WWW-Authenticate"] == "Bearer"
    wrong = assistant.post(body, Authorization="Bearer cak_wrong")
    assert (wrong.status_code, wrong.json["code"]) == (401, "token_invalid")
    foreign = assistant.post(body, Origin="https://evil.example")
    assert (foreign.status_code, foreign.json["code"]) == (403, "forbidden")
    rebound = assistant.post(body, Origin="https://evil.example", Sec_Fetch_Site="same-origin")
    assert rebound.status_code == 403
    assert assistant.post(body, Origin="http://localhost").status_code == 200
    own = alice.call("POST", "/mcp", body)
    assert own.status_code == 200, "a page of this site, with the session"


def test_a_program_finds_it_and_its_tools_in_llms_txt(app: Flask, assistant: Assistant) -> None:
    found = app.test_client().get("/llms.txt").text
    assert "http://localhost/mcp" in found
    for tool in assistant.ask("tools/list")["result"]["tools"]:
        assert tool["name"] in found


def test_another_persons_generation_is_not_found(
    assistant: Assistant, charlie: Person, studio: Studio
) -> None:
    theirs = Assistant(charlie).done("generate", ORDER)["structuredContent"]["id"]
    assert assistant.refused("get_generation", {"id": theirs})["code"] == "not_found"
    assert assistant.refused("get_generation", {"id": "gen_none"})["code"] == "not_found"
    edit = {"prompt": "x", "images": ["ast_00000000000000000000000000"], "model": "gpt-image"}
    assert assistant.refused("generate", edit)["code"] == "not_found"


# --- the protocol ---


def test_versions_are_negotiated(assistant: Assistant) -> None:
    hello = {"capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    for wanted in (*HANDSHAKE_PROTOCOL_VERSIONS, "2099-01-01", "1.0"):
        result = assistant.ask("initialize", {**hello, "protocolVersion": wanted})["result"]
        is_known = wanted in HANDSHAKE_PROTOCOL_VERSIONS
        assert result["protocolVersion"] == (wanted if is_known else "2025-11-25")
        assert result["capabilities"] == {"tools": {}}
        assert result["serverInfo"]["name"] == "creditapp"
        version = result["protocolVersion"]
        done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        accepted = assistant.post(done, MCP_Protocol_Version=version)
        assert (accepted.status_code, accepted.data) == (202, b"")
        assert assistant.ask("ping", MCP_Protocol_Version=version)["result"] == {}
        assert assistant.ask("tools/list", MCP_Protocol_Version=version)["result"]["tools"]
    unknown = assistant.post(
        {"jsonrpc": "2.0", "id": 1, "method": "ping"}, MCP_Protocol_Version="x"
    )
    assert unknown.status_code == 400
    assert unknown.json["error"]["code"] == -32022
    assert unknown.json["error"]["data"]["supported"] == list(KNOWN_PROTOCOL_VERSIONS)


def _modern(assistant: Assistant, method: str, **params: object) -> TestResponse:
    """Ask as a client of 2026-07-28 does."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {"MCP_Protocol_Version": MODERN, "Mcp_Method": method}
    if "name" in params:
        headers["Mcp_Name"] = str(params["name"])
    body = {"jsonrpc": "2.0", "id": "a", "method": method, "params": {**params, "_meta": meta}}
    return assistant.post(body, **headers)


def test_a_client_without_a_handshake_says_everything_in_each_request(assistant: Assistant) -> None:
    found = _modern(assistant, "server/discover").json["result"]
    assert found["supportedVersions"] == list(KNOWN_PROTOCOL_VERSIONS)
    assert found["resultType"] == "complete"
    listed = _modern(assistant, "tools/list").json["result"]
    assert (listed["ttlMs"], listed["cacheScope"]) == (0, "private")
    answer = _modern(assistant, "tools/call", name="balance").json["result"]
    assert answer["structuredContent"]["balance"] == 50
    assert answer["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "creditapp"
    for method, status, code in (("initialize", 404, -32601), ("tasks/list", 404, -32601)):
        refused = _modern(assistant, method)
        assert (refused.status_code, refused.json["error"]["code"]) == (status, code)
    unknown = _modern(assistant, "tools/call", name="charge")
    assert (unknown.status_code, unknown.json["error"]["code"]) == (400, -32602)


@pytest.mark.parametrize(
    "headers",
    [
        {"MCP_Protocol_Version": MODERN},
        {"MCP_Protocol_Version": MODERN, "Mcp_Method": "tools/list", "Mcp_Name": "balance"},
        {"MCP_Protocol_Version": MODERN, "Mcp_Method": "tools/call", "Mcp_Name": "generate"},
        {"MCP_Protocol_Version": MODERN, "Mcp_Method": "tools/call"},
        {"MCP_Protocol_Version": "2025-11-25", "Mcp_Method": "tools/call", "Mcp_Name": "balance"},
        {"Mcp_Method": "tools/call", "Mcp_Name": "balance"},
    ],
    ids=str,
)
def test_headers_that_contradict_the_body_are_refused(
    assistant: Assistant, headers: dict[str, str]
) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "balance", "_meta": meta}
    answer = assistant.post(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, **headers
    )
    assert (answer.status_code, answer.json["error"]["code"]) == (400, -32020)


def test_batches_are_answered_by_the_versions_that_have_them(
    assistant: Assistant, alice: Person, studio: Studio
) -> None:
    params = {"name": "generate", "arguments": {**ORDER, "idempotencyKey": "batch"}}
    order = {"jsonrpc": "2.0", "method": "tools/call", "params": params}
    messages = [
        {**order, "id": 1},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {**order, "id": "2"},
        {"jsonrpc": "2.0", "id": 3, "method": "none"},
        {"jsonrpc": "2.0", "id": 4, "method": "initialize", "params": {}},
        7,
    ]
    for headers in ({}, {"MCP_Protocol_Version": "2025-03-26"}):
        answers = assistant.post(messages, **headers).json
        assert [each["id"] for each in answers] == [1, "2", 3, 4, None]
        assert (
            answers[0]["result"]["structuredContent"] == answers[1]["result"]["structuredContent"]
        )
        assert [each["error"]["code"] for each in answers[2:]] == [-32601, -32600, -32600]
    studio.queue.run()
    assert alice.balance() == 49.5
    assert assistant.post([messages[1]]).status_code == 202
    for version in ("2025-06-18", "2025-11-25", MODERN):
        refused = assistant.post(messages, MCP_Protocol_Version=version)
        assert (refused.status_code, refused.json["error"]["code"]) == (400, -32600)
    for wrong in ([], messages[1:2] * (MCP_BATCH_MAX + 1)):
        assert assistant.post(wrong).json["error"]["code"] == -32600


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b'{"a": NaN}', -32700),
        (b"[" * 100_000, -32700),
        (b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32700),
        (b"7", -32600),
        (b"null", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":"' + b"x" * 201 + b'","method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":18446744073709551616,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', -32600),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_message_that_is_none_gets_an_error_of_json_rpc(
    assistant: Assistant, body: bytes, code: int
) -> None:
    answer = assistant.post(body)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, code), answer.text


def test_other_methods_and_types_are_refused(app: Flask, assistant: Assistant) -> None:
    headers = {"Authorization": f"Bearer {assistant.key}", "Accept": "text/event-stream"}
    for method in ("GET", "DELETE", "PUT"):
        answer = app.test_client().open("/mcp", method=method, headers=headers)
        assert answer.status_code == 405
        assert "POST" in answer.headers["Allow"]
        assert answer.content_type == "application/problem+json", "a program reads no page"
        assert "Set-Cookie" not in answer.headers
    typed = app.test_client().post("/mcp", data="{}", headers=headers)
    assert typed.status_code == 415
    response = {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert assistant.post(response).status_code == 202, "nobody asked"
    for method in ("resources/list", "prompts/list", "logging/setLevel", "\ud800", "tools/none"):
        params = {"level": "info"} if method == "logging/setLevel" else None
        assert assistant.error(method, params) == -32601
    for params in (None, {}, {"name": 7}, {"name": "balance", "arguments": [1]}):
        assert assistant.error("tools/call", params) == -32602
    assert assistant.error("tools/call", {"name": "charge"}) == -32602
    assert assistant.error("initialize", {"\ud800": 1}) == -32602


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("balance", {"x": 1}),
        ("balance", {"\ud800": 1}),
        ("list_models", {"x": 1}),
        ("get_generation", {}),
        ("get_generation", {"id": 7}),
        ("get_generation", {"id": "gen_1", "waitSeconds": 31}),
        ("get_generation", {"id": "x" * 101}),
        ("quote", {"n": 0}),
        ("quote", {"operation": "dance"}),
        ("generate", {}),
        ("generate", {"prompt": ""}),
        ("generate", {"prompt": "a\x00b"}),
        ("generate", {"prompt": "\ud800"}),
        ("generate", {"prompt": "x", "operation": "dance"}),
        ("generate", {"prompt": "x", "operation": 7}),
        ("generate", {"prompt": "x", "operation": {"a": 1}}),
        ("generate", {"prompt": "x", "\ud800": 1}),
        ("generate", {"prompt": "x", "waitSeconds": -1}),
        ("generate", {"prompt": "x", "waitSeconds": True}),
        ("generate", {"prompt": "x", "n": "many"}),
        ("generate", {"prompt": "x", "model": "none"}),
        ("generate", {"prompt": "x", "images": [{"a": 1}]}),
        ("generate", {"prompt": "x", "images": ["data:image/png;base64,!"]}),
        ("generate", {"prompt": "x", "idempotencyKey": ""}),
        ("generate", {"prompt": "x", "idempotencyKey": "\ud800"}),
        *(("generate", {"prompt": "x", "maxCredits": each}) for each in (0, -1, True, "ten", [1])),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_arguments_are_named_and_cost_nothing(
    assistant: Assistant, alice: Person, tool: str, arguments: dict[str, Any]
) -> None:
    problem = assistant.refused(tool, arguments)
    assert problem["status"] in (404, 422), problem
    assert alice.balance() == 50


def test_a_large_image_is_shown_smaller_and_linked_whole(
    assistant: Assistant, studio: Studio, provider: Scripted
) -> None:
    noise = BytesIO()
    Image.effect_noise((1800, 1200), 90).save(noise, "PNG")
    provider.data = noise.getvalue()
    assert len(provider.data) > MCP_IMAGE_BYTES_MAX
    made = assistant.done("generate", ORDER)["structuredContent"]
    studio.queue.run()
    content = assistant.done("get_generation", {"id": made["id"]})["content"]
    assert [each["type"] for each in content] == ["text", "image", "resource_link"]
    assert content[1]["mimeType"] == "image/jpeg"
    with Image.open(BytesIO(b64decode(content[1]["data"]))) as shown:
        assert max(shown.size) <= 1568
    address = content[2]["uri"].removeprefix("http://localhost")
    headers = {"Authorization": f"Bearer {assistant.key}"}
    whole = assistant.app.test_client().get(address, headers=headers)
    assert whole.status_code == 200
    old = {"MCP_Protocol_Version": "2025-03-26"}
    older = assistant.use("get_generation", {"id": made["id"]}, **old)["content"]
    assert [each["type"] for each in older] == ["text", "image", "text"], "no links before 2025-06"


def test_the_arguments_of_generate_are_those_of_the_orders(assistant: Assistant) -> None:
    tools = {each["name"]: each for each in assistant.ask("tools/list")["result"]["tools"]}
    schema = tools["generate"]["inputSchema"]
    Draft202012Validator.check_schema(schema)
    members = schema["properties"]
    assert members.keys() >= {
        *("operation", "prompt", "model", "n", "size", "quality", "images", "mask", "seconds"),
        *("voice", "audio", "image", "maxCredits", "waitSeconds", "idempotencyKey"),
    }
    assert "10 without it" in members["maxCredits"]["description"]
    assert "Required for upscale, lipsync" in members["image"]["description"]
    assert tools["generate"]["annotations"]["readOnlyHint"] is False
    assert tools["quote"]["annotations"]["readOnlyHint"] is True
