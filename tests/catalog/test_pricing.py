"""The price of every operation and its sentence."""

from __future__ import annotations

from typing import Any

import pytest

from creditapp.catalog import (
    Catalog,
    PriceRequest,
    affordable_output_tokens,
    amount,
    delivered_micro,
    guest_refusal,
    load_catalog,
    quote,
    token_cost_micro,
)
from creditapp.errors import ValidationFailed

Fields = dict[str, Any]

STUDIO: list[tuple[Fields, str, str]] = [
    ({}, "1", "Flux Dev, 1 image"),
    ({"n": 2}, "2", "Flux Dev, 1 credit × 2 images"),
    ({"model": "nano-banana"}, "0.5", "Nano Banana, 1 image"),
    ({"model": "nano-banana", "n": 3}, "1.5", "Nano Banana, 0.5 credits × 3 images"),
    ({"model": "lora-normal", "n": 4}, "4", "LORA Normal, 1 credit × 4 images"),
    ({"model": "lora-context"}, "1", "LORA Context, 1 image"),
    ({"model": "gemini-flash"}, "1", "Gemini Flash, 1 image"),
    ({"model": "nano-banana-pro"}, "2", "Nano Banana Pro, 1 image"),
    ({"model": "gpt-image"}, "2", "GPT Image, medium, 1 image"),
    ({"model": "gpt-image", "quality": "low"}, "1", "GPT Image, low, 1 image"),
    (
        {"model": "gpt-image", "quality": "high", "n": 2},
        "16",
        "GPT Image, high, 8 credits × 2 images",
    ),
    ({"model": "flux-dev", "quality": "high"}, "1", "Flux Dev, 1 image"),
    ({"model": "flux-dev", "size": "16:9"}, "1", "Flux Dev, 1 image"),
    (
        {"operation": "image-to-image", "model": "nano-banana-pro", "n": 2},
        "4",
        "Nano Banana Pro, 2 credits × 2 images",
    ),
    ({"operation": "upscale"}, "5", "Upscale, 5 credits"),
    ({"operation": "video"}, "25", "Video, 5 s: 25 credits for up to 5 s"),
    ({"operation": "video", "seconds": 1}, "25", "Video, 1 s: 25 credits for up to 5 s"),
    ({"operation": "video", "seconds": 5}, "25", "Video, 5 s: 25 credits for up to 5 s"),
    ({"operation": "video", "seconds": 6}, "50", "Video, 6 s: 50 credits for 6-10 s"),
    ({"operation": "video", "seconds": 8}, "50", "Video, 8 s: 50 credits for 6-10 s"),
    ({"operation": "video", "seconds": 10}, "50", "Video, 10 s: 50 credits for 6-10 s"),
    (
        {"operation": "audio", "text_length": 480},
        "3",
        "Audio, about 32 s: 3 started blocks of 15 s",
    ),
    ({"operation": "audio", "text_length": 1}, "1", "Audio, about 1 s: 1 started block of 15 s"),
    ({"operation": "audio", "seconds": 15}, "1", "Audio, 15 s: 1 started block of 15 s"),
    ({"operation": "audio", "seconds": 16}, "2", "Audio, 16 s: 2 started blocks of 15 s"),
    ({"operation": "lipsync", "seconds": 10}, "20", "Lipsync, 10 s: 1 started block of 10 s"),
    ({"operation": "lipsync", "seconds": 11}, "40", "Lipsync, 11 s: 2 started blocks of 10 s"),
    (
        {"operation": "chat", "input_tokens": 1200, "output_tokens": 300},
        "0.027",
        "GPT-6 Luna, 1,200 tokens in, 300 out",
    ),
    (
        {
            "operation": "chat",
            "model": "gpt-6.1-terra",
            "input_tokens": 100_000,
            "output_tokens": 0,
        },
        "10",
        "GPT-6.1 Terra, 100,000 tokens in, 0 out",
    ),
    (
        {"operation": "agent", "text_length": 300},
        "0.4106",
        "GPT-6 Luna, about 100 tokens in, up to 8,192 out",
    ),
    (
        {"operation": "summarize", "input_tokens": 1, "output_tokens": 1},
        "0.00006",
        "GPT-6 Luna, 1 token in, 1 out",
    ),
    (
        {"operation": "embeddings", "input_tokens": 1},
        "0.000002",
        "Text Embedding 3 Small, 1 token in",
    ),
]


