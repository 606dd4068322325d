"""Orders: the typed requests that forms and the API submit. Each operation has its own subclass."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from creditapp.catalog import Model, Operation, PriceRequest
from creditapp.errors import ValidationFailed
from creditapp.generation import sources
from creditapp.generation.sources import Source, Sources

PROMPT_CHARACTERS_MAX = 4000
_INVISIBLE = ("Cf", "Zs", "Zl", "Zp")
"""Unicode categories of invisible characters: a prompt needs at least one other."""


def _readable(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if all(unicodedata.category(c) in _INVISIBLE for c in text):
        raise ValueError("Describe what the image should show.")
    if len(text) > PROMPT_CHARACTERS_MAX:
        raise ValueError(
            f"The description has {len(text):,} characters; {PROMPT_CHARACTERS_MAX:,} fit."
        )
    if holds_controls(text):
        raise ValueError("The description holds control characters; remove them.")
    return text


Prompt = Annotated[str, AfterValidator(_readable)]
"""A description in the user's words."""

SourceId = Annotated[str, Field(pattern=f"^{sources.ID_PATTERN}$")]
"""The id of an upload or of a delivered file."""


@dataclass(frozen=True)
class OrderValues:
    """The columns of a generation that its order decides."""

    prompt: str = ""
    n: int = 1
    size: str = ""
    quality: str | None = None
    negative_prompt: str | None = None
    style: str | None = None
    seed: int | None = None
    """None draws one."""
    parameters: Mapping[str, object] = field(default_factory=dict)


class Order(BaseModel):
    """A request for one generation; ``operation`` names the module that defines the subclass."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    operation: ClassVar[str]

    model: str | None = Field(
        default=None,
        validation_alias=AliasChoices("model", "aiModel"),
        min_length=1,
        max_length=64,
        description="A model of the price list; without it the catalog's own choice. Older "
        "clients write aiModel.",
    )
    idempotency_key: str | None = Field(
        default=None,
        validation_alias="idempotencyKey",
        exclude=True,
        max_length=255,
        description="The same as the header Idempotency-Key, which wins.",
    )

    def source_ids(self) -> tuple[str, ...]:
        """Return the ids of the files that the order starts from."""
        return ()

    @abstractmethod
    def price_request(self, sources: Sources) -> PriceRequest:
        """Return what the catalog needs to price this order.

        ``sources`` are those of ``source_ids`` that were found: a form is priced without some.
        """

    @abstractmethod
    def values(self, priced: Model | Operation, sources: Sources) -> OrderValues:
        """Return the order's columns of the generation, once the catalog has priced it.

        ``priced`` is the catalog's model, or the operation where that has a price of its own.
        Raises ``ValidationFailed`` naming each field that does not fit the sources or the model.
        """

    def digest(self) -> str:
        """Return a digest of the operation and its parameters, to recognise a repeated request."""
        content = {"operation": self.operation, **self.model_dump()}
        text = json.dumps(content, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def source_of(sources: Sources, source_id: str, field: str, *kinds: str) -> Source:
    """Return a source; raise ``ValidationFailed`` for ``field`` if it is of another kind."""
    source = sources[source_id]
    if source.kind not in kinds:
        raise ValidationFailed.of(field, f"Choose {' or '.join(_KINDS[kind] for kind in kinds)}.")
    return source


_KINDS = {"image": "an image", "audio": "a voice", "video": "a video"}


def holds_controls(text: str) -> bool:
    """Return whether ``text`` holds lone surrogates or controls other than line ends and tabs.

    PostgreSQL stores no NUL, UTF-8 encodes no lone surrogate, and the other control characters
    turn around or overwrite what an operator reads on a terminal.
    """
    return any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in text)
