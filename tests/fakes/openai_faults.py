"""The ways in which an image endpoint fails; used by the fake."""

from __future__ import annotations

import base64
from typing import Any

from tests.fakes.media_files import bomb
from tests.fakes.openai_rules import Refusal

FAULTS = {
    "http_400": "refuses the request",
    "http_401": "does not know the key",
    "http_402": "the account is empty",
    "http_403": "forbids it",
    "http_404": "does not know the model",
    "http_408": "gave up waiting",
    "http_409": "conflict",
    "http_429": "too many requests",
    "quota": "429, the account is empty",
    "billing_limit": "400, the account's own limit is reached",
    "moderation_blocked": "400, its safety system refuses the prompt",
    "http_500": "an error of its own, quoting the request",
    "http_503": "overloaded",
    "http_504": "a gateway's time is up",
    "redirect": "307 to somewhere else",
    "timeout": "takes the request and never answers",
    "slow": "answers, byte by byte",
    "delay": "answers after `seconds`",
    "reset": "takes the request and resets the connection",
    "cut_off": "resets the connection in the middle of the answer",
    "garbage": "200, and no JSON",
    "empty": "200, and nothing",
    "error_inside": "200, and an error in the JSON",
    "twice": "200, and the answer twice",
    "huge": "200, and more bytes than anybody wants",
    "wrong_shape": "200, and JSON of another shape",
    "none": "200, and no image",
    "fewer": "one image fewer than asked for",
    "more": "one image more than asked for",
    "bad_base64": "the first image's base64 is broken",
    "wrapped_base64": "the first image's base64 is wrapped at 76 columns, as in email",
    "unpadded_base64": "the first image's base64 has no padding",
    "urlsafe_base64": "the first image's base64 has - and _ for + and /",
    "not_an_image": "the first image is a web page",
    "svg": "the first image is a drawing with a script in it",
    "truncated": "the first image ends in the middle",
    "bomb": "the first image claims 60,000 x 60,000 pixels",
    "url": "addresses instead of bytes",
    "no_usage": "no usage",
}


REFUSALS = {
    "http_400": Refusal(400, "Invalid value.", "invalid_value"),
    "http_401": Refusal(401, "Incorrect API key provided.", "invalid_api_key"),
    "http_402": Refusal(402, "Payment required."),
    "http_403": Refusal(403, "You are not allowed to sample from this model."),
    "http_404": Refusal(404, "The model does not exist.", "model_not_found"),
    "http_408": Refusal(408, "Request timeout."),
    "http_409": Refusal(409, "Conflict."),
    "http_429": Refusal(429, "Rate limit reached.", "rate_limit_exceeded", type="requests"),
    "quota": Refusal(
        429, "You exceeded your current quota.", "insufficient_quota", type="insufficient_quota"
    ),
    "billing_limit": Refusal(
        400, "Billing hard limit has been reached.", "billing_hard_limit_reached"
    ),
    "moderation_blocked": Refusal(
        400,
        "Your request was rejected by the safety system.",
        "moderation_blocked",
        type="image_generation_user_error",
    ),
    "http_500": Refusal(500, "The server had an error.", type="server_error"),
    "http_503": Refusal(503, "The engine is overloaded.", type="server_error"),
    "http_504": Refusal(504, "Gateway timeout.", type="server_error"),
}


def spoiled(answer: dict[str, Any], fault: str) -> object:
    """Return an answer that is wrong in one way, with status 200."""
    if fault == "error_inside":
        return Refusal(500, "The server had an error.", type="server_error").body()
    images = answer["data"]
    first = base64.b64decode(images[0]["b64_json"])
    if fault == "wrong_shape":
        return ["data", None, {"data": 3}]
    if fault == "none":
        answer["data"] = []
    elif fault == "fewer":
        answer["data"] = images[:-1]
    elif fault == "more":
        answer["data"] = [*images, images[0]]
    elif fault == "no_usage":
        del answer["usage"]
    elif fault == "url":
        answer["data"] = [{"url": "http://127.0.0.1:1/image.png"} for _ in images]
    elif fault == "bad_base64":
        images[0]["b64_json"] = "!" + images[0]["b64_json"]
    elif fault == "wrapped_base64":
        images[0]["b64_json"] = base64.encodebytes(first).decode()
    elif fault == "unpadded_base64":
        images[0]["b64_json"] = base64.b64encode(first).decode().rstrip("=")
    elif fault == "urlsafe_base64":
        images[0]["b64_json"] = base64.urlsafe_b64encode(first).decode()
    else:
        spoiled = {
            "not_an_image": b"<html><h1>502 Bad Gateway</h1></html>",
            "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
            "truncated": first[: len(first) // 2],
            "bomb": bomb(),
        }[fault]
        images[0]["b64_json"] = base64.b64encode(spoiled).decode()
    return answer
