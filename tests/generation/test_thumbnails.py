"""Thumbnails: small, upright, marked; without one a generation is whole too."""

from __future__ import annotations

import hashlib
import io
import time
from zipfile import ZipFile

import pytest
from PIL import Image

from creditapp.generation import thumbnails
from tests.app_factory import Person
from tests.generation import delivered
from tests.generation.studio import Scripted, Studio

pytestmark = pytest.mark.in_turn

TURNED_EXIF = Image.Exif()
TURNED_EXIF[0x0112] = 6  # to be shown turned clockwise by 90 degrees


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "WEBP"
    assert b"DigitalSourceType" in picture.info["xmp"]
    return picture


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_red(picture: Image.Image, x: float, y: float) -> bool:
    """Return whether the place, in parts of the sides, is red."""
    pixel = picture.convert("RGB").getpixel((int(x * picture.width), int(y * picture.height)))
    assert isinstance(pixel, tuple)
    return pixel[0] > 150


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1536, 1024), (480, 320)),
        ((900, 1600), (270, 480)),
        ((64, 40), (64, 40)),
        ((3000, 1), (480, 1)),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_longer_side_has_480_pixels_at_most(
    kind: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    data = delivered.image(kind, size)
    assert opened(thumbnails.make(data, "image/png")).size == expected


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_image_that_is_to_be_turned_is_upright(kind: str) -> None:
    data = delivered.image(kind, (1000, 500), exif=TURNED_EXIF)
    picture = opened(thumbnails.make(data, "image/jpeg"))
    assert picture.size == (240, 480)
    # The right half of the stored image is its lower half when shown.
    assert (is_red(picture, 0.5, 0.2), is_red(picture, 0.5, 0.8)) == (False, True)
    assert not picture.getexif(), "or it would be turned twice"


def test_what_is_transparent_stays_so() -> None:
    picture = opened(thumbnails.make(delivered.image("PNG", mode="RGBA"), "image/png"))
    assert picture.mode == "RGBA"


def test_a_video_has_its_first_frame_as_a_poster() -> None:
    picture = opened(thumbnails.make(delivered.film((1280, 720)), "video/mp4"))
    assert picture.size == (480, 270)
    assert (is_red(picture, 0.2, 0.5), is_red(picture, 0.8, 0.5)) == (False, True)


def test_a_video_that_is_to_be_turned_is_upright() -> None:
    picture = opened(thumbnails.make(delivered.turned(delivered.film((640, 360))), "video/mp4"))
    assert picture.size == (270, 480)
    assert (is_red(picture, 0.5, 0.2), is_red(picture, 0.5, 0.8)) == (False, True)


def test_sound_has_none() -> None:
    assert thumbnails.make(delivered.UNMARKED["MP3"][1], "audio/mpeg") is None


@pytest.mark.parametrize(
    ("mime_type", "data"),
    [
        ("image/png", b""),
        ("image/png", delivered.image("PNG")[:60]),
        ("image/png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("video/mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"),
        ("video/mp4", delivered.film()[:200]),
        ("video/mp4", delivered.UNMARKED["WAV"][1]),
        ("image/png", delivered.png_chunk(b"IHDR", b"")),
    ],
    ids=["empty", "cut", "SVG", "playlist", "cut film", "sound", "no signature"],
)
def test_a_file_that_cannot_be_read_has_none(studio: Studio, mime_type: str, data: bytes) -> None:
    with studio.app.app_context():
        assert thumbnails.store(data, mime_type) is None
    assert studio.files() == set()


def test_an_image_of_too_many_pixels_is_not_decoded(studio: Studio) -> None:
    bomb = Image.new("1", (20_000, 20_000))
    out = io.BytesIO()
    bomb.save(out, "PNG")
    began = time.monotonic()
    with studio.app.app_context():
        assert thumbnails.store(out.getvalue(), "image/png") is None
    assert time.monotonic() - began < 0.2


def test_a_generation_gets_the_file_its_mark_and_its_thumbnail(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.data = delivered.image("PNG", (1024, 1024))
    studio.make(alice, n=2)
    for asset in studio.assets():
        answer = alice.browser.get(f"/media/{asset.id}")
        assert b"DigitalSourceType" in answer.data
        small = alice.browser.get(f"/media/{asset.id}?size=small")
        assert opened(small.data).size == (480, 480)
        assert small.mimetype == "image/webp"
        assert small.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert len(studio.files()) == 4
    studio.check()


def test_a_file_whose_thumbnail_fails_is_delivered_and_shown_itself(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    row = studio.make(alice)  # of bytes that are no image
    assert (row.state, row.charged_micro) == ("succeeded", 500_000)
    asset = studio.assets()[0]
    assert asset.thumbnail_key is None
    assert alice.browser.get(f"/media/{asset.id}?size=small").data == provider.data


def test_only_its_owner_sees_a_thumbnail(
    alice: Person, charlie: Person, guest: Person, studio: Studio, provider: Scripted
) -> None:
    provider.data = delivered.image("PNG")
    studio.make(alice)
    url = f"/media/{studio.assets()[0].id}?size=small"
    assert alice.browser.get(url).status_code == 200
    assert charlie.browser.get(url).status_code == 404
    assert guest.browser.get(url).status_code == 404
    assert alice.browser.get(f"{url}&download=1").mimetype == "image/png"


def test_thumbnails_are_deleted_with_their_images(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.data = delivered.image("PNG")
    row = studio.make(alice, n=2)
    assert len(studio.files()) == 4
    alice.call("DELETE", f"/api/generations/{row.id}")
    assert studio.files() == set()


def test_a_stop_of_the_process_leaves_no_thumbnail_behind(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    provider.data = delivered.image("PNG")
    provider.script = [None, SystemExit()]
    generation_id = studio.ask(alice, n=2)
    with pytest.raises(SystemExit):
        studio.work(generation_id)
    studio.check()


@pytest.mark.parametrize("name", delivered.MARKED)
def test_what_a_vendor_marked_is_stored_and_served_byte_for_byte(
    alice: Person, studio: Studio, provider: Scripted, name: str
) -> None:
    provider.mime_type, provider.data = delivered.MARKED[name]
    studio.make(alice)
    asset = studio.assets()[0]
    stored = [path for path in studio.media_folder.rglob("*") if path.name == asset.media_key]
    assert digest(stored[0].read_bytes()) == digest(provider.data)
    served = alice.browser.get(f"/media/{asset.id}?download=1")
    assert digest(served.data) == digest(provider.data)
    zipped = alice.post("/images/zip", {"images": asset.id})
    with ZipFile(io.BytesIO(zipped.data)) as archive:
        assert digest(archive.read(archive.namelist()[0])) == digest(provider.data)
