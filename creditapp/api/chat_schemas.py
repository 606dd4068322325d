"""The bodies and answers of the routes paid by the token."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from creditapp.api.generations import ChargeAnswer, GenerationError
from creditapp.api.requests import IdempotentBody
from creditapp.api.usage import TokensAnswer
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.orders import holds_controls
from creditapp.http.schemas import RequestSchema, Schema, one_of
from creditapp.rate_limits import (
    CHAT_IMAGES_MAX,
    CHAT_IMAGES_SENT_MAX,
    CHAT_MESSAGES_MAX,
    EMBEDDED_TEXTS_MAX,
)

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


class TextPart(RequestSchema):
    """A text of a message."""

    type: Literal["text"]
    text: str


class ImageUrl(RequestSchema):
    """An image that the caller has here, or brings."""

    model_config = ConfigDict(alias_generator=None)

    url: Annotated[
        str,
        Field(
            min_length=1,
            description="A data: URL with base64, or the id or the address of an upload or a "
            "delivered image of the caller's own. Other addresses are refused.",
        ),
    ]


class ImagePart(RequestSchema):
    """An image of a message. It is sent before the text."""

    model_config = ConfigDict(alias_generator=None)

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
_PARTS: Final = TypeAdapter[list[TextPart | ImagePart]](list[Part])


def _text_of(content: object) -> object:
    """Return the text of a message's parts; anything else as it is."""
    if not isinstance(content, list):
        return content
    parts = _parts_of(content)
    if sum(isinstance(each, ImagePart) for each in parts) > CHAT_IMAGES_MAX:
        raise ValueError(f"A message takes at most {CHAT_IMAGES_MAX} images.")
    return "\n\n".join(each.text for each in parts if isinstance(each, TextPart))


def _parts_of(content: object) -> list[TextPart | ImagePart]:
    try:
        return _PARTS.validate_python(content)
    except ValidationError:
        raise ValueError(
            'A part is {"type": "text", "text": ...} or {"type": "image_url", '
            '"image_url": {"url": ...}}.'
        ) from None


class MessageBody(RequestSchema):
    """One message of a conversation; its content is a text, or parts of text and images."""

    role: Literal["system", "user", "assistant"] = "user"
    content: Annotated[
        MessageText, BeforeValidator(_text_of, json_schema_input_type=MessageText | list[Part])
    ]
    _image_urls: tuple[str, ...] = PrivateAttr(())

    @property
    def image_urls(self) -> tuple[str, ...]:
        """The addresses of its images."""
        return self._image_urls

    @model_validator(mode="wrap")
    @classmethod
    def _keep_images(cls, body: Any, handler: ModelWrapValidatorHandler[MessageBody]) -> Any:
        message = handler(body)
        content = body.get("content") if isinstance(body, dict) else None
        if isinstance(content, list):
            parts = _parts_of(content)
            images = [each.image_url.url for each in parts if isinstance(each, ImagePart)]
            message._image_urls = tuple(images)
            if images and message.role != "user":
                raise ValueError("Images come in the user's messages.")
        return message


class TokenBody(IdempotentBody):
    """The members that every body paid by the token may have."""

    model: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class ConversationBody(TokenBody):
    """The messages of a conversation, or with ``conversationId`` only those that are new."""

    messages: Annotated[list[MessageBody], Field(min_length=1, max_length=CHAT_MESSAGES_MAX)]
    stream: bool = False
    conversation_id: str | None = None

    @field_validator("messages")
    @classmethod
    def _check_messages(cls, messages: list[MessageBody]) -> list[MessageBody]:
        if messages[-1].role != "user":
            raise ValueError("The last message is the user's.")
        if sum(len(each.image_urls) for each in messages) > CHAT_IMAGES_SENT_MAX:
            raise ValueError(f"A request has at most {CHAT_IMAGES_SENT_MAX} images.")
        return messages


class TypedBody(BaseModel):
    """The order of any operation: ``type``, with the members of that operation's own route."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, one_of(OPERATIONS)]


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
    omitted_messages: int = Field(
        description="The oldest messages, which the model's context had no room for."
    )
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
