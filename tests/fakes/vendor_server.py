"""A vendor's HTTP server on loopback that fails in every way when told to; the base of the fakes.

A subclass answers valid requests by ``respond`` and says in ``STAGES`` at which of its requests a
fault strikes. In a test::

    with FakeGoogle() as google:
        google.fail("http_500")
        ... GEMINI_BASE_URL=google.base_url, GEMINI_API_KEY=google.key ...
        assert google.count == 1

Imports nothing of the app.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from tests.fakes.http_server import FakeHandler, FakeServer

FAULTS = {
    "http_400": "refuses the request",
    "http_401": "does not know the key",
    "http_402": "the account is empty",
    "http_404": "does not know the model",
    "http_429": "too many requests, with Retry-After",
    "http_500": "an error of its own, quoting the request",
    "http_504": "a gateway's time is up",
    "redirect": "307 to somewhere else",
    "refused": "refuses the prompt",
    "delay": "answers late, and in time",
    "timeout": "takes the request and answers after the time-out",
    "reset": "takes the request and resets the connection",
    "cut_off": "resets the connection in the middle of the answer",
    "html": "200, and a web page",
    "empty": "200, and nothing",
    "error_inside": "200, and an error in the JSON",
    "twice": "200, and the answer twice",
    "nothing": "200, and no file",
    "too_many": "one file more than asked for",
    "not_an_image": "a web page instead of the file",
    "truncated": "half a file",
    "bomb": "a file that claims 60,000 x 60,000 pixels",
    "huge": "more bytes than anybody wants",
}
"""Every vendor fails in these ways; some in more."""

HUGE = 3 * 1024 * 1024


@dataclass(frozen=True)
class Stream:
    """An answer that is sent piece by piece: its chunks, and what follows the last one."""

    chunks: Sequence[bytes]
    ending: Literal["end", "reset", "hang"] = "end"


@dataclass(frozen=True)
class Call:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Any = None


class Refused(Exception):
    """A refusal in the vendor's own form."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class VendorServer(FakeServer):
    """The server; as a context manager it listens inside the ``with``."""

    KEY: ClassVar[str]
    CANNOT: ClassVar[frozenset[str]] = frozenset({"other_model"})
    """Faults that this vendor's answers cannot have, such as naming another model."""
    STAGES: ClassVar[Mapping[str, str]] = {}
    """The stage of a fault, where it is not the paid request."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.key = self.KEY
        self._faults: deque[tuple[str, str, float]] = deque()
        self.calls: list[Call] = []

    @property
    def base_url(self) -> str:
        """The value for the variable of the vendor's address."""
        return self.address

    @property
    def count(self) -> int:
        """How many requests came that the vendor would bill."""
        return sum(self.is_paid(call) for call in self.calls)

    def fail(self, fault: str, *, at: str = "", times: int = 1, seconds: float = 0.8) -> None:
        """Make the next ``times`` requests of a stage fail; ``seconds`` is a delay's length."""
        stage = at or self.STAGES.get(fault, "paid")
        with self._lock:
            self._faults.extend([(fault, stage, seconds)] * times)

    def forget(self) -> None:
        """Forget calls and faults."""
        with self._lock:
            self._faults.clear()
            self.calls.clear()

    def fault_at(self, stage: str) -> tuple[str, float]:
        """Return the fault that a request of this stage meets, and forget it."""
        with self._lock:
            if self._faults and self._faults[0][1] == stage:
                fault, _, seconds = self._faults.popleft()
                return fault, seconds
            return "ok", 0.0

    def is_paid(self, call: Call) -> bool:
        """Return whether the vendor would bill this request."""
        raise NotImplementedError

    def stage(self, call: Call) -> str:
        """Return the stage of a request: ``paid``, or one of the vendor's own."""
        raise NotImplementedError

    def respond(self, call: Call, fault: str) -> object:
        """Return the answer, JSON or bytes, spoiled by ``fault``; raise ``Refused``."""
        raise NotImplementedError

    def refusal(self, fault: str, call: Call) -> Refused:
        """Return the vendor's form of a refusal, which quotes the request and the key."""
        raise NotImplementedError


class _Handler(FakeHandler):
    def answer(self) -> None:
        fake = self.server.fake
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.command, self.path, headers, json.loads(raw) if raw else None)
        fake.calls.append(call)
        fault, seconds = fake.fault_at(fake.stage(call))
        if fault in ("delay", "timeout"):
            fake.closing.wait(seconds)
        if fault == "reset":
            self.reset()
            return
        if fault in ("html", "empty", "redirect"):
            body = b"<html><h1>It works</h1></html>" if fault == "html" else b""
            status = 307 if fault == "redirect" else 200
            self._send(status, body, {"Location": f"{self.path}-elsewhere"})
            return
        try:
            if fault.startswith("http_") or fault == "refused":
                raise fake.refusal(fault, call)
            answer = fake.respond(call, fault)
        except Refused as refused:
            waits = {"Retry-After": "7"} if refused.status == 429 else {}
            self._send(refused.status, json.dumps(refused.body).encode(), waits)
            return
        if isinstance(answer, Stream):
            self._stream(answer)
            return
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        if fault == "huge":
            body = body[:-1] + b" " * HUGE + body[-1:]
        if fault == "twice":
            body += body
        self._send(200, body, {}, cut=fault == "cut_off")

    def _stream(self, stream: Stream) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for chunk in stream.chunks:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            if stream.ending == "end":
                self.wfile.write(b"0\r\n\r\n")
                return
            # What was sent has to arrive before a reset, which discards what was not yet read.
            self.server.fake.closing.wait(0.05 if stream.ending == "reset" else 5.0)
            self.reset()
        except OSError:
            self.close_connection = True

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str], *, cut: bool = False
    ) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if cut:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                self.reset()
            else:
                self.wfile.write(body)
        except OSError:
            self.close_connection = True
