"""A move between stores loses no file, byte for byte, and goes on after a kill."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from creditapp.media import FileMedia, Media, MediaUnavailable, move
from creditapp.media.keys import new_key
from tests.fakes.s3_server import FakeS3
from tests.processes import run_command, start_command

FILES = 1000


def quiet(_number: int, _count: int) -> None:
    pass


def fill(folder: Path, count: int) -> dict[str, bytes]:
    """Store small files that all differ; return them by key."""
    bytes_of = random.Random(7)
    files = {new_key("image/png"): bytes_of.randbytes(1 + number % 300) for number in range(count)}
    store = FileMedia(folder)
    for key, data in files.items():
        path = store.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


def read(media: Media) -> dict[str, bytes]:
    files = {}
    for key in media.keys():  # noqa: SIM118  # no mapping
        with media.open(key) as file:
            files[key] = file.read()
    return files


def in_bucket(s3: FakeS3) -> dict[str, bytes]:
    return {name.rpartition("/")[2]: stored.data for name, stored in s3.objects.items()}


@pytest.fixture
def environ(s3: FakeS3, tmp_path: Path) -> dict[str, str]:
    """A site with its files in a folder, and the keys of a bucket."""
    folder = f"file:{tmp_path}/media"
    return {**s3.environ, "CREDITAPP_DATA": str(tmp_path / "data"), "MEDIA_URL": folder}


def test_a_thousand_files_there_and_back_by_the_command_though_it_is_killed(
    s3: FakeS3, tmp_path: Path, environ: dict[str, str]
) -> None:
    files = fill(tmp_path / "media", FILES)
    words = ("media", "move", "--to", s3.url, "--json")
    first = start_command(*words, environ=environ, folder=tmp_path)
    until = time.monotonic() + 60
    while len(s3.objects) < FILES // 4 and time.monotonic() < until:
        time.sleep(0.005)
    first.kill()
    first.join()
    cut = len(s3.objects)
    assert FILES // 4 <= cut < FILES

    done = run_command(*words, environ=environ)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["moved"] <= FILES - cut + move.THREADS
    assert in_bucket(s3) == files
    puts = Counter(key for method, key in s3.calls if method == "PUT")
    assert sum(count > 1 for count in puts.values()) <= move.THREADS

    words = ("media", "move", "--from", s3.url, "--to", f"file:{tmp_path}/back", "--json")
    done = run_command(*words, environ=environ)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "files": FILES,
        "moved": FILES,
        "bytes": sum(map(len, files.values())),
        "different": 0,
        "onlyInTarget": 0,
        "deleted": 0,
        "complete": True,
    }
    assert read(FileMedia(tmp_path / "back")) == files
    assert set(s3.refusals) <= {"NoSuchKey"}  # of the file that tells two stores apart


def test_a_file_that_came_through_damaged_is_written_again(
    s3: FakeS3, tmp_path: Path, media: Media
) -> None:
    files = fill(tmp_path / "media", 3)
    key = next(iter(files))
    media.put(key, b"cut off")
    done = move.move(FileMedia(tmp_path / "media"), media, quiet, delete=False)
    assert (done.files, done.moved, done.different, done.complete) == (3, 3, 0, True)
    assert in_bucket(s3) == files


def test_a_difference_is_told_and_keeps_the_source(
    s3: FakeS3, tmp_path: Path, media: Media
) -> None:
    files = fill(tmp_path / "media", 3)
    source = FileMedia(tmp_path / "media")
    s3.fail("damaged", method="GET", times=1)
    done = move.move(source, media, quiet, delete=True)
    assert (done.different, done.complete, done.deleted) == (1, False, 0)
    assert read(source) == files
    done = move.move(source, media, quiet, delete=True)
    assert (done.complete, done.deleted) == (True, 3)
    assert (read(source), in_bucket(s3)) == ({}, files)


def test_a_file_deleted_by_its_owner_meanwhile_is_no_loss(tmp_path: Path, media: Media) -> None:
    class Shrinking(FileMedia):
        def keys(self) -> object:  # type: ignore[override]  # what was listed a moment ago
            return iter([*files, new_key("image/png")])

    files = fill(tmp_path / "media", 2)
    done = move.move(Shrinking(tmp_path / "media"), media, quiet, delete=False)
    assert (done.files, done.complete) == (2, True)


def test_a_bucket_that_stops_answering_ends_the_move_and_nothing_is_deleted(
    s3: FakeS3, tmp_path: Path, media: Media
) -> None:
    files = fill(tmp_path / "media", 20)
    s3.fail("http_403", method="PUT", times=1000)
    source = FileMedia(tmp_path / "media")
    with pytest.raises(MediaUnavailable):
        move.move(source, media, quiet, delete=True)
    assert read(source) == files


def test_the_command_refuses_what_would_lose_files(
    s3: FakeS3, tmp_path: Path, environ: dict[str, str]
) -> None:
    fill(tmp_path / "media", 2)
    (tmp_path / "same").symlink_to(tmp_path / "media")
    for words, says in (
        (("--to", f"file:{tmp_path}/same", "--delete"), "are the same place"),
        (("--to", s3.url, "--delete"), "MEDIA_URL names the source"),
        (("--to", "s3://media"), "needs region="),
        (("--to", s3.url.replace("media", "other")), "(NoSuchBucket)"),
    ):
        done = run_command("media", "move", *words, environ=environ)
        assert (done.returncode, done.stdout) == (2, "")
        assert says in done.stderr
        assert done.stderr.count("\n") == 1 or "bucket failed" in done.stderr
    assert len(read(FileMedia(tmp_path / "media"))) == 2
