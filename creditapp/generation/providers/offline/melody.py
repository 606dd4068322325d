"""Melodies in place of speech: one note for each syllable, as long as the text takes to speak."""

from __future__ import annotations

import math
import random
import re
from array import array
from collections.abc import Iterator
from functools import lru_cache

from creditapp.generation.providers.offline import NO_SPEECH
from creditapp.generation.providers.offline.sound import SECONDS_MAX, Sound, mime_type, write_sound
from creditapp.generation.providers.offline.sources import refuse
from creditapp.generation.providers.protocol import ProducedFile, SpeechRequest, Work

CHARACTERS_PER_SECOND = 15
"""How fast the text is spoken, as the catalog estimates it."""

RATE = 24_000
_UNIT = RATE // CHARACTERS_PER_SECOND
"""The samples of one character."""

_PENTATONIC = (0, 2, 4, 7, 9, 12)
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_SYLLABLE = re.compile(r"[^aeiouy]{0,3}[aeiouy]{1,3}(?:[^aeiouy]{1,3}$)?|.{1,4}", re.IGNORECASE)
_LOUDNESS = 11_000
_ATTACK_SECONDS, _RELEASE_SECONDS = 0.012, 0.03
_PERIOD = 1024


def sing(request: SpeechRequest, work: Work) -> Iterator[ProducedFile]:
    """Yield the melody of a text as an audio file, unless it was stopped.

    The same request gives the same bytes.
    """
    type_ = mime_type(request.format)
    if len(request.text) > SECONDS_MAX * CHARACTERS_PER_SECOND:
        raise refuse(f"Speech longer than {SECONDS_MAX} s is not made here.", "text_length")
    sound = compose(request.text, request.voice, request.seed)
    data = write_sound(sound, request.format, NO_SPEECH, work)
    if data is not None:
        yield ProducedFile(
            data=data, mime_type=type_, milliseconds=sound.milliseconds, provider_cost_micros_usd=0
        )


def compose(text: str, voice: str, seed: int) -> Sound:
    """Return the melody of a text, at least a second long."""
    samples = array("h", bytes(2 * _UNIT * max(len(text), CHARACTERS_PER_SECOND)))
    timbre = random.Random(voice)  # noqa: S311  # art, not a secret
    base = timbre.uniform(150, 300)
    overtones = (1.0, timbre.uniform(0.1, 0.5), timbre.uniform(0, 0.3), timbre.uniform(0, 0.15))
    for start, length, step in _notes(text, seed):
        note = _note(base * 2 ** (step / 12), length * _UNIT, overtones)
        samples[start * _UNIT : (start + length) * _UNIT] = note
    return Sound(samples, RATE)


def _notes(text: str, seed: int) -> Iterator[tuple[int, int, int]]:
    """Yield start and length of each syllable in characters, and its step above the base."""
    for word in _WORD.finditer(text):
        # The same word has the same motif wherever it stands.
        dice = random.Random(f"{word[0].lower()}|{seed}")  # noqa: S311  # art, not a secret
        place = word.start()
        after = text[word.end() : word.end() + 1]
        for syllable in _SYLLABLE.findall(word[0]):
            step = dice.choice(_PENTATONIC)
            if place + len(syllable) == word.end() and after in (".", "!", "?"):
                # A sentence ends on the base note, a question above it.
                step = 14 if after == "?" else 0
            yield place, len(syllable), step
            place += len(syllable)


@lru_cache(maxsize=256)
def _note(frequency: float, length: int, overtones: tuple[float, ...]) -> array[int]:
    """Return the samples of a note that swells at once, fades, and ends without a click."""
    period = _period(overtones)
    step = frequency * _PERIOD / RATE
    attack, release = RATE * _ATTACK_SECONDS, RATE * _RELEASE_SECONDS
    return array(
        "h",
        (
            round(
                period[int(at * step) % _PERIOD]
                * min(1.0, at / attack, (length - at) / release)
                * (1 - 0.6 * at / length)
            )
            for at in range(length)
        ),
    )


@lru_cache(maxsize=32)
def _period(overtones: tuple[float, ...]) -> tuple[float, ...]:
    """Return one period of the sound of a voice."""
    strength = _LOUDNESS / sum(overtones)
    return tuple(
        strength
        * sum(
            share * math.sin(2 * math.pi * number * at / _PERIOD)
            for number, share in enumerate(overtones, 1)
        )
        for at in range(_PERIOD)
    )
