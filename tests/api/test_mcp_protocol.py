"""``/mcp`` as the protocol has it: versions, batches, and messages that are none."""

from __future__ import annotations

import pytest
from flask import Flask
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, KNOWN_PROTOCOL_VERSIONS
from werkzeug.test import TestResponse

from creditapp.rate_limits import MCP_BATCH_MAX
from tests.api.assistant import ORDER, Assistant
from tests.app_factory import Person
from tests.generation.studio import Studio

MODERN = "2026-07-28"


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
