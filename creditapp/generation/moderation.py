"""Moderation of prompts by OpenAI's free model, asked before anything is held.

A vendor's own rules hold in any case: it refuses with ``PromptRejected`` when the work is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Protocol

import structlog
from pydantic import BaseModel, Field, StrictBool, ValidationError

from creditapp.config import Settings, SettingsInvalid
from creditapp.errors import AppError
from creditapp.generation.providers import GenerationFailed, PromptRejected, ProviderError
from creditapp.generation.providers.openai import OPENAI_BASE_URL
from creditapp.generation.providers.transport import call

MODEL: Final = "omni-moderation-latest"
TIMEOUT_SECONDS: Final = 4.0
ANSWER_BYTES_MAX: Final = 200_000

log = structlog.get_logger(__name__)


class PromptNotAllowed(PromptRejected):
    """The moderation refuses the prompt."""

    title = "This prompt is not allowed"


class ModerationUnavailable(AppError):
    """The moderation gave no answer, and the site does not go on without one."""

    status, code, title = 503, "moderation_unavailable", "Prompts cannot be checked right now"

    def __init__(self) -> None:
        super().__init__(
            "Your prompt could not be checked, so nothing was made and nothing was charged. "
            "Try again in a moment.",
            headers={"Retry-After": "30"},
            creditsCharged=0,
        )


class Moderation(Protocol):
    """Decides whether prompts may be made."""

    asks: bool
    """Whether ``check`` calls somebody: no transaction may be open then."""

    def check(self, prompts: Sequence[str]) -> None:
        """Raise ``PromptNotAllowed`` or ``ModerationUnavailable``, or return."""


class NoModeration:
    """Allows every prompt."""

    asks = False

    def check(self, prompts: Sequence[str]) -> None:
        """Return."""


class OpenAIModeration:
    """Asks OpenAI's moderation endpoint, which is free; safe to use from several threads."""

    asks = True

    def __init__(self, api_key: str, base_url: str, *, allows_without_answer: bool) -> None:
        self._api_key, self._base_url = api_key, base_url.rstrip("/")
        self._allows_without_answer = allows_without_answer

    def check(self, prompts: Sequence[str]) -> None:
        """Ask once about all prompts; bounded in time and never retried."""
        prompts = [each for each in dict.fromkeys(prompts) if each]
        if not prompts:
            return
        try:
            results = self._ask(prompts)
        except ProviderError as error:
            log.warning("moderation failed", code=error.code, reason=error.reason)
            results = None
        if results is None:
            if self._allows_without_answer:
                return
            raise ModerationUnavailable
        found = {name for each in results if each.flagged for name in each.named()}
        if any(each.flagged for each in results):
            why = f" ({', '.join(sorted(found))})" if found else ""
            raise PromptNotAllowed(
                f"The moderation refused this prompt{why}. Nothing was charged. Change it.",
                permanent=True,
                reason="moderation",
            )

    def _ask(self, prompts: Sequence[str]) -> list[_Result]:
        answer = call(
            "POST",
            f"{self._base_url}/moderations",
            headers={"Authorization": f"Bearer {self._api_key}"},
            body={"model": MODEL, "input": prompts},
            bytes_max=ANSWER_BYTES_MAX,
            timeout_seconds=TIMEOUT_SECONDS,
        )
        if not answer.ok:
            raise GenerationFailed(reason=f"http_{answer.status}")
        try:
            results = _Answer.model_validate_json(answer.body).results
        except ValidationError:
            results = []
        # The vendor's text may quote the prompt, so ours is raised without it.
        if len(results) != len(prompts):
            raise GenerationFailed(reason="answer_unreadable")
        return results


class _Result(BaseModel):
    flagged: StrictBool
    categories: dict[Annotated[str, Field(pattern=r"^[a-z/-]{1,40}$")], bool | None] = {}

    def named(self) -> list[str]:
        """Return the categories that the prompt falls under."""
        return [name for name, is_flagged in self.categories.items() if is_flagged]


class _Answer(BaseModel):
    results: list[_Result]


def moderation_of(settings: Settings) -> Moderation:
    """Return the moderation that the settings choose; raise ``SettingsInvalid`` without its key."""
    if settings.moderation == "off":
        return NoModeration()
    api_key = settings.environ.get("OPENAI_API_KEY", "").strip()
    if not api_key:
        raise SettingsInvalid("OPENAI_API_KEY is missing: CREDITAPP_MODERATION needs it.")
    return OpenAIModeration(
        api_key,
        settings.environ.get("OPENAI_BASE_URL", "").strip() or OPENAI_BASE_URL,
        allows_without_answer=settings.moderation_failure == "allow",
    )
