"""Each refusal is the exception that OpenAI's client has for its status, with what is wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import pytest
from openai import OpenAI

from tests.openai_shape.conftest import Demo

MESSAGES: Any = [{"role": "user", "content": "Hello"}]
IMAGE: Any = {"model": "nano-banana", "prompt": "a quay"}
CHAT: Any = {"model": "gpt-6-luna", "messages": MESSAGES}
SPEECH: Any = {"model": "audio", "voice": "coral", "input": "Hello"}
TEXTS: Any = {"model": "text-embedding-3-small", "input": "a quay"}


def refusal(call: Callable[[], object]) -> openai.APIStatusError:
    """Return the refusal of a call, once its envelope is whole."""
    with pytest.raises(openai.APIStatusError) as raised:
        call()
    error = raised.value
    answer = error.response
    envelope = answer.json()
    assert list(envelope) == ["error"], envelope
    assert {"message", "type", "param", "code", "requestId"} <= envelope["error"].keys()
    assert envelope["error"]["message"] in str(error)
    assert answer.headers["Content-Type"] == "application/json"
    assert error.request_id == envelope["error"]["requestId"]
    assert answer.headers["x-should-retry"] in ("true", "false")
    return error


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("images/generations", {**IMAGE, "background": "transparent"}, "background"),
        ("images/generations", {**IMAGE, "output_format": "webp"}, "output_format"),
        ("images/generations", {**IMAGE, "output_compression": 50}, "output_compression"),
        ("images/generations", {**IMAGE, "moderation": "low"}, "moderation"),
        ("images/generations", {**IMAGE, "complexity": "high"}, "complexity"),
        ("images/generations", {**IMAGE, "svg": {"model": "x"}}, "svg"),
        ("images/generations", {**IMAGE, "response_format": "file"}, "response_format"),
        ("images/generations", {**IMAGE, "partial_images": 2}, "partial_images"),
        ("chat/completions", {**CHAT, "n": 2}, "n"),
        ("chat/completions", {**CHAT, "tools": [{"type": "function"}]}, "tools"),
        ("chat/completions", {**CHAT, "tool_choice": "required"}, "tool_choice"),
        ("chat/completions", {**CHAT, "functions": []}, "functions"),
        ("chat/completions", {**CHAT, "logprobs": True}, "logprobs"),
        ("chat/completions", {**CHAT, "store": True}, "store"),
        ("chat/completions", {**CHAT, "modalities": ["audio"]}, "modalities"),
        ("chat/completions", {**CHAT, "service_tier": "priority"}, "service_tier"),
        ("chat/completions", {**CHAT, "stream_options": {}}, "stream_options"),
        (
            "chat/completions",
            {**CHAT, "messages": [{"role": "tool", "content": "x"}, *MESSAGES]},
            "messages.0.role",
        ),
        (
            "chat/completions",
            {**CHAT, "messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages.0.content.0.type",
        ),
        ("audio/speech", {**SPEECH, "response_format": "flac"}, "response_format"),
        ("audio/speech", {**SPEECH, "speed": 1.5}, "speed"),
        ("audio/speech", {**SPEECH, "stream_format": "sse"}, "stream_format"),
        ("audio/speech", {**SPEECH, "instructions": "whisper"}, "instructions"),
        ("embeddings", {**TEXTS, "input": [1, 2]}, "input"),
        ("embeddings", {**TEXTS, "input": [[1, 2]]}, "input"),
        ("embeddings", {**TEXTS, "encoding_format": "int8"}, "encoding_format"),
    ],
    ids=str,
)
def test_what_is_not_served_is_refused_by_its_name(
    client: OpenAI, path: str, body: Any, param: str
) -> None:
    error = refusal(lambda: client.post(f"/{path}", body=body, cast_to=object))
    assert isinstance(error, openai.BadRequestError)
    assert (error.code, error.param) == ("unsupported_parameter", param)


def test_a_choice_that_the_models_vendor_does_not_take_is_refused_by_its_name(
    client: OpenAI,
) -> None:
    other = next(model.id for model in client.models.list() if model.owned_by == "anthropic")
    body = {**CHAT, "model": other, "seed": 1}
    error = refusal(lambda: client.post("/chat/completions", body=body, cast_to=object))
    assert (error.code, error.param) == ("unsupported_parameter", "seed")


def test_neutral_values_and_nulls_are_no_reason_to_refuse(client: OpenAI) -> None:
    neutral: Any = {
        "n": 1,
        "logprobs": False,
        "tools": [],
        "store": False,
        "modalities": ["text"],
        "service_tier": "auto",
        "user": "u",
        "seed": None,
        "functions": None,
        "parallel_tool_calls": False,
        "response_format": {"type": "text"},
    }
    answer: Any = client.post("/chat/completions", body={**CHAT, **neutral}, cast_to=object)
    assert answer["choices"][0]["finish_reason"] == "stop"
    client.post("/audio/speech", body={**SPEECH, "speed": 1.0}, cast_to=object)
    client.post("/images/generations", body={**IMAGE, "size": "auto", "n": None}, cast_to=object)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("images/generations", {**IMAGE, "prompt": " "}, "prompt"),
        ("images/generations", {**IMAGE, "n": 99}, "n"),
        ("images/generations", {**IMAGE, "size": "7x7"}, "size"),
        ("images/generations", {**IMAGE, "maxCredits": -1}, "maxCredits"),
        ("images/generations", {**IMAGE, "idempotencyKey": 7}, "idempotencyKey"),
        ("images/generations", {"model": "nano-banana"}, "prompt"),
        ("chat/completions", {**CHAT, "temperature": 9}, "temperature"),
        ("chat/completions", {**CHAT, "max_tokens": 0}, "max_tokens"),
        ("chat/completions", {**CHAT, "messages": []}, "messages"),
        ("audio/speech", {**SPEECH, "voice": "nobody"}, "voice"),
        ("audio/speech", {**SPEECH, "input": ""}, "input"),
        ("embeddings", {**TEXTS, "input": []}, "input"),
        ("embeddings", {**TEXTS, "dimensions": 0}, "dimensions"),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_names_its_parameter(
    client: OpenAI, path: str, body: Any, param: str
) -> None:
    error = refusal(lambda: client.post(f"/{path}", body=body, cast_to=object))
    assert isinstance(error, openai.UnprocessableEntityError)
    assert (error.code, error.param) == ("validation_failed", param)


def test_an_edit_names_its_own_parameters(client: OpenAI) -> None:
    error = refusal(
        lambda: client.images.edit(model="flux-dev", image=b"no image", prompt="Evening")
    )
    assert error.status_code == 415
    bad: Any = {"input_fidelity": "high"}
    png = b"\x89PNG\r\n\x1a\n broken"
    error = refusal(lambda: client.images.edit(model="flux-dev", image=png, prompt="x", **bad))
    assert (error.code, error.param) == ("unsupported_parameter", "input_fidelity")
    error = refusal(lambda: client.images.edit(model="flux-dev", image=png, prompt="Evening"))
    assert (error.code, error.param) == ("validation_failed", "image")
    error = refusal(lambda: client.post("/images/edits", body=IMAGE, cast_to=object))
    assert error.code == "unsupported_media_type"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("images/generations", {**IMAGE, "model": "dall-e-9"}),
        ("images/generations", {**IMAGE, "model": "gpt-6-luna"}),
        ("chat/completions", {**CHAT, "model": "gpt-image"}),
        ("audio/speech", {**SPEECH, "model": "tts-9"}),
        ("embeddings", {**TEXTS, "model": "gpt-6-luna"}),
    ],
    ids=str,
)
def test_an_unknown_model_is_not_found(client: OpenAI, path: str, body: Any) -> None:
    error = refusal(lambda: client.post(f"/{path}", body=body, cast_to=object))
    assert isinstance(error, openai.NotFoundError)
    assert (error.code, error.param) == ("model_not_found", "model")
    assert body["model"] in error.message


def test_a_key_that_does_not_work_is_an_authentication_error(demo: Demo) -> None:
    for key in ("cak_wrong", "sk-of-somebody-else"):
        client = OpenAI(base_url=f"{demo.address}/v1", api_key=key, max_retries=0)
        error = refusal(lambda: client.models.list())  # noqa: B023
        assert isinstance(error, openai.AuthenticationError)
        assert error.code == "token_invalid"
        assert key not in error.message
    anonymous = httpx2.post(f"{demo.address}/v1/images/generations", json=IMAGE)
    assert anonymous.status_code == 401
    assert anonymous.json()["error"]["code"] == "authentication_required"
    assert anonymous.headers["WWW-Authenticate"]


def test_a_key_without_the_scope_is_a_permission_error(demo: Demo) -> None:
    client = demo.client("read")
    error = refusal(lambda: client.images.generate(**IMAGE))
    assert isinstance(error, openai.PermissionDeniedError)
    assert error.code == "forbidden"


def test_addresses_and_methods_that_are_not_there_are_refused_in_the_envelope(
    client: OpenAI,
) -> None:
    for path in ("/responses", "/files", "/"):
        error = refusal(lambda: client.post(path, body={}, cast_to=object))  # noqa: B023
        assert isinstance(error, openai.NotFoundError)
        assert error.code == "not_found"
    error = refusal(lambda: client.get("/chat/completions", cast_to=object))
    assert (error.status_code, error.code) == (405, "method_not_allowed")
    assert "POST" in error.response.headers["Allow"]
    error = refusal(lambda: client.models.retrieve("none-such"))
    assert error.code == "model_not_found"


def test_a_body_that_is_no_json_is_refused(demo: Demo, client: OpenAI) -> None:
    headers = {"Authorization": f"Bearer {client.api_key}", "Content-Type": "application/json"}
    deep = "[" * 100_000 + "]" * 100_000
    for text in ("{", "[]", '{"prompt": NaN}', f'{{"prompt": {deep}}}'):
        answer = httpx2.post(f"{demo.address}/v1/images/generations", content=text, headers=headers)
        assert answer.status_code == 400, text[:40]
        assert answer.json()["error"]["code"] == "malformed_request"
    answer = httpx2.post(
        f"{demo.address}/v1/embeddings",
        content="x",
        headers={**headers, "Content-Type": "text/plain"},
    )
    assert answer.json()["error"]["code"] == "unsupported_media_type"


@pytest.mark.parametrize("path", ["images/generations", "images/edits", "chat/completions"])
def test_a_body_of_100_mb_is_refused_before_it_is_sent(
    demo: Demo, client: OpenAI, path: str
) -> None:
    host = urlsplit(demo.address)
    head = (
        f"POST /v1/{path} HTTP/1.1\r\nHost: {host.netloc}\r\nContent-Length: {100 * 1024**2}\r\n"
        f"Authorization: Bearer {client.api_key}\r\nContent-Type: application/json\r\n"
        "Connection: close\r\n\r\n{"
    )
    with socket.create_connection((host.hostname, host.port), timeout=20) as connection:
        connection.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            part = connection.recv(65536)
            if not part:
                break
            answer += part
    assert answer.startswith(b"HTTP/1.1 413")
    body = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
    assert body["error"]["code"] == "payload_too_large"


def test_a_file_that_is_not_the_members_is_not_found(client: OpenAI) -> None:
    messages: Any = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": f"/uploads/upl_{'0' * 26}"}},
            ],
        }
    ]
    error = refusal(lambda: client.chat.completions.create(model="gpt-6-luna", messages=messages))
    assert error.code == "not_found"
    messages[0]["content"][1]["image_url"]["url"] = "https://example.com/a.png"
    error = refusal(lambda: client.chat.completions.create(model="gpt-6-luna", messages=messages))
    assert error.code == "malformed_request"
