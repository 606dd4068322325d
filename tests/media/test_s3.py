"""Files in a bucket: stored whole, read back, and shown by links that expire."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from creditapp.config import Settings, SettingsInvalid, load_settings
from creditapp.media import Link, Media, MediaKeyInvalid, MediaTypeUnknown, MediaUnavailable
from creditapp.media import open_media as open_store
from creditapp.media import s3 as s3_module
from creditapp.media.bucket import AccessKeys, Bucket
from tests.fakes.s3_server import KEYS, FakeS3

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8


def link_of(media: Media, key: str, disposition: str = "inline") -> Link:
    place = media.location(key, disposition)
    assert isinstance(place, Link)
    return place


def test_a_file_is_one_object_with_its_type_and_is_found_again(s3: FakeS3, media: Media) -> None:
    key = media.store(PNG, "image/png")
    stored = s3.objects[f"production/files/{key}"]
    assert (stored.data, stored.content_type) == (PNG, "image/png")
    assert stored.headers["cache-control"].startswith("private")
    with media.open(key) as file:
        assert file.read() == PNG
    assert media.size(key) == len(PNG)
    assert list(media.keys()) == [key]
    media.delete(key)
    media.delete(key)
    assert s3.objects == {}
    for read in (media.open, media.size):
        with pytest.raises(FileNotFoundError):
            read(key)


def test_many_files_are_listed_over_several_pages_and_others_are_left_alone(
    s3: FakeS3, media: Media
) -> None:
    keys = {media.store(b"x", "image/webp") for _ in range(230)}
    s3.objects["production/files/readme.txt"] = next(iter(s3.objects.values()))
    s3.objects["elsewhere/" + "0" * 32 + ".png"] = next(iter(s3.objects.values()))
    assert set(media.keys()) == keys
    assert s3.refusals == []


def test_only_keys_and_known_types_reach_the_bucket(s3: FakeS3, media: Media) -> None:
    with pytest.raises(MediaTypeUnknown):
        media.store(b"<svg/>", "image/svg+xml")
    for use in (media.open, media.size, media.delete, lambda key: media.location(key, "inline")):
        with pytest.raises(MediaKeyInvalid):
            use("../other.png")
    with pytest.raises(MediaKeyInvalid):
        media.put("../other.png", PNG)
    assert s3.calls == []


def test_a_link_shows_the_file_in_parts_and_names_a_download(s3: FakeS3, media: Media) -> None:
    key = media.store(PNG, "image/png")
    url = link_of(media, key, 'attachment; filename="a b.png"').url
    with urlopen(url) as answer:
        assert answer.read() == PNG
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="a b.png"'
    with urlopen(Request(url, headers={"Range": "bytes=8-15"})) as part:
        assert (part.status, part.read()) == (206, PNG[8:16])
    for changed in (url.replace("a%20b", "c"), url.replace(key, "0" * 32 + ".png")):
        with pytest.raises(HTTPError, match="403"):
            urlopen(changed)


def test_a_link_stays_the_same_for_half_an_hour_and_expires(
    s3: FakeS3, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = media.store(PNG, "image/png")
    begin = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    urls = []
    for minutes in (0, 29, 30):
        moment = begin + timedelta(minutes=minutes)
        monkeypatch.setattr(s3_module, "datetime", clock_at(moment))
        link = link_of(media, key)
        assert 0 < link.fresh_seconds <= s3_module.WINDOW_SECONDS
        assert link.fresh_seconds + 1800 <= s3_module.LINK_SECONDS
        urls.append(link.url)
    assert urls[0] == urls[1] != urls[2]
    with pytest.raises(HTTPError, match="403"):  # it expired long ago, by the bucket's clock
        urlopen(urls[0])
    assert s3.refusals == ["AccessDenied"]


def clock_at(moment: datetime) -> type[datetime]:
    """Return a ``datetime`` whose time is ``moment``."""

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return moment

    return Stopped


def test_our_link_is_the_one_of_amazons_documentation() -> None:
    bucket = Bucket("https://examplebucket.s3.amazonaws.com", "", "us-east-1")
    url = bucket.signed_url(
        "test.txt",
        AccessKeys(*KEYS),
        signed_at=datetime(2013, 5, 24, tzinfo=UTC),
        seconds=86400,
        parameters={},
    )
    assert url.startswith("https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=")
    # pragma: allowlist nextline secret
    signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    assert url.endswith(f"&X-Amz-Signature={signature}")


@pytest.mark.parametrize(
    ("fault", "times", "reason"),
    [("http_403", 1, "AccessDenied"), ("http_503", 9, "SlowDown"), ("reset", 9, "GenericError")],
)
def test_a_bucket_that_fails_is_one_error_that_quotes_nothing(
    s3: FakeS3, media: Media, caplog: pytest.LogCaptureFixture, fault: str, times: int, reason: str
) -> None:
    key = media.store(PNG, "image/png")
    for use in (media.open, media.delete, lambda _: media.store(PNG, "image/png")):
        s3.fail(fault, times=times)
        with pytest.raises(MediaUnavailable) as failure:
            use(key)
        s3.recover()
        assert (failure.value.code, failure.value.reason) == ("media_unavailable", reason)
        assert s3.secret_key not in f"{failure.value!r} {failure.value.fields} {caplog.text}"
        assert failure.value.__cause__ is None


@pytest.mark.parametrize("fault", ["http_503", "reset", "lost"])
def test_a_short_failure_is_not_noticed(s3: FakeS3, media: Media, fault: str) -> None:
    s3.fail(fault, times=2)
    key = media.store(PNG, "image/png")
    assert len(s3.objects) == 1
    with media.open(key) as file:
        assert file.read() == PNG


def test_a_silent_bucket_is_given_up_in_seconds(
    s3: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(s3_module, "RETRIES", 1)
    media = open_store(settings(tmp_path, **s3.environ))
    s3.fail("slow")
    key = media.store(PNG, "image/png")  # an upload takes its time
    s3.fail("silent", times=9)
    began = time.monotonic()
    with pytest.raises(MediaUnavailable):
        media.open(key)
    assert time.monotonic() - began < 5


def settings(folder: Path, **environ: str) -> Settings:
    return load_settings({"CREDITAPP_DATA": str(folder), **environ})


AWS = {"AWS_ACCESS_KEY_ID": KEYS[0], "AWS_SECRET_ACCESS_KEY": KEYS[1]}


@pytest.mark.parametrize(
    ("url", "address", "prefix"),
    [
        ("s3://media?region=eu-central-1", "https://media.s3.eu-central-1.amazonaws.com", ""),
        ("s3://my.media/a/?region=us-west-2", "https://s3.us-west-2.amazonaws.com/my.media", "a"),
        ("s3://media/a/b?endpoint=https://o.example/", "https://o.example/media", "a/b"),
        (
            "s3://media?endpoint=http://127.0.0.1:9000&region=auto",
            "http://127.0.0.1:9000/media",
            "",
        ),
    ],
)
def test_media_url_names_a_bucket(url: str, address: str, prefix: str) -> None:
    bucket = Bucket.parse(url)
    assert (bucket.address, bucket.prefix) == (address, prefix)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://", "must be of the form"),
        ("s3://Media?region=x", "must be of the form"),
        ("s3://media/a b?region=x", "must be of the form"),
        ("s3://media", "needs region="),
        ("s3://media?region=x&profile=y", "unknown option 'profile'"),
        ("s3://media?endpoint=ftp://x", "needs an endpoint"),
        ("s3://media?endpoint=https://o.example/path", "needs an endpoint"),
        ("s3://AKIA:hidden@media?region=x", "AWS_ACCESS_KEY_ID"),  # pragma: allowlist secret
    ],
)
def test_an_address_that_is_wrong_stops_the_start_with_a_line(
    tmp_path: Path, url: str, words: str
) -> None:
    with pytest.raises(SettingsInvalid, match=words) as refusal:
        open_store(settings(tmp_path, MEDIA_URL=url, **AWS))
    assert "MEDIA_URL" in str(refusal.value)
    assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize("name", list(AWS))
def test_a_bucket_without_keys_stops_the_start(tmp_path: Path, name: str) -> None:
    environ = {key: value for key, value in AWS.items() if key != name}
    with pytest.raises(SettingsInvalid, match=f"{name} is missing"):
        open_store(settings(tmp_path, MEDIA_URL="s3://media?region=x", **environ))


def test_the_environment_that_other_tools_read_changes_nothing(
    s3: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    media = open_store(settings(tmp_path, **s3.environ))
    assert media.size(media.store(PNG, "image/png")) == len(PNG)
    assert all("x-amz-security-token" not in each.headers for each in s3.objects.values())
