"""The provider that needs no network: it draws, and says on the picture that it is a preview."""

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
    """Draws a picture from the prompt, the model's name and a seed; costs nothing.

    The same request gives the same bytes, so it may be repeated. The n-th picture of a request is
    the first one of the seed that lies n further.
    """

    name = "offline"
    repeatable = True

    def generate_images(
        self, request: ImageRequest, *, progress: Progress, should_stop: ShouldStop
    ) -> Iterator[ProducedImage]:
        """Yield ``request.n`` previews, each of the size asked for, as PNG with its origin."""
        # Pillow is loaded with the first picture, not with the app.
        from creditapp.generation.providers.offline_art import draw_png

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
    """Return the progress of one picture as a part of all of them."""
    return lambda share: progress((index + share) / count)


def _check(source: bytes) -> None:
    try:
        images.inspect(source)
        return
    except images.NotAPicture as error:
        reason = error.reason
    raise GenerationFailed(
        "The picture to start from could not be read.",
        permanent=True,
        may_have_charged=False,
        reason=f"source_{reason}",
    )
