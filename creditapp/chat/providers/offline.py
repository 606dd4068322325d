"""Demonstration of a chat that needs no network: it repeats, counts, and says what it is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

from creditapp.catalog.formatting import count as count_of
from creditapp.catalog.tokens import estimated_tokens
from creditapp.chat.providers.protocol import (
    ChatEvent,
    ChatRequest,
    Embedded,
    Finished,
    ReportedUsage,
    TextDelta,
)

REPEATED_WORDS_MAX = 60
WORD_SECONDS = 0.03
"""Between two words, so that one sees an answer grow and can stop it."""
DIMENSIONS = 64
IMAGE_TOKENS = 1000
"""Of each image, whatever its size: a demonstration does not look at it."""


class OfflineChat:
    """Chat provider without a model; the same request gives the same answer."""

    name = "offline"

    def stream(self, request: ChatRequest) -> Iterator[ChatEvent]:
        """Yield the demonstration word by word, as long as the limit allows."""
        written = ""
        reason = Finished("stop")
        for word in _words(_until(_answer(request), request.options.get("stop", ()))):
            if estimated_tokens(len((written + word).encode())) > request.max_output_tokens:
                reason = Finished("length")
                break
            time.sleep(WORD_SECONDS)
            written += word
            yield TextDelta(word)
        yield ReportedUsage(
            input_tokens=_tokens(request), output_tokens=estimated_tokens(len(written.encode()))
        )
        yield reason

    def embed(self, request: ChatRequest) -> Embedded:
        """Return vectors made from the texts' hashes: equal texts have equal ones, no more."""
        dimensions = request.options.get("dimensions", DIMENSIONS)
        vectors = [_vector(message.text, dimensions) for message in request.messages]
        return Embedded(vectors, ReportedUsage(input_tokens=_tokens(request), output_tokens=0))


def _answer(request: ChatRequest) -> str:
    asked = [message.text for message in request.messages if message.role == "user"]
    last = asked[-1].split() if asked else []
    count = f"{len(last):,} word" if len(last) == 1 else f"{len(last):,} words"
    repeated = " ".join(last[:REPEATED_WORDS_MAX])
    if len(last) > REPEATED_WORDS_MAX:
        repeated += " …"
    image_count = sum(len(message.images) for message in request.messages[-1:])
    images = f" It came with {count_of(image_count, 'image')}." if image_count else ""
    return (
        "This is a demonstration: no language model is set up on this server. "
        f"Your message has {count}: “{repeated}”{images} "
        f"The conversation has {len(request.messages):,} of them so far."
    ).replace("of them", "messages" if len(request.messages) != 1 else "message")


def _until(text: str, stops: Sequence[str]) -> str:
    """Return a text up to the first of these words."""
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=None)]


def _words(text: str) -> Iterator[str]:
    ends = [index + 1 for index, character in enumerate(text) if character == " "]
    for start, end in pairwise([0, *ends, len(text)]):
        yield text[start:end]


def _tokens(request: ChatRequest) -> int:
    return sum(
        estimated_tokens(len(message.text.encode())) + IMAGE_TOKENS * len(message.images)
        for message in request.messages
    )


def _vector(text: str, dimensions: int) -> list[float]:
    digest = hashlib.shake_256(text.encode()).digest(dimensions)
    centred = [byte - 127.5 for byte in digest]
    length = sum(each * each for each in centred) ** 0.5
    return [round(each / length, 8) for each in centred]
