"""Provenance: what a vendor delivered stays as it is, and a file without a mark gets one."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from creditapp.generation import provenance
from creditapp.generation.providers import ImageRequest, Request, SpeechRequest, VideoRequest, Work
from creditapp.generation.providers.offline import OfflineProvider
from tests.generation import delivered

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
PROPERTY = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


@pytest.mark.parametrize("name", delivered.MARKED)
def test_a_file_with_a_mark_is_returned_itself(name: str) -> None:
    mime_type, data = delivered.MARKED[name]
    assert provenance.with_mark(data, mime_type) is data


@pytest.mark.parametrize("name", delivered.UNMARKED)
def test_a_file_without_a_mark_gets_one_once(name: str) -> None:
    mime_type, data = delivered.UNMARKED[name]
    marked = provenance.with_mark(data, mime_type)
    assert marked.count(SOURCE_TYPE.encode()) == 1
    assert provenance.with_mark(marked, mime_type) is marked, "it has one now"


@pytest.mark.parametrize(
    "name", [name for name in delivered.UNMARKED if name[0] in "PJ" or "WebP" in name]
)
def test_an_image_library_reads_the_mark_and_the_same_pixels(name: str) -> None:
    mime_type, data = delivered.UNMARKED[name]
    with (
        Image.open(io.BytesIO(data)) as old,
        Image.open(io.BytesIO(provenance.with_mark(data, mime_type))) as new,
    ):
        assert (new.mode, new.size, new.tobytes()) == (old.mode, old.size, old.tobytes())
        assert new.info.get("icc_profile") == old.info.get("icc_profile")
        assert new.getexif() == old.getexif()
        packet = new.info["xmp"]
    packet = packet.encode() if isinstance(packet, str) else packet
    found = ElementTree.fromstring(packet.rstrip(b"\0")).find(f".//{PROPERTY}")
    assert found is not None
    assert found.text == SOURCE_TYPE


@pytest.mark.parametrize("name", ["WAV", "MP3", "MP4"])
def test_a_player_reads_the_same_frames(name: str) -> None:
    mime_type, data = delivered.UNMARKED[name]
    assert frames(provenance.with_mark(data, mime_type)) == frames(data)


def frames(data: bytes) -> list[bytes]:
    """Return every packet of the media data, after decoding them all."""
    with av.open(io.BytesIO(data)) as container:
        assert len(list(container.decode())) > 2
    with av.open(io.BytesIO(data)) as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


def test_every_other_chunk_of_a_png_stays_in_its_place() -> None:
    data = delivered.with_png_chunk(delivered.image("PNG"), b"tEXt", b"Software\0vendor 2")
    marked = provenance.with_mark(data, "image/png")
    before, after = list(chunks(data)), list(chunks(marked))
    assert [chunk for chunk in after if chunk[0] != b"iTXt"] == before
    assert len(after) == len(before) + 1


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each chunk, after checking its checksum."""
    place = 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4])
        kind, content = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        checksum = int.from_bytes(png[place + 8 + length : place + 12 + length])
        assert checksum == zlib.crc32(kind + content)
        yield kind, content
        place += 12 + length


def test_a_jpeg_keeps_jfif_and_exif_first() -> None:
    mime_type, data = delivered.UNMARKED["JPEG with Exif"]
    marked = provenance.with_mark(data, mime_type)
    assert marked.index(b"JFIF") < marked.index(b"Exif") < marked.index(b"http://ns.adobe")


def test_the_frames_of_an_mp3_tag_stay() -> None:
    mime_type, data = delivered.UNMARKED["MP3"]
    assert data.startswith(b"ID3\x04"), "the library writes a tag"
    marked = provenance.with_mark(data, mime_type)
    assert data[10:] in marked
    size = sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    bare = data[10 + size :]
    assert provenance.with_mark(bare, mime_type).endswith(bare)
    assert frames(provenance.with_mark(bare, mime_type)) == frames(bare)


@pytest.mark.parametrize(
    ("mime_type", "data"),
    [
        ("audio/ogg", delivered.sound("libopus", "ogg")),
        ("video/webm", b"\x1a\x45\xdf\xa3"),
        ("image/png", delivered.image("PNG")[:-9]),
        ("image/png", b"\x89PNG\r\n\x1a\n never decoded"),
        ("image/jpeg", delivered.image("JPEG")[:30]),
        ("image/webp", delivered.image("WEBP")[:-3]),
        ("audio/wav", delivered.sound("pcm_s16le", "wav") + b"after the end"),
        ("video/mp4", delivered.film() + b"\0\0\0\0mdatuntil the end"),
        ("video/mp4", delivered.film() + delivered.box(b"mfra", b"")),
        ("audio/mpeg", b"ID3\x02\0\0\0\0\0\0" + delivered.sound("libmp3lame", "mp3")),
    ],
    ids=[
        *("Ogg", "WebM", "cut PNG", "no PNG", "cut JPEG", "cut WebP", "longer WAV"),
        *("MP4 with an open box", "MP4 with an index", "old MP3 tag"),
    ],
)
def test_what_cannot_be_marked_safely_is_left_as_it_is(mime_type: str, data: bytes) -> None:
    assert provenance.with_mark(data, mime_type) is data


@settings(max_examples=400)
@given(st.sampled_from([*delivered.UNMARKED.values()]), st.data())
def test_no_bytes_crash_it(file: tuple[str, bytes], data: st.DataObject) -> None:
    mime_type, whole = file
    head = whole[: data.draw(st.integers(0, min(len(whole), 400)))]
    broken = head + data.draw(st.binary(max_size=60))
    marked = provenance.with_mark(broken, mime_type)
    assert marked is broken or marked.count(SOURCE_TYPE.encode()) == 1


@pytest.mark.parametrize(
    "request_",
    [
        ImageRequest(prompt="a fox", provider_model="nano-banana", width=512, height=512),
        VideoRequest(prompt="waves", seconds=1, width=320, height=180),
        SpeechRequest(text="Good evening.", voice="alloy", format="mp3"),
        SpeechRequest(text="Good evening.", voice="alloy", format="wav"),
    ],
    ids=["image", "video", "mp3", "wav"],
)
def test_a_preview_is_marked_too(request_: Request) -> None:
    for file in OfflineProvider().make(request_, Work()):
        marked = provenance.with_mark(file.data, file.mime_type)
        assert marked.count(SOURCE_TYPE.encode()) == 1
        if file.mime_type == "image/png":
            with Image.open(io.BytesIO(marked)) as image:
                assert "preview" in image.info["Comment"], "its own text stays"
