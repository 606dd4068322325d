"""Audio and video of vendors: measured by their own bytes, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditapp.generation.providers import recordings
from tests.fakes import media_files


@pytest.mark.parametrize(
    ("kind", "mime_type"), [("wav", "audio/wav"), ("mp3", "audio/mpeg"), ("opus", "audio/ogg")]
)
def test_audio_has_the_length_of_its_sound(kind: str, mime_type: str) -> None:
    found = recordings.inspect(media_files.audio(3200, kind), "audio")
    assert found.mime_type == mime_type
    assert found.milliseconds == pytest.approx(3200, abs=80), "an encoder pads the last frame"


def test_a_streamed_wav_whose_header_knows_no_length_is_measured() -> None:
    streamed = bytearray(media_files.wav(1500))
    streamed[4:8] = streamed[40:44] = b"\xff" * 4
    assert recordings.inspect(bytes(streamed), "audio").milliseconds == 1500


def test_a_video_has_length_and_size() -> None:
    found = recordings.inspect(media_files.mp4(2, 96, 64), "video")
    assert found == recordings.Recording("video/mp4", 2000, 96, 64)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html><h1>502</h1></html>", "unknown_type"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "unknown_type"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "unknown_type"),
        (media_files.png("x", 8, 8), "unknown_type"),
        (media_files.mp4(1)[:400], "unreadable"),
        (media_files.wav(1)[:44], "no_length"),
        (media_files.mp4(1), "no_audio"),
        (b"ID3" + bytes(400), "unreadable"),
    ],
)
def test_what_is_no_audio_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(recordings.NotARecording) as refused:
        recordings.inspect(data, "audio")
    assert refused.value.reason == reason


@settings(max_examples=150)
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_inspection(data: bytes) -> None:
    for prefix in (b"", b"RIFF\x20\0\0\0WAVEfmt ", b"OggS", b"ID3", b"\0\0\0\x18ftypisom", b"fLaC"):
        for kind in ("audio", "video"):
            with pytest.raises(recordings.NotARecording):
                recordings.inspect(prefix + data, kind)
