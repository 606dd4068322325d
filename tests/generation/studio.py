"""A scripted provider, and helpers that read and change generations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select, update

from creditapp import ledger
from creditapp.clock import StoppedClock
from creditapp.config import Settings
from creditapp.db import snapshot, transaction
from creditapp.generation import recovery, worker
from creditapp.generation.models import FINISHED, Asset, Generation, Upload
from creditapp.generation.providers import (
    ImageRequest,
    LipsyncRequest,
    ProducedFile,
    Request,
    SpeechRequest,
    UpscaleRequest,
    VideoRequest,
    Work,
)
from creditapp.http.sessions import find_member
from creditapp.ids import new_id
from creditapp.jobs.engine import JobStore
from creditapp.media import Media
from creditapp.services import get
from tests.app_factory import Person, Queue

IMAGE = b"\x89PNG\r\n\x1a\n never decoded"

Step = BaseException | Callable[[], object] | None
"""None delivers an image, an exception is raised, a function is called and delivers nothing."""


_MIME_TYPES: dict[type[Request], str] = {
    ImageRequest: "image/png",
    UpscaleRequest: "image/png",
    VideoRequest: "video/mp4",
    SpeechRequest: "audio/mpeg",
    LipsyncRequest: "video/mp4",
}


class Scripted:
    """A provider that runs the steps in ``script``; without one it delivers the whole order."""

    name = "scripted"
    makes = frozenset[type[Request]](_MIME_TYPES)

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset: deliver everything, forget all calls."""
        self.repeatable = False
        self.script: list[Step] | None = None
        self.requests: list[Any] = []
        self.stops_when_asked = True
        self.milliseconds: int | None = None
        self.data = IMAGE
        self.partial: list[bytes] = []
        """Unfinished images that it shows before the first step."""
        self.mime_type: str | None = None
        """None is the type of what was ordered."""

    def make(self, request: Request, work: Work) -> Iterator[ProducedFile]:
        self.requests.append(request)
        count = request.n if isinstance(request, ImageRequest) else 1
        steps: list[Step] = [None] * count if self.script is None else list(self.script)
        for data in self.partial:
            work.note_partial(data, "image/png")
        for number, step in enumerate(steps):
            if self.stops_when_asked and work.should_stop():
                return
            work.progress(number / len(steps))
            if isinstance(step, BaseException):
                raise step
            if step is not None:
                step()
                continue
            yield ProducedFile(
                data=self.data,
                mime_type=self.mime_type or _MIME_TYPES[type(request)],
                width=getattr(request, "width", None),
                height=getattr(request, "height", None),
                milliseconds=self.milliseconds,
                provider_cost_micros_usd=11_000,
            )

    @property
    def calls(self) -> int:
        return len(self.requests)


