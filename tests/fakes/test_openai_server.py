"""The fake agrees with the SDK's own types: what it takes, what it gives, how it refuses."""

from __future__ import annotations

import typing
import urllib.error
import urllib.request
from collections.abc import Iterator

import openai
import pytest
from openai.types import (
    ImagesResponse,
    Model,
    ModerationCreateResponse,
    image_edit_params,
    image_generate_params,
)
from openai.types.audio import speech_create_params
from openai.types.audio.speech_model import SpeechModel
from openai.types.image_model import ImageModel
from pydantic import BaseModel

from tests.fakes import openai_rules
from tests.fakes.openai_moderations import moderation_answer
from tests.fakes.openai_server import FakeOpenAI


@pytest.fixture(scope="module")
def fake_openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(compatible_models=frozenset({"flux-dev"})) as server:
        yield server


@pytest.fixture
def client(fake_openai: FakeOpenAI) -> Iterator[openai.OpenAI]:
    fake_openai.forget()
    with openai.OpenAI(
        api_key=fake_openai.key, base_url=fake_openai.base_url, max_retries=0, timeout=10
    ) as sdk:
        yield sdk


def unknown_members(answer: BaseModel, path: str = "") -> list[str]:
    """Return the members of an answer that the SDK's classes do not declare."""
    members = [f"{path}{name}" for name in answer.model_extra or {}]
    for name in type(answer).model_fields:
        value = getattr(answer, name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, BaseModel):
                members += unknown_members(item, f"{path}{name}.")
    return members


def sdk_parameters() -> dict[str, object]:
    members: dict[str, object] = {}
    for kind in (
        image_generate_params.ImageGenerateParamsNonStreaming,
        image_generate_params.ImageGenerateParamsStreaming,
    ):
        members |= typing.get_type_hints(kind)
    return members


def literals(hint: object) -> set[object]:
    """Return every literal inside a type, however deep."""
    if typing.get_origin(hint) is typing.Literal:
        return set(typing.get_args(hint))
    return set().union(*(literals(part) for part in typing.get_args(hint)))


def test_it_knows_exactly_the_parameters_of_the_sdk() -> None:
    assert set(sdk_parameters()) == openai_rules.PARAMETERS


def test_it_knows_the_parameters_of_an_edit() -> None:
    base = image_edit_params.ImageEditParamsBase
    besides = set(typing.get_type_hints(base)) - set(sdk_parameters())
    assert besides == {"image", "markup", *openai_rules.EDIT_PARAMETERS}


def test_it_knows_exactly_the_speech_of_the_sdk() -> None:
    hints = typing.get_type_hints(speech_create_params.SpeechCreateParams)
    assert set(hints) == openai_rules.SPEECH_PARAMETERS
    assert literals(hints["response_format"]) == set(openai_rules.SPEECH_FORMATS)
    assert literals(hints["voice"]) == set(openai_rules.VOICES)
    assert set(typing.get_args(SpeechModel)) == set(openai_rules.SPEECH_MODELS)


@pytest.mark.parametrize("name", sorted(openai_rules.CHOICES))
def test_it_knows_exactly_the_values_of_the_sdk(name: str) -> None:
    assert literals(sdk_parameters()[name]) == set(openai_rules.CHOICES[name])


def test_it_serves_exactly_the_models_of_the_sdk_that_are_not_retired() -> None:
    every = {*openai_rules.GPT_IMAGE_MODELS, *openai_rules.RETIRED_MODELS}
    assert set(typing.get_args(ImageModel)) == every


@pytest.mark.parametrize("extra", [{}, {"safety_identifier": "u1", "quality": "high"}])
def test_its_answer_has_no_unknown_and_no_missing_member(
    client: openai.OpenAI, extra: dict[str, typing.Any]
) -> None:
    raw = client.images.with_raw_response.generate(
        prompt="A harbour at dusk", model="gpt-image-2.5-flare", n=2, **extra
    )
    answer = ImagesResponse.model_validate_json(raw.content, strict=True)
    assert unknown_members(answer) == []
    absent = {name for name in ImagesResponse.model_fields if getattr(answer, name) is None}
    assert absent == {"svg_usage"} | ({"safety_identifier"} if not extra else set())
    assert answer.usage is not None
    assert answer.usage.output_tokens_details is not None
    usage = answer.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert [bool(image.b64_json) for image in answer.data or []] == [True, True]


def test_an_edit_answers_like_a_generation(client: openai.OpenAI, fake_openai: FakeOpenAI) -> None:
    raw = client.images.with_raw_response.edit(
        prompt="Make it night", model="gpt-image-2", image=[("a.png", b"x" * 9, "image/png")], n=2
    )
    answer = ImagesResponse.model_validate_json(raw.content, strict=True)
    assert unknown_members(answer) == []
    assert len(answer.data or []) == 2
    assert fake_openai.calls[0]["sources"] == [9]


