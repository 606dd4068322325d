"""Requests with retries that pay once.

A read is repeated. What may spend is repeated only with an ``Idempotency-Key``, the same for each
attempt, so that a lost answer never pays twice; without one it is sent once.
"""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import IO, Any, TypeVar
from urllib.parse import urlencode, urlsplit

from creditapp_client.errors import ApiError, ConnectionLost, error_of

# A connection that breaks, also in the middle of an answer.
LOST = (OSError, http.client.HTTPException)

Result = TypeVar("Result")

_JSON_TYPES = ("application/json", "application/problem+json")
_TRY_AGAIN_CODES = {"idempotency_in_progress", "rate_limited", "settlement_unknown"}
_TRY_AGAIN_STATUSES = {429, 500, 502, 503, 504}
_FINAL_CODES = {"generation_failed", "generation_timeout"}
"""Outcomes that the same key would only return again."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is sent, and how long the client waits in between."""

    attempts: int = 4
    first_delay_seconds: float = 0.5
    longest_delay_seconds: float = 60
    """An answer that asks for a longer wait is raised at once."""
    sleep: Callable[[float], None] = time.sleep

    def delay(self, attempt: int) -> float:
        """Return the seconds before the next attempt: doubled each time, and not all alike."""
        seconds: float = self.first_delay_seconds * 2.0**attempt
        return min(seconds, self.longest_delay_seconds) * random.uniform(0.5, 1)  # noqa: S311


@dataclass(frozen=True)
class Request:
    """A request of the API. ``key`` is its Idempotency-Key; a read needs none."""

    method: str
    path: str
    body: Any = None
    query: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    key: str | None = None
    data: bytes | None = None
    """A body that is no JSON."""

    @property
    def may_repeat(self) -> bool:
        """Whether another attempt can do no harm."""
        return self.method == "GET" or self.key is not None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects are not followed: the key must not be sent to another server."""

    def redirect_request(self, *_args: Any) -> None:
        """Return no new request."""
        return


class Transport:
    """Sends requests to one server."""

    def __init__(self, base_url: str, api_key: str, timeout: float, retries: RetryPolicy) -> None:
        if urlsplit(base_url).scheme not in ("http", "https"):
            raise ValueError("base_url starts with https:// or http://")
        self.base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout
        self.retries = retries
        self._opener = urllib.request.build_opener(_NoRedirect)

    def call(self, request: Request) -> Any:
        """Send a request until it is answered; return the value of its JSON, or else its bytes.

        Raises ``ApiError`` or ``ConnectionLost``.
        """
        return self.repeat(request, lambda: self._once(request))

    def repeat(self, request: Request, send: Callable[[], Result]) -> Result:
        """Send by a function, again where that can do no harm and may help."""
        attempts = max(1, self.retries.attempts) if request.may_repeat else 1
        for attempt in range(attempts):
            is_last = attempt == attempts - 1
            delay = self.retries.delay(attempt)
            try:
                return send()
            except ApiError as error:
                if is_last or not _may_help(error):
                    raise
                if error.retry_after is not None:
                    delay = error.retry_after
                if delay > self.retries.longest_delay_seconds:
                    raise
            except LOST as error:
                if is_last:
                    raise ConnectionLost(_reason(error), request.key) from error
            self.retries.sleep(delay)
        raise AssertionError("every attempt returns or raises")

    def _once(self, request: Request) -> Any:
        with self.open(request) as response:
            content = response.read()
            if not content:
                return None
            is_json = response.headers.get_content_type() in _JSON_TYPES
            return _parsed(content) if is_json else content

    def open(self, request: Request) -> Any:
        """Open a request; raise ``ApiError`` for an error, and errors of ``LOST``."""
        url = self.base_url + request.path
        if request.query:
            url += "?" + urlencode(request.query)
        headers = {"Authorization": f"Bearer {self._api_key}", "Accept": "*/*"}
        headers |= dict(request.headers or {})
        data = request.data
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(request.body, default=_number).encode()
        if request.key is not None:
            headers["Idempotency-Key"] = request.key
        # base_url is http or https.
        sent = urllib.request.Request(url, data, headers, method=request.method)  # noqa: S310
        try:
            return self._opener.open(sent, timeout=self._timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise _error_of(error.code, error.headers, error.read()) from None

    def download(self, url: str) -> bytes:
        """Return a file of the server. A signed link that it leads to gets no key."""
        path = url.removeprefix(self.base_url)
        if not path.startswith("/"):
            raise ValueError("a file of another server is not opened")
        request = Request("GET", path)

        def send() -> bytes:
            try:
                with self.open(request) as response:
                    return bytes(response.read())
            except ApiError as error:
                link = error.problem.get("location")
                if error.status != 302 or not link:
                    raise
            with self._opener.open(str(link), timeout=self._timeout) as response:
                return bytes(response.read())

        return self.repeat(request, send)


def lines_of(response: IO[bytes]) -> Iterator[str]:
    """Yield the lines of a stream, without their ends."""
    for line in response:
        yield line.decode().rstrip("\r\n")


def parse_json(text: str | bytes) -> Any:
    """Return the value of JSON, with exact decimals."""
    return json.loads(text, parse_float=Decimal)


def _parsed(content: bytes) -> Any:
    try:
        return parse_json(content)
    except ValueError as error:
        raise http.client.HTTPException("the answer is not whole") from error


def _error_of(status: int, headers: Any, content: bytes) -> ApiError:
    problem: Any = {}
    if headers.get_content_type() in _JSON_TYPES:
        try:
            problem = parse_json(content)
        except ValueError:
            problem = {}
    if not isinstance(problem, dict):
        problem = {}
    if 300 <= status < 400:
        problem = {"location": headers.get("Location"), "detail": "A redirect was not followed."}
    retry_after = headers.get("Retry-After", "")
    return error_of(status, problem, float(retry_after) if retry_after.isdigit() else None)


def _may_help(error: ApiError) -> bool:
    if error.code in _FINAL_CODES:
        return False
    return error.code in _TRY_AGAIN_CODES or error.status in _TRY_AGAIN_STATUSES


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.URLError):
        return f"no answer: {error.reason}"
    return f"no whole answer: {error or type(error).__name__}"


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        # Six decimals below 10^9 are fewer digits than a float keeps.
        return float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
