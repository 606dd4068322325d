"""The moderation endpoint of the fake: what it takes, and what it answers about marked texts."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fakes.openai_rules import Refusal

MODELS = ("omni-moderation-latest", "omni-moderation-2024-09-26")
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
FLAGGED = {"bloodbath": ("violence", "violence/graphic"), "harasses": ("harassment",)}
"""Words for which this stand-in flags a text, with the categories."""


def check_moderation(body: object) -> list[str]:
    """Return the texts of a request; raise ``Refusal`` for one that OpenAI refuses."""
    if not isinstance(body, dict) or set(body) - {"model", "input"}:
        raise Refusal(400, "Unrecognized request argument supplied.")
    if body.get("model", MODELS[0]) not in MODELS:
        raise Refusal(404, f"The model '{body['model']}' does not exist.", "model_not_found")
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(each, str) for each in texts):
        raise Refusal(400, "'input' is a required property", None, "input")
    return texts


def moderation_answer(texts: Sequence[str]) -> dict[str, object]:
    """Return the answer about texts: flagged where one has a marked word."""
    return {
        "id": "modr-970d409ef3bef3b70c73d8232df86e7d",
        "model": MODELS[1],
        "results": [_result(text) for text in texts],
    }


def _result(text: str) -> dict[str, object]:
    found = {name for word, names in FLAGGED.items() if word in text for name in names}
    return {
        "flagged": bool(found),
        "categories": {name: name in found for name in CATEGORIES},
        "category_scores": {name: 0.98 if name in found else 1.2e-06 for name in CATEGORIES},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
