"""The bodies and answers of the routes paid by the token."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from creditapp.api.generations import ChargeAnswer, GenerationError
from creditapp.api.requests import IdempotentBody, with_model
from creditapp.api.usage import TokensAnswer
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.orders import holds_controls
from creditapp.http.json_provider import validation_failed
from creditapp.http.schemas import RequestSchema, Schema
from creditapp.rate_limits import CHAT_MESSAGES_MAX, EMBEDDED_TEXTS_MAX

MESSAGE_CHARACTERS_MAX: Final = 200_000


def _message_text(text: str) -> str:
    text = text.replace("\r\n", "\n")
    if not text.strip():
        raise ValueError("Write a message.")
    if holds_controls(text):
        raise ValueError("The message holds control characters; remove them.")
    return text


MessageText = Annotated[
    str, Field(min_length=1, max_length=MESSAGE_CHARACTERS_MAX), AfterValidator(_message_text)
]


class MessageBody(RequestSchema):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"] = "user"
    content: MessageText


class TokenBody(IdempotentBody):
    """The members that every body paid by the token may have."""

    model: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class ConversationBody(TokenBody):
    """The messages of a conversation, or with ``conversationId`` only those that are new."""

    messages: Annotated[list[MessageBody], Field(min_length=1, max_length=CHAT_MESSAGES_MAX)]
    stream: bool = False
    conversation_id: str | None = None

    @model_validator(mode="after")
    def _check_last(self) -> ConversationBody:
        if self.messages[-1].role != "user":
            raise ValueError("The last message is the user's.")
        return self


class TypedBody(BaseModel):
    """The order of any operation: ``type``, with the members of that operation's own route."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, WithJsonSchema({"type": "string", "enum": list(OPERATIONS)})]


class SummaryBody(TokenBody):
    """A text to summarize."""

    text: MessageText
    stream: bool = False


class EmbeddingsBody(TokenBody):
    """A text, or several, to make vectors of."""

    input: Annotated[list[MessageText], Field(min_length=1, max_length=EMBEDDED_TEXTS_MAX)]

    @model_validator(mode="before")
    @classmethod
    def _as_list(cls, body: dict[str, Any]) -> dict[str, Any]:
        text = body.get("input")
        return {**body, "input": [text]} if isinstance(text, str) else body


class MessageAnswer(Schema):
    """The model's message."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatAnswer(Schema):
    """A model's answer with its tokens and its cost."""

    id: str = Field(description="Of the usage record.")
    conversation_id: str | None
    model: str
    message: MessageAnswer
    finish_reason: str = Field(
        description="stop, length (cut by the model's limit or the balance), filtered, stopped or "
        "failed (the text ends where the vendor failed)."
    )
    preview: bool
    usage: TokensAnswer
    credits: ChargeAnswer
    error: GenerationError | None = None


class Embedding(Schema):
    """The vector of one text."""

    index: int
    embedding: list[float]


class EmbeddingsAnswer(Schema):
    """The vectors of texts, in their order."""

    id: str = Field(description="Of the usage record.")
    model: str
    data: list[Embedding]
    preview: bool
    usage: TokensAnswer
    credits: ChargeAnswer


B = TypeVar("B", bound=TokenBody)


def parse_tokens_body(schema: type[B], body: dict[str, Any]) -> B:
    """Return a JSON body as a schema; raise ``ValidationFailed``."""
    try:
        return schema.model_validate(with_model(body))
    except ValidationError as error:
        raise validation_failed(error) from None
