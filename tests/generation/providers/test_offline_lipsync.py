"""Talking faces of the offline provider: the voice in AAC, and a mouth that follows it."""

from __future__ import annotations

import io
import math
import time
import wave
from array import array
from fractions import Fraction

import av
import pytest
from PIL import Image, ImageColor

from creditapp.generation.providers import (
    LipsyncRequest,
    OfflineProvider,
    ProducedFile,
    SourceFile,
    SpeechRequest,
    VideoRequest,
)
from tests.generation.providers.conftest import generate

RATE = 16_000


def sound(*levels: float, seconds: float = 0.5) -> SourceFile:
    """Return a WAV whose parts, each of ``seconds``, are as loud as ``levels``."""
    samples = array("h")
    for level in levels:
        count = round(RATE * seconds)
        samples.extend(round(30_000 * level * math.sin(at / 6)) for at in range(count))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return SourceFile(out.getvalue(), "audio/wav")


def face(size: tuple[int, int] = (240, 240), kind: str = "PNG") -> SourceFile:
    out = io.BytesIO()
    Image.new("RGB", size, (236, 200, 172)).save(out, kind)
    return SourceFile(out.getvalue(), f"image/{kind.lower()}")


def film(colours: list[str], size: tuple[int, int] = (160, 120), rate: int = 4) -> SourceFile:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index, colour in enumerate(colours):
            frame = av.VideoFrame.from_image(Image.new("RGB", size, colour))
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return SourceFile(out.getvalue(), "video/mp4")


def made(source: SourceFile, voice: SourceFile, seconds: int = 10) -> ProducedFile:
    outcome = generate(OfflineProvider(), LipsyncRequest(face=source, voice=voice, seconds=seconds))
    assert outcome.error is None
    assert outcome.progress == sorted(outcome.progress)
    assert outcome.progress[-1] == 1.0
    [file] = outcome.images
    return file


