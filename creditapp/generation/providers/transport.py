"""HTTP calls to a vendor, bounded in bytes and time; the only importer of ``httpx2``.

Nothing is retried and no redirect is followed: a second request may be a second bill, and a
redirect would send the prompt, or our request for a file, to an address that nobody configured.
The transport's errors may quote what was sent, so ours are raised outside the ``except`` block,
without context. The library is imported when it is first used, because that takes a while.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from creditapp.generation.providers import vendor_errors
from creditapp.generation.providers.protocol import (
    GenerationFailed,
    GenerationTimeout,
    ProviderError,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 10.0
REFUSAL_BYTES_MAX = 256 * 1024
"""Of the body that says why a request was refused."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's answer, whole. ``headers`` have their names in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300

    def json(self) -> object:
        """Return the parsed body; raise ``GenerationFailed`` when it is no JSON."""
        try:
            parsed: object = json.loads(self.body)
        except (ValueError, RecursionError):
            parsed = None
        if parsed is None:
            raise GenerationFailed(vendor_errors.UNREADABLE, reason="answer_not_json")
        return parsed


def call(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: object = None,
    bytes_max: int,
    timeout_seconds: float,
) -> Answer:
    """Make one request with ``body`` as JSON, and return the answer whatever its status.

    ``timeout_seconds`` bounds the wait for the answer, and then the reading of it. Raises
    ``ProviderError`` for no answer, a part of one, or one of more than ``bytes_max``.
    """
    failure: ProviderError
    try:
        with _sent(method, url, headers, body, timeout_seconds) as response:
            return _read(response, bytes_max, timeout_seconds)
    except ProviderError:
        raise
    except Exception as error:
        failure = _failure_of(error)
    raise failure


def stream(
    url: str,
    *,
    headers: Mapping[str, str],
    body: object,
    refused: Callable[[Answer], ProviderError],
    bytes_max: int,
    timeout_seconds: float,
    seconds_max: float,
) -> Iterator[bytes]:
    """Post ``body`` as JSON and yield the chunks of a successful answer as they arrive.

    ``timeout_seconds`` bounds the wait for each of them, ``seconds_max`` all of it. Raises
    ``ProviderError``: what ``refused`` returns for an unsuccessful answer, and as ``call``, also in
    the middle. Closing the iterator closes the connection.
    """
    failure: ProviderError
    deadline, received = time.monotonic() + seconds_max, 0
    try:
        with _sent("POST", url, headers, body, timeout_seconds) as response:
            if not 200 <= response.status_code < 300:
                raise refused(_read(response, REFUSAL_BYTES_MAX, timeout_seconds))
            for chunk in response.iter_raw():
                received += len(chunk)
                if received > bytes_max:
                    raise GenerationFailed(vendor_errors.TOO_LARGE, reason="answer_too_large")
                if time.monotonic() > deadline:
                    raise GenerationTimeout(reason="answer_too_slow")
                yield chunk
        return
    except ProviderError:
        raise
    except Exception as error:
        failure = _failure_of(error)
    raise failure


@contextmanager
def _sent(
    method: str, url: str, headers: Mapping[str, str] | None, body: object, timeout_seconds: float
) -> Iterator[httpx2.Response]:
    """Send a request and hold its answer, of which only the head has been read."""
    import httpx2

    timeout = httpx2.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds))
    # Uncompressed, so that a small answer cannot fill the memory.
    sent = {"Accept-Encoding": "identity", **(headers or {})}
    with (
        httpx2.Client(timeout=timeout, follow_redirects=False) as client,
        client.stream(method, url, headers=sent, json=body) as response,
    ):
        yield response


def _failure_of(error: Exception) -> ProviderError:
    import httpx2

    if isinstance(error, httpx2.TransportError):
        timed_out = isinstance(error, httpx2.TimeoutException)
        return vendor_errors.of_transport(type(error).__name__, timed_out=timed_out)
    # The key or the address cannot be sent at all; the text may quote it.
    return ProviderUnavailable(permanent=True, reason=f"not_sent_{type(error).__name__}")


def _read(response: httpx2.Response, bytes_max: int, timeout_seconds: float) -> Answer:
    deadline = time.monotonic() + timeout_seconds
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > bytes_max:
            raise GenerationFailed(
                vendor_errors.TOO_LARGE, permanent=True, reason="answer_too_large"
            )
        if time.monotonic() > deadline:
            raise GenerationTimeout(reason="answer_too_slow")
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, bytes(body))
