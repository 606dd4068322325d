"""Media files: whole or absent, under keys that cannot be guessed and lead nowhere else."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditapp.config import SettingsInvalid, load_settings
from creditapp.media import FileMedia, MediaKeyInvalid, MediaTypeUnknown, mime_type_of, open_media

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 1000


@pytest.fixture
def files(tmp_path: Path) -> FileMedia:
    return FileMedia(tmp_path / "media")


def test_a_stored_file_is_found_again(files: FileMedia) -> None:
    key = files.store(PNG, "image/png")
    with files.open(key) as file:
        assert file.read() == PNG
    assert files.size(key) == len(PNG)
    assert mime_type_of(key) == "image/png"
    assert files.path(key).relative_to(files.root).parts == (key[:2], key[2:4], key)


def test_a_deleted_file_is_gone_and_deleting_it_twice_is_no_mistake(files: FileMedia) -> None:
    key = files.store(PNG, "image/png")
    assert files.delete(key) is True
    assert files.delete(key) is False
    with pytest.raises(FileNotFoundError):
        files.open(key)
    with pytest.raises(FileNotFoundError):
        files.size(key)


def test_the_same_picture_twice_has_two_keys_and_many_threads_never_meet(files: FileMedia) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: files.store(PNG, "image/png"), range(100)))
    assert len(set(keys)) == 100
    assert all(files.size(key) == len(PNG) for key in keys)


def test_other_people_on_the_machine_cannot_read_it(files: FileMedia) -> None:
    path = files.path(files.store(PNG, "image/png"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        f"{'0' * 32}",
        f"{'0' * 32}.svg",
        f"{'0' * 32}.png\n",
        f"{'0' * 32}.png/..",
        f"{'0' * 31}.png",
        f"{'A' * 32}.png",
        f"{'٠' * 32}.png",
        f"{'0' * 32}.PNG",
        f"../{'0' * 29}.png",
        f"{'0' * 32}.png\0",
    ],
)
def test_an_invalid_key_is_refused_everywhere(files: FileMedia, key: str) -> None:
    for use in (files.open, files.path, files.size, files.delete, mime_type_of):
        with pytest.raises(MediaKeyInvalid):
            use(key)


@given(st.text())
def test_no_text_leads_out_of_the_folder(key: str) -> None:
    files = FileMedia(Path("/nowhere/media"))
    try:
        path = files.path(key)
    except MediaKeyInvalid:
        return
    assert Path(os.path.normpath(path)) == path
    assert path.is_relative_to("/nowhere/media")


@pytest.mark.parametrize("mime_type", ["image/svg+xml", "text/html", "", "image/png; x=y"])
def test_a_file_that_a_browser_would_run_is_not_stored(files: FileMedia, mime_type: str) -> None:
    with pytest.raises(MediaTypeUnknown):
        files.store(b"<svg onload=alert(1)>", mime_type)
    assert not files.root.exists()


@pytest.mark.parametrize("broken", ["fsync", "rename"])
def test_a_store_that_breaks_off_leaves_nothing(
    files: FileMedia, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="No space left"):
        files.store(PNG, "image/png")
    assert [path for path in files.root.rglob("*") if path.is_file()] == []


def test_the_file_is_on_the_disk_before_it_has_its_name(
    files: FileMedia, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    for name in ("fsync", "rename"):
        true = getattr(os, name)

        def told(*args: object, name: str = name, true: object = true) -> object:
            order.append(name)
            return true(*args)  # type: ignore[operator]  # the function that it stands before

        monkeypatch.setattr(os, name, told)
    files.store(PNG, "image/png")
    assert order[:3] == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize("form", ["file:{}", "file://{}"])
def test_media_url_names_a_folder(tmp_path: Path, form: str) -> None:
    place = open_media(load_settings({"CREDITAPP_DATA": str(tmp_path)}), form.format(tmp_path))
    assert isinstance(place, FileMedia)
    assert place.path(place.store(PNG, "image/png")).is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("url", "words"), [("http://x", "must start with file:"), ("folder", "must start with file:")]
)
def test_other_media_urls_stop_the_start_with_a_line(tmp_path: Path, url: str, words: str) -> None:
    settings = load_settings({"CREDITAPP_DATA": str(tmp_path), "MEDIA_URL": url})
    with pytest.raises(SettingsInvalid, match=words) as refusal:
        open_media(settings)
    assert "MEDIA_URL" in str(refusal.value)
    assert "\n" not in str(refusal.value)
