"""Generations, uploads and deletions with the files in a bucket, and a bucket that fails."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from urllib.request import urlopen

import pytest
from flask import Flask

from creditapp.clock import StoppedClock
from creditapp.config import Settings
from creditapp.generation import deletion, delivery
from creditapp.generation.providers import SourceFile
from creditapp.media import FileMedia, Media, open_media
from creditapp.runtime import tasks
from creditapp.services import get, provide
from tests.app_factory import Person
from tests.fakes.s3_server import FakeS3
from tests.generation.files import png
from tests.generation.studio import IMAGE, Scripted, Studio, wallet
from tests.pages import parse_html


@pytest.fixture
def s3(app: Flask) -> Iterator[FakeS3]:
    """A bucket, which is the app's store."""
    with FakeS3() as bucket:
        values = {name.lower(): value for name, value in bucket.environ.items()}
        with app.app_context():
            provide(app, Media, open_media(get(Settings).model_copy(update=values)))
        yield bucket


def fetch(person: Person, path: str) -> tuple[bytes, dict[str, str]]:
    """Follow our redirect as a browser does; return the bucket's bytes and headers."""
    answer = person.browser.get(path)
    assert answer.status_code == 302, answer.text
    fresh, _, seconds = answer.headers["Cache-Control"].partition("max-age=")
    assert (fresh, 0 < int(seconds) <= 1800) == ("private, ", True)
    with urlopen(answer.location) as file:
        return file.read(), dict(file.headers)


def stored(s3: FakeS3) -> list[bytes]:
    return [each.data for each in s3.objects.values()]


def test_images_are_made_shown_downloaded_and_deleted_in_a_bucket(
    app: Flask, s3: FakeS3, alice: Person, charlie: Person, studio: Studio, clock: StoppedClock
) -> None:
    row = studio.make(alice, n=2)
    assert (row.state, row.delivered) == ("succeeded", 2)
    assert stored(s3) == [IMAGE, IMAGE], "byte for byte"
    assert studio.files() == set()

    gallery = alice.browser.get("/gallery")
    policy = gallery.headers["Content-Security-Policy"]
    assert f"img-src 'self' {s3.endpoint} data:" in policy
    assert f"media-src 'self' {s3.endpoint};" in policy
    shown = [image["src"] for image in parse_html(gallery.text).all('img[src^="/media/"]')]
    assert len(shown) == 2
    for path in shown:
        data, headers = fetch(alice, path)
        assert (data, headers["Content-Type"]) == (IMAGE, "image/png")
        assert headers["Content-Disposition"].startswith("inline")
        assert charlie.browser.get(path).status_code == 404
    image = shown[0].partition("?")[0]
    _, headers = fetch(alice, f"{image}?download=1")
    assert headers["Content-Disposition"].startswith("attachment; filename=a-quay")

    selected = {"images": [path.partition("?")[0].rpartition("/")[2] for path in shown]}
    archive = alice.post("/images/zip", selected)
    with zipfile.ZipFile(io.BytesIO(archive.data)) as files:
        assert [files.read(name) for name in files.namelist()] == [IMAGE, IMAGE]

    assert alice.post("/images/delete", selected).status_code == 303
    assert alice.browser.get(image).status_code == 404
    clock.advance(timedelta(seconds=deletion.UNDO_SECONDS))
    s3.fail("http_403", method="DELETE")
    with app.app_context():
        tasks.erase_deleted()
        assert len(s3.objects) == 2, "kept with their rows until the bucket does it"
        tasks.erase_deleted()
    assert s3.objects == {}
    assert wallet(alice) == (49, 0)
    assert set(s3.refusals) == {"AccessDenied"}


def test_an_upload_is_stored_used_and_deleted_in_a_bucket(
    s3: FakeS3, alice: Person, studio: Studio, provider: Scripted
) -> None:
    sent = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/octet-stream"}
    answer = alice.browser.post("/api/uploads", data=png(), headers=sent)
    assert answer.status_code == 201, answer.text
    upload_id = answer.json["id"]
    data, headers = fetch(alice, f"/uploads/{upload_id}")
    assert headers["Content-Disposition"] == "attachment; filename=upload.png"
    assert fetch(alice, f"/uploads/{upload_id}/thumbnail")[1]["Content-Type"] == "image/webp"

    row = studio.make(alice, model="gpt-image", images=[upload_id])
    assert row.state == "succeeded"
    assert provider.requests[-1].images == (SourceFile(data, "image/png"),)

    s3.fail("http_403", method="DELETE")
    refused = alice.call("DELETE", f"/api/uploads/{upload_id}")
    assert (refused.status_code, refused.json["code"]) == (503, "media_unavailable")
    assert len(alice.call("GET", "/api/uploads").json["items"]) == 1
    assert alice.call("DELETE", f"/api/uploads/{upload_id}").status_code == 204
    assert stored(s3) == [IMAGE]


def test_a_bucket_that_comes_back_loses_no_image(
    s3: FakeS3, alice: Person, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "STORE_RETRY_SECONDS", (0.0, 0.0))
    s3.fail("http_403", times=2, method="PUT")
    row = studio.make(alice, n=2)
    assert (row.state, row.delivered, row.charged_micro) == ("succeeded", 2, 1_000_000)
    assert stored(s3) == [IMAGE, IMAGE]


def test_a_bucket_that_stays_away_costs_nothing_and_says_so(
    s3: FakeS3, alice: Person, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "STORE_RETRY_SECONDS", (0.0,))
    s3.fail("http_403", times=99, method="PUT")
    row = studio.make(alice, n=2)
    assert (row.state, row.delivered, row.charged_micro) == ("failed", 0, 0)
    assert row.error_text == "It was made, but it could not be stored."
    assert wallet(alice) == (50, 0)
    s3.recover()
    assert studio.make(alice).state == "succeeded"


def test_a_source_that_cannot_be_read_now_is_no_deleted_one_and_costs_nothing(
    s3: FakeS3, alice: Person, studio: Studio, provider: Scripted
) -> None:
    upload_id = studio.bring(alice)
    s3.fail("http_403", method="GET")
    row = studio.make(alice, model="gpt-image", images=[upload_id])
    assert (row.state, row.error_code, provider.calls) == ("failed", "provider_unavailable", 0)
    assert wallet(alice) == (50, 0)


def test_a_folder_needs_no_other_origin(app: Flask, alice: Person) -> None:
    with app.app_context():
        assert isinstance(get(Media), FileMedia)
    policy = alice.browser.get("/gallery").headers["Content-Security-Policy"]
    assert "img-src 'self' data:;" in policy
    assert "media-src 'self';" in policy
