"""A program that calls ``/v1`` within this process; its answers are checked by the document."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from flask import Flask
from PIL import Image
from werkzeug.test import TestResponse

from tests.api.contract import Document, Program
from tests.app_factory import Person, Queue

IMAGE: Any = {"model": "nano-banana", "prompt": "a quay"}
"""Costs half a credit."""
CHAT: Any = {"model": "gpt-6-luna", "messages": [{"role": "user", "content": "Hello"}]}
SPEECH: Any = {"model": "audio", "voice": "coral", "input": "Hello"}
TEXTS: Any = {"model": "text-embedding-3-small", "input": "a quay"}


class V1Program:
    """A program with an API key of a member."""

    def __init__(self, person: Person, **settings: object) -> None:
        body = {"name": "Tests", "scopes": ["generate"], **settings}
        made = Program(person).call("POST", "/api/keys", body)
        assert made.status_code == 201, made.text
        assert made.json is not None
        self.app: Flask = person.app
        self.key: str = made.json["key"]
        self.document = Document(person.app)

    def post(self, path: str, body: Any, key: str | None = None, **headers: str) -> TestResponse:
        """Post JSON; the answer must be one that the document promises."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named |= {"Authorization": f"Bearer {self.key}"}
        named |= {} if key is None else {"Idempotency-Key": key}
        answer = self.app.test_client().post(f"/v1/{path}", json=body, headers=named, buffered=True)
        return self._checked(f"/v1/{path}", answer)

    def edit(
        self, files: Sequence[tuple[str, bytes]], key: str | None = None, **fields: Any
    ) -> TestResponse:
        """Post a form with images."""
        named = {"Authorization": f"Bearer {self.key}"}
        named |= {} if key is None else {"Idempotency-Key": key}
        data = {"model": "flux-dev", "prompt": "evening"}
        parts: Any = {**data, **fields, "image[]": [(BytesIO(data), name) for name, data in files]}
        answer = self.app.test_client().post("/v1/images/edits", data=parts, headers=named)
        return self._checked("/v1/images/edits", answer)

    def refused(self, status: int, code: str, path: str, body: Any, key: str | None = None) -> Any:
        """Return the error of a refusal with this status and code."""
        answer = self.post(path, body, key)
        assert answer.json is not None
        assert (answer.status_code, answer.json["error"]["code"]) == (status, code), answer.text
        return answer.json["error"]

    def _checked(self, path: str, answer: TestResponse) -> TestResponse:
        responses = self.document.operation("POST", path)["responses"]
        promised = self.document.resolve(responses[str(answer.status_code)])
        if answer.mimetype == "application/json":
            schema = promised["content"]["application/json"]["schema"]
            self.document.validate(json.loads(answer.data), schema)
        else:
            assert answer.mimetype in promised["content"] or answer.mimetype.startswith("audio/")
        return answer


@contextmanager
def working(queue: Queue) -> Iterator[None]:
    """Run jobs while the body runs, as a worker does."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.01):
            queue.run()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join(20)


def events(answer: TestResponse) -> list[Any]:
    """Return the events of a stream that was read whole, but for its end mark."""
    assert answer.mimetype == "text/event-stream", answer.text
    lines = [each for each in answer.text.splitlines() if each.startswith("data: ")]
    return [json.loads(each[6:]) for each in lines if each != "data: [DONE]"]


def at_once(count: int, call: Callable[[int], TestResponse]) -> Mapping[int, TestResponse]:
    """Call from several threads at the same moment; return the answers by number."""
    barrier, answers = threading.Barrier(count), dict[int, TestResponse]()

    def run(number: int) -> None:
        barrier.wait()
        answers[number] = call(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == count
    return answers


def content_of(answer: Any) -> Any:
    """Return what an answer gave: its bytes, or the texts or images of a stream."""
    if answer.mimetype == "text/event-stream":
        chunks = [each.get("choices") or each.get("b64_json") for each in events(answer)]
        texts = [each[0]["delta"].get("content", "") for each in chunks if isinstance(each, list)]
        return "".join(texts) or chunks
    return answer.data


def until(condition: Any) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def png() -> bytes:
    """Return a small image."""
    out = BytesIO()
    Image.new("RGB", (64, 64), "navy").save(out, "PNG")
    return out.getvalue()
