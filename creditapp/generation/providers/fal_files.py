"""Find, fetch and verify the files of a finished fal job."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import structlog

from creditapp.generation.providers import images as image_files
from creditapp.generation.providers import recordings, transport, vendor_errors
from creditapp.generation.providers.protocol import (
    GenerationFailed,
    ImageRequest,
    ProducedFile,
    PromptRejected,
    Request,
    UpscaleRequest,
)

MEDIA_DOMAIN = "fal.media"
"""The domain of fal's media hosts, such as v3.fal.media."""

log = structlog.get_logger(__name__)


def listed(result: object) -> list[Mapping[str, object]]:
    """Return the files that a result names.

    Raises ``PromptRejected`` when the vendor's safety checker blackened all of them, and
    ``GenerationFailed`` when there is none.
    """
    body: Mapping[str, object] = result if isinstance(result, dict) else {}
    found: list[object] = []
    for name in ("images", "image", "video"):
        value = body.get(name)
        found += value if isinstance(value, list) else [value]
    files: list[Mapping[str, object]] = [
        each for each in found if isinstance(each, dict) and isinstance(each.get("url"), str)
    ]
    if not files:
        failed = "error" in body or "detail" in body
        sentence = vendor_errors.VENDOR_FAILED if failed else vendor_errors.NO_FILE
        raise GenerationFailed(sentence, permanent=True, reason="no_file")
    flags = body.get("has_nsfw_concepts")
    if isinstance(flags, list):
        shown = [file for file, flag in zip(files, flags, strict=False) if flag is not True]
        files = shown + files[len(flags) :]
        if not files:
            raise PromptRejected(may_have_charged=True, reason="nsfw")
    return files


def fetch(
    request: Request, file: Mapping[str, object], base_url: str, timeout_seconds: float
) -> ProducedFile:
    """Return the file, verified by its own bytes; raise ``ProviderError``."""
    url = str(file["url"])
    if not _is_allowed(url, base_url):
        raise GenerationFailed(vendor_errors.UNREADABLE, permanent=True, reason="foreign_address")
    is_image = isinstance(request, ImageRequest | UpscaleRequest)
    bytes_max = image_files.BYTES_MAX if is_image else recordings.BYTES_MAX
    # Without the key: a file's address is public, and another host than the queue.
    answer = transport.call("GET", url, bytes_max=bytes_max, timeout_seconds=timeout_seconds)
    if not answer.ok:
        error = vendor_errors.of_status(answer.status, None)
        raise GenerationFailed(
            vendor_errors.VENDOR_FAILED, permanent=error.permanent, reason=f"file_{error.reason}"
        )
    return _image(answer.body) if is_image else _video(answer.body)


def _is_allowed(url: str, base_url: str) -> bool:
    """Return whether a file may be fetched: else an answer could name our own network's hosts."""
    try:
        address, base = urlsplit(url), urlsplit(base_url)
        port = address.port
    except ValueError:
        return False
    if address.username is not None or address.hostname is None:
        return False
    if (address.scheme, address.hostname, port) == (base.scheme, base.hostname, base.port):
        return True
    host = address.hostname.lower()
    is_vendor = host == MEDIA_DOMAIN or host.endswith(f".{MEDIA_DOMAIN}")
    return address.scheme == "https" and is_vendor and port in (None, 443)


def _image(data: bytes) -> ProducedFile:
    try:
        image = image_files.inspect(data)
    except image_files.NotAnImage as error:
        log.warning("provider sent no image", reason=error.reason)
        raise GenerationFailed(vendor_errors.NO_IMAGE, permanent=True, reason="no_image") from None
    return ProducedFile(
        data=data, mime_type=image.mime_type, width=image.width, height=image.height
    )


def _video(data: bytes) -> ProducedFile:
    try:
        video = recordings.inspect(data, "video")
    except recordings.NotARecording as error:
        log.warning("provider sent no video", reason=error.reason)
        raise GenerationFailed(
            vendor_errors.NO_RECORDING, permanent=True, reason="no_video"
        ) from None
    return ProducedFile(
        data=data,
        mime_type=video.mime_type,
        width=video.width,
        height=video.height,
        milliseconds=video.milliseconds,
    )
