"""Every parameter of OpenAI's own client is taken and documented, or refused by its name."""

from __future__ import annotations

import base64
import os
import re
import types
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, Literal, Required, Union, get_args, get_origin

import pytest
from openai.types import (
    embedding_create_params,
    image_edit_params,
    image_generate_params,
    shared_params,
)
from openai.types.audio import speech_create_params
from openai.types.chat import (
    ChatCompletionContentPartRefusalParam,
    ChatCompletionStreamOptionsParam,
    chat_completion_content_part_image_param,
    chat_completion_content_part_param,
    chat_completion_message_param,
    completion_create_params,
)
from typing_extensions import get_type_hints, is_typeddict

from tests.app_factory import Person
from tests.openai_shape.shop import CHAT, IMAGE, SPEECH, TEXTS, V1Program, png
from tests.openai_shape.test_document import PAGE

pytestmark = pytest.mark.databases("sqlite")

SURPRISE = "surprise"
"""A member that no version of the client has."""
NOTHING = 0.000001
"""A limit below every price: what is taken is refused by it, and nothing runs."""
DATA_URL = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
SAMPLES: dict[str, list[Any]] = {"url": [DATA_URL], "image": ["a file"], "mask": ["a file"]}
USER = {"role": "user", "content": "Hello"}


def samples(kind: Any, name: str = "") -> Iterator[Any]:
    """Yield values of a type: each of its choices, or one of its kind."""
    if name in SAMPLES:
        yield from SAMPLES[name]
    elif is_typeddict(kind):
        yield required(kind)
    elif kind in (str, object, Any, os.PathLike):
        yield "x"
    elif kind is bool:
        yield from (True, False)
    elif kind in (int, float, bytes):
        yield {int: 1, float: 0.5, bytes: "x"}[kind]
    elif get_origin(kind) is Literal:
        yield from (value for value in get_args(kind) if value is not None)
    elif get_origin(kind) in (Union, types.UnionType):
        for each in get_args(kind):
            if each is not types.NoneType:
                yield from samples(each)
    elif get_origin(kind) is dict:
        yield {"key": next(samples(get_args(kind)[1]))}
    elif get_args(kind):
        yield from ([value] for value in samples(get_args(kind)[0]))
    else:
        raise AssertionError(f"no sample of {name}: {kind}")


def required(typed_dict: Any) -> dict[str, Any]:
    """Return the least value of a TypedDict: its first samples of what it requires."""
    hints = get_type_hints(typed_dict)
    marked = get_type_hints(typed_dict, include_extras=True)
    names = [name for name, kind in marked.items() if get_origin(kind) is Required]
    return {name: next(samples(hints[name], name)) for name in names}


def members(*typed_dicts: Any) -> Iterator[tuple[str, Any]]:
    """Yield each member with each sample of its values, and one that no client has."""
    for each in typed_dicts:
        for name, kind in get_type_hints(each).items():
            for value in samples(kind, name):
                yield name, value
    yield SURPRISE, "x"


def is_documented(name: str) -> bool:
    """Whether ``docs/openai.md`` names a member."""
    return re.search(rf"`{name}\b", PAGE) is not None


def check(answer: Any, name: str, place: str, parent: str = "") -> None:
    """Fail unless a member was taken and is documented, or was refused by its name.

    ``parent`` is the parameter that has it, where that is refused whatever it has.
    """
    error = answer.json["error"]
    case = (place, answer.status_code, error)
    if answer.status_code == 402:
        assert error["code"] == "max_credits_exceeded", case
        assert is_documented(name), case
    elif answer.status_code == 422:
        assert is_documented(name), case
        assert error["param"].partition(".")[0] == place.partition(".")[0], case
    else:
        assert (answer.status_code, error["code"]) == (400, "unsupported_parameter"), case
        wanted = parent or place
        assert f"{error['param']}.".startswith(f"{wanted}."), case
        assert error["message"], case


@pytest.mark.parametrize(
    ("path", "base", "typed_dicts"),
    [
        (
            "images/generations",
            IMAGE,
            [
                image_generate_params.ImageGenerateParamsNonStreaming,
                image_generate_params.ImageGenerateParamsStreaming,
            ],
        ),
        (
            "chat/completions",
            CHAT,
            [
                completion_create_params.CompletionCreateParamsNonStreaming,
                completion_create_params.CompletionCreateParamsStreaming,
            ],
        ),
        ("audio/speech", SPEECH, [speech_create_params.SpeechCreateParams]),
        ("embeddings", TEXTS, [embedding_create_params.EmbeddingCreateParams]),
    ],
    ids=["images", "chat", "speech", "embeddings"],
)
def test_no_parameter_is_ignored(
    alice: Person, path: str, base: dict[str, Any], typed_dicts: list[Any]
) -> None:
    program = V1Program(alice)
    for name, value in members(*typed_dicts):
        if name != "model":
            answer = program.post(path, {**base, name: value, "maxCredits": NOTHING})
            check(answer, name, name)


def test_no_parameter_of_an_edit_is_ignored(alice: Person) -> None:
    program, browser = V1Program(alice), alice.app.test_client()
    headers = {"Authorization": f"Bearer {program.key}", "X-Max-Credits": f"{NOTHING:f}"}
    for name, value in members(
        image_edit_params.ImageEditParamsNonStreaming, image_edit_params.ImageEditParamsStreaming
    ):
        if name in ("image", "mask", "model"):
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        form = {"model": "flux-dev", "prompt": "evening", name: text}
        files = {"image": (BytesIO(png()), "a.png")}
        answer = browser.post("/v1/images/edits", data={**form, **files}, headers=headers)
        check(answer, name, name)


def of_messages(message: Any) -> dict[str, Any]:
    """Return the parameter with a message before the user's."""
    return {"messages": [message, USER]}


def of_parts(part: Any) -> dict[str, Any]:
    """Return the parameter with a part before a text."""
    content = [part, {"type": "text", "text": "What is it?"}]
    return {"messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    ("place", "typed_dict", "wrap"),
    [
        (
            "stream_options",
            ChatCompletionStreamOptionsParam,
            lambda value: {"stream": True, "stream_options": value},
        ),
        *(
            ("response_format", each, lambda value: {"response_format": value})
            for each in (
                shared_params.ResponseFormatText,
                shared_params.ResponseFormatJSONObject,
                shared_params.ResponseFormatJSONSchema,
            )
        ),
        *(
            ("messages.0", each, of_messages)
            for each in get_args(chat_completion_message_param.ChatCompletionMessageParam)
        ),
        *(
            ("messages.0.content.0", each, of_parts)
            for each in (
                *get_args(chat_completion_content_part_param.ChatCompletionContentPartParam),
                ChatCompletionContentPartRefusalParam,
            )
        ),
        (
            "messages.0.content.0.image_url",
            chat_completion_content_part_image_param.ImageURL,
            lambda value: of_parts({"type": "image_url", "image_url": value}),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_no_member_of_a_parameter_of_chat_is_ignored(
    alice: Person, place: str, typed_dict: Any, wrap: Callable[[Any], dict[str, Any]]
) -> None:
    program, least = V1Program(alice), required(typed_dict)

    def answer(changes: dict[str, Any]) -> Any:
        body = {**CHAT, **wrap({**least, **changes}), "maxCredits": NOTHING}
        return program.post("chat/completions", body)

    is_served = answer({}).status_code == 402
    for name, value in members(typed_dict):
        parent = "" if is_served else place
        check(answer({name: value}), name, f"{place}.{name}", parent)
