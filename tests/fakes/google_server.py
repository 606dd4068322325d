"""A strict fake of Google's ``POST /v1beta/models/<id>:generateContent`` for image models.

What it takes and gives has the names of ``GenerateContentConfig``, ``ImageConfig``, ``Part``,
``Blob`` and ``GenerateContentResponse`` in google-genai 3.6.1 (``google/genai/types.py``), in the
JSON form of the API; errors are a ``google.rpc.Status``. Imports nothing of the app.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.fakes import media_files
from tests.fakes.vendor_server import Call, Refused, VendorServer

MODELS = ("gemini-nano-banana-2.1", "gemini-3-pro-image", "gemini-3.1-flash-lite-image")
ASPECTS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
SIZES = {"1K": 1024, "2K": 2048, "4K": 4096}
SOURCES_MAX = 14
REASONS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND"}
REASONS |= {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 504: "DEADLINE_EXCEEDED"}


class FakeGoogle(VendorServer):
    """Gemini's image models; each answer has an interim image, a thought and the image."""

    KEY = "AIza-fake-0123456789abcdef"  # pragma: allowlist secret
    CANNOT: ClassVar = frozenset()

    def is_paid(self, call: Call) -> bool:
        return call.path.endswith(":generateContent")

    def stage(self, call: Call) -> str:
        return "paid" if self.is_paid(call) else "models"

    def refusal(self, fault: str, call: Call) -> Refused:
        if fault == "refused":
            return Refused(200, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
        status = int(fault.removeprefix("http_"))
        return refused(status, f"Failed. Request: {call.body} Key: {self.key}")

    def respond(self, call: Call, fault: str) -> object:
        if call.headers.get("x-goog-api-key") != self.key:
            # Google answers 400 to a key that it does not know.
            raise refused(400, "API key not valid.", [{"reason": "API_KEY_INVALID"}])
        if call.method == "GET" and call.path.partition("?")[0] == "/v1beta/models":
            # ListModelsResponse: models, nextPageToken.
            return {"models": [{"name": f"models/{MODELS[0]}"}], "nextPageToken": "next"}
        model = re.fullmatch(r"/v1beta/models/([^/:]+):generateContent", call.path)
        if call.method != "POST" or not model or model[1] not in MODELS:
            raise refused(404, f"{call.path} is not found.")
        prompt, config = check(call.body)
        return self._answer(model[1], prompt, config, fault)

    def _answer(
        self, model: str, prompt: str, config: Mapping[str, Any], fault: str
    ) -> dict[str, Any]:
        if fault == "error_inside":
            return error(500, "An internal error has occurred.")
        image = config.get("imageConfig", {})
        side = SIZES[image.get("imageSize", "1K")]
        across, _, down = image.get("aspectRatio", "1:1").partition(":")
        width, height = side, side * int(down) // int(across)
        final = media_files.png(prompt, width, height)
        final = {
            "not_an_image": b"<html><h1>It works</h1></html>",
            "truncated": final[: len(final) // 2],
            "bomb": media_files.bomb(),
        }.get(fault, final)
        parts = [
            {"text": "A first idea.", "thought": True},
            image_part(media_files.png("an interim image", 64, 64), thought=True),
            image_part(final),
        ]
        if fault == "too_many":
            parts.insert(2, image_part(media_files.png("another image", 64, 64)))
        if fault == "nothing":
            parts = [{"text": "I can only describe it."}]
        candidate = {
            "content": {"role": "model", "parts": parts},
            "finishReason": "NO_IMAGE" if fault == "nothing" else "STOP",
            "index": 0,
        }
        if fault == "unsafe":
            candidate = {"finishReason": "IMAGE_SAFETY", "index": 0}
        return {
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": 9,
                "candidatesTokenCount": 1120,
                "thoughtsTokenCount": 80,
                "totalTokenCount": 1209,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
            },
            "modelVersion": "gemini-2.5-flash" if fault == "other_model" else model,
            "responseId": "r-1",
        }


def check(body: object) -> tuple[str, Mapping[str, Any]]:
    """Return the prompt and the configuration of a request; raise ``Refused`` as Google would."""
    known(body, "contents", "generationConfig")
    assert isinstance(body, dict)
    config = body.get("generationConfig", {})
    known(config, "responseModalities", "imageConfig", "seed", "temperature")
    if not set(config.get("responseModalities", ["TEXT"])) <= {"TEXT", "IMAGE"}:
        raise refused(400, "Invalid responseModalities.")
    image = config.get("imageConfig", {})
    known(image, "aspectRatio", "imageSize", "personGeneration")
    if image.get("aspectRatio", "1:1") not in ASPECTS or image.get("imageSize", "1K") not in SIZES:
        raise refused(400, "Invalid imageConfig.")
    contents = body.get("contents")
    if not isinstance(contents, list) or len(contents) != 1:
        raise refused(400, "Contents are missing.")
    known(contents[0], "role", "parts")
    texts, sources = [], 0
    for part in contents[0].get("parts", []):
        known(part, "text", "inlineData")
        if "text" in part:
            texts.append(part["text"])
        else:
            known(part["inlineData"], "mimeType", "data")
            assert part["inlineData"]["mimeType"].startswith("image/")
            assert base64.b64decode(part["inlineData"]["data"], validate=True)
            sources += 1
    if len(texts) != 1 or not texts[0].strip() or sources > SOURCES_MAX:
        raise refused(400, "Invalid parts.")
    return texts[0], config


def known(value: object, *names: str) -> None:
    """Refuse an object with a member that the API does not know."""
    if not isinstance(value, dict) or not set(value) <= set(names):
        raise refused(400, f"Invalid JSON payload: unknown name in {value}.")


def image_part(data: bytes, *, thought: bool = False) -> dict[str, Any]:
    blob = {"mimeType": "image/png", "data": base64.b64encode(data).decode()}
    return {"inlineData": blob, **({"thought": True} if thought else {})}


def error(status: int, message: str, details: list[dict[str, str]] | None = None) -> dict[str, Any]:
    named = {"code": status, "message": message, "status": REASONS.get(status, "UNKNOWN")}
    return {"error": {**named, "details": details or []}}


def refused(status: int, message: str, details: list[dict[str, str]] | None = None) -> Refused:
    return Refused(status, error(status, message, details))


Fake = FakeGoogle
