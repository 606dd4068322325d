"""Margins: what each result earns, for every pack and plan of the shipped catalogs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner

from creditapp.catalog import Catalog, CatalogInvalid, load_catalog
from creditapp.catalog.load import PRESETS
from creditapp.catalog.margins import Margin, margins, unexplained_losses
from creditapp.cli import commands
from creditapp.cli.catalog import table

Edit = Callable[[str, str], Path]
REASON = (
    ', sold_below = "Packs of dear credits pay for it; '
    "the plans' credits bring less than the provider charges.\""
)
COST = f'provider_cost = {{ amount = "0.0336", as_of = "2026-11-28"{REASON} }}\n'
"""Nano Banana's, the first in the file."""


def margin_of(catalog: Catalog, sale: str, entry: str, variant: str = "") -> Margin:
    (found,) = [
        each
        for each in margins(catalog)
        if (each.sale, each.entry, each.variant) == (sale, entry, variant)
    ]
    return found


@pytest.mark.parametrize("preset", PRESETS)
def test_the_shipped_catalogs_sell_nothing_below_cost_without_saying_so(preset: str) -> None:
    catalog = load_catalog(preset)
    print(f"\n{preset}\n{table(margins(catalog))}")  # for whoever sets prices
    assert unexplained_losses(catalog) == []


def test_a_margin_is_the_share_of_the_price_that_stays(edited: Edit) -> None:
    catalog = load_catalog(edited("0.0336", "0.04"))
    creator = margin_of(catalog, "Creator", "nano-banana")
    # $14.99 for 110 credits, half a credit each.
    assert creator.paid == Fraction(1499, 22_000)
    assert creator.cost == Fraction(4, 100)
    assert (creator.percent, creator.loses) == (41, False)
    year = margin_of(catalog, "Premium, year", "nano-banana")
    assert year.paid == Fraction(290, 12 * 1200 * 2)
    assert (year.percent, year.loses) == (-298, True)  # rounded down


def test_chat_earns_the_same_share_with_every_model(studio: Catalog, dollars: Catalog) -> None:
    luna = margin_of(studio, "Premium, year", "gpt-6-luna", "1M in, 1M out")
    # $0.60 at the provider's, 100 credits for each dollar; $290 for 14,400 credits.
    assert (luna.price_micro, luna.cost) == (60_000_000, Fraction(6, 10))
    assert (luna.paid, luna.percent) == (Fraction(60 * 290, 14_400), 50)
    embedding = margin_of(studio, "Premium, year", "text-embedding-3-small", "1M in")
    assert (embedding.cost, embedding.percent) == (Fraction(2, 100), 50)
    largest = margin_of(dollars, "Extra large", "gpt-6-luna", "1M in, 1M out")
    assert (largest.percent, largest.loses) == (-15, True)
    assert largest.sold_below == dollars.tokens_sold_below


def test_a_loss_needs_a_reason(edited: Edit) -> None:
    path = edited(REASON, "")
    lost = {each.entry for each in unexplained_losses(load_catalog(path))}
    assert lost == {"nano-banana"}
    refused = CliRunner().invoke(commands, ["catalog", "check", str(path)])
    assert refused.exit_code == 1
    assert "Sold below cost without sold_below in provider_cost: nano-banana" in refused.output
    explained = edited(REASON, ', sold_below = "A gift."')
    assert CliRunner().invoke(commands, ["catalog", "check", str(explained)]).exit_code == 0
    shown = CliRunner().invoke(commands, ["catalog", "margin", str(explained)])
    assert "nano-banana: A gift." in shown.output


def test_a_cost_by_the_second_grows_with_the_length(studio: Catalog) -> None:
    lengths = [margin_of(studio, "Pro", "video", length) for length in ("5 s", "10 s")]
    assert lengths[1].cost == 2 * (lengths[0].cost or 0) > 0


@pytest.mark.parametrize(
    ("cost", "reason"),
    [
        ('{ as_of = "2026-11-28" }', "give either amount, or amounts by quality"),
        ('{ amount = "0.04" }', "is missing"),
        (
            '{ amount = "0.04", as_of = "yesterday" }',
            'must be a day in quotes, such as "2026-11-28"',
        ),
        ('{ amount = "0.04", per = "hour", as_of = "2026-11-28" }', "must be 'image', 'megapixel'"),
        ('{ amounts = { low = "1" }, as_of = "2026-11-28" }', "must have the qualities of prices"),
    ],
)
def test_a_cost_that_is_wrong_stops_the_start(edited: Edit, cost: str, reason: str) -> None:
    with pytest.raises(CatalogInvalid) as refused:
        load_catalog(edited(COST, f"provider_cost = {cost}\n"))
    assert reason in str(refused.value)