def test_its_models_are_the_sdks_models(client: openai.OpenAI) -> None:
    models = client.models.list().data
    assert [unknown_members(Model.model_validate(model.model_dump())) for model in models] == [
        [] for _ in models
    ]
    assert client.models.retrieve("gpt-image-2").id == "gpt-image-2"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("dall-e-3")


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"colour": "red"}, "unknown_parameter", "colour"),
        ({"response_format": "url"}, "unknown_parameter", "response_format"),
        ({"style": "vivid"}, "unknown_parameter", "style"),
        ({"n": 0}, "integer_below_min_value", "n"),
        ({"n": 11}, "integer_above_max_value", "n"),
        ({"n": "2"}, "invalid_type", "n"),
        ({"n": True}, "invalid_type", "n"),
        ({"size": "1000x1000"}, "invalid_value", "size"),
        ({"size": "4096x1024"}, "invalid_value", "size"),
        ({"size": "big"}, "invalid_value", "size"),
        ({"quality": "best"}, "invalid_value", "quality"),
        ({"quality": "hd"}, "invalid_value", "quality"),
        ({"quality": "max"}, "invalid_value", "quality"),
        ({"background": "blue"}, "invalid_value", "background"),
        ({"prompt": " "}, "empty_string", "prompt"),
        ({"prompt": "x" * 32_001}, "string_above_max_length", "prompt"),
        ({"prompt": 3}, "invalid_type", "prompt"),
        ({"prompt": None}, "invalid_type", "prompt"),
        ({"model": None}, None, "model"),
    ],
)
def test_it_refuses_what_openai_refuses(
    client: openai.OpenAI, change: dict[str, object], code: str | None, param: str
) -> None:
    body = {"prompt": "A harbour", "model": "gpt-image-2", **change}
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/images/generations", body=body, cast_to=object)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_it_refuses_a_missing_prompt(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/images/generations", body={"model": "gpt-image-2"}, cast_to=object)
    assert caught.value.code == "missing_required_parameter"


@pytest.mark.parametrize("model", ["dall-e-3", "gpt-image-1", "nothing"])
def test_it_does_not_serve_retired_models(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(prompt="A harbour", model=model)
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("size", ["1536x864", "1024x1024", "auto", "3840x2160"])
def test_it_draws_the_sizes_that_the_model_draws(client: openai.OpenAI, size: str) -> None:
    answer = client.post(
        "/images/generations",
        body={"prompt": "A harbour", "model": "gpt-image-2", "size": size},
        cast_to=ImagesResponse,
    )
    assert answer.data is not None
    assert answer.size == ("1024x1024" if size == "auto" else size)


def test_a_wrong_key_and_no_key_are_refused(fake_openai: FakeOpenAI) -> None:
    with (
        openai.OpenAI(api_key="sk-wrong", base_url=fake_openai.base_url, max_retries=0) as wrong,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        wrong.images.generate(prompt="A harbour", model="gpt-image-2")
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{fake_openai.base_url}/models", timeout=5)
    assert refused.value.code == 401
    refused.value.close()


def test_a_model_of_another_vendor_knows_only_what_all_share(client: openai.OpenAI) -> None:
    client.images.generate(prompt="A harbour", model="flux-dev", response_format="b64_json")
    with pytest.raises(openai.BadRequestError):
        client.images.generate(prompt="A harbour", model="flux-dev", quality="high")


def test_faults_and_calls_are_controlled_by_http(
    client: openai.OpenAI, fake_openai: FakeOpenAI
) -> None:
    control = fake_openai.base_url.replace("/v1", "/control")
    client.post(f"{control}/faults", body={"fault": "http_503", "times": 1}, cast_to=object)
    with pytest.raises(openai.InternalServerError):
        client.images.generate(prompt="A harbour", model="gpt-image-2")
    client.images.generate(prompt="A harbour", model="gpt-image-2")
    assert fake_openai.count == 2
    answer = client.get(f"{control}/calls", cast_to=object)
    assert isinstance(answer, dict)
    assert answer["count"] == 2
    client.delete(f"{control}/calls", cast_to=object)
    assert fake_openai.count == 0
    with pytest.raises(openai.BadRequestError):
        client.post(f"{control}/faults", body={"fault": "nonsense"}, cast_to=object)


def test_a_moderation_is_the_sdks(client: openai.OpenAI) -> None:
    answer = client.moderations.create(
        model="omni-moderation-latest", input=["a quay", "a bloodbath"]
    )
    assert isinstance(answer, ModerationCreateResponse)
    raw = moderation_answer(["a quay", "a bloodbath"])
    assert unknown_members(ModerationCreateResponse.model_validate(raw)) == []
    assert [each.flagged for each in answer.results] == [False, True]
    flagged = answer.results[1].categories
    assert (flagged.violence, flagged.violence_graphic, flagged.sexual) == (True, True, False)
    with pytest.raises(openai.BadRequestError):
        client.moderations.create(model="omni-moderation-latest", input=[])
