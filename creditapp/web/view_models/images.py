"""Generations and their images, for the job card and the gallery."""

from __future__ import annotations

from dataclasses import dataclass

from creditapp.generation import gallery
from creditapp.generation.models import Asset, Generation
from creditapp.http.rendering import with_query


@dataclass(frozen=True)
class Image:
    """Addresses, size and length of one delivered file: an image, audio or a video."""

    id: str
    url: str
    page_url: str
    """The viewer."""
    download_url: str
    thumbnail_url: str | None
    """A small image of it for lists and before playing; None where there is none to show."""
    mime_type: str
    width: int | None
    height: int | None
    milliseconds: int | None

    @property
    def kind(self) -> str:
        """``image``, ``audio`` or ``video``, which decides how it is shown."""
        return self.mime_type.partition("/")[0]


@dataclass(frozen=True)
class ImageCard:
    """The ``image_card`` component."""

    generation: Generation
    asset: Image
    starred: bool
    price_micro: int
    """Of this one alone."""
    together: int
    """How many images there are of the same generation."""
    again_url: str


def image(asset: Asset) -> Image:
    """Return how one delivered file is shown."""
    url = f"/media/{asset.id}"
    return Image(
        id=asset.id,
        url=url,
        page_url=f"/images/{asset.id}",
        download_url=f"{url}?download=1",
        thumbnail_url=_thumbnail_url(asset, url),
        mime_type=asset.mime_type,
        width=asset.width,
        height=asset.height,
        milliseconds=asset.milliseconds,
    )


def _thumbnail_url(asset: Asset, url: str) -> str | None:
    if asset.thumbnail_key:
        return f"{url}?size=small"
    return url if asset.kind == "image" else None


def image_card(generation: Generation, asset: Asset, together: int = 1) -> ImageCard:
    """Return one image of the gallery."""
    return ImageCard(
        generation=generation,
        asset=image(asset),
        starred=asset.starred_at is not None,
        price_micro=gallery.price_micro(generation, asset),
        together=together,
        again_url=again_url(generation),
    )


def again_url(generation: Generation) -> str:
    """Return the studio's address with the form filled in like this generation."""
    fields = {
        "operation": generation.operation,
        "prompt": generation.prompt,
        "model": generation.model,
        "n": generation.n,
        "size": generation.size,
        "quality": generation.quality,
        "style": generation.style,
        "negativePrompt": generation.negative_prompt,
    }
    return with_query("/", fields | {name: generation.parameters.get(name) for name in _AGAIN})


_AGAIN = ("images", "mask", "image", "audio", "seconds", "voice", "format")
"""The parameters that are fields of a form."""
