"""Settlement charges by the quote, whatever part or length of the order was delivered."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from creditapp.catalog import TEXT_TO_IMAGE, Catalog, PriceRequest, Quote, load_catalog, quote
from creditapp.catalog.load import PRESETS
from creditapp.catalog.models import MEDIA_OPERATIONS
from creditapp.generation.models import Asset, Generation
from creditapp.generation.settlement import charge_micro

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
    return [charge_of(catalog, quoted, *[None] * count) for count in range(quoted.units + 3)]


def charge_of(catalog: Catalog, quoted: Quote, *milliseconds: int | None) -> int:
    """Return what settlement charges for a delivery of files of these lengths."""
    generation = Generation(
        operation=quoted.operation,
        model=quoted.model,
        model_name=quoted.model_name,
        n=quoted.units,
        quoted_micro=quoted.cost_micro,
        quoted_units=quoted.units,
        catalog_version=quoted.version,
    )
    assets = [Asset(milliseconds=length) for length in milliseconds]
    return charge_micro(catalog, generation, assets)


@given(quotes())
def test_a_charge_never_exceeds_the_quote_and_a_whole_delivery_costs_all_of_it(
    priced: tuple[Catalog, Quote],
) -> None:
    _, quoted = priced
    costs = charges(*priced)
    assert costs == sorted(costs)
    assert costs[0] == 0
    assert costs[quoted.units :] == [quoted.cost_micro] * 3


@given(quotes())
def test_the_charges_of_two_parts_add_up_to_the_quote(priced: tuple[Catalog, Quote]) -> None:
    _, quoted = priced
    costs = charges(*priced)
    for delivered in range(quoted.units + 1):
        assert costs[delivered] + costs[quoted.units - delivered] == quoted.cost_micro
        assert costs[delivered] == delivered * costs[1]


@st.composite
def lengths(draw: st.DrawFn) -> tuple[Catalog, Quote]:
    """Return the quote of any order that the default catalog prices by its length, or once."""
    catalog = CATALOGS[PRESETS.index("studio")]
    operation = draw(st.sampled_from(MEDIA_OPERATIONS))
    request = PriceRequest(operation)
    if operation == "audio":
        request = replace(request, text_length=draw(st.integers(1, 9_000)))
    elif operation != "upscale":
        longest = {"video": 10, "lipsync": 120}[operation]
        request = replace(request, seconds=draw(st.integers(1, longest)))
    return catalog, quote(catalog, request)


@given(lengths(), st.lists(st.integers(0, 700_000), min_size=1, max_size=20))
def test_a_charge_by_length_rises_with_the_length_and_never_exceeds_the_quote(
    priced: tuple[Catalog, Quote], milliseconds: list[int]
) -> None:
    catalog, quoted = priced
    costs = [charge_of(catalog, quoted, each) for each in sorted(milliseconds)]
    assert costs == sorted(costs)
    assert all(0 <= cost <= quoted.cost_micro for cost in costs)
    assert charge_of(catalog, quoted, None) == quoted.cost_micro
    assert charge_of(catalog, quoted, 700_000) == quoted.cost_micro


@given(lengths(), st.integers(1, 700))
def test_a_part_of_a_second_is_charged_as_a_whole_one(
    priced: tuple[Catalog, Quote], seconds: int
) -> None:
    catalog, quoted = priced
    whole = charge_of(catalog, quoted, seconds * 1000)
    assert charge_of(catalog, quoted, seconds * 1000 - 999) == whole
    assert charge_of(catalog, quoted, seconds * 1000 + 1) == charge_of(
        catalog, quoted, (seconds + 1) * 1000
    )
