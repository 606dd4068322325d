"""Parameters that OpenAI's image endpoint accepts, and the wording of its refusals.

Written from the SDK's ``ImageGenerateParams`` and the answers of the real service; compared with
the SDK's own types by ``test_openai_server.py``. Imports nothing but the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PROMPT_CHARACTERS_MAX = 32_000
N_MAX = 10

GPT_IMAGE_MODELS = (
    "gpt-image-1-mini",
    "gpt-image-1.5",
    "gpt-image-2",
    "gpt-image-2-2026-04-21",
    "gpt-image-2.5-sunburst",
    "gpt-image-2.5-sunburst-2026-09-08",
    "gpt-image-2.5-flare",
    "gpt-image-2.5-flare-2026-09-08",
    "gpt-image-2.6-sunburst",
    "gpt-image-2.6-flare",
    "chatgpt-image-latest",
)
RETIRED_MODELS = ("gpt-image-1", "dall-e-2", "dall-e-3")

TEXTS = ("prompt", "model", "size", "user", "safety_identifier")
NUMBERS = {
    "n": (1, N_MAX),
    "output_compression": (0, 100),
    "partial_images": (0, 3),
    "frame_count": (2, 16),
    "frame_duration_ms": (1, 655_350),
}
CHOICES = {
    "background": ("transparent", "opaque", "auto"),
    "complexity": ("low", "medium", "high"),
    "moderation": ("low", "auto"),
    "output_format": ("png", "webp", "jpeg", "gif", "svg"),
    "quality": ("low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"),
    "response_format": ("url", "b64_json"),
    "style": ("vivid", "natural"),
}
OTHERS = ("stream", "svg")
EDIT_PARAMETERS = ("mask", "input_fidelity")
"""Known for edits besides; the images themselves are counted apart."""
PARAMETERS = frozenset((*TEXTS, *NUMBERS, *CHOICES, *OTHERS))

LEGACY_PARAMETERS = ("response_format", "style")
"""Known to the SDK, refused for every model that is still served."""

QUALITIES = ("low", "medium", "high", "auto")
QUALITIES_OF_2_5 = (*QUALITIES, "xhigh", "max")
SIZES = ("1024x1024", "1536x1024", "1024x1536", "auto")

COMPATIBLE_PARAMETERS = frozenset({"prompt", "model", "n", "size", "response_format", "user"})
"""All that the fake's models of other vendors know: the least that such endpoints share."""


class Refusal(Exception):
    """A refusal in OpenAI's form."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        type: str = "invalid_request_error",  # noqa: A002
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.param, self.type = param, type

    def body(self) -> dict[str, object]:
        """Return the JSON of the answer."""
        named = {"message": self.message, "type": self.type, "param": self.param}
        return {"error": {**named, "code": self.code}}


def check(
    body: object, compatible_models: frozenset[str] = frozenset(), *, lenient: bool = False
) -> Mapping[str, object]:
    """Return the parameters of a request for images; raise ``Refusal`` as OpenAI would.

    OpenAI's models may have a gateway's prefix, such as ``openai/``. A ``lenient`` gateway drops
    what it does not know.
    """
    if not isinstance(body, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    model = body.get("model")
    compatible = isinstance(model, str) and model in compatible_models
    for name in body:
        known = COMPATIBLE_PARAMETERS if compatible else PARAMETERS - {*LEGACY_PARAMETERS}
        if name not in {*known, *EDIT_PARAMETERS} and not lenient:
            raise Refusal(400, f"Unknown parameter: '{name}'.", "unknown_parameter", name)
    if lenient:
        body = {
            name: value for name, value in body.items() if name in PARAMETERS - {*LEGACY_PARAMETERS}
        }
    for name, value in body.items():
        _check_type(name, value)
    _check_prompt(body)
    if not compatible:
        _check_model(body)
        _check_values(body)
    return body


SPEECH_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
SPEECH_FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
VOICES = tuple("alloy ash ballad coral echo sage shimmer verse marin cedar fable onyx nova".split())
SPEECH_PARAMETERS = frozenset(
    "input model voice instructions response_format speed stream_format".split()
)
SPEECH_CHARACTERS_MAX = 4096


def check_speech(body: object) -> Mapping[str, object]:
    """Return the parameters of a request for speech; raise ``Refusal`` as OpenAI would."""
    if not isinstance(body, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    for name in body.keys() - SPEECH_PARAMETERS:
        raise Refusal(400, f"Unknown parameter: '{name}'.", "unknown_parameter", name)
    text = body.get("input")
    if not isinstance(text, str) or not 0 < len(text) <= SPEECH_CHARACTERS_MAX:
        raise Refusal(400, "Invalid 'input'.", "string_above_max_length", "input")
    for name, choices in (
        ("model", SPEECH_MODELS),
        ("voice", VOICES),
        ("response_format", (None, *SPEECH_FORMATS)),
    ):
        if body.get(name) not in choices:
            raise Refusal(400, f"Invalid value: '{body.get(name)}'.", "invalid_value", name)
    return body


def own_name(model: object) -> str:
    """Return OpenAI's name of a model that a gateway gives a prefix."""
    return str(model).rpartition("/")[2]


