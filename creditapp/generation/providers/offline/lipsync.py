"""Lipsync: a face with a drawn mouth that opens as wide as the voice is loud."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from itertools import chain, repeat

import av
from PIL import Image, ImageDraw, ImageOps

from creditapp.generation.providers.images import PIXELS_MAX
from creditapp.generation.providers.offline.mp4 import FRAMES_PER_SECOND, Mp4
from creditapp.generation.providers.offline.sound import read_voice
from creditapp.generation.providers.offline.sources import check, open_image, refuse
from creditapp.generation.providers.offline.video import FRAME_PIXELS, Mark, frame_size
from creditapp.generation.providers.protocol import LipsyncRequest, ProducedFile, SourceFile, Work

TITLE = "A preview: the mouth follows the loudness of the voice"

_DEMUXERS = {"video/mp4": "mp4", "video/webm": "matroska"}
_SHORTEST_FRAME_SECONDS = 1 / 60
"""Faster frames are slowed down, so that a file of many frames at one time ends at once."""

_OPENINGS = 16
"""Steps from a closed mouth to an open one."""


def speak(request: LipsyncRequest, work: Work) -> Iterator[ProducedFile]:
    """Yield an MP4 of the face with the voice, as long as the voice, unless it was stopped.

    The same request gives the same bytes. Raises ``GenerationFailed`` for an unreadable source.
    """
    voice = read_voice(request.voice, request.seconds)
    faces = _faces(request.face)
    first = next(faces)
    size = frame_size(*first.size, FRAME_PIXELS)
    mark, mouth = Mark(size), _Mouth(size)
    loudness = voice.loudness(FRAMES_PER_SECOND)
    with Mp4(*size, TITLE, voice) as mp4:
        for index, (level, face) in enumerate(zip(loudness, chain((first,), faces), strict=False)):
            if work.should_stop():
                return
            frame = face.resize(size) if face.size != size else face.copy()
            mouth.put_on(frame, level)
            mark.put_on(frame)
            mp4.add(frame)
            work.progress((index + 1) / len(loudness) * 0.98)
        file = mp4.file()
    work.progress(1.0)
    yield file


def _faces(source: SourceFile) -> Iterator[Image.Image]:
    """Yield the face of each frame without end, an image at the size of a frame."""
    if source.mime_type.startswith("video/"):
        return _frames(source)
    check(source)
    image = open_image(source).convert("RGB")
    return repeat(ImageOps.fit(image, frame_size(*image.size, FRAME_PIXELS)))


def _frames(source: SourceFile) -> Iterator[Image.Image]:
    """Yield the frame of a video at each frame's time, again from its start after its end."""
    try:
        yield from _at_frame_times(_loop(source))
        return
    except (av.FFmpegError, LookupError, ValueError, MemoryError) as error:
        reason = f"face_{type(error).__name__}"
    raise refuse("The video of the face could not be read.", reason)


def _at_frame_times(frames: Iterator[tuple[float, av.VideoFrame]]) -> Iterator[Image.Image]:
    _, current = next(frames)
    index = 0
    for time, frame in frames:
        if index / FRAMES_PER_SECOND < time:
            image = _image(current)
            while index / FRAMES_PER_SECOND < time:
                yield image
                index += 1
        current = frame


def _image(frame: av.VideoFrame) -> Image.Image:
    if frame.width * frame.height > PIXELS_MAX:
        raise ValueError("the frame is too large")
    width, height = frame_size(frame.width, frame.height, FRAME_PIXELS)
    image: Image.Image = frame.to_image(width=width, height=height)  # type: ignore[no-untyped-call]  # PyAV leaves it untyped
    return image


def _loop(source: SourceFile) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield each frame with the time at which it begins, over and over."""
    end = 0.0
    while True:
        begin, last = end, end - _SHORTEST_FRAME_SECONDS
        with av.open(io.BytesIO(source.data), "r", format=_DEMUXERS[source.mime_type]) as container:
            video = container.streams.video[0]
            if video.codec_context.width * video.codec_context.height > PIXELS_MAX:
                raise ValueError("the video is too large")
            for frame in container.decode(video):
                last = max(last + _SHORTEST_FRAME_SECONDS, begin + (frame.time or 0.0))
                yield last, frame
            # The last frame is shown as long as the others.
            end = last + max(_SHORTEST_FRAME_SECONDS, 1 / (video.average_rate or 25))
        if last < begin:
            raise LookupError("no frames")


class _Mouth:
    """A mouth in the middle of the lower third of a face, drawn once for each opening."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._width = max(8, round(min(size) * 0.2))
        self._centre = size[0] // 2, round(size[1] * 0.72)
        self._drawn = [self._draw(step / (_OPENINGS - 1)) for step in range(_OPENINGS)]

    def put_on(self, face: Image.Image, loudness: float) -> None:
        """Draw the mouth into a face; ``loudness`` is from 0 to 1."""
        # The ear hears loudness by its logarithm: a half as loud voice opens more than half.
        mouth = self._drawn[round(math.sqrt(min(1.0, loudness)) * (_OPENINGS - 1))]
        x, y = self._centre
        face.paste(mouth, (x - mouth.width // 2, y - mouth.height // 2), mouth)

    def _draw(self, opening: float) -> Image.Image:
        samples = 3
        width, lip = self._width * samples, self._width * samples // 9
        height = round(width * 0.55 * opening) + 2 * lip
        image = Image.new("RGBA", (width, height))
        pen = ImageDraw.Draw(image)
        pen.ellipse((0, 0, width - 1, height - 1), fill=(176, 66, 72, 255))
        inside = (lip, lip, width - 1 - lip, height - 1 - lip)
        if inside[3] > inside[1]:
            pen.ellipse(inside, fill=(36, 10, 16, 255))
        else:
            pen.line((lip, lip, width - lip, lip), fill=(96, 28, 36, 255), width=samples)
        return image.resize((self._width, max(1, height // samples)), Image.Resampling.LANCZOS)