@pytest.mark.parametrize(("fields", "cost", "sentence"), STUDIO)
def test_a_request_costs_what_the_catalog_says(
    studio: Catalog, fields: Fields, cost: str, sentence: str
) -> None:
    quoted = quote(studio, PriceRequest(**fields))
    words = "credit" if cost == "1" else "credits"
    assert amount(studio, quoted.cost_micro) == f"{cost} {words}"
    assert quoted.sentence == sentence
    assert sum(line.cost_micro for line in quoted.lines) == quoted.cost_micro
    assert quoted.version == studio.version


@pytest.mark.parametrize(
    ("fields", "cost", "sentence"),
    [
        ({}, "$0.02", "GPT Image, medium, 1 image"),
        ({"quality": "high", "n": 3}, "$0.24", "GPT Image, high, $0.08 × 3 images"),
        (
            {"operation": "chat", "input_tokens": 1200, "output_tokens": 300},
            "$0.00027",
            "GPT-6 Luna, 1,200 tokens in, 300 out",
        ),
        (
            {"operation": "embeddings", "input_tokens": 1},
            "$0.000001",
            "Text Embedding 3 Small, 1 token in",
        ),
    ],
)
def test_in_dollars_a_request_costs_dollars(
    dollars: Catalog, fields: Fields, cost: str, sentence: str
) -> None:
    quoted = quote(dollars, PriceRequest(**fields))
    assert amount(dollars, quoted.cost_micro) == cost
    assert quoted.sentence == sentence


def test_a_token_is_rounded_up_to_the_next_microcredit(dollars: Catalog) -> None:
    # 0.02 dollars for a million tokens are 0.02 microdollars for one.
    model = dollars.language_model("text-embedding-3-small")
    assert model is not None
    costs = [
        token_cost_micro(dollars, model, input_tokens=tokens, output_tokens=0)
        for tokens in (0, 1, 50, 51)
    ]
    assert costs == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("model_id", "input_tokens", "cost"),
    [
        ("claude-haiku-5-5", 100_000, "1.5"),
        ("claude-haiku-5-5", 100_001, "7.50005"),
        ("gpt-6-luna", 272_000, "3.22"),
        ("gpt-6-luna", 272_001, "6.19002"),
    ],
)
def test_above_a_tier_every_token_of_the_request_has_its_price(
    studio: Catalog, model_id: str, input_tokens: int, cost: str
) -> None:
    request = PriceRequest("chat", model=model_id, input_tokens=input_tokens, output_tokens=10_000)
    quoted = quote(studio, request)
    assert amount(studio, quoted.cost_micro) == f"{cost} credits"
    assert sum(line.cost_micro for line in quoted.lines) == quoted.cost_micro


def test_cached_tokens_decide_the_tier_too(studio: Catalog) -> None:
    request = PriceRequest(
        "chat",
        model="claude-haiku-5-5",
        input_tokens=150_000,
        cached_tokens=100_000,
        cache_write_tokens=20_000,
        output_tokens=1000,
    )
    quoted = quote(studio, request)
    assert [(line.label, line.cost_micro) for line in quoted.lines] == [
        ("30,000 tokens in", 1_500_000),
        ("100,000 tokens in, cached", 500_000),
        ("20,000 tokens in, written to the cache", 1_250_000),
        ("1,000 tokens out", 250_000),
    ]


