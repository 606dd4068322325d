"""Live turns: the text that a reader receives, and the responses that tail it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from creditapp.chat.models import UsageRecord
from creditapp.chat.providers import ReportedUsage
from creditapp.chat.usage import TokenUsage, count_tokens
from creditapp.errors import AppError


class TurnUnsettled(AppError):
    """The answer came, and its charge could not be stored yet."""

    status, code, title = 503, "settlement_unknown", "The cost is not known yet"

    def __init__(self) -> None:
        super().__init__(
            "The answer's cost could not be stored. It is settled within a minute; your history "
            "will show it."
        )


@dataclass(frozen=True, slots=True)
class TurnResult:
    """The end of a turn after its commit: what it cost, and why it ended."""

    record: UsageRecord
    usage: TokenUsage
    available_micro: int
    status: int = 200
    """The HTTP status of its error, for a caller who does not stream."""


class LiveTurn:
    """A turn of this process: one thread appends to it, any number of others tail it."""

    def __init__(self, record: UsageRecord, *, replayed: bool = False) -> None:
        self.record = record
        self.replayed = replayed
        self.input_estimate = record.input_tokens
        self.stop_requested = threading.Event()
        self._changed = threading.Condition()
        self._parts: list[str] = []
        self._reported = ReportedUsage()
        self._closed = False
        self._result: TurnResult | None = None
        self._is_unsettled = False

    def append(self, text: str) -> None:
        """Add a piece of the answer; ignored once the turn is being settled."""
        with self._changed:
            if not self._closed:
                self._parts.append(text)
                self._changed.notify_all()

    def report(self, usage: ReportedUsage) -> None:
        """Take the vendor's count of tokens so far."""
        with self._changed:
            if not self._closed:
                self._reported = usage

    def progress(self) -> tuple[str, TokenUsage]:
        """Return the text so far and its usage."""
        with self._changed:
            text = "".join(self._parts)
            usage = count_tokens(self._reported, input_estimate=self.input_estimate, text=text)
            return text, usage

    @property
    def is_reported(self) -> bool:
        """Whether the vendor counted the tokens of the answer."""
        return self._reported.output_tokens is not None

    def close(self) -> bool:
        """Take no more text, so that it can be settled; return whether this call closed it."""
        with self._changed:
            closed_now, self._closed = not self._closed, True
            return closed_now

    def finish(self, result: TurnResult) -> None:
        """Publish the result, after its commit."""
        with self._changed:
            self._closed = True
            self._result = result
            self._changed.notify_all()

    def abandon(self) -> None:
        """Let nobody wait any longer: the database failed, and recovery settles the turn later."""
        with self._changed:
            self._is_unsettled = True
            self._changed.notify_all()

    def tail(self, wait_seconds: float) -> Iterator[str]:
        """Yield each new piece of text until the turn is settled.

        After ``wait_seconds`` without any, an empty text.
        """
        seen = 0
        while True:
            with self._changed:
                if seen == len(self._parts) and not self._is_over:
                    self._changed.wait(wait_seconds)
                text = "".join(self._parts[seen:])
                seen = len(self._parts)
                is_over = self._is_over
            if text or not is_over:
                yield text
            if is_over:
                return

    def wait(self) -> TurnResult:
        """Return the result once the turn is settled; raise ``TurnUnsettled`` if it cannot be."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over)
            if self._result is None:
                raise TurnUnsettled
            return self._result

    @property
    def _is_over(self) -> bool:
        return self._result is not None or self._is_unsettled