def _check_type(name: str, value: object) -> None:
    if value is None and name not in ("prompt", "user"):
        return
    if name in NUMBERS:
        low, high = NUMBERS[name]
        if isinstance(value, bool) or not isinstance(value, int):
            raise Refusal(400, f"Invalid type for '{name}'.", "invalid_type", name)
        if value < low:
            raise Refusal(400, f"Invalid '{name}'.", "integer_below_min_value", name)
        if value > high:
            raise Refusal(400, f"Invalid '{name}'.", "integer_above_max_value", name)
    elif name in TEXTS or name in CHOICES:
        if not isinstance(value, str):
            raise Refusal(400, f"Invalid type for '{name}'.", "invalid_type", name)
        if name in CHOICES and value not in CHOICES[name]:
            raise Refusal(400, f"Invalid value: '{value}'.", "invalid_value", name)
    elif name == "stream" and not isinstance(value, bool):
        raise Refusal(400, "Invalid type for 'stream'.", "invalid_type", name)


def _check_prompt(body: Mapping[str, object]) -> None:
    prompt = body.get("prompt")
    if "prompt" not in body:
        raise Refusal(
            400, "Missing required parameter: 'prompt'.", "missing_required_parameter", "prompt"
        )
    if not isinstance(prompt, str) or not prompt.strip():
        raise Refusal(400, "Invalid 'prompt'.", "empty_string", "prompt")
    if len(prompt) > PROMPT_CHARACTERS_MAX:
        raise Refusal(400, "Invalid 'prompt'.", "string_above_max_length", "prompt")


def _check_model(body: Mapping[str, object]) -> None:
    model = body.get("model")
    if model is None:
        raise Refusal(400, "You must provide a model parameter.", param="model")
    if own_name(model) not in GPT_IMAGE_MODELS:
        # A retired model is as unknown as one that never was.
        message = f"The model '{model}' does not exist or you do not have access to it."
        raise Refusal(404, message, "model_not_found", "model")


def _check_values(body: Mapping[str, object]) -> None:
    model, output = own_name(body["model"]), body.get("output_format") or "png"
    qualities = QUALITIES_OF_2_5 if model.startswith("gpt-image-2.5-") else QUALITIES
    if (quality := body.get("quality")) is not None and quality not in qualities:
        raise Refusal(400, f"Invalid value: '{quality}'.", "invalid_value", "quality")
    if (size := body.get("size")) is not None and not _has_size(model, str(size)):
        raise Refusal(400, f"Invalid value: '{size}'.", "invalid_value", "size")
    if body.get("background") == "transparent" and output not in ("png", "webp"):
        raise Refusal(400, "Transparent backgrounds need png or webp.", param="background")
    if body.get("output_compression") is not None and output not in ("webp", "jpeg"):
        raise Refusal(400, "Compression needs webp or jpeg.", param="output_compression")
    if body.get("partial_images") and not body.get("stream"):
        raise Refusal(400, "Partial images need a stream.", param="partial_images")
    if body.get("stream") and body.get("n") not in (None, 1):
        raise Refusal(400, "This fake streams one image.", param="n")
    if output != "png" or any(body.get(name) for name in ("svg", "frame_count")):
        raise Refusal(400, "This fake makes PNG only.", param="output_format")


def _has_size(model: str, size: str) -> bool:
    if size in SIZES:
        return True
    sides = re.fullmatch(r"(\d{2,4})x(\d{2,4})", size)
    any_size = model.startswith(("gpt-image-2-", "gpt-image-2.5-")) or model == "gpt-image-2"
    if not sides or not any_size:
        return False
    width, height = int(sides[1]), int(sides[2])
    short, long = sorted((width, height))
    in_steps = width % 16 == 0 and height % 16 == 0
    return in_steps and long <= 3 * short and long <= 3840 and width * height <= 3840 * 2160
