"""A catalog that is wrong stops the start with one line: file, key and reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from creditapp.catalog import CatalogInvalid, load_catalog
from creditapp.catalog.load import parse

Edit = Callable[[str, str], Path]
NANO = 'price = "0.5"\n'
DRAWS = "native_n = true\nsources_max = 16"
AMOUNT = 'must be a whole number or a decimal in quotes, such as "0.5"'
ID = "must be lower-case letters, digits, dots and hyphens, at most 48"

BAD: list[tuple[str, str, str, str]] = [
    # what stands there, what it becomes, the key, the reason
    (NANO, "price = 0.5\n", "models.nano-banana.price", 'write 0.5 in quotes ("0.5"): a bare'),
    ("welcome = 50", "welcome = 50.0", "welcome", 'write 50.0 in quotes ("50.0"): a bare decimal'),
    ("welcome = 50", "welcome = inf", "welcome", "write inf in quotes"),
    (NANO, "price = -1\n", "models.nano-banana.price", "must not be negative"),
    (NANO, 'price = "-0.5"\n', "models.nano-banana.price", "must not be negative"),
    (NANO, "price = 0\n", "models.nano-banana.price", "must be greater than zero"),
    (NANO, "price = true\n", "models.nano-banana.price", AMOUNT),
    (NANO, 'price = "free"\n', "models.nano-banana.price", AMOUNT),
    (NANO, 'price = "NaN"\n', "models.nano-banana.price", AMOUNT),
    (NANO, 'price = "1e3"\n', "models.nano-banana.price", AMOUNT),
    (NANO, 'price = "1_0"\n', "models.nano-banana.price", AMOUNT),
    (NANO, 'price = "٣"\n', "models.nano-banana.price", AMOUNT),
    (NANO, 'price = " 1"\n', "models.nano-banana.price", AMOUNT),
    (NANO, 'price = "0.0000001"\n', "models.nano-banana.price", "must have at most 6 decimals"),
    (NANO, "price = 1000000001\n", "models.nano-banana.price", "must be at most 1,000,000,000"),
    (NANO, 'prise = "0.5"\n', "models.nano-banana.prise", "is not a key that a catalog has here"),
    (NANO, "", "models.nano-banana.price", "give either price, or prices by quality"),
    (NANO, NANO + "prices = { low = 1 }\n", "models.nano-banana.price", "give either price, or"),
    (
        NANO,
        NANO + 'default_quality = "low"\n',
        "models.nano-banana.default_quality",
        "needs prices",
    ),
    ('id = "flux-dev"', 'id = "Flux Dev"', "models.Flux Dev.id", ID),
    ('id = "flux-dev"', f'id = "{"x" * 49}"', f"models.{'x' * 49}.id", ID),
    ('id = "flux-dev"', 'id = "nano-banana"', "models.nano-banana.id", "stands 2 times; ids are"),
    ('id = "flux-dev"\n', "", "models.2.id", "is missing"),
    (
        'tier = "budget"',
        'tier = "cheap"',
        "models.nano-banana.tier",
        "must be 'budget', 'standard'",
    ),
    ('name = "Flux Dev"', 'name = ""', "models.flux-dev.name", "must be one line of 1 to 60"),
    ('name = "Flux Dev"', 'name = "a\\nb"', "models.flux-dev.name", "must be one line of 1 to 60"),
    ("guests = true", 'guests = "yes"', "models.nano-banana.guests", "must be true or false"),
    (DRAWS, "native_n = 1", "models.gpt-image.native_n", "must be true or false"),
    (
        "guests = true",
        'guests = true\noperations = ["image-to-image"]',
        "models.nano-banana.guests",
        "guests make images from text; this model does not",
    ),
    (
        'default_quality = "medium"',
        'default_quality = "mid"',
        "models.gpt-image.default_quality",
        "must be one of the qualities in prices",
    ),
    (
        "{ low = 1, medium = 2, high = 8 }",
        '{ low = 1, medium = "x", high = 8 }',
        "models.gpt-image.prices.medium",
        AMOUNT,
    ),
    (
        "{ low = 1, medium = 2, high = 8 }",
        "{ low = 1, medium = 0.5, high = 8 }",
        "models.gpt-image.prices.medium",
        'write 0.5 in quotes ("0.5")',
    ),
    (
        DRAWS,
        'qualities = { draft = "low" }',
        "models.gpt-image.qualities.draft",
        "has no price of its own in prices",
    ),
    (DRAWS, "takes_size = 0", "models.gpt-image.takes_size", "must be true or false"),
    *[
        (
            'parameters = { output_format = "png" }',
            f"parameters = {{ {parameter} }}",
            f"models.flux-dev.parameters.{parameter.partition(' ')[0]}",
            reason,
        )
        for parameter, reason in (
            ('prompt = "a fox"', "is set by each request"),
            ("n = 2", "is set by each request"),
            ('quality = "high"', "is set by each request"),
            ("stream = true", "is set by each request, or changes the form of the answer"),
            ('response_format = "url"', "must be b64_json"),
            ('output_format = "svg"', "must be png or jpeg or webp"),
            ('Background = "opaque"', "must be a parameter's name, such as output_format"),
            ('seed = "a\\nb"', "must be true, false, a whole number, or one line of 1 to 60"),
            ("guidance = 3.5", 'write 3.5 in quotes ("3.5")'),
        )
    ],
    ("{ low = 1, medium = 2, high = 8 }", "{}", "models.gpt-image.prices", "Dictionary must have"),
    ("limit = 3", "limit = -1", "guests.limit", "must be greater than or equal to 0"),
    ("limit = 3", 'limit = "3"', "guests.limit", "must be a whole number"),
    ("[guests]", "[guest]", "guest", "is not a key that a catalog has here"),
    ("window_hours = 24\n", "", "guests.window_hours", "is missing"),
    ('"1:1" = "1024x1024"', '"1:1" = "1024x768"', "studio.shapes.1:1", "1024x768 does not have"),
    ('"1:1" = "1024x1024"', '"1:1" = "big"', "studio.shapes.1:1", "must be pixels such as"),
    ('"1:1" = "1024x1024"', '"2:2" = "1024x1024"', "studio.shapes.2:2", "1024x1024 does not have"),
    ('unit = "credits" ', 'unit = "euros" ', "unit", "must be 'credits' or 'dollars'"),
    ('currency = "USD"', 'currency = "usd"', "currency", "must be an ISO 4217 code such as USD"),
    ('currency = "USD"', 'currency = "JPY"', "packs.starter.price", "must have at most 0 decimals"),
    (
        "{ up_to_seconds = 5, price = 25 },",
        "{ up_to_seconds = 10, price = 25 },",
        "operations.video.steps",
        "must rise: each longer and not cheaper",
    ),
    (
        "{ up_to_seconds = 5, price = 25 },",
        "{ up_to_seconds = 5, price = 60 },",
        "operations.video.steps",
        "must rise: each longer and not cheaper",
    ),
    ("per_seconds = 15 ", "per_second = 15 ", "operations.audio.per_second", "is not a key"),
    ("max_seconds = 600\n", "", "operations.audio.max_seconds", "is missing: say how long"),
    ("characters_per_second = 15", "#", "operations.audio.characters_per_second", "is missing: a"),
    ("[operations.upscale]", "[operations.dance]", "operations.dance", "is not a key"),
    ('price = "4.99"', 'price = "4.999"', "packs.starter.price", "must have at most 2 decimals"),
    ('price = "4.99"', "price = 4.99", "packs.starter.price", 'write 4.99 in quotes ("4.99")'),
    ('price = "4.99"', "price = 0", "packs.starter.price", "must be greater than zero"),
    ('price = "4.99"', 'price = "0.49"', "packs.starter.price", "must be at least $0.50, Stripe's"),
    (
        'price = "4.99"',
        "price = 1000000",
        "packs.starter.price",
        "must be at most $999,999.99, Stripe's",
    ),
    ("month = 15", 'month = "0.20"', "plans.basic.month", "must be at least $0.50, Stripe's least"),
    ('currency = "USD"', 'currency = "USX"', "packs.starter.price", "must be in a currency that"),
    ('price = "4.99"', 'price = "14.99"', "packs", "2 packs cost the same (1499 minor units)"),
    ("credits = 25\n", "credits = 0\n", "packs.starter.credits", "must be greater than zero"),
    ('id = "pro"\n', 'id = "pro"\nbest_value = true\n', "packs", "only one pack can be the best"),
    ('id = "pro"\n', 'id = "starter"\n', "packs.starter.id", "stands 2 times; ids are unique"),
    ("STRIPE_PRICE_PRO", "price pro", "packs.pro.stripe_price_env", "must be a variable's name"),
    ('id = "free"', 'id = "gratis"', "plans.gratis", "month, year and credits must be greater"),
    ("month = 0", "month = 1", "plans", "the first plan is free, and costs nothing"),
    ("month = 15", "month = 0", "plans.basic", "month, year and credits must be greater"),
    ("carry_months = 1\nstripe", "stripe", "plans.basic.carry_months", "goes with unused"),
    ("month = 15", "month = 15\nseats_max = 9", "plans.basic.seats_max", "must fit seats_min"),
    (
        '"flux-dev"\nrecommended',
        '"flux"\nrecommended',
        "studio.default_model",
        "no model flux makes",
    ),
    ("examples = [", 'examples = [\n"A fourth",', "studio.examples", "List must have at most 3"),
    ('model = "gpt-image"', 'model = "dall-e-3"', "agents.model", "no model dall-e-3 makes images"),
    ("count_max = 1000", "count_max = 0", "agents.count_max", "must be greater than or equal to 1"),
    ("subjects = [", "subjects = [\n3,", "agents.subjects.1", "must be text in quotes"),
    (
        "count_max = 1000",
        'count_max = 1000\nbulk = [{ from_count = 10, price = "1.10" }]',
        "agents.bulk",
        "counts must rise, and no tier is dearer",
    ),
    (
        'input = "0.10"',
        'input = "0.0000001"',
        "language_models.gpt-6-luna.input",
        "must have at most 6 decimals",
    ),
    (
        'input = "0.10"',
        'input = "0.009"',
        "language_models.gpt-6-luna.cached_input",
        "must not be dearer than input",
    ),
    (
        'cache_write = "0.125"',
        'cache_write = "0.09"',
        "language_models.gpt-6-luna.cache_write",
        "must not be cheaper than input",
    ),
    (
        'as_of = "2026-11-28"\nmax_output',
        'as_of = "yesterday"\nmax_output',
        "language_models.gpt-6-luna.as_of",
        "must be a day in quotes",
    ),
    (
        'output = "0.75"',
        'output = "0.40"',
        "language_models.gpt-6-luna.tiers",
        "must rise: none is cheaper than the one before",
    ),
    (
        "above = 272000",
        "above = 0",
        "language_models.gpt-6-luna.tiers.1.above",
        "must be greater than or equal to 1",
    ),
    ('"claude-haiku-4-5"\nname', '"gpt-6-luna"\nname', "language_models.gpt-6-luna.id", "stands 2"),
    (
        'provider_model = "claude-haiku-4-5"',
        'provider_model = "claude-haiku-4-5"\nbase_url = "ftp://a.example"',
        "language_models.claude-haiku-4-5.base_url",
        "must be",
    ),
    ('name = "studio"', "name =", "line 7, column 7", "is not TOML: Invalid value"),
    ("[guests]", "welcome = 1\n[guests]", "line 17, column 12", "is not TOML: Cannot overwrite"),
]


def test_a_bad_catalog_is_refused_with_file_key_and_reason(edited: Edit) -> None:
    wrong = []
    for old, new, key, reason in BAD:
        message = "accepted"
        try:
            load_catalog(edited(old, new))
        except CatalogInvalid as refused:
            message = str(refused)
        if not message.startswith(f"shop.toml: {key}: {reason}") or "\n" in message:
            wrong.append(f"{new!r}: {message}; expected {key}: {reason}")
    assert wrong == [], "\n".join(wrong)


def test_a_catalog_that_does_not_exist_is_refused_with_the_choices() -> None:
    with pytest.raises(CatalogInvalid) as refused:
        load_catalog("shop")
    assert str(refused.value) == (
        "shop: is neither a file nor one of the presets studio, dollars, agents"
    )


def test_a_folder_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(CatalogInvalid, match="is neither a file nor one of the presets"):
        load_catalog(tmp_path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(CatalogInvalid, match=r"shop\.toml: must be UTF-8 text"):
        load_catalog(path)


@pytest.mark.parametrize("document", [{}, {"models": 3}, {"models": [3]}, {"name": ["studio"]}])
def test_a_document_of_the_wrong_form_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(CatalogInvalid):
        parse(document, file="shop.toml")


def test_an_edited_file_is_another_catalog_and_its_comments_are_not(edited: Edit) -> None:
    same = load_catalog(edited("# once, at sign-up", "# only once"))
    assert same.digest == load_catalog("studio").digest
    other = load_catalog(edited("welcome = 50", "welcome = 51"))
    assert other.digest != same.digest
    assert other.welcome_micro == 51_000_000
