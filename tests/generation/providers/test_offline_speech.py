"""Melodies of the offline provider: real audio as long as the text, that says it is no speech."""

from __future__ import annotations

import io
import time
from array import array

import av
import pytest

from creditapp.generation.providers import OfflineProvider, ProducedFile, SpeechRequest
from creditapp.generation.providers.offline import NO_SPEECH
from creditapp.generation.providers.offline.melody import RATE, compose
from tests.generation.providers.conftest import generate

TEXT = "Good morning. Sailing boats glide through the harbour, do they?"
FORMATS = {
    "mp3": ("audio/mpeg", "mp3float"),
    "wav": ("audio/wav", "pcm_s16le"),
    "ogg": ("audio/ogg", "opus"),
}
UNIT = RATE // 15


def made(
    text: str = TEXT, voice: str = "alloy", format_: str = "mp3", seed: int = 0
) -> ProducedFile:
    request = SpeechRequest(text=text, voice=voice, format=format_, seed=seed)
    outcome = generate(OfflineProvider(), request)
    assert outcome.error is None
    assert outcome.progress == sorted(outcome.progress)
    assert outcome.progress[-1] == 1.0
    [file] = outcome.images
    return file


def level(samples: array[int]) -> float:
    return sum(abs(sample) for sample in samples) / max(1, len(samples))


@pytest.mark.parametrize("format_", FORMATS)
def test_each_format_is_what_it_says_and_says_that_it_is_no_speech(format_: str) -> None:
    file = made(format_=format_)
    mime_type, codec = FORMATS[format_]
    assert file.mime_type == mime_type
    assert (file.width, file.height, file.provider_cost_micros_usd) == (None, None, 0)
    with av.open(io.BytesIO(file.data)) as container:
        [audio] = container.streams
        assert audio.codec_context.name == codec
        tags = container.metadata | audio.metadata
        assert tags["title"] == NO_SPEECH == "This is a melody, no speech"
        seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert seconds == pytest.approx(len(TEXT) / 15, abs=0.001)
    assert file.milliseconds == pytest.approx(seconds * 1000, abs=1)


@pytest.mark.parametrize(("text", "seconds"), [("a", 1), ("x" * 30, 2), ("word " * 120, 40)])
def test_it_is_as_long_as_the_text_takes_to_speak(text: str, seconds: int) -> None:
    assert made(text).milliseconds == seconds * 1000


def test_words_sound_and_the_gaps_between_them_are_silent() -> None:
    text = "one, two   three. 四つ"
    samples = compose(text, "alloy", 0).samples
    for place, letter in enumerate(text):
        part = samples[place * UNIT : (place + 1) * UNIT]
        assert (level(part) > 300) == letter.isalnum(), f"{place} {letter!r}"


def test_each_syllable_is_a_note_of_its_own() -> None:
    samples = compose("banana", "alloy", 0).samples
    # Each note ends and begins in silence: ba|na|na.
    for edge in (2, 4):
        around = samples[edge * UNIT - 40 : edge * UNIT + 40]
        assert level(around) < level(samples[edge * UNIT + 300 : edge * UNIT + 600]) / 4


def test_text_voice_and_seed_change_the_melody() -> None:
    files = [made(format_="wav").data]
    files.append(made(text=TEXT.replace("Good", "Calm"), format_="wav").data)
    files.append(made(voice="coral", format_="wav").data)
    files.append(made(seed=1, format_="wav").data)
    assert len(set(files)) == 4


@pytest.mark.parametrize("format_", FORMATS)
def test_the_same_request_gives_the_same_bytes(format_: str) -> None:
    assert made(format_=format_).data == made(format_=format_).data


def test_no_text_is_too_strange() -> None:
    for text in ("...", "🦊🌅", "\0", "__", "ß" * 40, "שלום", "a\u0301" * 20, "zzz" * 400):
        assert made(text).milliseconds


def test_a_long_text_takes_a_moment_and_a_longer_one_is_refused() -> None:
    before = time.process_time()
    assert made("Sailing boats glide. " * 190).milliseconds == 266_000
    # Measured: 2 s.
    assert time.process_time() - before < 8
    request = SpeechRequest(text="x" * 100_000, voice="alloy")
    error = generate(OfflineProvider(), request).error
    assert error is not None
    assert (error.permanent, error.may_have_charged) == (True, False)


def test_a_format_that_is_not_made_is_refused() -> None:
    outcome = generate(OfflineProvider(), SpeechRequest(text="x", voice="alloy", format="../x"))
    assert outcome.error is not None
    assert str(outcome.error) == "Previews are made as mp3, wav, ogg."
    assert (outcome.error.permanent, outcome.error.may_have_charged) == (True, False)


def test_a_stopped_order_delivers_nothing() -> None:
    request = SpeechRequest(text=TEXT, voice="alloy")
    outcome = generate(OfflineProvider(), request, lambda: True)
    assert (outcome.images, outcome.error) == ([], None)
