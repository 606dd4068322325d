"""Backup and restore: what they refuse, and what is left when they are cut."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from creditapp.clock import Clock
from creditapp.config import load_settings
from creditapp.runtime import backup as backups
from creditapp.runtime import database_copy, manifest
from creditapp.runtime.manifest import FileRecord, Manifest
from tests.databases import new_database
from tests.fakes.s3_server import FakeS3
from tests.processes import forked, run_command

Call = Callable[..., tuple[int, str, str]]
IMAGE = b"\x89PNG, more or less"
KEY = "0123456789abcdef0123456789abcdef.png"


def new_demo(folder: Path, url: str) -> dict[str, str]:
    """Return the environment of a demo in which one person has an account, and an image is."""
    environ = {
        "CREDITAPP_DATA": str(folder / "data"),
        "DATABASE_URL": url,
        "CREDITAPP_LOG_LEVEL": "error",
    }
    words = ("user", "create", "alice@example.com", "--password", "correct horse battery")
    assert run_command(*words, environ=environ).returncode == 0
    image = folder / "data" / "media" / KEY[:2] / KEY[2:4] / KEY
    image.parent.mkdir(parents=True)
    image.write_bytes(IMAGE)
    (image.parent / f".{KEY}.part").write_bytes(b"half")
    return environ


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo in ``data``, and its backup in ``backup``."""
    folder = tmp_path_factory.mktemp("first")
    environ = new_demo(folder, f"sqlite:///{folder}/data/app.sqlite")
    assert run_command("backup", str(folder / "backup"), environ=environ).returncode == 0
    return folder