class Studio:
    """Generations of one app: orders, workers, sweeps, rows and media files."""

    def __init__(self, app: Flask, clock: StoppedClock) -> None:
        self.app, self.clock = app, clock
        with app.app_context():
            store = get(JobStore)
            self.media_folder = Path(get(Settings).media_url.removeprefix("file:"))
        assert isinstance(store, Queue)
        self.queue = store
        self._others = {path.name for path in self.media_folder.rglob("*")}

    def ask(self, person: Person, **body: object) -> str:
        """Order images without waiting; return the generation's id."""
        body = {"prompt": "a quay", "model": "nano-banana", **body}
        return self.order(person, "/api/generate-image", body)

    def order(self, person: Person, path: str, body: object, **headers: str) -> str:
        """Order by any route without waiting; return the generation's id."""
        answer = person.call("POST", path, body, Prefer="respond-async", **headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json["id"])

    def bring(
        self,
        person: Person,
        mime_type: str = "image/png",
        size: tuple[int, int] = (640, 480),
        milliseconds: int | None = None,
    ) -> str:
        """Store a member's file to start from, as an upload does; return its id."""
        with person.browser.session_transaction() as session:
            session_id = session["_user_id"]
        with self.app.app_context(), transaction() as database:
            member = find_member(database, session_id)
            assert member is not None
            upload = Upload(
                id=new_id("upl"),
                owner_kind="user",
                owner_id=member.id,
                media_key=get(Media).store(IMAGE, mime_type),
                mime_type=mime_type,
                width=size[0],
                height=size[1],
                milliseconds=milliseconds,
                bytes=len(IMAGE),
                used_at=self.clock.now(),
                created_at=self.clock.now(),
            )
            database.add(upload)
            return upload.id

    def uploads(self) -> list[Upload]:
        with self.app.app_context(), snapshot() as session:
            return list(session.scalars(select(Upload).order_by(Upload.id)))

    def make(self, person: Person, **body: object) -> Generation:
        """Order images, run the queue, and return the row."""
        generation_id = self.ask(person, **body)
        self.queue.run()
        return self.generation(generation_id)

    def generation(self, generation_id: str) -> Generation:
        with self.app.app_context(), snapshot() as session:
            return session.get_one(Generation, generation_id)

    def generations(self) -> list[Generation]:
        with self.app.app_context(), snapshot() as session:
            return list(session.scalars(select(Generation).order_by(Generation.id)))

    def assets(self) -> list[Asset]:
        with self.app.app_context(), snapshot() as session:
            return list(session.scalars(select(Asset).order_by(Asset.generation_id)))

    def files(self) -> set[str]:
        """Return the names of the files that this test stored, hidden ones too."""
        files = {path.name for path in self.media_folder.rglob("*") if path.is_file()}
        return files - self._others

    def work(self, generation_id: str, attempt: int = 1) -> None:
        """Run this attempt as a worker does."""
        with self.app.app_context():
            worker.run(f"{generation_id}.{attempt}")

    def work_beside(self, generation_id: str, attempt: int = 1) -> threading.Thread:
        """Run this attempt in another thread."""
        thread = threading.Thread(target=self.work, args=(generation_id, attempt))
        thread.start()
        return thread

    def sweep(self, after_seconds: float = 0) -> None:
        self.clock.advance(timedelta(seconds=after_seconds))
        with self.app.app_context():
            recovery.sweep()

    def set(self, generation_id: str, **values: object) -> None:
        """Update columns of a row."""
        with self.app.app_context(), transaction() as session:
            session.execute(
                update(Generation).where(Generation.id == generation_id).values(**values)
            )

    def check(self) -> None:
        """Assert the ledger's proof, and that files and asset rows agree."""
        with self.app.app_context(), snapshot() as session:
            report = ledger.proof.check(session.connection())
        assert report.ok, report.as_text()
        keys = [(row.media_key, row.thumbnail_key) for row in (*self.assets(), *self.uploads())]
        rows = {key for pair in keys for key in pair if key is not None}
        assert self.files() == rows - self._others, "files without rows, or rows without files"

    def end_everything(self) -> None:
        """Sweep until no generation is open, so that the next test begins without any."""
        self.queue.waiting.clear()
        for _ in range(5):
            self.sweep(after_seconds=10_000)
            self.queue.run()
        assert {generation.state for generation in self.generations()} <= set(FINISHED)


def wallet(person: Person) -> tuple[object, object]:
    """Return a member's balance and held credits."""
    credits = person.call("GET", "/api/credits").json["credits"]
    return credits["balance"], credits["held"]


def lines(person: Person) -> list[tuple[str, object]]:
    """Return type and amount of a member's history, the newest first, without the welcome."""
    items = person.call("GET", "/api/credits/transactions").json["items"]
    return [(item["type"], item["amount"]) for item in items if item["type"] != "CREDIT"]


def remaining(person: Person) -> int:
    """Return a guest's free images."""
    return int(person.call("GET", "/api/credits").json["guestInfo"]["remaining"])


def held_up(gate: threading.Event, arrived: threading.Event) -> Callable[[], object]:
    """Return a step that sets ``arrived`` and waits for ``gate``."""

    def step() -> None:
        arrived.set()
        assert gate.wait(60)

    return step
