"""``/v1/audio/speech``: a text, spoken."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from flask import Blueprint, Response
from pydantic import Field, WithJsonSchema

from creditapp.api.requests import credit_headers, replay_headers
from creditapp.api.v1.documented import documents_spending
from creditapp.api.v1.generations import charge_of, finish, place, read_file
from creditapp.api.v1.models import AUDIO
from creditapp.api.v1.requests import Only, V1Body, begin, no_such_model, parse
from creditapp.api.waiting import take_slot
from creditapp.catalog import Catalog, Operation
from creditapp.errors import NotFound, UnsupportedParameter
from creditapp.http.json_provider import read_json
from creditapp.http.policies import policy
from creditapp.services import get

routes = Blueprint("v1_speech", __name__)

_FORMATS = {"opus": "ogg"}
"""OpenAI's names of formats, where they differ: its Opus comes in an Ogg file."""
_NAMES = {"prompt": "input", "format": "response_format"}

AudioFile = Annotated[bytes, WithJsonSchema({"type": "string", "format": "binary"})]


class SpeechBody(V1Body):
    """A text to speak, in one of the voices of the price list."""

    model: str
    input: str
    voice: str
    response_format: Annotated[str, Field(max_length=16)] = "mp3"
    speed: Annotated[Any, Only(1, Decimal(1))] = 1
    stream_format: Literal["audio"] = "audio"


@routes.post("/audio/speech")
@policy("user", scope="generate")
@documents_spending("Speak a text", AudioFile, body=SpeechBody, mime_type="audio/mpeg")
def speak() -> Response:
    """Return the audio file; the estimate is held, the real length is charged."""
    members = read_json()
    by, key = begin(members, "v1-speech")
    body = parse(SpeechBody, members)
    audio = get(Catalog).operation(AUDIO)
    if audio is None or body.model not in (AUDIO, audio.provider_model):
        raise no_such_model(body.model, "speech")
    order = {"prompt": body.input, "voice": body.voice, "format": _format(audio, body)}
    free = take_slot(by.owner)
    try:
        ordered = place(AUDIO, order, by, key, names=_NAMES)
        result = finish(ordered)
    finally:
        free()
    if not result.assets:
        raise NotFound("This speech has been deleted.")
    asset = result.assets[0]
    response = Response(read_file(asset), mimetype=asset.mime_type)
    response.headers["Cache-Control"] = "no-store"
    charge = charge_of(result.generation)
    response.headers.update(credit_headers(charge.used_micro, charge.remaining_micro))
    response.headers.update(replay_headers(replayed=ordered.result.replayed))
    return response


def _format(audio: Operation, body: SpeechBody) -> str:
    name = _FORMATS.get(body.response_format, body.response_format)
    if name not in audio.formats:
        choices = ", ".join(audio.formats)
        text = f"response_format is one of {choices} (or opus, which is ogg) here."
        raise UnsupportedParameter("response_format", text)
    return name