@pytest.fixture
def environ(first: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a copy of the demo."""
    shutil.copytree(first / "data", tmp_path / "data")
    return {
        "CREDITAPP_DATA": str(tmp_path / "data"),
        "DATABASE_URL": f"sqlite:///{tmp_path}/data/app.sqlite",
        "CREDITAPP_LOG_LEVEL": "error",
    }


@pytest.fixture
def call(environ: dict[str, str]) -> Call:
    """Run a command in that environment; return its status and what it printed."""

    def run(*words: str, **changes: str) -> tuple[int, str, str]:
        ended = run_command(*words, environ=environ | changes)
        return ended.returncode, ended.stdout, ended.stderr

    return run


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    """A copy of the backup."""
    return shutil.copytree(first / "backup", tmp_path / "backup")


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Changes to the environment that name another, empty place."""
    data = tmp_path / "elsewhere"
    return {"CREDITAPP_DATA": str(data), "DATABASE_URL": f"sqlite:///{data / 'app.sqlite'}"}


def refusal(answer: tuple[int, str, str]) -> str:
    """Return the one line of a refusal."""
    status, out, said = answer
    assert (status, out) == (2, ""), said
    assert len(said.splitlines()) == 1, said
    return said.strip()


def test_everything_but_the_key_is_restored_for_this_user_alone(
    call: Call, folder: Path, elsewhere: dict[str, str]
) -> None:
    assert sorted(each.name for each in folder.iterdir()) == [
        "creditapp.sqlite",
        "manifest.json",
        "media",
        "sandbox.sqlite",
    ]
    status, said, warned = call("restore", str(folder), **elsewhere)
    assert status == 0, warned
    assert said.endswith("The ledger is whole.\n")
    assert warned.startswith("SECRET_KEY is not the one of this backup")
    data = Path(elsewhere["CREDITAPP_DATA"])
    assert (data / "media" / "01" / "23" / KEY).read_bytes() == IMAGE
    assert "50 credits to spend" in call("wallet", "alice@example.com", **elsewhere)[1]
    for path in (*folder.rglob("*"), *data.rglob("*"), folder, data):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_the_same_key_is_known(
    call: Call, folder: Path, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    key = (tmp_path / "data" / "secret_key").read_text()
    assert key not in (folder / "manifest.json").read_text()
    assert call("restore", str(folder), **elsewhere, SECRET_KEY=key)[2] == ""


def test_a_second_backup_of_the_same_name_is_refused(call: Call, folder: Path) -> None:
    assert refusal(call("backup", str(folder))) == f"{folder} exists already: name a new folder."


def test_a_backup_without_a_database_is_refused(call: Call, elsewhere: dict[str, str]) -> None:
    line = refusal(call("backup", elsewhere["CREDITAPP_DATA"] + "-backup", **elsewhere))
    assert line == f"There is no database at {elsewhere['CREDITAPP_DATA']}/app.sqlite."


KEYS = {"secret_key", "agents_key"}
"""The keys of a demo, which any command makes."""


@pytest.mark.parametrize("used", ["database", "images"])
def test_a_place_in_use_is_left_alone(
    call: Call, folder: Path, elsewhere: dict[str, str], used: str
) -> None:
    data = Path(elsewhere["CREDITAPP_DATA"])
    if used == "database":
        assert call("migrate", **elsewhere)[0] == 0
        (data / "sandbox.sqlite").unlink()
        says = "The database has tables already"
    else:
        image = data / "media" / KEY[:2] / KEY[2:4] / KEY
        image.parent.mkdir(parents=True)
        image.write_bytes(b"another image")
        says = "The store of images is not empty"
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*") if path.is_file()}
    line = refusal(call("restore", str(folder), **elsewhere))
    assert line.startswith(says)
    assert "CREDITAPP_DATA" in line
    left = {path: path.stat().st_mtime_ns for path in data.rglob("*") if path.is_file()}
    for name in KEYS:
        left.pop(data / name, None)
        before.pop(data / name, None)
    assert left == before


@pytest.mark.parametrize("damage", ["a byte", "a file", "an unknown schema", "a later format"])
def test_a_damaged_backup_writes_nothing(
    call: Call, folder: Path, elsewhere: dict[str, str], damage: str
) -> None:
    image = folder / "media" / KEY[:2] / KEY[2:4] / KEY
    contents = json.loads((folder / "manifest.json").read_text())
    if damage == "a byte":
        image.write_bytes(IMAGE[:-1] + b"?")
        says = f"The backup is damaged: media/01/23/{KEY} differs from its digest."
    elif damage == "a file":
        image.unlink()
        says = f"The backup is damaged: media/01/23/{KEY} is missing."
    elif damage == "an unknown schema":
        contents["revision"] = "0999_later"
        says = (
            "The backup has the schema 0999_later, which this version of CreditApp does not know: "
            "restore it with the version that made it."
        )
    else:
        contents["format"] = 2
        says = f"{folder}/manifest.json cannot be read by this version of CreditApp: format."
    (folder / "manifest.json").write_text(json.dumps(contents))
    assert refusal(call("restore", str(folder), **elsewhere)) == says
    assert {path.name for path in Path(elsewhere["CREDITAPP_DATA"]).glob("*")} <= KEYS


def test_a_broken_ledger_is_backed_up_restored_and_named_so(
    call: Call, environ: dict[str, str], elsewhere: dict[str, str], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(environ["DATABASE_URL"].removeprefix("sqlite:///"))) as opened:
        opened.execute("UPDATE wallets SET available_micro = available_micro + 1")
        opened.commit()
    status, said, _ = call("backup", str(tmp_path / "backup"))
    assert status == 1
    assert said.endswith("The ledger is NOT whole.\n")
    status, said, _ = call("restore", str(tmp_path / "backup"), "--json", **elsewhere)
    assert status == 1
    assert json.loads(said)["ledgerWhole"] is False


def test_a_seal_of_the_same_moment_is_not_missed(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "data" / "seals.log"
    log.write_text("")

    def copy_then_seal(source: Path, target: Path) -> FileRecord:
        record = copy_file(source, target)
        if source == log:
            log.write_text(f"seal 1 2026-11-29T02:05:00+00:00 entries=9 sha256={'0' * 64}\n")
        return record

    copy_file = manifest.copy_file
    monkeypatch.setattr(manifest, "copy_file", copy_then_seal)
    done = backups.back_up(
        load_settings(environ), tmp_path / "backup", lambda _: None, now=Clock().now()
    )
    assert log.stat().st_size
    assert done.ledger_whole
    assert (tmp_path / "backup" / "seals.log").read_text() == ""


CUTS = ["before the database", "before the images", "before the manifest", "in the manifest"]


@pytest.mark.parametrize("step", CUTS)
def test_a_backup_that_is_killed_is_never_taken_for_a_whole_one(
    call: Call, environ: dict[str, str], elsewhere: dict[str, str], tmp_path: Path, step: str
) -> None:
    target = tmp_path / "backup"
    process = forked.Process(target=_back_up_and_die, args=(environ, target, step))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert not target.exists()
    (left,) = tmp_path.glob("backup.*.partial")
    line = refusal(call("restore", str(left), **elsewhere))
    assert "is not a whole backup" in line or "cannot be read" in line
    assert call("backup", str(target))[0] == 0, "a backup that was cut is in the way"


def _back_up_and_die(environ: dict[str, str], target: Path, step: str) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def write_half(self: Manifest, folder: Path) -> None:
        text = self.model_dump_json(by_alias=True)
        (folder / manifest.NAME).write_text(text[: len(text) // 2])
        die()

    if step == "before the database":
        database_copy.copy = die
    elif step == "before the images":
        backups._copy_media = die  # type: ignore[assignment]
    elif step == "before the manifest":
        Manifest.write = die  # type: ignore[method-assign,assignment]
    else:
        Manifest.write = write_half  # type: ignore[method-assign]
    backups.back_up(load_settings(environ), target, lambda _: None, now=Clock().now())


def test_the_files_of_uploads_are_counted_too(
    call: Call, environ: dict[str, str], tmp_path: Path
) -> None:
    columns = "id, owner_kind, owner_id, media_key, thumbnail_key, mime_type, bytes"
    row = ("upl_1", "user", "usr_1", KEY, KEY.replace("0", "f"), "image/png", 1)
    with closing(sqlite3.connect(environ["DATABASE_URL"].removeprefix("sqlite:///"))) as opened:
        opened.execute(
            f"INSERT INTO uploads ({columns}, used_at, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, '2026-11-21 12:00:00', '2026-11-21 12:00:00')",
            row,
        )
        opened.commit()
    status, said, _ = call("backup", str(tmp_path / "backup"), "--json")
    assert status == 0
    # The file is in the backup, its thumbnail is lost.
    assert json.loads(said)["imagesMissing"] == 1


def test_a_backup_that_fails_leaves_nothing(call: Call, tmp_path: Path) -> None:
    (tmp_path / "data" / "sandbox.sqlite").write_bytes(b"not a database")
    (tmp_path / "data" / "sandbox.sqlite-wal").unlink(missing_ok=True)
    status, _, _ = call("backup", str(tmp_path / "backup"))
    assert status != 0
    assert not list(tmp_path.glob("backup*"))


@pytest.mark.databases("postgresql")
def test_a_backup_of_postgresql_says_which_client_it_needs(
    database_url: str, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    environ = new_demo(tmp_path, database_url)
    folder = tmp_path / "backup"
    assert run_command("backup", str(folder), environ=environ).returncode == 0
    for program in ("pg_dump", "pg_restore"):
        (tmp_path / program).write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) 9.6.1'\n")
        (tmp_path / program).chmod(0o755)
    old = f"{tmp_path}:{os.environ['PATH']}"

    def refused(command: str, to: Path = folder, **changes: str) -> str:
        ended = run_command(command, str(to), environ=environ | changes)
        return refusal((ended.returncode, ended.stdout, ended.stderr))

    line = refused("restore", **elsewhere)
    assert line == "The backup is of PostgreSQL and DATABASE_URL names SQLite."
    line = refused("restore", CREDITAPP_DATA=elsewhere["CREDITAPP_DATA"])
    assert line == "The database has tables already: set DATABASE_URL to an empty one."
    line = refused("backup", tmp_path / "second", PATH="/nonexistent")
    assert line.startswith("pg_dump is missing: apt-get install postgresql-client")
    line = refused("backup", tmp_path / "second", PATH=old)
    assert line.startswith("pg_dump 9 cannot read PostgreSQL ")
    with new_database("postgresql", tmp_path) as empty:
        empty_place = {"CREDITAPP_DATA": elsewhere["CREDITAPP_DATA"], "DATABASE_URL": empty}
        line = refused("restore", **empty_place, PATH=old)
        assert line.startswith("pg_restore 9 may not read a backup of PostgreSQL ")
        shutil.rmtree(elsewhere["CREDITAPP_DATA"])
        contents = json.loads((folder / "manifest.json").read_text())
        contents["serverVersion"] = 99
        (folder / "manifest.json").write_text(json.dumps(contents))
        line = refused("restore", **empty_place)
        assert line.startswith("The backup is of PostgreSQL 99 and DATABASE_URL names PostgreSQL ")


def test_the_files_of_a_bucket_are_in_the_backup_and_come_back_into_another(
    environ: dict[str, str], tmp_path: Path
) -> None:
    with FakeS3(prefix="old") as s3:
        folder = {"MEDIA_URL": f"file:{tmp_path}/data/media"}
        moved = run_command(
            "media", "move", "--to", s3.url, environ={**environ, **s3.environ, **folder}
        )
        assert moved.returncode == 0, moved.stderr
        made = run_command("backup", str(tmp_path / "b"), environ={**environ, **s3.environ})
        assert made.returncode == 0, made.stderr
        place = {"CREDITAPP_DATA": str(tmp_path / "new"), "CREDITAPP_LOG_LEVEL": "error"}
        url = s3.url.replace("/old", "/new")
        restored = run_command(
            "restore", str(tmp_path / "b"), environ={**place, **s3.environ, "MEDIA_URL": url}
        )
        assert restored.returncode == 0, restored.stderr
        assert {name: each.data for name, each in s3.objects.items()} == {
            f"old/{KEY}": IMAGE,
            f"new/{KEY}": IMAGE,
        }
