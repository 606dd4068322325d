"""Order of a turn: what is asked of a language model, and how."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from creditapp.catalog.models import TokenOperation
from creditapp.chat.providers import ChatMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOrder:
    """A question to a language model. ``repr`` hides the texts, so that logs do not hold them."""

    source: TokenOperation
    messages: Sequence[ChatMessage] = field(repr=False)
    model: str | None = None
    conversation_id: str | None = None
    from_position: int | None = None
    """The messages of the conversation from here on are replaced by this turn; ``None`` adds it."""
    max_output_tokens: int | None = None
    """The longest answer that the caller wants; ``None`` leaves it to the model."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further choices of the caller by OpenAI's names, such as ``temperature``."""
    is_stateless: bool = False
    """Whether the caller keeps the conversation: none is stored, and its answer only for a repeated
    request with the same key."""
    file_digests: Mapping[str, str] = field(default_factory=dict)
    """Of the images that came with the request, by the ids that they were given: a repeated request
    brings the same images under other ids."""

    def schema_message(self) -> list[ChatMessage]:
        """Return the schema of the answer as a message, to be priced: the model reads it too."""
        response_format = self.options.get("response_format")
        if response_format is None:
            return []
        return [ChatMessage("system", json.dumps(response_format))]

    def digest(self) -> str:
        """Return the digest of what was asked, which a repeated request must have."""
        texts = [
            [each.role, each.text, *(self.file_digests.get(id, id) for id in each.image_ids)]
            for each in self.messages
        ]
        place = [self.conversation_id, self.from_position]
        chosen = [self.max_output_tokens, self.options] if self.is_stateless else []
        content = json.dumps([self.source, self.model, *place, texts, *chosen], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()