def test_tokens_that_the_provider_had_cached_are_a_line_of_their_own(studio: Catalog) -> None:
    request = PriceRequest("chat", input_tokens=1000, cached_tokens=600, output_tokens=10)
    quoted = quote(studio, request)
    assert [line.label for line in quoted.lines] == [
        "400 tokens in",
        "600 tokens in, cached",
        "10 tokens out",
    ]


REFUSED: list[tuple[Fields, str, str]] = [
    ({"operation": "dance"}, "operation", "Choose one of these: text-to-image, image-to-image,"),
    ({"model": "dall-e-3"}, "model", "There is no model 'dall-e-3'. Choose one of these: nano-"),
    ({"model": "gpt-6-luna"}, "model", "There is no model 'gpt-6-luna'."),
    ({"n": 0}, "n", "Flux Dev makes 1 to 4 images at once."),
    ({"n": 5}, "n", "Flux Dev makes 1 to 4 images at once."),
    ({"n": -1}, "n", "Flux Dev makes 1 to 4 images at once."),
    ({"n": True}, "n", "Flux Dev makes 1 to 4 images at once."),
    ({"n": "2"}, "n", "Flux Dev makes 1 to 4 images at once."),
    ({"n": 1.0}, "n", "Flux Dev makes 1 to 4 images at once."),
    (
        {"model": "gpt-image", "quality": "ultra"},
        "quality",
        "Choose one of these qualities: low, medium, high.",
    ),
    ({"quality": "ultra"}, "quality", "Choose one of these qualities: low, medium, high."),
    ({"size": "7:1"}, "size", "Flux Dev makes these sizes: 1:1 (1024x1024), 3:2 (1536x1024),"),
    ({"operation": "upscale", "n": 2}, "n", "Upscale makes one at a time."),
    ({"operation": "video", "seconds": 11}, "seconds", "Video is 1 to 10 s long."),
    ({"operation": "video", "seconds": 0}, "seconds", "Video is 1 to 10 s long."),
    ({"operation": "video", "seconds": True}, "seconds", "Video is 1 to 10 s long."),
    ({"operation": "audio"}, "prompt", "Write the text to speak."),
    ({"operation": "audio", "text_length": 0}, "prompt", "Write the text to speak."),
    (
        {"operation": "audio", "text_length": 9001},
        "prompt",
        "This text is about 601 s long; at most 600 s are spoken.",
    ),
    ({"operation": "audio", "seconds": 601}, "seconds", "Audio is 1 to 600 s long."),
    ({"operation": "lipsync"}, "seconds", "Say how many seconds long it is."),
    ({"operation": "lipsync", "seconds": 121}, "seconds", "Lipsync is 1 to 120 s long."),
    ({"operation": "chat", "model": "flux-dev"}, "model", "There is no model 'flux-dev'."),
    (
        {"operation": "chat", "model": "text-embedding-3-small"},
        "model",
        "Text Embedding 3 Small does not do chat.",
    ),
    ({"operation": "chat", "input_tokens": -1}, "tokens", "Tokens are whole numbers up to"),
    ({"operation": "chat", "output_tokens": 10**9}, "tokens", "Tokens are whole numbers up to"),
    (
        {"operation": "chat", "input_tokens": 1, "cached_tokens": 2},
        "tokens",
        "No more tokens can be cached than were read.",
    ),
]


