"""Images and speech from OpenAI or any compatible endpoint; the only importer of ``openai``.

Functions import the SDK, because its import takes half a second that the app's start should not
pay. Retries are off: a second attempt is a second bill (the SDK sends no idempotency key for
images). The answer is read in chunks under our own limit and deadline, because the SDK's timeout
only bounds the wait for the next byte.

The text of an upstream error may hold the prompt or part of a key. Our errors are therefore raised
outside the ``except`` block, without context.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import structlog

from creditapp.generation.providers import openai_answers, openai_models, vendor_errors
from creditapp.generation.providers.openai_answers import TokenPrices
from creditapp.generation.providers.openai_stream import ImageStream
from creditapp.generation.providers.protocol import (
    GenerationFailed,
    GenerationTimeout,
    ImageRequest,
    ProducedFile,
    ProviderError,
    ProviderUnavailable,
    Request,
    SpeechRequest,
    Work,
)
from creditapp.logs import error_fields

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from openai import OpenAI, OpenAIError

OPENAI_BASE_URL = "https://api.openai.com/v1"
TIMEOUT_SECONDS = 120.0
CONNECT_SECONDS = 10.0
SPEECH_CHARACTERS_MAX = 4096
"""The longest text of one call. Several files cannot be joined without encoding them again."""

log = structlog.get_logger(__name__)


class OpenAIProvider:
    """Call an OpenAI-compatible endpoint; safe to use from several threads.

    ``timeout_seconds`` bounds both the wait for an answer and its reading.
    """

    name = "openai"
    repeatable = False
    makes = frozenset[type[Request]]({ImageRequest, SpeechRequest})

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        prices: TokenPrices | None = None,
    ) -> None:
        self._api_key = api_key
        self._base_url = base_url or OPENAI_BASE_URL
        self._timeout_seconds = timeout_seconds
        self._prices = prices

    def __repr__(self) -> str:
        """Return the address, never the key."""
        return f"OpenAIProvider({self._base_url!r})"

    def make(self, request: Request, work: Work) -> Iterator[ProducedFile]:
        """Yield speech, or the images of one call, or of one each if ``request.one_call_each``.

        Fewer images than requested are no error if at least one arrived; the others are not
        yielded, so not charged. The vendor reports no progress, so it moves with each file.
        """
        if isinstance(request, SpeechRequest):
            counts = [1]
        elif isinstance(request, ImageRequest):
            counts = [1] * request.n if request.one_call_each else [request.n]
        else:
            raise TypeError(f"{type(request).__name__} is not made here")
        work.progress(0.0)
        delivered = 0
        for count in counts:
            if work.should_stop():
                return
            try:
                if isinstance(request, SpeechRequest):
                    files = [self._speak(request)]
                else:
                    files = self._draw(request, count, work)
            except ProviderError as error:
                log.warning("provider call failed", code=error.code, reason=error.reason)
                raise
            for file in files:
                delivered += 1
                yield file
                work.progress(delivered / sum(counts))

    def _draw(self, request: ImageRequest, count: int, work: Work) -> list[ProducedFile]:
        if request.partial_images and count == 1:
            # Events do not say to which of several images they belong.
            stream = ImageStream(work.note_partial)
            answer = stream.answer(self._ask(request, count, stream.feed))
        else:
            request = replace(request, partial_images=0)
            answer = _parsed(self._ask(request, count))
        images, cost = openai_answers.read(answer, count, self._prices)
        if not images:
            if isinstance(answer, dict) and "error" in answer:
                raise GenerationFailed(vendor_errors.VENDOR_FAILED, reason="error_in_answer")
            raise GenerationFailed(
                vendor_errors.NO_IMAGE, provider_cost_micros_usd=cost, reason="no_image"
            )
        if len(images) < count:
            log.warning("provider delivered too few images", delivered=len(images), ordered=count)
        return images

    def _speak(self, request: SpeechRequest) -> ProducedFile:
        if len(request.text) > SPEECH_CHARACTERS_MAX:
            raise GenerationFailed(
                f"The text has {len(request.text):,} characters; "
                f"at most {SPEECH_CHARACTERS_MAX:,} can be spoken at once.",
                permanent=True,
                may_have_charged=False,
                reason="text_too_long",
            )
        return openai_answers.read_speech(self._ask(request, 1))

    def _ask(
        self,
        request: ImageRequest | SpeechRequest,
        count: int,
        feed: Callable[[bytes], object] = len,
    ) -> bytes:
        """Make one HTTP request; return the answer's body or raise ``ProviderError``.

        ``feed`` gets the body in pieces, while it arrives.
        """
        from openai import OpenAIError

        failure: ProviderError
        try:
            with self._client() as client, self._call(client, request, count) as response:
                return self._read(response, feed)
        except ProviderError:
            raise
        except OpenAIError as error:
            failure = _translate(error)
        except Exception as error:
            # The key or the address cannot be sent at all; the text may quote it.
            failure = ProviderUnavailable(permanent=True, reason=f"not_sent_{type(error).__name__}")
        raise failure

    def _client(self) -> OpenAI:
        import openai

        timeout = openai.Timeout(
            self._timeout_seconds, connect=min(CONNECT_SECONDS, self._timeout_seconds)
        )
        return openai.OpenAI(
            api_key=self._api_key,
            base_url=self._base_url,
            # Empty, not None: with None the SDK sends OpenAI's names from the environment.
            organization="",
            project="",
            max_retries=0,
            timeout=timeout,
            # A redirect would send the prompt to an address that is not configured.
            http_client=openai.DefaultHttpxClient(timeout=timeout, follow_redirects=False),
        )

    def _call(
        self, client: OpenAI, request: ImageRequest | SpeechRequest, count: int
    ) -> AbstractContextManager[_Response]:
        if isinstance(request, SpeechRequest):
            return client.audio.speech.with_streaming_response.create(
                **openai_models.speech_parameters(request)
            )
        parameters = openai_models.parameters(request, count)
        if not request.images:
            return client.images.with_streaming_response.generate(**parameters)
        files = [
            (f"image-{number}", image.data, image.mime_type)
            for number, image in enumerate(request.images, 1)
        ]
        if request.mask is not None:
            parameters["mask"] = ("mask", request.mask.data, request.mask.mime_type)
        return client.images.with_streaming_response.edit(image=files, **parameters)

    def _read(self, response: _Response, feed: Callable[[bytes], object]) -> bytes:
        deadline = time.monotonic() + self._timeout_seconds
        body = bytearray()
        cut_off = False
        try:
            for chunk in response.iter_bytes():
                body += chunk
                feed(chunk)
                if len(body) > openai_answers.ANSWER_BYTES_MAX or time.monotonic() > deadline:
                    break
        except ProviderError:
            raise
        except Exception as error:
            # The transport's own errors are not wrapped; all mean that the rest never arrived.
            log.warning("provider answer cut off", **error_fields(error))
            cut_off = True
        if time.monotonic() > deadline:
            raise GenerationTimeout(reason="answer_too_slow")
        if cut_off:
            raise GenerationFailed(vendor_errors.CUT_OFF, reason="answer_cut_off")
        if len(body) > openai_answers.ANSWER_BYTES_MAX:
            raise GenerationFailed(vendor_errors.TOO_LARGE, reason="answer_too_large")
        return bytes(body)


class _Response(Protocol):
    """The common part of the SDK's answers, of JSON and of audio."""

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yield the body in chunks."""
        ...


def _parsed(body: bytes) -> object:
    try:
        answer: object = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if answer is None:
        raise GenerationFailed(vendor_errors.UNREADABLE, reason="answer_not_json")
    return answer


def _translate(error: OpenAIError) -> ProviderError:
    """Return our error for the SDK's, without its text."""
    from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

    if isinstance(error, APIStatusError):
        waits = error.response.headers.get("retry-after")
        return vendor_errors.of_status(error.status_code, error.code, waits)
    if isinstance(error, APIConnectionError):
        return vendor_errors.of_transport(
            type(error.__cause__).__name__, timed_out=isinstance(error, APITimeoutError)
        )
    reason = f"sdk_{type(error).__name__}"
    if isinstance(error, APIError):
        return GenerationFailed(reason=reason)
    return ProviderUnavailable(permanent=True, reason=reason)  # raised before anything was sent
