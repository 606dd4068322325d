"""Image provider that needs no network: scenes in SVG, each image marked as a preview."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from creditapp.generation.providers import images
from creditapp.generation.providers.protocol import (
    GenerationFailed,
    ImageRequest,
    ProducedFile,
    Request,
    Work,
)


class OfflineProvider:
    """Image provider that draws from the prompt, the model's name and a seed, at no cost.

    The same request gives the same bytes, so a call may be repeated. Image n of a request equals
    the first image of a request whose seed is n higher.
    """

    name = "offline"
    repeatable = True
    makes = frozenset[type[Request]]({ImageRequest})

    def make(self, request: Request, work: Work) -> Iterator[ProducedFile]:
        """Yield previews of what was ordered."""
        match request:
            case ImageRequest():
                yield from self._images(request, work)
            case _:
                raise TypeError(f"{type(request).__name__} is not made here")

    def _images(self, request: ImageRequest, work: Work) -> Iterator[ProducedFile]:
        # Pillow and resvg are loaded with the first image, not with the app.
        from creditapp.generation.providers.offline.draw import draw_png

        source = request.images[0].data if request.images else None
        if source is not None:
            _check(source)
        work.progress(0.0)
        for index in range(request.n):
            if work.should_stop():
                return
            data = draw_png(
                request.prompt,
                model=request.provider_model,
                seed=request.seed + index,
                width=request.width,
                height=request.height,
                source=source,
                progress=_part_of(work.progress, index, request.n),
            )
            yield ProducedFile(
                data=data,
                mime_type="image/png",
                width=request.width,
                height=request.height,
                provider_cost_micros_usd=0,
            )


def _part_of(progress: Callable[[float], None], index: int, count: int) -> Callable[[float], None]:
    """Return the progress of one image as a part of all of them."""
    return lambda share: progress((index + share) / count)


def _check(source: bytes) -> None:
    try:
        images.inspect(source)
        return
    except images.NotAnImage as error:
        reason = error.reason
    raise GenerationFailed(
        "The picture to start from could not be read.",
        permanent=True,
        may_have_charged=False,
        reason=f"source_{reason}",
    )
