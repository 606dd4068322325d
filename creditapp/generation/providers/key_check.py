"""Check of a person's own key: one authenticated request that costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

import structlog

from creditapp.generation.providers import transport
from creditapp.generation.providers.fal import FAL_BASE_URL
from creditapp.generation.providers.google import GOOGLE_BASE_URL
from creditapp.generation.providers.openai import OPENAI_BASE_URL
from creditapp.generation.providers.protocol import ProviderError
from creditapp.generation.providers.transport import Answer

KeyState = Literal["accepted", "refused", "unknown"]
"""``unknown``: the vendor did not say, so that the key may be stored and is not checked."""

ANTHROPIC_BASE_URL: Final = "https://api.anthropic.com/v1"
TIMEOUT_SECONDS: Final = 10.0
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024

log = structlog.get_logger(__name__)


class _Check(NamedTuple):
    """The request of a vendor, and the statuses that it answers a good and a wrong key with."""

    base_url_env: str
    base_url: str
    path: str
    headers: Callable[[str], Mapping[str, str]]
    accepted: tuple[int, ...] = (200,)
    refused: tuple[int, ...] = (401, 403)


_CHECKS: Final[Mapping[str, _Check]] = {
    "openai": _Check(
        "OPENAI_BASE_URL",
        OPENAI_BASE_URL,
        "/models",
        lambda key: {"Authorization": f"Bearer {key}"},
    ),
    "anthropic": _Check(
        "ANTHROPIC_BASE_URL",
        ANTHROPIC_BASE_URL,
        "/models?limit=1",
        lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"},
    ),
    "google": _Check(
        "GEMINI_BASE_URL",
        GOOGLE_BASE_URL,
        "/v1beta/models?pageSize=1",
        lambda key: {"x-goog-api-key": key},
        # A wrong key is an invalid argument there.
        refused=(400, 401, 403),
    ),
    # fal lists nothing for a key: the state of a job that is not there tells as much.
    "fal": _Check(
        "FAL_BASE_URL",
        FAL_BASE_URL,
        "/fal-ai/flux/requests/00000000-0000-0000-0000-000000000000/status",
        lambda key: {"Authorization": f"Key {key}"},
        accepted=(200, 202, 404, 422),
    ),
}


def check_key(vendor: str, key: str, values: Mapping[str, str]) -> KeyState:
    """Return whether the vendor accepts the key. ``values`` has the variables of the addresses."""
    check = _CHECKS[vendor]
    base_url = values.get(check.base_url_env) or check.base_url
    try:
        answer: Answer = transport.call(
            "GET",
            f"{base_url.rstrip('/')}{check.path}",
            headers=check.headers(key),
            bytes_max=ANSWER_BYTES_MAX,
            timeout_seconds=TIMEOUT_SECONDS,
        )
    except ProviderError as error:
        log.warning("key not checked", vendor=vendor, reason=error.reason)
        return "unknown"
    if answer.status in check.accepted:
        return "accepted"
    if answer.status in check.refused:
        return "refused"
    log.warning("key not checked", vendor=vendor, reason=f"http_{answer.status}")
    return "unknown"
