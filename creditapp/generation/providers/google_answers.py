"""Parse a Gemini answer into an image, or into the error that it is."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping

import structlog

from creditapp.generation.providers import images as image_files
from creditapp.generation.providers import vendor_errors
from creditapp.generation.providers.protocol import (
    GenerationFailed,
    ProducedFile,
    PromptRejected,
    ProviderError,
)
from creditapp.generation.providers.transport import Answer

REJECTING_REASONS = frozenset(
    "SAFETY IMAGE_SAFETY PROHIBITED_CONTENT IMAGE_PROHIBITED_CONTENT BLOCKLIST SPII RECITATION "
    "IMAGE_RECITATION MODEL_ARMOR JAILBREAK".split()
)
"""Reasons, of a candidate's end or of a blocked prompt, by which the vendor refuses a prompt."""

_USAGE = {
    "input_tokens": ("promptTokenCount",),
    "output_tokens": ("candidatesTokenCount", "thoughtsTokenCount"),
    "total_tokens": ("totalTokenCount",),
}

log = structlog.get_logger(__name__)


def refusal(answer: Answer) -> ProviderError:
    """Return the error for an unsuccessful status."""
    try:
        error = _mapping(_mapping(answer.json()).get("error"))
    except GenerationFailed:
        error = {}  # a page of some gateway on the way: its status says enough
    return _of_error(error, answer.status, answer.headers.get("retry-after"))


def image(answer: Answer, model: str) -> ProducedFile:
    """Return the last image of a successful answer: earlier ones are interim.

    Raises ``PromptRejected`` or ``GenerationFailed`` for an answer without one, with an error in
    it, or of another model.
    """
    body = _mapping(answer.json())
    if "error" in body:
        error = _mapping(body["error"])
        code = error.get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        raise _of_error(error, status, None)
    _check_model(body.get("modelVersion"), model)
    candidates = body.get("candidates")
    candidate = _mapping(candidates[0]) if isinstance(candidates, list) and candidates else {}
    found = list(_images(candidate))
    if not found:
        raise _without_image(body, candidate)
    data = found[-1]
    try:
        file = image_files.inspect(data)
    except image_files.NotAnImage as error:
        log.warning("provider sent no image", reason=error.reason)
        raise GenerationFailed(vendor_errors.NO_IMAGE, reason="no_image") from None
    return ProducedFile(
        data=data,
        mime_type=file.mime_type,
        width=file.width,
        height=file.height,
        usage=_counts(_mapping(body.get("usageMetadata"))),
    )


def _of_error(error: Mapping[str, object], status: int, retry_after: str | None) -> ProviderError:
    details = error.get("details")
    entries = [_mapping(each) for each in details] if isinstance(details, list) else []
    if any(entry.get("reason") == "API_KEY_INVALID" for entry in entries):
        status = 401  # it comes as a 400
    delays = [str(entry["retryDelay"]) for entry in entries if "retryDelay" in entry]
    waits = retry_after or (delays[0].removesuffix("s") if delays else None)
    return vendor_errors.of_status(status, None, waits)


def _check_model(answered: object, model: str) -> None:
    """Refuse the answer of another model; a version of the same one adds to its name."""
    if not isinstance(answered, str) or not answered:
        return
    name = answered.removeprefix("models/")
    if not (name.startswith(model) or model.startswith(name)):
        raise GenerationFailed(vendor_errors.OTHER_MODEL, reason="other_model")


def _images(candidate: Mapping[str, object]) -> Iterator[bytes]:
    """Yield the bytes of each image part that is not one of the model's thoughts."""
    parts = _mapping(candidate.get("content")).get("parts")
    for entry in parts if isinstance(parts, list) else []:
        part = _mapping(entry)
        blob = _mapping(part.get("inlineData"))
        text = blob.get("data")
        if part.get("thought") or not isinstance(text, str):
            continue
        if not str(blob.get("mimeType", "")).startswith("image/"):
            continue
        if len(text) > image_files.BYTES_MAX * 4 // 3 + 4:
            raise GenerationFailed(vendor_errors.TOO_LARGE, reason="image_too_large")
        try:
            yield base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            log.warning("provider sent no image", reason="bad_base64")


def _without_image(body: Mapping[str, object], candidate: Mapping[str, object]) -> ProviderError:
    blocked = _mapping(body.get("promptFeedback")).get("blockReason")
    ended = candidate.get("finishReason")
    for reason in (blocked, ended):
        if reason in REJECTING_REASONS:
            # What the model refuses after the prompt was read may be billed.
            return PromptRejected(may_have_charged=reason is ended, reason=str(reason).lower())
    if blocked:
        return PromptRejected(reason="blocked")
    return GenerationFailed(vendor_errors.NO_IMAGE, reason="no_image")


def _counts(usage: Mapping[str, object]) -> Mapping[str, int]:
    counts = {
        name: sum(_number(usage.get(member)) for member in members)
        for name, members in _USAGE.items()
    }
    return {name: count for name, count in counts.items() if count}


def _number(value: object) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if is_count and isinstance(value, int) else 0


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
