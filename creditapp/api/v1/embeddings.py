"""``/v1/embeddings``: the vectors of texts."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from flask import Blueprint, Response
from pydantic import BaseModel, BeforeValidator, Field, StrictInt
from pydantic_core import PydanticCustomError

from creditapp import chat
from creditapp.api.chat import charge_of_turn, turn_headers
from creditapp.api.chat_schemas import MessageText
from creditapp.api.generations import ChargeAnswer
from creditapp.api.requests import replay_headers
from creditapp.api.v1.documented import documents_spending
from creditapp.api.v1.requests import UNSUPPORTED, V1Body, begin, find_model, parse
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.http.json_provider import json_response, read_json
from creditapp.http.policies import policy
from creditapp.http.viewer import forget_viewer
from creditapp.rate_limits import EMBEDDED_TEXTS_MAX
from creditapp.services import get

routes = Blueprint("v1_embeddings", __name__)

EMBEDDINGS = "embeddings"
DIMENSIONS_MAX = 4096


def _as_list(value: object) -> object:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and any(not isinstance(each, str) for each in value):
        text = "Send texts: lists of token numbers are not supported here."
        raise PydanticCustomError(UNSUPPORTED, "{text}", {"text": text})
    return value


Texts = Annotated[
    list[MessageText],
    Field(min_length=1, max_length=EMBEDDED_TEXTS_MAX),
    BeforeValidator(_as_list, json_schema_input_type=MessageText | list[MessageText]),
]


class V1EmbeddingsBody(V1Body):
    """A text, or several, to make vectors of."""

    model: str
    input: Texts
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[StrictInt, Field(ge=1, le=DIMENSIONS_MAX)] | None = None


class V1Embedding(BaseModel):
    """The vector of one text: numbers, or their little-endian 32-bit floats in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class V1EmbeddingsUsage(BaseModel):
    """The tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class V1EmbeddingsAnswer(BaseModel):
    """The vectors of texts, in their order; ``credits`` is ours."""

    object: Literal["list"] = "list"
    data: list[V1Embedding]
    model: str
    usage: V1EmbeddingsUsage
    credits: ChargeAnswer


@routes.post("/embeddings")
@policy("user", scope="generate")
@documents_spending("Make vectors of texts", V1EmbeddingsAnswer, body=V1EmbeddingsBody)
def embed_texts() -> Response:
    """Return the vector of each text."""
    members = read_json()
    by, key = begin(members, "v1-embeddings")
    body = parse(V1EmbeddingsBody, members)
    model = find_model(get(Catalog).language_models, body.model, EMBEDDINGS)
    embedded = chat.embed(
        body.input,
        model.id,
        by.require_member(),
        key=key,
        now=now(),
        request_keys=by.request_keys,
        dimensions=body.dimensions,
    )
    forget_viewer()
    tokens = embedded.result.usage.input_tokens
    answer = V1EmbeddingsAnswer(
        data=[
            V1Embedding(index=index, embedding=_encoded(vector, body.encoding_format))
            for index, vector in enumerate(embedded.vectors)
        ],
        model=embedded.result.record.model,
        usage=V1EmbeddingsUsage(prompt_tokens=tokens, total_tokens=tokens),
        credits=charge_of_turn(embedded.result),
    )
    headers = turn_headers(embedded.result) | replay_headers(replayed=embedded.replayed)
    return json_response(answer, headers=headers)


def _encoded(vector: Sequence[float], encoding: str) -> Any:
    if encoding == "float":
        return list(vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
