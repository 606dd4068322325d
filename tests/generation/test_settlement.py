"""Settlement charges by the quote, whatever part of the order was delivered."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from creditapp.catalog import TEXT_TO_IMAGE, Catalog, PriceRequest, Quote, load_catalog, quote
from creditapp.catalog.load import PRESETS
from creditapp.generation.models import Generation
from creditapp.generation.settlement import NewAsset, charge_micro

CATALOGS = [load_catalog(name) for name in PRESETS]


@st.composite
def quotes(draw: st.DrawFn) -> tuple[Catalog, Quote]:
    """Return the quote of any order of images that a preset allows."""
    catalog = draw(st.sampled_from(CATALOGS))
    model = draw(st.sampled_from([m for m in catalog.models if m.can(TEXT_TO_IMAGE)]))
    quality = draw(st.sampled_from([None, *model.qualities]))
    n = draw(st.integers(1, model.max_images))
    return catalog, quote(catalog, PriceRequest(TEXT_TO_IMAGE, model.id, n, quality))


def charges(catalog: Catalog, quoted: Quote) -> list[int]:
    """Return what settlement charges for a delivery of 0, 1, ... images of the order."""
    generation = Generation(
        operation=quoted.operation,
        model=quoted.model,
        model_name=quoted.model_name,
        n=quoted.units,
        quoted_micro=quoted.cost_micro,
        quoted_units=quoted.units,
        catalog_version=quoted.version,
    )
    moment = datetime(2026, 11, 28, tzinfo=UTC)
    asset = NewAsset("ast", "gen", 0, "key", "image/png", 1, 1, None, moment)
    counts = range(quoted.units + 3)
    return [charge_micro(catalog, generation, [asset] * count) for count in counts]


@settings(deadline=None)
@given(quotes())
def test_a_charge_never_exceeds_the_quote_and_a_whole_delivery_costs_all_of_it(
    priced: tuple[Catalog, Quote],
) -> None:
    _, quoted = priced
    costs = charges(*priced)
    assert costs == sorted(costs)
    assert costs[0] == 0
    assert costs[quoted.units :] == [quoted.cost_micro] * 3


@settings(deadline=None)
@given(quotes())
def test_the_charges_of_two_parts_add_up_to_the_quote(priced: tuple[Catalog, Quote]) -> None:
    _, quoted = priced
    costs = charges(*priced)
    for delivered in range(quoted.units + 1):
        assert costs[delivered] + costs[quoted.units - delivered] == quoted.cost_micro
        assert costs[delivered] == delivered * costs[1]
