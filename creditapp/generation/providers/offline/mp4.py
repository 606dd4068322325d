"""Writing of MP4 files: H.264 video, and a voice in AAC."""

from __future__ import annotations

import math
import tempfile
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.audio.stream import AudioStream
from PIL import Image

from creditapp.generation.providers.offline.finish import SOFTWARE
from creditapp.generation.providers.offline.sound import Sound
from creditapp.generation.providers.protocol import ProducedFile

FRAMES_PER_SECOND = 12
_VIDEO = {"preset": "veryfast", "crf": "25", "threads": "1", "x264-params": "mbtree=0"}
"""With x264's macroblock tree the same frames do not give the same bytes at each run."""

_AUDIO_BITS_PER_SECOND = 96_000


class Mp4:
    """An MP4 that plays in every browser and starts before it is loaded whole.

    Frames of any size are scaled to ``width`` x ``height``, which are rounded down to even numbers,
    as H.264 with subsampled colours needs. It is written to a temporary file: putting the index in
    front takes a second pass over the file.
    """

    def __init__(self, width: int, height: int, title: str, voice: Sound | None = None) -> None:
        self.width, self.height = max(2, width // 2 * 2), max(2, height // 2 * 2)
        self._folder = tempfile.TemporaryDirectory(prefix="preview-")
        self._path = Path(self._folder.name) / "preview.mp4"
        # "bitexact" leaves out what differs between runs, such as the time.
        options = {"movflags": "+faststart", "fflags": "+bitexact"}
        self._container = av.open(str(self._path), "w", format="mp4", options=options)
        self._container.metadata.update(title=title, comment=SOFTWARE)
        self._video = self._container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=_VIDEO)
        self._video.width, self._video.height = self.width, self.height
        self._video.pix_fmt = "yuv420p"
        self._frames = 0
        self._milliseconds = voice.milliseconds if voice is not None else 0
        self._sound = deque(_encode(self._container, voice) if voice is not None else ())

    def add(self, image: Image.Image) -> None:
        """Append a frame in RGB, and the sound up to its time."""
        frame: av.VideoFrame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]  # PyAV leaves it untyped
        frame = frame.reformat(self.width, self.height, "yuv420p")
        frame.pts, frame.time_base = self._frames, Fraction(1, FRAMES_PER_SECOND)
        for packet in self._video.encode(frame):
            self._container.mux(packet)
        self._frames += 1
        self._add_sound(self._frames / FRAMES_PER_SECOND)

    def file(self) -> ProducedFile:
        """Finish the file and return it, as long as its voice, or else its frames."""
        for packet in self._video.encode(None):
            self._container.mux(packet)
        self._add_sound(math.inf)
        self._container.close()
        return ProducedFile(
            data=self._path.read_bytes(),
            mime_type="video/mp4",
            width=self.width,
            height=self.height,
            milliseconds=self._milliseconds or self._frames * 1000 // FRAMES_PER_SECOND,
            provider_cost_micros_usd=0,
        )

    def _add_sound(self, until: float) -> None:
        while self._sound and self._sound[0][0] <= until:
            self._container.mux(self._sound.popleft()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Delete the temporary file, finished or not."""
        self._container.close()
        self._folder.cleanup()


def _encode(
    container: av.container.OutputContainer, voice: Sound
) -> Iterator[tuple[float, av.Packet[AudioStream]]]:
    """Add a stream for the voice; yield its packets with their times, to go between the frames."""
    stream = container.add_stream("aac", rate=voice.rate, layout="mono")
    stream.bit_rate = _AUDIO_BITS_PER_SECOND
    for frame in chain(voice.frames(), (None,)):
        for packet in stream.encode(frame):
            yield (packet.pts or 0) / voice.rate, packet
