"""Orders: the typed requests that forms and the API submit. Each operation has its own subclass."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)

from creditapp.catalog import Model, Operation, PriceRequest
from creditapp.errors import ValidationFailed
from creditapp.generation import sources
from creditapp.generation.order_schema import describe_names
from creditapp.generation.sources import Source, Sources

ONCE = "once:"
"""Prefix of a key drawn for one request: no earlier request can have used it."""
PROMPT_CHARACTERS_MAX = 4000
_INVISIBLE = ("Cf", "Zs", "Zl", "Zp")
"""Unicode categories of invisible characters: a prompt needs at least one other."""


SHARED_MEMBERS = frozenset(
    ("prompt", "text", "models", "size", "quality", "images", "seconds", "voice")
)
"""Members that the body of every operation may have: an order ignores those it has no use for."""


def readable(text: str, *, noun: str, missing: str) -> str:
    """Return a user's text without spaces around it; raise ``ValueError`` for one that cannot be.

    ``noun`` names the text, ``missing`` asks for one.
    """
    text = text.replace("\r\n", "\n").strip()
    if all(unicodedata.category(c) in _INVISIBLE for c in text):
        raise ValueError(missing)
    if len(text) > PROMPT_CHARACTERS_MAX:
        raise ValueError(f"The {noun} has {len(text):,} characters; {PROMPT_CHARACTERS_MAX:,} fit.")
    if holds_controls(text):
        raise ValueError(f"The {noun} holds control characters; remove them.")
    return text


def _description(text: str) -> str:
    return readable(text, noun="description", missing="Describe what the image should show.")


Prompt = Annotated[str, AfterValidator(_description)]
"""The description of an image in the user's words."""


def _source_id(text: str) -> str:
    if not _SOURCE_ID.fullmatch(text):
        raise ValueError("This is not the id of a file, such as upl_... or ast_....")
    return text


_SOURCE_ID = re.compile(sources.ID_PATTERN)
SourceId = Annotated[
    str,
    AfterValidator(_source_id),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^({sources.ID_PATTERN}$|data:)",
            "description": "The id of an upload or of a delivered file, or a data: URL.",
        }
    ),
]
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

    _digests: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _partial_images: int = PrivateAttr(0)

    @model_validator(mode="before")
    @classmethod
    def _ignore_shared_members(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        ignored = SHARED_MEMBERS - _members(cls)
        return {name: value for name, value in body.items() if name not in ignored}

    @classmethod
    def describe_names(cls, schema: dict[str, Any]) -> None:
        """Add to a schema every other name of a member, and the members that are ignored."""
        describe_names(cls, schema, SHARED_MEMBERS - _members(cls))

    def note_digests(self, digests: Mapping[str, str]) -> None:
        """Note the digests of files that came with the request, by the ids that they were given.

        A repeated request brings the same files under other ids, and is the same order.
        """
        self._digests = digests

    def ask_partial_images(self, count: int) -> None:
        """Ask for partial images of each image, as many as the provider sends of them.

        They are no part of the order: a repeated request may ask for others.
        """
        self._partial_images = count

    @property
    def partial_images(self) -> int:
        """How many partial images of each image are asked for."""
        return self._partial_images

    def source_ids(self) -> tuple[str, ...]:
        """Return the ids of the files that the order starts from."""
        return ()

    def prompt_text(self) -> str:
        """Return the words that the moderation reads: what to draw, film or speak."""
        return ""

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
        for source_id, digest in self._digests.items():
            text = text.replace(source_id, digest)
        return hashlib.sha256(text.encode()).hexdigest()


@cache
def _members(order: type[Order]) -> frozenset[str]:
    """Return the names that a body may use for the fields of an order."""
    names = set(order.model_fields)
    for each in order.model_fields.values():
        if isinstance(each.validation_alias, AliasChoices):
            names |= {name for name in each.validation_alias.choices if isinstance(name, str)}
    return frozenset(names)


def one_image(body: Any, operation: str) -> Any:
    """Return a body with its only one of ``images`` as ``image``, for orders that start from one.

    Raises ``ValidationFailed`` for several.
    """
    if not isinstance(body, dict) or "image" in body or not isinstance(body.get("images"), list):
        return body
    body = dict(body)
    images = body.pop("images")
    if len(images) > 1:
        raise ValidationFailed.of("images", f"{operation} starts from one image.")
    return body | ({"image": images[0]} if images else {})


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
