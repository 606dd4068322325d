"""Provider that needs no network, for every operation; its results are previews."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from creditapp.generation.providers.images import PIXELS_MAX, SIDE_MAX
from creditapp.generation.providers.offline.sources import refuse
from creditapp.generation.providers.protocol import (
    ImageRequest,
    LipsyncRequest,
    ProducedFile,
    Request,
    SpeechRequest,
    UpscaleRequest,
    VideoRequest,
    Work,
)

NO_SPEECH = "This is a melody, no speech"
"""The title of a preview of speech: in the file's metadata, and for pages."""


class OfflineProvider:
    """Provider that makes previews from the request alone, at no cost.

    The same request gives the same bytes, so a call may be repeated. Image n of a request equals
    the first image of a request whose seed is n higher.
    """

    name = "offline"
    repeatable = True
    makes = frozenset[type[Request]](
        {ImageRequest, UpscaleRequest, VideoRequest, SpeechRequest, LipsyncRequest}
    )

    # The libraries that draw and encode are loaded with the first request, not with the app.

    def make(self, request: Request, work: Work) -> Iterator[ProducedFile]:
        """Yield previews of what was ordered; raise ``GenerationFailed`` for a bad source."""
        work.progress(0.0)
        match request:
            case ImageRequest():
                yield from _images(request, work)
            case UpscaleRequest():
                yield from _upscaled(request, work)
            case VideoRequest():
                from creditapp.generation.providers.offline.video import film

                _check_size(request.width, request.height)
                yield from film(request, work)
            case SpeechRequest():
                from creditapp.generation.providers.offline.melody import sing

                yield from sing(request, work)
            case LipsyncRequest():
                from creditapp.generation.providers.offline.lipsync import speak

                yield from speak(request, work)
            case _:
                raise TypeError(f"{type(request).__name__} is not made here")


def _images(request: ImageRequest, work: Work) -> Iterator[ProducedFile]:
    from creditapp.generation.providers.offline.draw import draw_png
    from creditapp.generation.providers.offline.edit import edit_png, read_sources

    _check_size(request.width, request.height)
    sources = read_sources(request) if request.images else None
    for index in range(request.n):
        if work.should_stop():
            return
        progress = _part_of(work.progress, index, request.n)
        seed = request.seed + index
        if sources is not None:
            data = edit_png(request, sources, seed, progress)
        else:
            data = draw_png(
                request.prompt,
                model=request.provider_model,
                seed=seed,
                width=request.width,
                height=request.height,
                style=request.style,
                negative_prompt=request.negative_prompt,
                progress=progress,
                note_partial=_some_of(request.partial_images, work),
            )
        yield _png(data, request.width, request.height)


def _upscaled(request: UpscaleRequest, work: Work) -> Iterator[ProducedFile]:
    from creditapp.generation.providers.offline.upscale import upscale_png

    _check_size(request.width, request.height)
    if work.should_stop():
        return
    data = upscale_png(request)
    work.progress(1.0)
    yield _png(data, request.width, request.height)


def _png(data: bytes, width: int, height: int) -> ProducedFile:
    return ProducedFile(
        data=data, mime_type="image/png", width=width, height=height, provider_cost_micros_usd=0
    )


def _some_of(count: int, work: Work) -> Callable[[bytes], None] | None:
    """Return the receiver of an image's first ``count`` states; None for none."""
    if not count:
        return None
    left = iter(range(count))

    def note(data: bytes) -> None:
        if next(left, None) is not None:
            work.note_partial(data, "image/png")

    return note


def _part_of(progress: Callable[[float], None], index: int, count: int) -> Callable[[float], None]:
    """Return the progress of one image as a part of all of them."""
    return lambda share: progress((index + share) / count)


def _check_size(width: int, height: int) -> None:
    if min(width, height) < 1 or max(width, height) > SIDE_MAX or width * height > PIXELS_MAX:
        raise refuse(f"{width} x {height} pixels are not made here.", "size")