@pytest.mark.parametrize(("fields", "field", "message"), REFUSED)
def test_an_impossible_order_is_refused_by_field(
    studio: Catalog, fields: Fields, field: str, message: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        quote(studio, PriceRequest(**fields))
    assert refused.value.status == 422
    assert refused.value.errors[0]["field"] == field
    assert refused.value.errors[0]["message"].startswith(message)


def test_every_mistake_of_a_catalog_is_reported_at_once(studio: Catalog) -> None:
    with pytest.raises(ValidationFailed) as refused:
        quote(studio, PriceRequest(n=9, quality="ultra", size="huge"))
    assert [error["field"] for error in refused.value.errors] == ["n", "quality", "size"]


def test_an_operation_that_is_not_offered_is_refused(agents: Catalog) -> None:
    with pytest.raises(ValidationFailed, match="This shop does not offer video"):
        quote(agents, PriceRequest("video"))


def test_a_model_that_cannot_do_it_is_refused_with_those_that_can(edited: Any) -> None:
    catalog = load_catalog(
        edited('id = "flux-dev"', 'operations = ["text-to-image"]\nid = "flux-dev"')
    )
    with pytest.raises(ValidationFailed, match="Flux Dev does not do image-to-image"):
        quote(catalog, PriceRequest("image-to-image", model="flux-dev"))
    # Where the default model cannot do it, the first that can is taken.
    assert quote(catalog, PriceRequest("image-to-image")).model == "nano-banana"


@pytest.mark.parametrize(("images", "kept"), [(0, 0), (1, 8), (2, 16), (3, 16), (-1, 0)])
def test_only_delivered_images_are_kept(studio: Catalog, images: int, kept: int) -> None:
    quoted = quote(studio, PriceRequest(model="gpt-image", quality="high", n=2))
    assert delivered_micro(studio, quoted, images=images) == kept * 1_000_000


@pytest.mark.parametrize(
    ("fields", "seconds", "kept"),
    [
        ({"operation": "audio", "text_length": 480}, 32, 3),
        ({"operation": "audio", "text_length": 480}, 30, 2),
        ({"operation": "audio", "text_length": 480}, 1, 1),
        ({"operation": "audio", "text_length": 480}, 0, 0),
        ({"operation": "audio", "text_length": 480}, 900, 3),
        ({"operation": "lipsync", "seconds": 30}, 11, 40),
        ({"operation": "video", "seconds": 8}, 8, 50),
        ({"operation": "video", "seconds": 8}, 4, 25),
        ({"operation": "video", "seconds": 4}, 8, 25),
        ({"operation": "video", "seconds": 4}, 99, 25),
        ({"operation": "upscale"}, None, 5),
    ],
)
def test_the_real_length_is_settled_and_never_above_the_quote(
    studio: Catalog, fields: Fields, seconds: int | None, kept: int
) -> None:
    quoted = quote(studio, PriceRequest(**fields))
    assert delivered_micro(studio, quoted, seconds=seconds) == kept * 1_000_000


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"model": "nano-banana"}, None),
        ({"model": "nano-banana-pro"}, "Sign up to use Nano Banana Pro."),
        ({"model": "gpt-image"}, "Sign up to use GPT Image."),
        ({"n": 2}, "Without an account, images are made one at a time."),
        ({"operation": "upscale"}, "Sign up to use more than text to image."),
        ({"operation": "image-to-image"}, "Sign up to use more than text to image."),
        ({"model": "no-such"}, None),
    ],
)
def test_guests_make_one_image_from_text_on_the_models_for_guests(
    studio: Catalog, fields: Fields, reason: str | None
) -> None:
    assert guest_refusal(studio, PriceRequest(**fields)) == reason


@pytest.mark.parametrize(
    ("quality", "reason"),
    [
        (None, None),
        ("low", None),
        ("medium", None),
        ("high", "Sign up to use GPT Image in high quality."),
    ],
)
def test_guests_get_at_most_the_default_quality(
    dollars: Catalog, quality: str | None, reason: str | None
) -> None:
    assert guest_refusal(dollars, PriceRequest(quality=quality)) == reason


@pytest.mark.parametrize(
    ("balance_micro", "tokens"),
    [(0, 0), (12_499, 0), (12_500, 0), (12_550, 1), (62_500, 1000), (10**12, 8192)],
)
def test_an_answer_is_as_long_as_the_balance_pays_for(
    studio: Catalog, balance_micro: int, tokens: int
) -> None:
    model = studio.language_model("gpt-6-luna")
    assert model is not None
    found = affordable_output_tokens(studio, model, input_tokens=1000, balance_micro=balance_micro)
    assert found == tokens
