"""``/mcp``: what an assistant's client may ask, what each call costs, and that it is paid once."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from PIL import Image

from creditapp.generation.providers import GenerationFailed
from creditapp.rate_limits import MCP_IMAGE_BYTES_MAX
from tests.api.assistant import ORDER, Assistant
from tests.app_factory import Person
from tests.generation.studio import IMAGE, Scripted, Studio
from tests.generation.test_submit import at_once

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
