"""A strict fake for OpenAI's image endpoints, on loopback.

It refuses what OpenAI refuses, answers what OpenAI answers, counts the calls, and fails in every
way a vendor can when configured to. In a test::

    with FakeOpenAI() as openai:
        openai.fail("http_500", times=1)
        ... OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY=openai.key ...
        assert openai.count == 1

or alone, controlled by HTTP: ``python -m tests.fakes.openai_server --port 8701``, then
POST ``{"fault": "http_500", "times": 1}`` to ``/control/faults``; GET ``/control/calls`` answers
the count and the requests; DELETE forgets both. Imports nothing but the standard library.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections import deque
from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.fakes import media_files
from tests.fakes.http_server import FakeHandler, FakeServer
from tests.fakes.openai_answers import answer, stream_events
from tests.fakes.openai_faults import FAULTS, REFUSALS, spoiled
from tests.fakes.openai_moderations import check_moderation, moderation_answer
from tests.fakes.openai_rules import GPT_IMAGE_MODELS, Refusal, check, check_speech

HUGE = 3 * 1024 * 1024
KEY = "sk-fake-0123456789abcdef"  # pragma: allowlist secret


class FakeOpenAI(FakeServer):
    """The server; as a context manager it listens inside the ``with``."""

    CANNOT = frozenset({"other_model"})
    """Its answers do not name the model that made them."""

    def __init__(
        self,
        *,
        key: str = KEY,
        port: int = 0,
        compatible_models: frozenset[str] = frozenset(),
        lenient: bool = False,
    ) -> None:
        super().__init__(_Handler, port)
        self.key = key
        self.lenient = lenient
        self.compatible_models = compatible_models
        self._faults: deque[tuple[str, float]] = deque()
        self._calls: list[dict[str, Any]] = []
        self._moderation_faults: deque[tuple[str, float]] = deque()
        self.moderations: list[Any] = []
        """The bodies of the moderations so far; they cost nothing and are not counted."""
        self.event_seconds = 0.0
        """The pause after each event of a stream."""
        self.headers: dict[str, str] = {}
        """The headers of the last call, without the key."""

    @property
    def base_url(self) -> str:
        """The value for ``OPENAI_BASE_URL``."""
        return f"{self.address}/v1"

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The parsed bodies of the calls so far that asked for images, refused ones included."""
        with self._lock:
            return list(self._calls)

    @property
    def count(self) -> int:
        """How often images were requested."""
        return len(self.calls)

    def fail(self, fault: str, *, times: int = 1, seconds: float = 30.0) -> None:
        """Make the next ``times`` calls fail with ``fault``; ``ok`` lets one succeed."""
        if fault != "ok" and fault not in FAULTS:
            raise ValueError(f"{fault!r} is none of: {', '.join(sorted(FAULTS))}")
        with self._lock:
            self._faults.extend([(fault, seconds)] * times)

    def forget(self) -> None:
        """Forget calls and faults."""
        with self._lock:
            self._faults.clear()
            self._calls.clear()
            self._moderation_faults.clear()
            self.moderations.clear()

    def note(self, call: dict[str, Any]) -> tuple[str, float]:
        """Count a call and return the fault that it meets."""
        with self._lock:
            self._calls.append(call)
            return self._faults.popleft() if self._faults else ("ok", 0.0)

    def fail_moderation(self, fault: str, *, times: int = 1, seconds: float = 30.0) -> None:
        """Make the next ``times`` moderations fail with ``fault``."""
        with self._lock:
            self._moderation_faults.extend([(fault, seconds)] * times)

    def note_moderation(self, body: object) -> tuple[str, float]:
        """Keep the body of a moderation and return the fault that it meets."""
        with self._lock:
            self.moderations.append(body)
            return self._moderation_faults.popleft() if self._moderation_faults else ("ok", 0.0)

    def serve(self) -> None:
        """Listen until interrupted."""
        self._server.serve_forever()


