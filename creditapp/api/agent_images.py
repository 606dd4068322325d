"""``/api/images/generate``: an image for one credit of a receipt, or paid in the same request."""

from __future__ import annotations

from base64 import b64encode

from flask import Blueprint, Response, request
from pydantic import Field, ValidationError

from creditapp.agents import images, receipts, settlement
from creditapp.agents.images import ImageWish
from creditapp.agents.receipts import Receipt
from creditapp.agents.refusals import OF_PAYMENTS, OF_RECEIPTS, CreditsExhausted
from creditapp.api.agents import (
    PAYMENT_LIMIT,
    ChallengeAnswer,
    buy_or_challenge,
    require_agents_key,
)
from creditapp.api.generations import REFUSALS, ChargeAnswer, failure_of
from creditapp.api.requests import (
    CREDIT_HEADERS,
    IdempotentBody,
    credit_headers,
    optional_key,
    parse_body,
    replay_headers,
)
from creditapp.api.waiting import wait_for_end
from creditapp.clock import now
from creditapp.db import reading
from creditapp.errors import AppError
from creditapp.generation import GenerationResult
from creditapp.http.documented import JSON, Answer, Documented
from creditapp.http.json_provider import json_response, validation_failed
from creditapp.http.policies import policy
from creditapp.http.schemas import Schema
from creditapp.media import Media
from creditapp.services import get

routes = Blueprint("agent_images", __name__)
routes.before_request(require_agents_key)


class ReceiptImageBody(IdempotentBody):
    """A receipt and what to draw: a prompt, or the name of a subject; without both, any subject."""

    receipt: str | None = Field(None, description="Without one the request is answered with 402.")
    prompt: str | None = None
    name: str | None = Field(None, description="A subject of the catalog.")


class ImageAnswer(Schema):
    """An image of a receipt; while it is being made, ``imageBase64`` is null."""

    id: str
    status: str
    prompt: str
    mime_type: str | None = None
    width: int | None = None
    height: int | None = None
    image_base64: str | None = None
    preview: bool
    credits: ChargeAnswer
    idempotency_key: str = Field(description="Send it with the same body to get this image again.")
    receipt: str | None = Field(None, description="Of an image that this request paid for.")


@routes.post("/images/generate")
@policy("public")
@PAYMENT_LIMIT
@Documented(
    "Make an image for one credit of a receipt: the file, or ImageAnswer as JSON",
    ImageAnswer,
    body=ReceiptImageBody,
    headers=["Idempotency-Key", "Prefer"],
    answer_headers=[*CREDIT_HEADERS, "Idempotent-Replayed", "X-Receipt"],
    also={
        200: Answer("The image: the file, or JSON", {JSON: ImageAnswer, "image/*": bytes}),
        202: "Not finished yet: send the request again with the header Idempotency-Key",
        402: Answer(
            "Without a receipt: a payment request for one credit, as /api/images/buy has it",
            {JSON: ChallengeAnswer, "text/plain": str},
        ),
    },
    refuses=[*OF_RECEIPTS, *OF_PAYMENTS, CreditsExhausted, *REFUSALS],
    sells="image",
)
def generate() -> Response:
    """Make an image; without a receipt ask for the payment of one credit, or take it."""
    body = parse_body(ReceiptImageBody)
    wish, key = ImageWish(body.prompt, body.name), optional_key(body.idempotency_key)
    try:
        images.check(wish)
    except ValidationError as error:
        raise validation_failed(error) from None
    if body.receipt is not None:
        return _make(body.receipt, wish, key, {})
    bought = buy_or_challenge(1, key)
    if isinstance(bought, Response):
        return bought
    headers = {**bought.headers, "X-Receipt": bought.receipt}
    try:
        return _make(bought.receipt, wish, key, headers)
    except AppError as error:
        error.headers.update(headers)  # the receipt is paid for, whatever came of the image
        raise


def _make(text: str, wish: ImageWish, key: str | None, headers: dict[str, str]) -> Response:
    receipt = receipts.prove(text, now=now())
    key = key or images.new_key()
    result = images.order_image(receipt, wish, key=key, now=now())
    headers = {**headers, **replay_headers(replayed=result.replayed)}
    owner = (result.generation.owner_kind, result.generation.owner_id)
    if not result.generation.finished and wait_for_end(owner, result.generation.id):
        result = images.find_image(receipt, result.generation.id)
    return _respond(receipt, result, key, headers)


def _respond(
    receipt: Receipt, result: GenerationResult, key: str, headers: dict[str, str]
) -> Response:
    generation = result.generation
    left_micro = settlement.balance(reading(), receipt.request.id, now=now()).available_micro
    charge = ChargeAnswer(used_micro=generation.charged_micro, remaining_micro=left_micro)
    headers |= credit_headers(generation.charged_micro, left_micro) | {
        "Idempotency-Key": key,
        "Cache-Control": "private, no-store",
    }
    if generation.state in ("failed", "canceled"):
        refusal = failure_of(generation)
        refusal.headers.update(headers)
        raise refusal
    answer = ImageAnswer(
        id=generation.id,
        status=generation.state,
        prompt=generation.prompt,
        preview=generation.preview,
        credits=charge,
        idempotency_key=key,
        receipt=headers.get("X-Receipt"),
    )
    if not generation.finished:
        return json_response(answer, 202, {**headers, "Retry-After": "2"})
    asset = result.assets[0]
    with get(Media).open(asset.media_key) as file:
        data = file.read()
    if request.accept_mimetypes.best_match(["image/*", JSON]) != JSON:
        return Response(data, 200, headers, mimetype=asset.mime_type)
    answer.mime_type, answer.width, answer.height = asset.mime_type, asset.width, asset.height
    answer.image_base64 = b64encode(data).decode()
    return json_response(answer, 200, headers)
