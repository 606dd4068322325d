"""What may be asked for: one typed request, read from a form and from JSON alike."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictInt, field_validator

PROMPT_CHARACTERS_MAX = 4000
IMAGES_MAX = 4
_INVISIBLE = ("Cf", "Zs", "Zl", "Zp")
"""Unicode's categories of what takes no ink: a text of nothing else says nothing."""


class ImageOrder(BaseModel):
    """A wish for one to four images. ``models`` is read and ignored: older clients send it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    prompt: str = Field(
        validation_alias=AliasChoices("prompt", "text"),
        description=f"What the picture shows, in at most {PROMPT_CHARACTERS_MAX:,} characters. "
        "May be named text.",
    )
    model: str | None = Field(
        default=None,
        validation_alias=AliasChoices("model", "aiModel"),
        max_length=64,
        description="A model of the price list; without it the catalog's own choice. Older "
        "clients write aiModel.",
    )
    n: Annotated[StrictInt, Field(ge=1, le=IMAGES_MAX)] = Field(
        default=1, description="How many images; each one delivered is charged."
    )
    size: str = Field(
        default="1024x1024", max_length=16, description="As 1536x1024, or its shape as 3:2."
    )
    quality: str | None = Field(
        default=None,
        max_length=16,
        description="For models that are priced by quality: low, medium, high.",
    )
    models: Any = Field(default=None, exclude=True, description="Ignored.")
    images: Any = Field(
        default=None, exclude=True, description="Empty: pictures are made from words alone."
    )
    seconds: Any = Field(default=None, exclude=True, description="Ignored: a picture has none.")
    voice: Any = Field(default=None, exclude=True, description="Ignored: a picture has none.")
    idempotency_key: str | None = Field(
        default=None,
        validation_alias="idempotencyKey",
        exclude=True,
        max_length=255,
        description="The same as the header Idempotency-Key, which wins.",
    )

    @field_validator("prompt")
    @classmethod
    def _readable(cls, text: str) -> str:
        text = text.replace("\r\n", "\n").strip()
        if all(unicodedata.category(c) in _INVISIBLE for c in text):
            raise ValueError("Describe what the picture should show.")
        if len(text) > PROMPT_CHARACTERS_MAX:
            raise ValueError(
                f"The description has {len(text):,} characters; {PROMPT_CHARACTERS_MAX:,} fit."
            )
        if holds_controls(text):
            raise ValueError("The description holds control characters; remove them.")
        return text

    @field_validator("images")
    @classmethod
    def _none(cls, images: object) -> None:
        if images:
            raise ValueError("Pictures are made from words alone here; leave images out.")

    def digest(self) -> str:
        """Return the digest of what was asked for, the same for the same wish."""
        text = json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def holds_controls(text: str) -> bool:
    """Return whether a text holds control characters, line ends and tabs apart, or half a pair.

    PostgreSQL stores no NUL, UTF-8 writes no half of a pair of surrogates, and the others turn
    around or overwrite what an operator reads on a terminal.
    """
    return any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in text)
