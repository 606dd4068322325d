"""The clients' own retries: an answer that is lost on its way is paid once where a key is sent."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from tests.openai_shape.conftest import Demo

KEYED: Any = {"extra_headers": {"Idempotency-Key": "lost-17"}}
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


class LosesTheFirstAnswer(httpx2.BaseTransport):
    """A connection that breaks after the server has answered the first request."""

    def __init__(self) -> None:
        self._real = httpx2.HTTPTransport()
        self.statuses: list[int] = []
        self.headers: list[httpx2.Headers] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._real.handle_request(request)
        self.headers.append(request.headers)
        self.statuses.append(answer.status_code)
        if len(self.statuses) == 1:
            answer.read()
            raise httpx2.ReadError("the connection broke", request=request)
        return answer


@pytest.fixture
def lost() -> LosesTheFirstAnswer:
    return LosesTheFirstAnswer()


@pytest.fixture
def client(demo: Demo, lost: LosesTheFirstAnswer) -> OpenAI:
    """A client with the retries that it has by default."""
    return OpenAI(
        base_url=f"{demo.address}/v1",
        api_key=demo.key(),
        http_client=openai.DefaultHttpxClient(transport=lost),
    )


def test_a_lost_answer_is_sent_again_and_paid_once(
    demo: Demo, client: OpenAI, lost: LosesTheFirstAnswer
) -> None:
    before = demo.balance()
    answer = client.images.with_raw_response.generate(
        model="gpt-image", quality="low", prompt="a quay", **KEYED
    )
    assert lost.statuses == [200, 200]
    assert lost.headers[1]["x-stainless-retry-count"] == "1"
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert answer.retries_taken == 1
    assert demo.balance() == before - 1


def test_a_lost_answer_of_chat_and_of_speech_too(
    demo: Demo, client: OpenAI, lost: LosesTheFirstAnswer
) -> None:
    before = demo.balance()
    answer = client.audio.speech.with_raw_response.create(
        model="audio", voice="coral", input="Hello", **KEYED
    )
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert demo.balance() == before - 1
    lost.statuses.clear()
    made = client.chat.completions.with_raw_response.create(
        model="gpt-6-luna", messages=MESSAGES, **KEYED
    )
    assert made.headers["Idempotent-Replayed"] == "true"
    assert round(before - 1 - demo.balance(), 6) == float(made.headers["X-Credits-Cost"])


def test_a_refusal_that_no_retry_helps_is_not_repeated(
    demo: Demo, client: OpenAI, lost: LosesTheFirstAnswer
) -> None:
    lost.statuses.append(0)  # nothing is lost
    other: Any = {"extra_headers": {"Idempotency-Key": "lost-18"}}
    client.images.generate(model="nano-banana", prompt="a quay", **other)
    with pytest.raises(openai.ConflictError):
        client.images.generate(model="nano-banana", prompt="a ship", **other)
    assert lost.statuses == [0, 200, 409]