def frames(file: ProducedFile) -> list[Image.Image]:
    with av.open(io.BytesIO(file.data)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def openness(frame: Image.Image) -> int:
    """Return how many pixels of the lower middle third are as dark as an open mouth."""
    width, height = frame.size
    third = frame.convert("L").crop((width // 3, height * 3 // 5, width * 2 // 3, height * 9 // 10))
    return sum(third.histogram()[:40])


def test_the_mouth_opens_as_the_voice_is_loud() -> None:
    levels = (0, 1, 0.25, 0, 0.6)
    file = made(face(), sound(*levels))
    shown = [openness(frame) for frame in frames(file)]
    assert len(shown) == 30
    means = [sum(shown[6 * part + 1 : 6 * part + 5]) / 4 for part in range(5)]
    assert means[0] == means[3] == 0, "silence closes it"
    assert 0 < means[2] < means[4] < means[1]
    assert means[1] > 3 * means[2] / 2


def test_the_file_holds_the_voice_and_is_as_long_as_it() -> None:
    voice = sound(0.2, 0.9, 0.1, 0.8, 0.5)
    file = made(face(), voice)
    assert (file.mime_type, file.width, file.height) == ("video/mp4", 240, 240)
    assert (file.milliseconds, file.provider_cost_micros_usd) == (2500, 0)
    assert file.data.index(b"moov") < file.data.index(b"mdat")
    with av.open(io.BytesIO(file.data)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert video.codec_context.pix_fmt == "yuv420p"
        for stream in (video, audio):
            assert float(stream.duration * stream.time_base) == pytest.approx(2.5, abs=0.05)
        assert container.metadata["title"].startswith("A preview")
        heard = [_level(frame) for frame in container.decode(audio=0)]
    parts = [heard[len(heard) * at // 10] for at in (1, 3, 5, 7, 9)]
    assert parts[2] < parts[0] < parts[4] < parts[3] < parts[1]


def _level(frame: av.AudioFrame) -> float:
    resampler = av.AudioResampler("s16", "mono")
    [part] = resampler.resample(frame)
    samples = array("h", bytes(part.planes[0])[: part.samples * 2])
    return sum(map(abs, samples)) / max(1, len(samples))


@pytest.mark.parametrize("format_", ["mp3", "wav", "ogg"])
def test_every_melody_can_be_spoken(format_: str) -> None:
    text = "Good morning to all of you."
    request = SpeechRequest(text=text, voice="alloy", format=format_)
    [melody] = generate(OfflineProvider(), request).images
    file = made(face(), SourceFile(melody.data, melody.mime_type))
    assert file.milliseconds == pytest.approx(melody.milliseconds, abs=2)
    shown = [openness(frame) for frame in frames(file)]
    assert min(shown) < max(shown) / 3


def test_the_frames_of_a_video_are_repeated_to_the_end_of_the_voice() -> None:
    colours = ["red", "lime", "blue", "yellow"]
    shown = frames(made(film(colours), sound(0.5, 0.5, 0.5, 0.5, seconds=0.75)))
    assert len(shown) == 36
    seen = [_nearest(frame.getpixel((20, 20)), colours) for frame in shown]
    turns = [colour for at, colour in enumerate(seen) if at == 0 or colour != seen[at - 1]]
    assert turns[:9] == (colours * 3)[:9]
    assert 2 <= seen[:12].count("lime") <= 4


def _nearest(pixel: object, colours: list[str]) -> str:
    assert isinstance(pixel, tuple)

    def distance(name: str) -> int:
        return sum((a - b) ** 2 for a, b in zip(ImageColor.getrgb(name), pixel, strict=True))

    return min(colours, key=distance)


def test_a_video_of_very_many_frames_a_second_is_slowed_down() -> None:
    source = film(["red"] * 4800 + ["blue"] * 10, size=(32, 32), rate=4800)
    started = time.process_time()
    shown = frames(made(source, sound(0.5, 0.5)))
    assert time.process_time() - started < 5
    assert {_nearest(frame.getpixel((4, 4)), ["red", "blue"]) for frame in shown} == {"red"}


def test_a_video_of_the_provider_can_speak() -> None:
    request = VideoRequest(prompt="a fox", seconds=1, width=320, height=180)
    [video] = generate(OfflineProvider(), request).images
    file = made(SourceFile(video.data, "video/mp4"), sound(0.1, 0.9, 0.1))
    assert (file.width, file.height, file.milliseconds) == (320, 180, 1500)


def test_a_large_or_odd_face_gets_a_size_that_plays() -> None:
    voice = sound(0.5)
    small = made(face((101, 75), "JPEG"), voice)
    assert (small.width, small.height) == (100, 74)
    large = made(face((4000, 3000)), voice)
    assert (large.width, large.height) == (830, 624)
    assert made(face((1, 900)), voice).width == 2


def test_no_more_is_made_than_was_ordered() -> None:
    assert made(face(), sound(0.5, 0.5, 0.5, 0.5), seconds=1).milliseconds == 1000


def test_the_same_request_gives_the_same_bytes() -> None:
    voice = sound(0.1, 0.7)
    assert made(face(), voice).data == made(face(), voice).data


def test_a_stop_between_frames_delivers_nothing() -> None:
    stops = iter([False] * 4 + [True])
    request = LipsyncRequest(face=face(), voice=sound(0.5, 0.5), seconds=1)
    outcome = generate(OfflineProvider(), request, lambda: next(stops))
    assert (outcome.images, outcome.error) == ([], None)


PLAYLIST = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
GOOD = sound(0.5)


@pytest.mark.parametrize(
    ("source", "voice"),
    [
        (SourceFile(b"no image", "image/png"), GOOD),
        (SourceFile(b"no video", "video/mp4"), GOOD),
        (SourceFile(b"", "video/webm"), GOOD),
        (SourceFile(PLAYLIST, "video/mp4"), GOOD),
        (SourceFile(PLAYLIST, "video/x-mpegurl"), GOOD),
        (SourceFile(film(["red"] * 4).data[:300], "video/mp4"), GOOD),
        (SourceFile(GOOD.data, "video/mp4"), GOOD),
        (face(), SourceFile(b"no sound", "audio/mpeg")),
        (face(), SourceFile(b"", "audio/wav")),
        (face(), SourceFile(PLAYLIST, "audio/mpeg")),
        (face(), SourceFile(PLAYLIST, "audio/x-mpegurl")),
        (face(), SourceFile(film(["red"] * 4).data, "audio/mp4")),
        (face(), SourceFile(sound(seconds=0.5).data, "audio/wav")),
    ],
)
def test_what_cannot_be_read_is_refused(source: SourceFile, voice: SourceFile) -> None:
    request = LipsyncRequest(face=source, voice=voice, seconds=5)
    outcome = generate(OfflineProvider(), request)
    assert outcome.images == []
    assert outcome.error is not None
    assert "could not be read" in str(outcome.error)
    assert (outcome.error.permanent, outcome.error.may_have_charged) == (True, False)
