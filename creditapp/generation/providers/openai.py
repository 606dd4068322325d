"""Images from OpenAI or any compatible endpoint; the only importer of ``openai``.

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
from collections.abc import Iterator
from typing import TYPE_CHECKING

import structlog

from creditapp.generation.providers import openai_answers, openai_errors, openai_models
from creditapp.generation.providers.openai_answers import TokenPrices
from creditapp.generation.providers.protocol import (
    GenerationFailed,
    GenerationTimeout,
    ImageRequest,
    ProducedFile,
    ProviderError,
    ProviderUnavailable,
    Request,
    Work,
)
from creditapp.logs import error_fields

if TYPE_CHECKING:
    from openai import APIResponse, OpenAI, OpenAIError
    from openai.types import ImagesResponse

OPENAI_BASE_URL = "https://api.openai.com/v1"
TIMEOUT_SECONDS = 120.0
CONNECT_SECONDS = 10.0

log = structlog.get_logger(__name__)


class OpenAIProvider:
    """Call an OpenAI-compatible endpoint; safe to use from several threads.

    ``timeout_seconds`` bounds both the wait for an answer and its reading.
    """

    name = "openai"
    repeatable = False
    makes = frozenset[type[Request]]({ImageRequest})

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
        """Yield the images of one call, or of one call each if ``request.one_call_each``.

        Fewer images than requested are no error if at least one arrived; the others are not
        yielded, so not charged. The vendor reports no progress, so it moves with each image.
        """
        if not isinstance(request, ImageRequest):
            raise TypeError(f"{type(request).__name__} is not made here")
        work.progress(0.0)
        delivered = 0
        for count in [1] * request.n if request.one_call_each else [request.n]:
            if work.should_stop():
                return
            try:
                images = self._call(request, count)
            except ProviderError as error:
                log.warning("provider call failed", code=error.code, reason=error.reason)
                raise
            for image in images:
                delivered += 1
                yield image
                work.progress(delivered / request.n)

    def _call(self, request: ImageRequest, count: int) -> list[ProducedFile]:
        answer = self._ask(request, count)
        images, cost = openai_answers.read(answer, count, request, self._prices)
        if not images:
            raise GenerationFailed(
                "The model's answer held no usable image.",
                provider_cost_micros_usd=cost,
                reason="no_image",
            )
        if len(images) < count:
            log.warning("provider delivered too few images", delivered=len(images), ordered=count)
        return images

    def _ask(self, request: ImageRequest, count: int) -> object:
        """Make one HTTP request; return its parsed JSON or raise ``ProviderError``."""
        from openai import OpenAIError

        failure: ProviderError
        try:
            with self._client() as client:
                return self._call_endpoint(client, request, count)
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

    def _call_endpoint(self, client: OpenAI, request: ImageRequest, count: int) -> object:
        if request.images:
            files = [
                (f"image-{number}", image.data, image.mime_type)
                for number, image in enumerate(request.images, 1)
            ]
            call = client.images.with_streaming_response.edit(
                image=files, **openai_models.parameters(request, count)
            )
        else:
            call = client.images.with_streaming_response.generate(
                **openai_models.parameters(request, count)
            )
        with call as response:
            return self._read_json(response)

    def _read_json(self, response: APIResponse[ImagesResponse]) -> object:
        deadline = time.monotonic() + self._timeout_seconds
        body = bytearray()
        cut_off = False
        try:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > openai_answers.ANSWER_BYTES_MAX or time.monotonic() > deadline:
                    break
        except Exception as error:
            # The transport's own errors are not wrapped; all mean that the rest never arrived.
            log.warning("provider answer cut off", **error_fields(error))
            cut_off = True
        if time.monotonic() > deadline:
            raise GenerationTimeout(reason="answer_too_slow")
        if cut_off or len(body) > openai_answers.ANSWER_BYTES_MAX:
            raise GenerationFailed(reason="answer_cut_off" if cut_off else "answer_too_large")
        try:
            answer: object = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if answer is None:
            raise GenerationFailed(reason="answer_not_json")
        return answer


def _translate(error: OpenAIError) -> ProviderError:
    """Return our error for the SDK's, without its text."""
    from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

    if isinstance(error, APIStatusError):
        return openai_errors.of_status(error.status_code, error.code)
    if isinstance(error, APIConnectionError):
        return openai_errors.of_transport(
            type(error.__cause__).__name__, timed_out=isinstance(error, APITimeoutError)
        )
    reason = f"sdk_{type(error).__name__}"
    if isinstance(error, APIError):
        return GenerationFailed(reason=reason)
    return ProviderUnavailable(permanent=True, reason=reason)  # raised before anything was sent
