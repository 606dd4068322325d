"""Pictures from OpenAI, or from any endpoint that speaks its language. The only importer of openai.

The SDK is imported inside the functions, because it takes half a second that no start of the app
should pay. It never retries here: a second attempt is a second bill (the SDK sends no idempotency
key for images). The answer is read in pieces under a limit and a deadline of our own, because the
SDK's timeout only bounds the wait for each next byte.

Nothing of an upstream error travels on: its text may hold the prompt or part of a key. So our
errors are raised outside the ``except`` that made them, and carry no context.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from creditapp.generation.providers import openai_answers, openai_errors, openai_models
from creditapp.generation.providers.protocol import (
    GenerationFailed,
    GenerationTimeout,
    ImageRequest,
    ProducedImage,
    Progress,
    ProviderError,
    ProviderUnavailable,
    ShouldStop,
)

if TYPE_CHECKING:
    from openai import APIResponse, OpenAI, OpenAIError
    from openai.types import ImagesResponse

OPENAI_BASE_URL = "https://api.openai.com/v1"
TIMEOUT_SECONDS = 120.0
CONNECT_SECONDS = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """What a vendor asks for a million tokens, in US dollars: one token costs as many micros."""

    text_in: int
    image_in: int
    image_out: int


class OpenAIProvider:
    """Asks an OpenAI-compatible endpoint for pictures; safe to use from several threads.

    ``timeout_seconds`` bounds the wait for an answer and the reading of it, each.
    """

    name = "openai"
    repeatable = False

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
        """Name the address, never the key."""
        return f"OpenAIProvider({self._base_url!r})"

    def generate_images(
        self, request: ImageRequest, *, progress: Progress, should_stop: ShouldStop
    ) -> Iterator[ProducedImage]:
        """Yield the pictures of one call, or of one call each when the request says so.

        Fewer than asked for is no error as long as one arrived: what did not arrive is not
        yielded, and so not charged. The vendor tells nothing while it works, so progress only
        moves when a picture is there.
        """
        progress(0.0)
        delivered = 0
        for count in [1] * request.n if request.one_call_each else [request.n]:
            if should_stop():
                return
            try:
                images = self._call(request, count)
            except ProviderError as error:
                _log.warning("provider call failed: %s %s", error.code, error.reason)
                raise
            for image in images:
                delivered += 1
                yield image
                progress(delivered / request.n)

    def _call(self, request: ImageRequest, count: int) -> list[ProducedImage]:
        answer = self._ask(request, count)
        images, cost = openai_answers.read(answer, count, request, self._prices)
        if not images:
            raise GenerationFailed(
                "The model's answer held no usable picture.",
                provider_cost_micros_usd=cost,
                reason="no_picture",
            )
        if len(images) < count:
            _log.warning("provider delivered %d of %d pictures", len(images), count)
        return images

    def _ask(self, request: ImageRequest, count: int) -> object:
        """Make one HTTP request and return its parsed JSON; else raise ``ProviderError``."""
        from openai import OpenAIError

        failure: ProviderError
        try:
            with self._client() as client:
                return self._answer_of(client, request, count)
        except ProviderError:
            raise
        except OpenAIError as error:
            failure = _translate(error)
        except Exception as error:
            # A key or an address that cannot be sent at all; the text may quote it.
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
            # Empty, not None: None would send OpenAI's names from the environment to any vendor.
            organization="",
            project="",
            max_retries=0,
            timeout=timeout,
            # A redirect would carry the prompt to an address that nobody configured.
            http_client=openai.DefaultHttpxClient(timeout=timeout, follow_redirects=False),
        )

    def _answer_of(self, client: OpenAI, request: ImageRequest, count: int) -> object:
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
            for piece in response.iter_bytes():
                body += piece
                if len(body) > openai_answers.ANSWER_BYTES_MAX or time.monotonic() > deadline:
                    break
        except Exception as error:
            # The transport's own errors pass through here; all mean that the rest never came.
            _log.warning("provider answer cut off: %s", type(error).__name__)
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
    """Return our error for the SDK's; nothing of its text is taken over."""
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
    return ProviderUnavailable(permanent=True, reason=reason)  # what it says before it sends
