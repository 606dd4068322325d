"""The price list names every operation and model, each with a sentence."""

from __future__ import annotations

import pytest

from creditapp.catalog import Catalog, PriceRequest, credit_costs, load_catalog, quote
from creditapp.catalog.load import PRESETS


def test_the_price_list_speaks_for_itself(studio: Catalog) -> None:
    assert [(row.operation, row.cost_micro, row.sentence) for row in credit_costs(studio)] == [
        ("text-to-image", 500_000, "From 0.5 credits an image, by model."),
        ("image-to-image", 500_000, "From 0.5 credits an image, by model."),
        ("upscale", 5_000_000, "5 credits each."),
        ("video", 25_000_000, "25 credits for up to 5 s, 50 credits for 6-10 s."),
        ("audio", 1_000_000, "1 credit for each started 15 s."),
        ("lipsync", 20_000_000, "20 credits for each started 10 s."),
        *(
            (
                operation,
                None,
                "By the tokens read and written, "
                "100 credits for each dollar of the provider's price.",
            )
            for operation in ("chat", "agent", "summarize", "embeddings")
        ),
    ]


def test_each_model_says_what_it_costs(studio: Catalog) -> None:
    rows = {row.operation: row for row in credit_costs(studio)}
    images = rows["text-to-image"].models
    assert [model.model for model in images] == [model.id for model in studio.models]
    assert images[0].sentence == "Nano Banana: 0.5 credits an image."
    assert images[-1].cost_micro == 1_000_000
    assert images[-1].prices_micro == {"low": 1_000_000, "medium": 2_000_000, "high": 8_000_000}
    assert rows["chat"].models[0].sentence == (
        "GPT-6 Luna: 10 credits for a million tokens read, 50 credits for a million written; in "
        "requests above 272,000 tokens 20 credits for a million tokens read, "
        "75 credits for a million written."
    )
    assert rows["embeddings"].models[0].sentence == (
        "Text Embedding 3 Small: 2 credits for a million tokens read."
    )


def test_in_dollars_chat_is_at_the_providers_price(dollars: Catalog) -> None:
    chat = next(row for row in credit_costs(dollars) if row.operation == "chat")
    assert chat.sentence == "By the tokens read and written, at the provider's price."
    assert chat.models[0].sentence == (
        "GPT-6 Luna: $0.10 for a million tokens read, $0.50 for a million written; in "
        "requests above 272,000 tokens $0.20 for a million tokens read, "
        "$0.75 for a million written."
    )


@pytest.mark.parametrize("name", PRESETS)
def test_the_list_and_the_quotes_agree(name: str) -> None:
    catalog = load_catalog(name)
    for row in credit_costs(catalog):
        assert row.sentence.endswith(".")
        for model in row.models:
            assert model.sentence.endswith(".")
            for quality, price in (model.prices_micro or {}).items():
                request = PriceRequest(row.operation, model=model.model, quality=quality)
                assert quote(catalog, request).cost_micro == price
            if model.cost_micro is not None and not model.prices_micro:
                request = PriceRequest(row.operation, model=model.model)
                assert quote(catalog, request).cost_micro == model.cost_micro
