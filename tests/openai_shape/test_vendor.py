"""Partial images of a vendor, from its stream through the worker to OpenAI's client."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.fakes import openai_answers
from tests.fakes.openai_server import FakeOpenAI
from tests.openai_shape.conftest import Demo, running_demo

PROMPT = "A lighthouse at first light"


@pytest.fixture(scope="module")
def vendor() -> Iterator[FakeOpenAI]:
    """The vendor of GPT Image."""
    with FakeOpenAI() as fake:
        yield fake


@pytest.fixture(scope="module")
def demo(vendor: FakeOpenAI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo with a key of the vendor."""
    folder = tmp_path_factory.mktemp("vendor")
    yield from running_demo(folder, OPENAI_API_KEY=vendor.key, OPENAI_BASE_URL=vendor.base_url)


@pytest.fixture(scope="module")
def client(demo: Demo) -> OpenAI:
    """A client of that demo."""
    return demo.client()


def test_a_vendors_partial_images_reach_the_client_with_its_usage(
    client: OpenAI, vendor: FakeOpenAI
) -> None:
    vendor.event_seconds = 0.4
    stream = client.images.generate(
        model="gpt-image", prompt=PROMPT, quality="low", stream=True, partial_images=3
    )
    *partial, final = list(stream)
    assert [base64.b64decode(event.b64_json) for event in partial] == [
        openai_answers.png(f"partial {index}", 0, 64, 64) for index in range(3)
    ]
    assert final.type == "image_generation.completed"
    assert (final.usage.output_tokens, final.usage.input_tokens) == (272, 7)
    assert final.to_dict()["credits"]["used"] == 1  # type: ignore[index]  # our member


def test_an_answer_has_the_tokens_that_the_vendor_counted(client: OpenAI) -> None:
    made = client.images.generate(model="gpt-image", prompt=PROMPT, quality="low")
    assert made.usage is not None
    assert made.usage.output_tokens == 272
    assert made.usage.input_tokens_details.text_tokens == made.usage.input_tokens


def test_a_refused_prompt_is_not_sent_again(client: OpenAI, vendor: FakeOpenAI) -> None:
    from openai import UnprocessableEntityError

    vendor.forget()
    vendor.fail("moderation_blocked")
    patient = client.with_options(max_retries=2)
    with pytest.raises(UnprocessableEntityError) as raised:
        patient.images.generate(model="gpt-image", prompt=PROMPT)
    assert raised.value.code == "prompt_rejected"
    vendor.fail("http_500")
    with pytest.raises(Exception, match="vendor had an error"):
        patient.images.generate(model="gpt-image", prompt=PROMPT)
    assert vendor.count == 2
