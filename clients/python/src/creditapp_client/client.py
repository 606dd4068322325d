"""The client: a method for each thing that a program does with an API key."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from creditapp_client.chat import ChatStream
from creditapp_client.errors import WaitTimeout, error_of
from creditapp_client.transport import Request, RetryPolicy, Transport
from creditapp_client.types import (
    AccessToken,
    Asset,
    Balance,
    ChatAnswer,
    Credits,
    Generation,
    Hold,
    Quote,
    Spend,
    Transaction,
)

Amount = Credits | float

_FINISHED = ("succeeded", "failed", "canceled")
_SERVER_WAITS_SECONDS = 30
_ROUTES = {
    "text-to-image": "/api/generate-image",
    "image-to-image": "/api/generate-image",
    "upscale": "/api/upscale-image",
    "video": "/api/generate-video",
    "audio": "/api/generate-audio",
    "lipsync": "/api/generate-lipsync",
}
_FAILURE_STATUS = {"prompt_rejected": 422, "provider_unavailable": 503, "generation_timeout": 504}


class CreditApp:
    """A CreditApp server, by an API key.

    ``max_credits`` is the most that any call may cost; a call may name another. Every call that may
    spend carries an Idempotency-Key, one of its own unless ``idempotency_key`` names one: repeat a
    call with the same key, also tomorrow and from another process, and it is paid once.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        max_credits: Amount | None = None,
        timeout: float = 60,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._transport = Transport(base_url, api_key, timeout, retries or RetryPolicy())
        self._max_credits = max_credits

    # --- credits ---

    def balance(self) -> Balance:
        """Return the balance."""
        return cast(Balance, self._get("/api/credits/balance"))

    def transactions(self, *, type: str | None = None) -> Iterator[Transaction]:  # noqa: A002
        """Yield the history, newest first."""
        return self._items("/api/credits/transactions", type=type)

    def spend(
        self,
        amount: Amount,
        feature: str,
        *,
        description: str = "",
        max_credits: Amount | None = None,
        idempotency_key: str | None = None,
    ) -> Spend:
        """Spend credits for a feature of your own."""
        body = {"amount": amount, "feature": feature, "description": description}
        answer = self._pay("/api/credits/spend", body, max_credits, idempotency_key)
        return cast(Spend, answer)

    def hold(
        self,
        amount: Amount,
        feature: str,
        *,
        seconds: int = 900,
        description: str = "",
        max_credits: Amount | None = None,
        idempotency_key: str | None = None,
    ) -> Hold:
        """Set credits aside until they are captured or released, or the time is over."""
        body = {"amount": amount, "feature": feature, "description": description}
        body["seconds"] = seconds
        return cast(Hold, self._pay("/api/credits/holds", body, max_credits, idempotency_key))

    def capture(self, hold_id: str, amount: Amount | None = None) -> Hold:
        """Take what was used of a hold, or all; the rest returns. A repeat changes nothing."""
        body = {} if amount is None else {"amount": amount}
        request = Request("POST", f"/api/credits/holds/{hold_id}/capture", body, key=_new_key())
        return cast(Hold, self._transport.call(request))

    def release(self, hold_id: str) -> Hold:
        """Return all of a hold. A repeat changes nothing."""
        request = Request("POST", f"/api/credits/holds/{hold_id}/release", {}, key=_new_key())
        return cast(Hold, self._transport.call(request))

    def access_token(self, feature: str) -> AccessToken:
        """Return a token by which a feature may spend for 60 seconds."""
        request = Request("POST", "/api/me/access-token", {"feature": feature})
        return cast(AccessToken, self._transport.call(request))

    # --- prices ---

    def prices(self) -> dict[str, Any]:
        """Return the cost of every operation and model."""
        return cast(dict[str, Any], self._get("/api/credit-costs"))

    def quote(self, **order: Any) -> Quote:
        """Return the price of an order: the arguments of ``generate``. Nothing is held."""
        # Nothing is done by it, so that it may be repeated like a read.
        request = Request("POST", "/api/quotes", order, key=_new_key())
        return cast(Quote, self._transport.call(request))

    # --- generations ---

    def generate(
        self,
        operation: str = "text-to-image",
        *,
        wait_seconds: float = 120,
        max_credits: Amount | None = None,
        idempotency_key: str | None = None,
        **order: Any,
    ) -> Generation:
        """Make images, video or speech, and wait for them.

        ``order`` has the members of the operation's body: ``prompt``, ``model``, ``n`` and so on.
        With ``wait_seconds=0`` the generation is returned at once. Raises ``WaitTimeout``, and the
        error of one that failed, which cost nothing.
        """
        wait = min(int(wait_seconds), _SERVER_WAITS_SECONDS)
        headers = {"Prefer": f"wait={wait}" if wait else "respond-async"}
        path, until = _ROUTES[operation], time.monotonic() + wait_seconds
        answer = self._pay(path, order, max_credits, idempotency_key, headers)
        generation = cast(Generation, answer)
        if wait_seconds <= 0 or generation["status"] in _FINISHED:
            return generation
        return self.wait(generation["id"], until - time.monotonic())

    def wait(self, generation_id: str, seconds: float = 120) -> Generation:
        """Return a generation when it is finished; raise as ``generate`` does."""
        until, delay = time.monotonic() + seconds, 0.5
        while True:
            generation = self.generation(generation_id)
            if generation["status"] == "failed":
                raise _failure_of(generation)
            if generation["status"] in _FINISHED:
                return generation
            if time.monotonic() + delay > until:
                raise WaitTimeout(generation_id)
            self._transport.retries.sleep(delay)
            delay = min(delay * 1.5, 5)

    def generation(self, generation_id: str) -> Generation:
        """Return the state, the progress and the files of a generation."""
        return cast(Generation, self._get(f"/api/generations/{generation_id}"))

    def generations(self) -> Iterator[Generation]:
        """Yield the generations, newest first."""
        return self._items("/api/generations")

    def delete(self, generation_id: str) -> None:
        """Cancel a generation, or delete a finished one with its files. Sent once."""
        self._transport.call(Request("DELETE", f"/api/generations/{generation_id}"))

    def download(self, asset: Asset | str) -> bytes:
        """Return a file, by an asset or its address."""
        return self._transport.download(asset if isinstance(asset, str) else asset["url"])

    def upload(self, data: bytes, mime_type: str) -> dict[str, Any]:
        """Upload a file to start from; an order names its ``id``. Sent once."""
        headers = {"Content-Type": mime_type}
        request = Request("POST", "/api/uploads", headers=headers, data=data)
        return cast(dict[str, Any], self._transport.call(request))

    # --- language models ---

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        max_credits: Amount | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> ChatAnswer:
        """Return the answer to a conversation. Options are ``model`` and ``conversationId``."""
        body = {"messages": list(messages), **options}
        return cast(ChatAnswer, self._pay("/api/chat", body, max_credits, idempotency_key))

    def stream_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        max_credits: Amount | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> ChatStream:
        """Return the answer as a stream of pieces; nothing is asked before it is read."""
        body = {"messages": list(messages), "stream": True, **options}
        request = self._request("/api/chat", body, max_credits, idempotency_key)
        return ChatStream(self._transport, request)

    def embed(
        self,
        texts: str | Sequence[str],
        *,
        max_credits: Amount | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Return the vectors of a text, or of up to 100."""
        body = {"input": texts, **options}
        answer = self._pay("/api/embeddings", body, max_credits, idempotency_key)
        return cast(dict[str, Any], answer)

    def usage(self) -> Iterator[dict[str, Any]]:
        """Yield what was paid by the token, newest first."""
        return self._items("/api/usage")

    # --- everything else ---

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        idempotency_key: str | None = None,
        **query: Any,
    ) -> Any:
        """Return what any route answers: the value of its JSON, or bytes of another type.

        What is no GET is sent once, unless ``idempotency_key`` names a key: give one to routes that
        take it, and to no others.
        """
        named = {name: value for name, value in query.items() if value is not None}
        request = Request(method, path, body, named, key=idempotency_key)
        return self._transport.call(request)

    def _get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, **query)

    def _pay(
        self,
        path: str,
        body: Mapping[str, Any],
        max_credits: Amount | None,
        key: str | None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        request = self._request(path, body, max_credits, key)
        return self._transport.call(replace(request, headers=headers))

    def _request(
        self, path: str, body: Mapping[str, Any], max_credits: Amount | None, key: str | None
    ) -> Request:
        limit = self._max_credits if max_credits is None else max_credits
        limited = {} if limit is None else {"maxCredits": limit}
        return Request("POST", path, {**body, **limited}, key=key or _new_key())

    def _items(self, path: str, **query: Any) -> Iterator[Any]:
        """Yield the items of a list, page after page."""
        cursor = None
        while True:
            page = self._get(path, limit=100, cursor=cursor, **query)
            yield from page["items"]
            cursor = page["nextCursor"]
            if cursor is None:
                return


def _new_key() -> str:
    return str(uuid.uuid4())


def _failure_of(generation: Generation) -> Exception:
    error = generation["error"] or {}
    code = str(error.get("code") or "generation_failed")
    problem = {**error, "code": code, "generationId": generation["id"], "creditsCharged": 0}
    return error_of(_FAILURE_STATUS.get(code, 502), problem)
