"""The parts of requests and answers that have the same form for every vendor."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

from creditapp.catalog.tokens import TOKENS_MAX
from creditapp.generation.providers import (
    GenerationFailed,
    ProviderError,
    SourceFile,
    transport,
    vendor_errors,
)

REQUEST_REFUSED: Final = (
    "The model does not take this conversation as it is. Shorten it, or change the text."
)
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
ANSWER_SECONDS_MAX: Final = 600.0


def mapping(value: object) -> Mapping[str, object]:
    """Return a JSON object, empty for anything else."""
    return value if isinstance(value, dict) else {}


def token_count(value: object) -> int | None:
    """Return a number of tokens; None for anything that is none."""
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and isinstance(value, int) and 0 <= value <= TOKENS_MAX else None


def text_of(value: object) -> str:
    """Return a piece of text that every database stores: without NUL and lone surrogates."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def base64_of(image: SourceFile) -> str:
    """Return an image as base64."""
    return base64.b64encode(image.data).decode()


def check_model(answered: object, model: str) -> None:
    """Raise ``GenerationFailed`` for the answer of another model than was ordered.

    A dated version of the same one adds to its name, a gateway puts the vendor before it.
    """
    if not isinstance(answered, str) or not answered:
        return
    name, ordered = (each.rpartition("/")[2].lower() for each in (answered, model))
    if name != ordered and not name.startswith((f"{ordered}-", f"{ordered}:", f"{ordered}@")):
        raise GenerationFailed(vendor_errors.OTHER_MODEL, reason="other_model")


def refusal_of(answer: transport.Answer, code_names: tuple[str, ...]) -> ProviderError:
    """Return the error of an unsuccessful answer; its own text is never shown.

    The vendor's code is in one of ``code_names`` of the body's ``error``.
    """
    try:
        error = mapping(mapping(answer.json()).get("error"))
    except GenerationFailed:
        error = {}
    codes = [error[name] for name in code_names if error.get(name)]
    refusal = vendor_errors.of_status(
        answer.status, codes[0] if codes else None, answer.headers.get("retry-after")
    )
    if refusal.detail == vendor_errors.REQUEST_REFUSED:
        return GenerationFailed(
            REQUEST_REFUSED, permanent=True, may_have_charged=False, reason=refusal.reason
        )
    return refusal
