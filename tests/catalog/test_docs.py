"""The examples that operators copy are read from the page itself."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from creditapp.catalog import Catalog, CatalogInvalid, Model, PriceRequest, load_catalog, quote
from creditapp.catalog.load import PRESETS, parse, read_catalog_file

PAGE = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def in_the_studio(example: str) -> Catalog:
    """Return the studio with an example in it; an entry replaces the one with its id."""
    _, document = read_catalog_file("studio")
    content: dict[str, Any] = document
    for name, value in tomllib.loads(example).items():
        if isinstance(value, list):
            ids = {entry["id"] for entry in value}
            content[name] = [*(e for e in content[name] if e["id"] not in ids), *value]
        else:
            content[name] = {**content[name], **value}
    return parse(content, file="docs/catalog.md")


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_accepted(example: str) -> None:
    assert in_the_studio(example).digest != load_catalog("studio").digest


def test_the_examples_do_what_the_page_says() -> None:
    catalogs = [in_the_studio(example) for example in EXAMPLES]
    costs = [
        (0, PriceRequest(model="flux-dev"), 1_500_000),
        (1, PriceRequest(model="gpt-image"), 2_000_000),
        (1, PriceRequest(model="gpt-image", quality="low"), 800_000),
        (2, PriceRequest(model="acme-sketch", size="4:3", n=2), 1_500_000),
        (
            3,
            PriceRequest("chat", model="acme-talk", input_tokens=10**6, output_tokens=0),
            30 * 10**6,
        ),
        (6, PriceRequest("video", seconds=12), 60_000_000),
    ]
    for index, request, cost in costs:
        assert quote(catalogs[index], request).cost_micro == cost
    acme = catalogs[2].model("acme-sketch")
    assert acme is not None
    assert (acme.key_env, acme.base_url) == ("ACME_API_KEY", "https://api.acme.example/v1")
    taster = catalogs[4].pack("taster")
    assert taster is not None
    assert (taster.price_minor, taster.credits_micro) == (199, 9_000_000)
    team = catalogs[5].plan("studio-team")
    assert team is not None
    assert (team.kind, team.lasting_months) == ("team", 1)


def test_the_mistake_on_the_page_is_what_the_start_says(edited: Callable[[str, str], Path]) -> None:
    path = edited('name = "Flux Dev"\nprice = 1', 'name = "Flux Dev"\nprice = 1.5')
    with pytest.raises(CatalogInvalid) as refused:
        load_catalog(path)
    assert f"```text\n{refused.value}\n```" in PAGE


def test_the_page_names_the_presets_and_the_defaults() -> None:
    for name in PRESETS:
        assert f"| `{name}` |" in PAGE
    defaults = {name: field.default for name, field in Model.model_fields.items()}
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| `?([\w ]+?)`? \|$", PAGE, re.MULTILINE))
    assert int(rows["max_images"]) == defaults["max_images"]
    assert int(rows["typical_seconds"]) == defaults["typical_seconds"]
    for name in ("guests", "native_n", "gateway"):
        assert rows[name] == str(defaults[name]).lower()
