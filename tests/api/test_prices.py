"""Packs, the price list, and quotes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from creditapp.catalog import Catalog
from creditapp.services import get
from tests.api.contract import Program
from tests.generation.studio import Studio, wallet


def test_the_packs_are_an_array_with_bonus_and_saving(guest_api: Program) -> None:
    packs = guest_api.get("/api/credit-packs")
    assert [(each["id"], each["price"], each["credits"]) for each in packs] == [
        ("starter", Decimal("4.99"), 25),
        ("creator", Decimal("14.99"), 110),
        ("pro", Decimal("29.99"), 300),
        ("enterprise", Decimal("49.99"), 650),
    ]
    assert [each["bestValue"] for each in packs] == [False, True, False, False]
    assert packs[0]["bonus"] is None
    assert packs[3]["bonus"] > 0
    assert packs[3]["savingPercent"] > 0
    assert all(each["currency"] == "USD" and each["perCredit"] > 0 for each in packs)
    assert '"price":4.99,' in guest_api.call("GET", "/api/credit-packs").text


def test_the_price_list_has_every_operation_and_model_with_a_sentence(
    app: Flask, guest_api: Program
) -> None:
    costs = guest_api.get("/api/credit-costs")
    by_name = {each["operation"]: each for each in costs["operations"]}
    assert by_name.keys() >= {
        "text-to-image",
        "image-to-image",
        "upscale",
        "video",
        "audio",
        "chat",
    }
    models = {each["model"]: each for each in by_name["text-to-image"]["models"]}
    assert models["nano-banana"]["credits"] == 0.5
    assert models["gpt-image"]["byQuality"] == {"low": 1, "medium": 2, "high": 8}
    for operation in costs["operations"]:
        assert operation["description"]
    with app.app_context():
        assert costs["version"] == get(Catalog).version


def test_the_price_list_says_what_an_order_may_have(api: Program, studio: Studio) -> None:
    costs = {each["operation"]: each for each in api.get("/api/credit-costs")["operations"]}
    video, audio = costs["video"], costs["audio"]
    assert video["maxSeconds"] == 10
    models = {each["model"]: each for each in costs["image-to-image"]["models"]}
    assert costs["text-to-image"]["models"][0]["maxSources"] is None
    sources = [studio.bring(api.person) for _ in range(16)]
    orders: list[tuple[str, dict[str, Any]]] = [
        *(("video", {"prompt": "waves", "size": size}) for size in video["sizes"]),
        *(("audio", {"text": "hello", "voice": voice}) for voice in audio["voices"]),
        *(("audio", {"text": "hello", "format": format_}) for format_ in audio["formats"]),
    ]
    mask = studio.bring(api.person)
    values = {"mask": mask, "negativePrompt": "fog", "seed": 7}
    for model in models.values():
        most = {"n": model["maxImages"], "images": sources[: model["maxSources"]]}
        taken = {name: values[name] for name in model["takes"] if name != "style"}
        sizes = [{"size": size} for size in model["sizes"]]
        styles = [{"style": style} for style in model["styles"] or ()]
        for members in (most, taken, *sizes, *styles):
            body = {"prompt": "a quay", "model": model["model"], "images": sources[:1], **members}
            orders.append(("image-to-image", body))
        for member in ("negativePrompt", "seed", "mask"):
            body = {"prompt": "a quay", "model": model["model"], "images": sources[:1]}
            answer = api.call("POST", "/api/quotes", {**body, member: values[member]})
            assert (answer.status_code == 200) == (member in model["takes"]), (model, member)
    for operation, body in orders:
        answer = api.call("POST", "/api/quotes", {"type": operation, **body})
        assert answer.status_code == 200, (body, answer.text)


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        ({}, 1),
        ({"prompt": "a quay", "model": "nano-banana", "n": 3}, 1.5),
        ({"aiModel": "nano-banana-pro", "n": 2}, 4),
        ({"model": "gpt-image", "quality": "high", "n": 4}, 32),
        ({"operation": "upscale"}, 5),
        ({"type": "video", "seconds": 6}, 50),
        ({"type": "lipsync", "seconds": 11}, 40),
    ],
    ids=str,
)
def test_a_quote_returns_the_price_and_holds_nothing(
    api: Program, body: dict[str, object], cost: float
) -> None:
    answer = api.call("POST", "/api/quotes", body)
    assert answer.status_code == 200
    quote = answer.json
    assert quote["cost"] == cost
    assert sum(line["cost"] for line in quote["lines"]) == cost
    assert quote["description"]
    assert (quote["balance"], quote["affordable"], quote["shortfall"]) == (50, cost <= 50, 0)
    assert wallet(api.person) == (50, 0)


def test_a_quote_of_tokens_shows_the_prices_of_each_kind(api: Program) -> None:
    body = {"type": "chat", "model": "gpt-6-luna", "inputTokens": 1000, "outputTokens": 200}
    parts = {"cachedTokens": 400, "cacheWriteTokens": 600}
    quote = api.call("POST", "/api/quotes", body | parts).json
    # Credits for a million tokens: 100 x the provider's dollars.
    assert quote["millionTokens"] == {
        "input": 10,
        "cachedInput": 1,
        "cacheWrite": Decimal("12.5"),
        "output": 50,
    }
    assert {line["label"]: line["cost"] for line in quote["lines"]} == {
        "400 tokens in, cached": Decimal("0.0004"),
        "600 tokens in, written to the cache": Decimal("0.0075"),
        "200 tokens out": Decimal("0.01"),
    }
    assert (quote["cost"], quote["estimated"]) == (Decimal("0.0179"), False)
    long = api.call("POST", "/api/quotes", body | {"inputTokens": 300_000}).json
    assert long["millionTokens"]["cacheWrite"] == 25
    assert api.call("POST", "/api/quotes", {}).json["millionTokens"] is None
    assert api.refused(
        422, "validation_failed", "POST", "/api/quotes", {**body, "cachedTokens": 1001}
    )


def test_a_guests_quote_has_no_balance(guest_api: Program) -> None:
    quote = guest_api.call("POST", "/api/quotes", {"prompt": "a quay"}).json
    assert {quote[name] for name in ("balance", "affordable", "shortfall")} == {None}


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("operation", {"operation": "dance"}),
        ("model", {"model": "of-yesterday"}),
        ("model", {"model": ""}),
        ("n", {"n": 0}),
        ("n", {"n": "2"}),
        ("n", {"n": True}),
        ("n", {"n": 10**12}),
        ("quality", {"model": "gpt-image", "quality": "best"}),
        ("seconds", {"type": "video", "seconds": -1}),
        ("seconds", {"type": "video", "seconds": 10**9}),
        ("inputTokens", {"type": "chat", "inputTokens": -1}),
        ("text", {"type": "audio", "text": "x" * 100_001}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_request_without_a_price_is_refused_by_field(
    api: Program, field: str, body: dict[str, object]
) -> None:
    problem = api.refused(422, "validation_failed", "POST", "/api/quotes", body)
    assert problem["errors"][0]["field"] == field


def test_the_quoted_price_is_held(api: Program, studio: Studio) -> None:
    for body in (
        {"prompt": "a quay", "model": "nano-banana", "n": 3},
        {"prompt": "a quay", "model": "gpt-image", "quality": "low", "n": 2},
        {"prompt": "a quay"},
    ):
        quoted = api.call("POST", "/api/quotes", body).json["cost"]
        before = wallet(api.person)[0]
        answer = api.call("POST", "/api/generate-image", body, Prefer="respond-async")
        assert answer.status_code == 202
        assert before - wallet(api.person)[0] == quoted  # type: ignore[operator]
