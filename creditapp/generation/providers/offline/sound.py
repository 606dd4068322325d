"""Sounds: reading any audio file, how loud it is, and writing one in an ordered format."""

from __future__ import annotations

import io
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from operator import mul

import av
from av.audio.stream import AudioStream

from creditapp.generation.providers.offline.sources import refuse
from creditapp.generation.providers.protocol import SourceFile, Work

SECONDS_MAX = 600
VOICE_RATE = 48_000
"""Samples of a second to which every voice is converted."""

_HISS = 200.0
"""A level of 16-bit samples below which there is no voice but the hiss of a recording."""

_CHUNK = 4096
_DEMUXERS = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mp4": "mp4",
    "audio/webm": "matroska",
}
"""The format is given to FFmpeg: guessing it, a playlist would be followed to other files."""

_MUXERS = {
    "mp3": ("audio/mpeg", "mp3", "libmp3lame"),
    "wav": ("audio/wav", "wav", "pcm_s16le"),
    "ogg": ("audio/ogg", "ogg", "libopus"),
}


@dataclass(frozen=True, slots=True)
class Sound:
    """One channel of 16-bit samples, ``rate`` of them a second."""

    samples: array[int]
    rate: int

    @property
    def milliseconds(self) -> int:
        """The length, rounded up."""
        return -(-len(self.samples) * 1000 // self.rate)

    def frames(self) -> Iterator[av.AudioFrame]:
        """Yield the samples as frames for an encoder."""
        for start in range(0, len(self.samples), _CHUNK):
            chunk = self.samples[start : start + _CHUNK].tobytes()
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(chunk) // 2)
            frame.sample_rate, frame.pts = self.rate, start
            frame.time_base = Fraction(1, self.rate)
            plane = frame.planes[0]
            # The plane's buffer is longer than the samples in it.
            plane.update(chunk + bytes(plane.buffer_size - len(chunk)))
            yield frame

    def loudness(self, per_second: int) -> list[float]:
        """Return the loudness of each part of a second, as a share of the loudest, from 0 to 1."""
        count = max(1, math.ceil(len(self.samples) * per_second / self.rate))
        edges = (index * self.rate // per_second for index in range(count + 1))
        # Every fourth sample is enough for an average.
        parts = [self.samples[start:end:4] for start, end in pairwise(edges)]
        levels = [math.sqrt(sum(map(mul, part, part)) / max(1, len(part))) for part in parts]
        loudest = max(*levels, _HISS)
        return [level / loudest for level in levels]


def read_voice(source: SourceFile, seconds: int) -> Sound:
    """Return at most ``seconds`` of a voice; raise ``GenerationFailed`` if it cannot be read."""
    samples: array[int] = array("h")
    limit = min(seconds, SECONDS_MAX) * VOICE_RATE
    try:
        format_ = _DEMUXERS[source.mime_type]
        with av.open(io.BytesIO(source.data), "r", format=format_) as container:
            resampler = av.AudioResampler("s16", "mono", VOICE_RATE)
            for frame in chain(container.decode(audio=0), (None,)):
                for part in resampler.resample(frame):
                    # The plane's buffer is longer than the samples in it.
                    samples.frombytes(bytes(part.planes[0])[: part.samples * 2])
                if len(samples) >= limit:
                    break
    except (av.FFmpegError, LookupError, ValueError) as error:
        reason = f"voice_{type(error).__name__}"
    else:
        del samples[limit:]
        if samples:
            return Sound(samples, VOICE_RATE)
        reason = "voice_empty"
    raise refuse("The voice could not be read.", reason)


def mime_type(format_: str) -> str:
    """Return the MIME type of a format; raise ``GenerationFailed`` for one that is not made."""
    if format_ not in _MUXERS:
        raise refuse(f"Previews are made as {', '.join(_MUXERS)}.", "format")
    return _MUXERS[format_][0]


def write_sound(sound: Sound, format_: str, title: str, work: Work) -> bytes | None:
    """Return the file of a sound, the same at each run; None if the work was stopped."""
    _, muxer, encoder = _MUXERS[format_]
    out = io.BytesIO()
    # "bitexact" leaves out what differs between runs: the number of an Ogg stream is random.
    with av.open(out, "w", format=muxer, options={"fflags": "+bitexact"}) as container:
        container.metadata.update(title=title, comment=title)
        stream = container.add_stream(encoder, rate=sound.rate, layout="mono")
        if not isinstance(stream, AudioStream):
            raise TypeError(f"{encoder} encodes no audio")
        for frame in sound.frames():
            if work.should_stop():
                return None
            container.mux(stream.encode(frame))
            work.progress((frame.pts or 0) / len(sound.samples))
        container.mux(stream.encode(None))
    work.progress(1.0)
    return out.getvalue()
