"""Chat as a stream: pieces of an answer as they are written, and what it cost at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from creditapp_client.errors import ConnectionLost, error_of
from creditapp_client.transport import LOST, Request, Transport, lines_of, parse_json


class ChatStream:
    """The answer to a conversation: iterate over its pieces; ``usage`` and ``done`` come last.

    Where the connection breaks, the same request is sent again with the same Idempotency-Key: the
    server goes on with the answer that it began, and pieces that were read are not yielded again.
    """

    def __init__(self, transport: Transport, request: Request) -> None:
        self._transport, self._request = transport, request
        self.text = ""
        """All pieces until now."""
        self.usage: dict[str, Any] | None = None
        """Tokens, and ``credits`` with used and remaining."""
        self.done: dict[str, Any] | None = None
        """Id, conversation, model and finishReason."""

    def __iter__(self) -> Iterator[str]:
        """Yield the pieces; raise the error that the server reports, or ``ConnectionLost``."""
        retries = self._transport.retries
        for attempt in range(max(1, retries.attempts)):
            response = self._transport.repeat(
                self._request, lambda: self._transport.open(self._request)
            )
            try:
                with response:
                    yield from self._pieces(response)
            except LOST:
                pass
            if self.done is not None:
                return
            retries.sleep(retries.delay(attempt))
        raise ConnectionLost("the stream ended before the answer did", self._request.key)

    def _pieces(self, response: Any) -> Iterator[str]:
        received = ""
        for name, data in events_of(lines_of(response)):
            if name == "delta":
                received += data["text"]
                if len(received) > len(self.text):
                    piece, self.text = received[len(self.text) :], received
                    yield piece
            elif name == "usage":
                self.usage = data
            elif name == "error":
                raise error_of(int(data.get("status") or 500), data)
            elif name == "done":
                self.done = data
                return


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Yield the name and the JSON of each whole event."""
    name, data = "message", ""
    for line in lines:
        if not line:
            if data:
                yield name, parse_json(data)
            name, data = "message", ""
        elif line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data += line.removeprefix("data: ")
