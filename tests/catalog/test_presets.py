"""The numbers that are promised to the outside, one by one, for the three catalogs that ship."""

from __future__ import annotations

import pytest

from creditapp.catalog import Catalog, load_catalog
from creditapp.catalog.load import PRESETS
from creditapp.catalog.served import VENDORS
from creditapp.units import MICRO_PER_CREDIT

CREDIT = MICRO_PER_CREDIT


def test_the_studio_has_its_models_in_this_order(studio: Catalog) -> None:
    assert [
        (model.name, model.id, model.price_micro, model.tier, model.best_for)
        for model in studio.models
    ] == [
        ("Nano Banana", "nano-banana", CREDIT // 2, "budget", "budget option"),
        ("Flux Dev", "flux-dev", CREDIT, "standard", "standard quality"),
        ("LORA Normal", "lora-normal", CREDIT, "standard", "artistic detail"),
        ("LORA Context", "lora-context", CREDIT, "standard", "storytelling"),
        ("Gemini Flash", "gemini-flash", CREDIT, "standard", "Google AI"),
        ("Nano Banana Pro", "nano-banana-pro", 2 * CREDIT, "premium", "premium quality"),
        ("GPT Image", "gpt-image", 2 * CREDIT, "premium", "text in images, edits"),
    ]


def test_gpt_image_is_priced_by_quality(studio: Catalog) -> None:
    model = studio.model("gpt-image")
    assert model is not None
    assert dict(model.prices_micro) == {"low": CREDIT, "medium": 2 * CREDIT, "high": 8 * CREDIT}
    assert model.qualities == ("low", "medium", "high")
    assert model.default_quality == "medium"


def test_the_studio_sells_four_packs(studio: Catalog) -> None:
    assert [
        (pack.id, pack.name, pack.price_minor, pack.currency, pack.credits_micro, pack.best_value)
        for pack in studio.packs
    ] == [
        ("starter", "Starter", 499, "USD", 25 * CREDIT, False),
        ("creator", "Creator", 1499, "USD", 110 * CREDIT, True),
        ("pro", "Pro", 2999, "USD", 300 * CREDIT, False),
        ("enterprise", "Enterprise", 4999, "USD", 650 * CREDIT, False),
    ]


def test_the_studio_has_three_plans(studio: Catalog) -> None:
    assert [
        (
            plan.id,
            plan.name,
            plan.tagline,
            plan.month.price_minor,
            plan.year.price_minor,
            plan.credits_micro,
            plan.kind,
        )
        for plan in studio.plans
    ] == [
        ("free", "Free", "Perfect for getting started", 0, 0, 60 * CREDIT, "credits"),
        ("basic", "Basic", "Ideal for regular creators", 1500, 21000, 500 * CREDIT, "credits"),
        ("premium", "Premium", "Best for power users", 2900, 29000, 1200 * CREDIT, "credits"),
    ]


def test_the_studio_gives_and_limits_what_is_promised(studio: Catalog) -> None:
    assert studio.welcome_micro == 50 * CREDIT
    assert studio.free_micro == 60 * CREDIT
    assert studio.low_balance_micro == 10 * CREDIT
    assert studio.token_minimum_micro == CREDIT // 10
    assert studio.guest_limit == 3
    assert studio.guest_window_hours == 24
    assert studio.guest_daily_budget == 1000
    assert studio.welcome_daily_budget_micro == 5000 * CREDIT
    assert studio.unit == "credits"
    assert studio.currency == "USD"
    assert studio.api_key_mode == "credits"
    assert studio.credits_per_provider_dollar == 100


def test_the_studio_offers_every_operation(studio: Catalog) -> None:
    assert [operation.id for operation in studio.operations] == [
        "text-to-image",
        "image-to-image",
        "upscale",
        "video",
        "audio",
        "lipsync",
        "chat",
        "agent",
        "summarize",
        "embeddings",
    ]


def test_guests_may_use_the_models_up_to_one_credit(studio: Catalog) -> None:
    assert [model.id for model in studio.models if model.guests] == [
        "nano-banana",
        "flux-dev",
        "lora-normal",
        "lora-context",
        "gemini-flash",
    ]


def test_stripe_prices_come_from_the_variables_of_old(studio: Catalog) -> None:
    values = {
        f"STRIPE_PRICE_{name}": f"price_{name.lower()}"
        for name in ("STARTER", "PRO", "ENTERPRISE", "MONTHLY", "YEARLY")
    }
    assert [pack.stripe_price(values) for pack in studio.packs] == [
        "price_starter",
        None,
        "price_pro",
        "price_enterprise",
    ]
    basic, premium = studio.plans[1:]
    assert basic.price("month").stripe_price(values) == "price_monthly"
    assert basic.price("year").stripe_price(values) == "price_yearly"
    assert premium.price("month").stripe_price(values) is None
    assert [pack.stripe_price({}) for pack in studio.packs] == [None] * 4


def test_the_catalog_names_the_variables_that_it_reads(studio: Catalog) -> None:
    assert studio.environment == (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "FAL_BASE_URL",
        "FAL_KEY",
        "GEMINI_API_KEY",
        "GEMINI_BASE_URL",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "STRIPE_PRICE_ENTERPRISE",
        "STRIPE_PRICE_MONTHLY",
        "STRIPE_PRICE_PRO",
        "STRIPE_PRICE_STARTER",
        "STRIPE_PRICE_YEARLY",
    )


def test_unused_plan_credits_last_as_the_plan_says(studio: Catalog) -> None:
    assert [plan.lasting_months for plan in studio.plans] == [None, 2, 2]


def test_dollars_sells_dollars(dollars: Catalog) -> None:
    assert dollars.unit == "dollars"
    assert dollars.credits_per_provider_dollar == 1
    assert [(pack.price_minor, pack.credits_micro, pack.currency) for pack in dollars.packs] == [
        (1000, 10 * CREDIT, "USD"),
        (2500, 27 * CREDIT, "USD"),
        (5000, 55 * CREDIT, "USD"),
        (10000, 115 * CREDIT, "USD"),
    ]
    assert dollars.welcome_micro == 0
    assert dollars.free_micro == 0
    assert dollars.guest_limit == 3
    assert dollars.low_balance_micro == 5 * CREDIT
    assert dollars.api_key_mode == "own"
    assert [model.id for model in dollars.models] == ["gpt-image"]
    assert dollars.operation("chat") is not None


def test_agents_sells_images_to_programs(agents: Catalog) -> None:
    assert agents.packs == ()
    assert agents.agents.price_minor == 100
    assert agents.agents.currency == "USD"
    assert agents.agents.count_max == 1000
    assert agents.agents.bulk == ()
    assert [agents.agents.total_minor(count) for count in (1, 3, 1000)] == [100, 300, 100_000]
    model = agents.model(agents.agents.model)
    assert model is not None
    assert model.price_micro == CREDIT


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_sells_the_presidents_of_the_19th_century(name: str) -> None:
    subjects = load_catalog(name).agents.subjects
    assert len(subjects) == len(set(subjects)) == 22
    assert (subjects[0], subjects[-1]) == ("Thomas Jefferson", "William McKinley")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_whole(name: str) -> None:
    catalog = load_catalog(name)
    assert catalog.name == name
    assert len(catalog.digest) == 64
    assert catalog.version == catalog.digest
    assert len(catalog.examples) == 3
    assert catalog.plan("free") == catalog.plans[0]
    default = catalog.model(catalog.default_model)
    assert default is not None
    assert default.guests
    for model in catalog.models:
        assert model.shapes[0].aspect == "1:1"
        assert model.provider in VENDORS


def test_a_lookup_of_nothing_finds_nothing(studio: Catalog) -> None:
    assert studio.model("gpt-6-luna") is None
    assert studio.language_model("flux-dev") is None
    assert studio.operation("dance") is None
    assert studio.pack("basic") is None
    assert studio.plan("starter") is None


def test_a_shape_is_found_by_its_proportions_or_its_pixels(studio: Catalog) -> None:
    model = studio.models[0]
    wide = model.shape("3:2")
    assert wide is not None
    assert (wide.width, wide.height, wide.size) == (1536, 1024, "1536x1024")
    assert model.shape("1536x1024") is wide
    assert model.shape(None) is model.shapes[0]
    assert model.shape("") is model.shapes[0]
    assert model.shape("7:1") is None
