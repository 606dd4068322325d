"""Uploaded files: what is stored and refused, who may have them, and how long they are kept."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import av
import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import select
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from creditapp.accounts.models import User
from creditapp.clock import StoppedClock
from creditapp.db import snapshot, transaction
from creditapp.errors import AppError, AuthenticationRequired
from creditapp.generation import uploads
from creditapp.generation.funding import Caller
from creditapp.generation.models import Upload
from creditapp.generation.providers import SourceFile
from creditapp.generation.sources import find_sources, note_use, recent_sources
from creditapp.generation.uploads import process, store
from creditapp.guests import Visitor
from creditapp.http.viewer import caller
from creditapp.media import FileMedia
from creditapp.rate_limits import UPLOAD_BYTES_MAX
from creditapp.runtime import tasks
from tests.app_factory import Person
from tests.generation.files import (
    SECRET,
    animation,
    encoded,
    film,
    jpeg,
    photograph,
    png,
    png_header,
    sound,
    wav,
)
from tests.generation.studio import Scripted, Studio, wallet

pytestmark = pytest.mark.in_turn

one_database = pytest.mark.databases("sqlite")
"""For tests of bytes, which touch no row."""


def send(person: Person, data: bytes) -> TestResponse:
    """Send a file as the body of a request."""
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/octet-stream"}
    return person.browser.post("/api/uploads", data=data, headers=headers)


def stored(person: Person, data: bytes) -> tuple[dict[str, Any], bytes]:
    """Send a file; return the answer and the stored bytes."""
    answer = send(person, data)
    assert answer.status_code == 201, answer.text
    return answer.json, person.browser.get(answer.json["url"]).data


def refusal(person: Person, data: bytes) -> tuple[int, str]:
    """Send a file that is refused; return the status and the sentence."""
    answer = send(person, data)
    assert person.call("GET", "/api/uploads").json["items"] == []
    return answer.status_code, str(answer.json["detail"])


# What is stored.


@one_database
def test_a_photograph_is_turned_upright_and_keeps_no_place(alice: Person) -> None:
    answer, data = stored(alice, photograph())
    assert (answer["mimeType"], answer["width"], answer["height"]) == ("image/jpeg", 40, 80)
    image = Image.open(io.BytesIO(data))
    assert image.size == (40, 80)
    assert not image.getexif()
    assert {"exif", "comment", "icc_profile", "xmp"}.isdisjoint(image.info)
    assert SECRET.encode() not in data
    red, _, blue = image.convert("RGB").getpixel((20, 5))  # type: ignore[misc]
    assert (red > 200, blue < 60) == (True, True)  # type: ignore[operator]


@one_database
def test_a_mask_keeps_its_transparent_parts(alice: Person) -> None:
    mask = Image.new("RGBA", (64, 48), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 10, 10))
    answer, data = stored(alice, encoded(mask, "PNG"))
    assert answer["mimeType"] == "image/png"
    kept = Image.open(io.BytesIO(data))
    assert (kept.mode, kept.getpixel((5, 5))[3], kept.getpixel((30, 30))[3]) == ("RGBA", 0, 255)  # type: ignore[index]


@one_database
@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        *((png(mode=mode), "image/png") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        (encoded(Image.new("CMYK", (8, 8)), "JPEG"), "image/jpeg"),
        (encoded(Image.new("RGBA", (8, 8)), "WEBP"), "image/webp"),
        (animation("MPO"), "image/jpeg"),  # as cameras with two lenses write a JPEG
    ],
)
def test_every_kind_of_pixels_becomes_plain_ones(
    alice: Person, data: bytes, mime_type: str
) -> None:
    answer, kept = stored(alice, data)
    assert answer["mimeType"] == mime_type
    assert Image.open(io.BytesIO(kept)).mode in ("RGB", "RGBA")


@one_database
@pytest.mark.parametrize(
    ("data", "mime_type", "milliseconds"),
    [
        (wav(1.5), "audio/wav", 1500),
        (sound("mp3", "libmp3lame"), "audio/mpeg", 1000),
        (sound("ogg", "libopus"), "audio/ogg", 1000),
        (sound("ipod", "aac"), "audio/mp4", 1000),
        (sound("webm", "libopus"), "audio/ogg", 1000),  # as a browser records a voice
    ],
    ids=["wav", "mp3", "ogg", "m4a", "webm"],
)
def test_a_voice_is_as_long_as_its_samples_and_has_no_title(
    alice: Person, data: bytes, mime_type: str, milliseconds: int
) -> None:
    answer, kept = stored(alice, data)
    assert (answer["mimeType"], answer["width"]) == (mime_type, None)
    assert float(answer["seconds"]) == pytest.approx(milliseconds / 1000, abs=0.06)
    assert SECRET.encode() not in kept
    with av.open(io.BytesIO(kept)) as container:
        assert next(container.decode(audio=0)).samples


@one_database
@pytest.mark.parametrize(
    ("muxer", "codec", "sound_codec", "mime_type"),
    [
        ("mp4", "libx264", "aac", "video/mp4"),
        ("mov", "libx264", None, "video/mp4"),  # as an iPhone names it
        ("webm", "libvpx-vp9", "libopus", "video/webm"),
    ],
)
def test_a_video_plays_without_its_title_and_place(
    alice: Person, muxer: str, codec: str, sound_codec: str | None, mime_type: str
) -> None:
    answer, kept = stored(alice, film(muxer, codec, seconds=2, sound_codec=sound_codec))
    assert answer["mimeType"] == mime_type
    assert (answer["width"], answer["height"]) == (160, 120)
    assert float(answer["seconds"]) == pytest.approx(2, abs=0.1)
    assert SECRET.encode() not in kept
    assert b"52.5200" not in kept
    with av.open(io.BytesIO(kept)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 20
        assert bool(container.streams.audio) == bool(sound_codec)
    assert alice.browser.get(f"{answer['url']}/thumbnail").mimetype == "image/webp"


@one_database
def test_what_follows_an_image_in_its_file_is_gone(alice: Person) -> None:
    page = b"<html><script>alert(1)</script></html>"
    for data in (png() + page, jpeg() + b"PK\3\4" + page):
        answer, kept = stored(alice, data)
        assert b"script" not in kept
        assert alice.browser.get(answer["url"]).mimetype.startswith("image/")


# What is refused.


@one_database
@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        (b"", 422, "This file is empty."),
        (b"only a text, named photo.png", 415, "This file is of a type that is not accepted."),
        (b"<!doctype html><img src=x>", 415, "This file is of a type that is not accepted."),
        (b"  <svg xmlns='x' onload='alert(1)'/>", 415, "This file is an SVG drawing."),
        (animation("GIF", 50), 415, "This file is a GIF."),
        (b"\0\0\0\x18ftypheic" + bytes(40), 415, "This file is a HEIC photo."),
        (b"%PDF-1.7\n", 415, "This file is a PDF."),
        (png_header(50_000, 50_000), 422, "This has 50,000 × 50,000 pixels;"),
        (png(8193, 1), 422, "This has 8,193 × 1 pixels;"),
        (animation("PNG"), 422, "This image is animated."),
        (animation("WEBP"), 422, "This image is animated."),
        (png()[:60], 422, "This file is damaged"),
        (jpeg(400, 400)[:300], 422, "This file is damaged"),
        (b"\x89PNG\r\n\x1a\n", 422, "This file is damaged"),
        (wav(1)[:44], 422, "There is no sound"),
        (b"RIFF\xff\xff\xff\xffWAVEjunk" + bytes(80), 422, "This file is damaged"),
        (b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(2000), 422, "This file is damaged"),
        (wav(130), 422, "This is longer than 120 seconds."),
        (film(seconds=121, rate=1), 422, "This is longer than 120 seconds."),
        (film(codec="mpeg4"), 422, "This is encoded as mpeg4"),
        (film()[:1000], 422, "This file is damaged"),
    ],
    ids=lambda value: value[:28] if isinstance(value, str) else None,
)
def test_a_file_that_cannot_be_used_is_refused_with_a_sentence(
    alice: Person, data: bytes, status: int, sentence: str
) -> None:
    answer = refusal(alice, data)
    assert answer[0] == status, answer
    assert answer[1].startswith(sentence), answer


def test_the_log_says_where_a_damaged_file_could_not_be_read(alice: Person) -> None:
    with capture_logs() as logged:
        assert refusal(alice, jpeg(400, 400)[:300])[0] == 422
    (event,) = [each for each in logged if each["event"] == "upload unreadable"]
    assert event["error_type"] in ("OSError", "SyntaxError")
    assert re.fullmatch(r"\w+\.py:\d+", event["at"])


@one_database
@pytest.mark.parametrize("box", [b"stsz", b"stts", b"stsc", b"stco", b"ctts", b"elst", b"moov"])
@pytest.mark.parametrize("length", [b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0"])
def test_a_hostile_length_in_a_container_hurts_nobody(
    alice: Person, box: bytes, length: bytes
) -> None:
    data = film()
    at = data.find(box)
    assert at > 0
    began = time.monotonic()
    for hostile in (
        data[: at - 4] + length + data[at:],
        data[: at + 8] + length * 3 + data[at + 20 :],
    ):
        assert send(alice, hostile).status_code in (201, 422)
    assert time.monotonic() - began < process.WALL_SECONDS_MAX
    assert alice.browser.get("/healthz").status_code == 200


@one_database
def test_an_image_beyond_its_size_is_refused_before_it_is_read(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_run", None)  # would fail if it was called
    huge = png() + bytes(UPLOAD_BYTES_MAX["image"])
    assert refusal(alice, huge) == (413, "This file has 21 MB; at most 20 MB fit.")


@one_database
@pytest.mark.parametrize(
    ("limit", "value"),
    [("MEMORY_BYTES_MAX", 80 * 1024**2), ("CPU_SECONDS_MAX", 1), ("OUTPUT_BYTES_MAX", 4096)],
)
def test_the_system_stops_a_file_that_takes_too_much(
    alice: Person, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    noise = encoded(Image.effect_noise((4000, 2600), 90).convert("RGB"), "WEBP", quality=60)
    monkeypatch.setattr(process, limit, value)
    status, sentence = refusal(alice, noise)
    assert status == 422
    assert sentence.startswith(("This file takes too much", "This file is damaged"))


@one_database
def test_a_program_that_hangs_is_killed(
    alice: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    mark = tmp_path / "pid"
    program = tmp_path / "hangs.py"
    program.write_text(
        f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    )
    monkeypatch.setattr(process, "PROGRAM", program)
    monkeypatch.setattr(process, "WALL_SECONDS_MAX", 1.5)
    assert refusal(alice, png())[1].startswith("This file takes too much time")
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


@one_database
def test_the_program_gets_no_secret(
    alice: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("SECRET_KEY", "do not tell")
    told, program = tmp_path / "told", tmp_path / "tells.py"
    program.write_text(f"import os\nopen({str(told)!r}, 'w').write(str(dict(os.environ)))\n1/0")
    monkeypatch.setattr(process, "PROGRAM", program)
    refusal(alice, png())
    assert "do not tell" not in told.read_text()


@one_database
def test_a_playlist_opens_no_other_file(alice: Person) -> None:
    playlist = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"
    for data in (playlist, b"ID3\4\0\0\0\0\0\0" + playlist, b"\0\0\0\x18ftypmp42" + playlist):
        assert refusal(alice, data)[0] in (415, 422)


# Limits, owners, time.


def test_only_its_owner_finds_an_upload(app: Flask, alice: Person, charlie: Person) -> None:
    answer, _ = stored(alice, png())
    listed = alice.call("GET", "/api/uploads").json["items"]
    assert [each["id"] for each in listed] == [answer["id"]]
    assert charlie.call("GET", "/api/uploads").json["items"] == []
    assert charlie.browser.get(answer["url"]).status_code == 404
    assert charlie.call("DELETE", f"/api/uploads/{answer['id']}").status_code == 404
    assert alice.call("DELETE", f"/api/uploads/{answer['id']}").status_code == 204
    assert alice.browser.get(answer["url"]).status_code == 404
    assert alice.call("DELETE", f"/api/uploads/{answer['id']}").status_code == 404


def test_a_deleted_upload_leaves_no_file(alice: Person, studio: Studio) -> None:
    answer, _ = stored(alice, png())
    assert len(studio.files()) == 2
    alice.call("DELETE", f"/api/uploads/{answer['id']}")
    assert studio.files() == set()


def test_a_guest_may_not_upload(app: Flask, guest: Person, clock: StoppedClock) -> None:
    answer = send(guest, png())
    assert (answer.status_code, answer.json["signupUrl"]) == (401, "/auth/signup")
    with app.test_request_context(), pytest.raises(AuthenticationRequired):
        uploads.store_upload(io.BytesIO(png()), caller(), now=clock.now())


def test_an_account_holds_so_many_uploads(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "UPLOADS_MAX", 1)
    stored(alice, png())
    answer = send(alice, png())
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert answer.json["detail"].startswith("You have 1 uploads with 0 MB; at most 1 with 1024 MB")


def test_an_account_holds_so_many_bytes(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "UPLOADS_BYTES_MAX", 100)
    stored(alice, png())
    assert send(alice, png()).status_code == 409


def test_sixty_uploads_in_an_hour(
    alice: Person, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is refused counts too: it was read like the others.
    for _ in range(60):
        assert send(alice, png_header(9999, 1)).status_code == 422
    answer = send(alice, png())
    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert int(answer.headers["Retry-After"]) > 0
    clock.advance(timedelta(hours=1))
    stored(alice, png())


def test_one_process_rewrites_so_many_at_once(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_seats", threading.BoundedSemaphore(1))
    with process._seat():
        answer = send(alice, png())
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
    stored(alice, png())


def test_an_upload_that_nothing_uses_is_deleted_after_thirty_days(
    app: Flask, alice: Person, clock: StoppedClock, studio: Studio
) -> None:
    stored(alice, png())
    used = stored(alice, png())[0]["id"]
    clock.advance(timedelta(days=29))
    with app.app_context(), transaction() as session:
        sources = find_sources(session, caller_of(session, alice), [used])
        note_use(session, sources, clock.now())
    clock.advance(timedelta(days=2))
    with app.app_context():
        tasks.forget()
    assert upload_ids(app) == [used]
    assert len(studio.files()) == 2


def test_a_sweep_that_is_killed_before_the_files_are_gone_is_finished_by_the_next(
    app: Flask, alice: Person, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch, studio: Studio
) -> None:
    stored(alice, png())
    clock.advance(timedelta(days=31))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    delete = FileMedia.delete
    monkeypatch.setattr(FileMedia, "delete", die)
    with app.app_context(), pytest.raises(KeyboardInterrupt):
        tasks.forget()
    assert len(upload_ids(app)) == 1  # the row still names the files
    monkeypatch.setattr(FileMedia, "delete", delete)
    with app.app_context():
        tasks.forget()
    assert (upload_ids(app), studio.files()) == ([], set())


def test_a_failure_to_store_the_row_leaves_no_file(
    alice: Person, monkeypatch: pytest.MonkeyPatch, studio: Studio
) -> None:
    asked = iter([None, AppError("full meanwhile")])

    def require_room(*_: object) -> None:
        error = next(asked)
        if error:
            raise error

    monkeypatch.setattr(store, "_require_room", require_room)
    assert send(alice, png()).status_code == 500
    assert studio.files() == set()


def test_an_order_starts_from_the_stored_bytes(
    alice: Person, charlie: Person, provider: Scripted, studio: Studio
) -> None:
    answer, data = stored(alice, photograph())
    order = {"prompt": "at night", "model": "gpt-image", "images": [answer["id"]]}
    stolen = charlie.call("POST", "/api/generate-image", order, Prefer="respond-async")
    assert (stolen.status_code, wallet(charlie)) == (404, (50, 0))
    made = alice.call("POST", "/api/generate-image", order, Prefer="respond-async")
    assert made.status_code == 202, made.text
    studio.queue.run()
    assert provider.requests[-1].images == (SourceFile(data, "image/jpeg"),)
    assert studio.generation(made.json["id"]).state == "succeeded"


def test_an_upload_deleted_before_the_work_costs_nothing(
    alice: Person, provider: Scripted, studio: Studio
) -> None:
    upload_id = stored(alice, png())[0]["id"]
    order = {"prompt": "at night", "model": "gpt-image", "images": [upload_id]}
    made = alice.call("POST", "/api/generate-image", order, Prefer="respond-async")
    assert alice.call("DELETE", f"/api/uploads/{upload_id}").status_code == 204
    studio.queue.run()
    failed = studio.generation(made.json["id"])
    assert (failed.state, failed.charged_micro, provider.calls) == ("failed", 0, 0)
    assert wallet(alice) == (50, 0)


def test_the_newest_files_of_a_kind_are_offered(
    app: Flask, alice: Person, charlie: Person, studio: Studio, clock: StoppedClock
) -> None:
    made = studio.make(alice)
    clock.advance(timedelta(seconds=1))
    image = stored(alice, png())[0]["id"]
    clock.advance(timedelta(seconds=1))
    voice = stored(alice, wav())[0]["id"]
    stored(charlie, png())
    with app.app_context(), snapshot() as session:
        by = caller_of(session, alice)
        found = recent_sources(session, by, ["image"], 12)
        assert [each.id for each in found] == [image, studio.assets()[0].id]
        assert found[1].prompt == made.prompt
        assert [each.id for each in recent_sources(session, by, ["image"], 1)] == [image]
        assert [each.id for each in recent_sources(session, by, ["audio"], 12)] == [voice]
        assert recent_sources(session, by, [], 12) == []


def caller_of(session: Any, person: Person) -> Caller:
    """Return a person as the caller of a verb."""
    user_id = session.scalar(select(User.id).where(User.email == person.email))
    member: Any = SimpleNamespace(id=user_id, owner=("user", user_id))
    return Caller(member, Visitor("unused", ()))


def upload_ids(app: Flask) -> list[str]:
    """Return the id of every row."""
    with app.app_context(), snapshot() as session:
        return list(session.scalars(select(Upload.id)))
