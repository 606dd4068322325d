"""Videos: a scene through which a camera moves, or an image that it approaches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image, ImageOps

from creditapp.generation.providers.offline import finish
from creditapp.generation.providers.offline.draw import Drawing
from creditapp.generation.providers.offline.mp4 import FRAMES_PER_SECOND, Mp4
from creditapp.generation.providers.offline.sources import check, open_image, refuse
from creditapp.generation.providers.protocol import ProducedFile, VideoRequest, Work

SECONDS_MAX = 60
FRAME_PIXELS = 960 * 540
"""Larger frames are drawn smaller and enlarged by the encoder, which takes half of the time."""

_MARGIN = 1.12
"""Layers are drawn larger than the frame by this factor, so that the camera has room to move."""


def film(request: VideoRequest, work: Work) -> Iterator[ProducedFile]:
    """Yield an MP4 of the requested size and length, unless it was stopped.

    The same request gives the same bytes.
    """
    if not 1 <= request.seconds <= SECONDS_MAX:
        raise refuse(f"Videos of {request.seconds} s are not made here.", "seconds")
    if request.image is not None:
        check(request.image)
    count = request.seconds * FRAMES_PER_SECOND
    with Mp4(request.width, request.height, request.prompt) as mp4:
        size = frame_size(mp4.width, mp4.height, FRAME_PIXELS)
        shot = _shot(request, size)
        mark = Mark(size)
        for index in range(count):
            if work.should_stop():
                return
            frame = shot(index / max(1, count - 1))
            mark.put_on(frame)
            mp4.add(frame)
            work.progress((index + 1) / count * 0.98)
        file = mp4.file()
    work.progress(1.0)
    yield file


def frame_size(width: int, height: int, pixels_max: int) -> tuple[int, int]:
    """Return the size in the same proportions with at most so many pixels."""
    scale = min(1.0, math.sqrt(pixels_max / (width * height)))
    return max(1, round(width * scale)), max(1, round(height * scale))


class Mark:
    """The "Preview" plate, drawn once for all frames of a size."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._plate = finish.mark_plate(size)
        self._corner = finish.mark_corner(size, self._plate)
        self._mask = self._plate.getchannel("A")
        self._plate = self._plate.convert("RGB")

    def put_on(self, frame: Image.Image) -> None:
        """Put the plate into the lower right corner, if there is room."""
        if min(self._corner) >= 0:
            frame.paste(self._plate, self._corner, self._mask)


@dataclass(frozen=True, slots=True)
class _Camera:
    """A slow movement over a layer: from one place and zoom to another."""

    zoom: tuple[float, float]
    pan: tuple[float, float]
    """From -1, the left edge, to 1, the right edge."""

    def view(self, layer: Image.Image, size: tuple[int, int], time: float) -> Image.Image:
        """Return the part of the layer that is seen at a ``time`` from 0 to 1."""
        zoom, pan = (start + (end - start) * time for start, end in (self.zoom, self.pan))
        width, height = layer.width / zoom, layer.height / zoom
        left, top = (layer.width - width) / 2 * (1 + pan), (layer.height - height) / 2
        box = (left, top, left + width, top + height)
        return layer.resize(size, Image.Resampling.BILINEAR, box)


def _shot(request: VideoRequest, size: tuple[int, int]) -> Callable[[float], Image.Image]:
    """Return the function that draws the frame of a time from 0 to 1."""
    drawing = Drawing(request.prompt, request.provider_model, request.seed)
    side = drawing.dice.choice((-1, 1))
    if request.image is not None:
        image = ImageOps.fit(open_image(request.image).convert("RGB"), size)
        camera = _Camera((1.0, 1.15), (0, 0.6 * side))
        return lambda time: camera.view(image, size, time)
    far, near = drawing.layers(round(size[0] * _MARGIN), round(size[1] * _MARGIN))
    slow = _Camera((_MARGIN, 1.17), (-0.25 * side, 0.25 * side))
    fast = _Camera((_MARGIN, 1.21), (-0.9 * side, 0.9 * side))
    alpha = near.getchannel("A")
    # What is far shows through at the edges of what is near, where its alpha is interpolated.
    whole = far.copy()
    whole.paste(near, (0, 0), alpha)

    def frame(time: float) -> Image.Image:
        image = slow.view(far, size, time)
        if alpha.getbbox() is not None:
            image.paste(fast.view(whole, size, time), (0, 0), fast.view(alpha, size, time))
        return image

    return frame