class _Handler(FakeHandler):
    def answer(self) -> None:
        method = self.command
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        try:
            if path.startswith("/control/"):
                self._control(method, path, raw)
            elif (method, path) in (
                ("POST", "/v1/images/generations"),
                ("POST", "/v1/images/edits"),
            ):
                self._images(path, raw)
            elif (method, path) == ("POST", "/v1/moderations"):
                self._moderations(path, raw)
            elif (method, path) == ("POST", "/v1/audio/speech"):
                self._speech(path, raw)
            elif method == "GET" and path.startswith("/v1/models"):
                self._models(path)
            else:
                raise Refusal(404, f"Invalid URL ({method} {path})")
        except Refusal as refusal:
            self._send(refusal.status, refusal.body())

    def _control(self, method: str, path: str, raw: bytes) -> None:
        fake = self.server.fake
        if method == "DELETE":
            fake.forget()
        elif path == "/control/faults" and method == "POST":
            order = json.loads(raw)
            try:
                fake.fail(
                    order["fault"], times=order.get("times", 1), seconds=order.get("seconds", 30.0)
                )
            except ValueError as error:
                raise Refusal(400, str(error)) from None
        calls = fake.calls
        self._send(200, {"count": len(calls), "calls": calls, "faults": FAULTS})

    def _authorize(self) -> None:
        given = self.headers.get("Authorization", "")
        if not given:
            raise Refusal(401, "You didn't provide an API key.")
        if given != f"Bearer {self.server.fake.key}":
            raise Refusal(401, f"Incorrect API key provided: {given[7:]}.", "invalid_api_key")

    def _models(self, path: str) -> None:
        self._authorize()
        model_id = path.removeprefix("/v1/models").strip("/")
        every = [
            {
                "id": name,
                "object": "model",
                "created": 1_790_000_000,
                "owned_by": "openai",
                "shutdown_date": "2026-12-01" if name == "gpt-image-1.5" else None,
            }
            for name in (*GPT_IMAGE_MODELS, *sorted(self.server.fake.compatible_models))
        ]
        if not model_id:
            self._send(200, {"object": "list", "data": every})
            return
        for model in every:
            if model["id"] == model_id:
                self._send(200, model)
                return
        raise Refusal(404, f"The model '{model_id}' does not exist.", "model_not_found", "model")

    def _images(self, path: str, raw: bytes) -> None:
        body, sources = self._body(path, raw)
        call = {"path": path, "body": body, "sources": sources}
        self.server.fake.headers = {
            name: value for name, value in self.headers.items() if name != "Authorization"
        }
        fault, seconds = self.server.fake.note(call)
        self._authorize()
        if path.endswith("edits") and not sources:
            raise Refusal(
                400, "Missing required parameter: 'image'.", "missing_required_parameter", "image"
            )
        given = check(body, self.server.fake.compatible_models, lenient=self.server.fake.lenient)
        if fault == "ok" and given.get("stream"):
            self._stream(given, path)
        elif fault == "ok":
            self._send(200, answer(given, path))
        else:
            self._fail(fault, seconds, given, path)

    def _stream(self, given: Mapping[str, object], path: str) -> None:
        """Send the partial images one after another, and the final one in the end."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        self.close_connection = True
        for event in stream_events(given, path):
            body = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            try:
                self.wfile.write(body)
                self.wfile.flush()
            except OSError:
                return
            self.server.fake.closing.wait(self.server.fake.event_seconds)

    def _speech(self, path: str, raw: bytes) -> None:
        call = {"path": path, "body": json.loads(raw), "sources": []}
        fault, seconds = self.server.fake.note(call)
        self._authorize()
        given = check_speech(call["body"])
        kind = str(given.get("response_format") or "mp3")
        audio = media_files.audio(len(str(given["input"])) * 1000 // 15, kind)
        if fault in ("ok", "delay"):
            self.server.fake.closing.wait(seconds)
            self._send_bytes(200, audio, {})
        elif fault == "truncated":
            self._send_bytes(200, audio[:50], {})
        elif fault == "not_an_image":
            self._send_bytes(200, b"<html>502 Bad Gateway</html>", {})
        else:
            self._fail(fault, seconds, given, path)

    def _moderations(self, path: str, raw: bytes) -> None:
        body = json.loads(raw)
        fault, seconds = self.server.fake.note_moderation(body)
        self._authorize()
        given = check_moderation(body)
        if fault == "ok":
            self._send(200, moderation_answer(given))
        else:
            self._fail(fault, seconds, body, path)

    def _body(self, path: str, raw: bytes) -> tuple[object, list[int]]:
        """Return the parameters and the sizes of the images to start from."""
        content_type = self.headers.get("Content-Type", "")
        if path.endswith("generations"):
            if content_type.partition(";")[0] != "application/json":
                raise Refusal(400, "Invalid content type: use 'application/json'.")
            try:
                return json.loads(raw), []
            except ValueError:
                return None, []
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + raw)
        body: dict[str, object] = {}
        sources = []
        for part in message.iter_parts():
            name = str(part.get_param("name", header="content-disposition"))
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            if name in ("image", "image[]"):
                sources.append(len(content))
            elif name == "mask":
                body[name] = len(content)
            else:
                text = content.decode()
                is_number = name in ("n", "partial_images") and text.isdigit()
                body[name] = int(text) if is_number else text
                if name == "stream":
                    body[name] = text == "true"
        return body, sources

    def _fail(self, fault: str, seconds: float, given: Mapping[str, object], path: str) -> None:
        if fault in ("timeout", "delay"):
            self.server.fake.closing.wait(seconds)
            if fault == "delay":
                self._send(200, answer(given, path))
            else:
                self.close_connection = True
        elif fault == "reset":
            self.reset()
        elif fault in ("slow", "cut_off"):
            self._trickle(json.dumps(answer(given, path)).encode(), seconds, fault == "cut_off")
        elif fault in ("garbage", "empty"):
            page = b"<html>not what you expected</html>"
            self._send_bytes(200, page if fault == "garbage" else b"", {})
        elif fault in ("twice", "huge"):
            body = json.dumps(answer(given, path)).encode()
            more = body if fault == "twice" else b" " * HUGE
            self._send_bytes(200, body + more, {})
        elif fault == "redirect":
            self._send_bytes(307, b"", {"Location": f"{self.path}-elsewhere"})
        elif fault in REFUSALS:
            # Like the real ones, they quote what was sent: nothing of it may reach a person.
            refusal = REFUSALS[fault]
            quoted = f"{refusal.message} Request: {json.dumps(given)} Key: {self.server.fake.key}"
            headers = {"Retry-After": "2"} if refusal.status == 429 else {}
            body = Refusal(refusal.status, quoted, refusal.code, None, refusal.type).body()
            self._send_bytes(refusal.status, json.dumps(body).encode(), headers)
        else:
            self._send(200, spoiled(answer(given, path), fault))

    def _trickle(self, body: bytes, seconds: float, cut_off: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.close_connection = True
        if cut_off:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.reset()
            return
        until = time.monotonic() + seconds
        try:
            for byte in body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                if time.monotonic() > until or self.server.fake.closing.wait(0.02):
                    break
        except OSError:
            pass  # the client has had enough

    def _send(self, status: int, body: object) -> None:
        self._send_bytes(status, json.dumps(body).encode(), {})

    def _send_bytes(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("x-request-id", f"req_{time.time_ns():x}")
            self.send_header("openai-version", "2020-10-01")
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A strict fake for OpenAI's image endpoints.")
    parser.add_argument("--port", type=int, default=8701)
    parser.add_argument("--key", default=KEY)
    parser.add_argument("--compatible-model", action="append", default=[], metavar="NAME")
    options = parser.parse_args()
    fake = FakeOpenAI(
        key=options.key, port=options.port, compatible_models=frozenset(options.compatible_model)
    )
    print(f"OPENAI_BASE_URL={fake.base_url} OPENAI_API_KEY={fake.key}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        fake.serve()


Fake = FakeOpenAI

if __name__ == "__main__":
    main()
