"""The files of a generation as content of a tool's result: images whole, others as links."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

from mcp_types import ContentBlock, ImageContent, ResourceLink, TextContent
from mcp_types.version import is_version_at_least

from creditapp.api.generations import GenerationAnswer
from creditapp.api.mcp.protocol import Exchange
from creditapp.chat.images import as_jpeg
from creditapp.config import Settings
from creditapp.db import stop_reading
from creditapp.generation import GenerationResult
from creditapp.generation.models import Asset
from creditapp.media import Media
from creditapp.rate_limits import MCP_IMAGE_BYTES_MAX
from creditapp.services import get

_SHOWN = ("image/png", "image/jpeg", "image/webp")
_LINKS_SINCE = "2025-06-18"


def content_of(
    result: GenerationResult, answer: GenerationAnswer, exchange: Exchange
) -> tuple[ContentBlock, ...]:
    """Return the files of a finished generation, and give the answer whole addresses.

    Reads the media store: the request's read session is closed before.
    """
    site = get(Settings).site_url
    for file in answer.assets:
        file.url = f"{site}{file.url}"
    if answer.image_url is not None:
        answer.image_url = f"{site}{answer.image_url}"
    if not result.generation.finished:
        return ()
    stop_reading()
    return tuple(_contents(result, answer, exchange))


def _contents(
    result: GenerationResult, answer: GenerationAnswer, exchange: Exchange
) -> Iterator[ContentBlock]:
    for asset, file in zip(result.assets, answer.assets, strict=True):
        image = _image(asset) if asset.mime_type in _SHOWN else None
        if image is not None:
            yield image
        if is_version_at_least(exchange.version, _LINKS_SINCE):
            yield ResourceLink(
                type="resource_link", name=asset.id, uri=file.url, mime_type=asset.mime_type
            )
        else:
            yield TextContent(type="text", text=file.url)


def _image(asset: Asset) -> ImageContent | None:
    """Return an image, smaller where it is larger than clients take; None if it was deleted."""
    try:
        with get(Media).open(asset.media_key) as file:
            data = file.read()
    except FileNotFoundError:
        return None
    mime_type = asset.mime_type
    if len(data) > MCP_IMAGE_BYTES_MAX:
        data, mime_type = as_jpeg(data), "image/jpeg"
    return ImageContent(type="image", data=b64encode(data).decode(), mime_type=mime_type)
