"""Image provider that needs no network: scenes in SVG, each image marked as a preview."""

from __future__ import annotations

from collections.abc import Iterator

from creditapp.generation.providers import images
from creditapp.generation.providers.protocol import (
    GenerationFailed,
    ImageRequest,
    ProducedImage,
    Progress,
    ShouldStop,
)


class OfflineProvider:
    """Image provider that draws from the prompt, the model's name and a seed, at no cost.

    The same request gives the same bytes, so a call may be repeated. Image n of a request equals
    the first image of a request whose seed is n higher.
    """

    name = "offline"
    repeatable = True

    def generate_images(
        self, request: ImageRequest, *, progress: Progress, should_stop: ShouldStop
    ) -> Iterator[ProducedImage]:
        """Yield ``request.n`` previews of the requested size as PNG."""
        # Pillow and resvg are loaded with the first image, not with the app.
        from creditapp.generation.providers.offline.draw import draw_png

        source = request.images[0].data if request.images else None
        if source is not None:
            _check(source)
        progress(0.0)
        for index in range(request.n):
            if should_stop():
                return
            data = draw_png(
                request.prompt,
                model=request.provider_model,
                seed=request.seed + index,
                width=request.width,
                height=request.height,
                source=source,
                progress=_part_of(progress, index, request.n),
            )
            yield ProducedImage(
                data, "image/png", request.width, request.height, provider_cost_micros_usd=0
            )


def _part_of(progress: Progress, index: int, count: int) -> Progress:
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
