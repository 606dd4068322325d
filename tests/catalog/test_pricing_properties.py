"""Properties of every price."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from creditapp.catalog import (
    Catalog,
    PriceRequest,
    affordable_output_tokens,
    delivered_micro,
    load_catalog,
    quote,
    token_cost_micro,
    worst_token_cost_micro,
)
from creditapp.catalog.load import PRESETS
from creditapp.errors import ValidationFailed

CATALOGS = {name: load_catalog(name) for name in PRESETS}
TOKENS = st.integers(0, 5_000_000)
catalogs = st.sampled_from(list(CATALOGS.values()))
token_catalogs = st.sampled_from([CATALOGS["studio"], CATALOGS["dollars"]])


@st.composite
def requests(draw: st.DrawFn) -> tuple[Catalog, PriceRequest]:
    """Return a request that a catalog can make."""
    catalog = draw(catalogs)
    operation = draw(st.sampled_from(catalog.operations))
    images = [model.id for model in catalog.models if model.can(operation.id)]
    by_token = [model.id for model in catalog.language_models if model.can(operation.id)]
    able = images or by_token
    return catalog, PriceRequest(
        operation=operation.id,
        model=draw(st.sampled_from(able)) if able else None,
        n=draw(st.integers(1, 4)) if images else 1,
        quality=draw(st.sampled_from([None, "low", "medium", "high"]))
        if images and catalog.name != "agents"
        else None,
        seconds=draw(st.integers(1, operation.max_seconds)) if operation.max_seconds else None,
        text_length=draw(st.none() | st.integers(0, 20_000)),
        input_tokens=draw(st.none() | TOKENS),
        output_tokens=draw(st.none() | TOKENS),
    )


@given(requests())
def test_a_price_is_a_positive_integer_and_its_lines_add_up(
    drawn: tuple[Catalog, PriceRequest],
) -> None:
    catalog, request = drawn
    quoted = quote(catalog, request)
    assert type(quoted.cost_micro) is int
    assert quoted.cost_micro >= 0
    assert quoted.cost_micro == quoted.unit_micro * quoted.units
    assert sum(line.cost_micro for line in quoted.lines) == quoted.cost_micro
    assert all(line.cost_micro >= 0 for line in quoted.lines)
    assert quoted.sentence
    assert quoted.cost_micro < 2**63
    assert quote(catalog, request) == quoted


@given(catalogs, st.data())
def test_more_images_cost_more_and_the_parts_add_up(catalog: Catalog, data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(catalog.models))
    quality = data.draw(st.sampled_from(model.qualities)) if model.qualities else None
    costs = [
        quote(catalog, PriceRequest(model=model.id, quality=quality, n=n)).cost_micro
        for n in range(1, model.max_images + 1)
    ]
    assert costs == [costs[0] * n for n in range(1, model.max_images + 1)]
    assert costs == sorted(set(costs))


@given(st.sampled_from(["video", "audio", "lipsync"]), st.integers(1, 120), st.integers(1, 120))
def test_longer_never_costs_less(operation: str, one: int, other: int) -> None:
    catalog = CATALOGS["studio"]
    found = catalog.operation(operation)
    assert found is not None
    assert found.max_seconds is not None
    assume(max(one, other) <= found.max_seconds)
    shorter, longer = sorted((one, other))
    costs = [
        quote(catalog, PriceRequest(operation, seconds=seconds)).cost_micro
        for seconds in (shorter, longer)
    ]
    assert costs[0] <= costs[1]


@given(requests(), st.integers(-1, 8), st.integers(-1, 2000))
def test_a_capture_is_never_above_the_quote(
    drawn: tuple[Catalog, PriceRequest], images: int, seconds: int
) -> None:
    catalog, request = drawn
    quoted = quote(catalog, request)
    assert 0 <= delivered_micro(catalog, quoted, images=images) <= quoted.cost_micro
    assert 0 <= delivered_micro(catalog, quoted, seconds=seconds) <= quoted.cost_micro


@given(token_catalogs, st.data(), TOKENS, TOKENS, st.integers(0, 100))
def test_tokens_are_exact_and_rounded_up_once(
    catalog: Catalog, data: st.DataObject, read: int, wrote: int, cached_percent: int
) -> None:
    model = data.draw(st.sampled_from(catalog.language_models))
    cached = read * cached_percent // 100
    prices = model.prices_at(read)
    dollars = Fraction(
        (read - cached) * prices.input_micros_usd
        + cached * prices.cached_input_micros_usd
        + wrote * prices.output_micros_usd,
        10**12,
    )
    exact = dollars * catalog.credits_per_provider_dollar * 1_000_000
    cost = token_cost_micro(catalog, model, input_tokens=read, output_tokens=wrote, cached=cached)
    assert exact <= cost < exact + 1
    request = PriceRequest(
        operation=model.operations[0],
        model=model.id,
        input_tokens=read,
        cached_tokens=cached,
        output_tokens=wrote,
    )
    assert quote(catalog, request).cost_micro == cost


@given(token_catalogs, st.data(), st.integers(0, 20_000), st.integers(0, 10**8))
def test_the_longest_affordable_answer_is_paid_for_and_one_token_more_is_not(
    catalog: Catalog, data: st.DataObject, read: int, balance_micro: int
) -> None:
    model = data.draw(st.sampled_from([m for m in catalog.language_models if m.can("chat")]))
    longest = affordable_output_tokens(
        catalog, model, input_tokens=read, balance_micro=balance_micro
    )
    assert 0 <= longest <= model.max_output_tokens
    if longest:
        cost = worst_token_cost_micro(catalog, model, input_tokens=read, output_tokens=longest)
        assert cost <= balance_micro
    if longest < model.max_output_tokens:
        more = worst_token_cost_micro(catalog, model, input_tokens=read, output_tokens=longest + 1)
        assert more > balance_micro


@settings(max_examples=200)
@given(
    st.text(max_size=12) | st.sampled_from(["chat", "video", "text-to-image", "audio", "upscale"]),
    st.none() | st.text(max_size=12),
    st.integers() | st.booleans(),
    st.none() | st.text(max_size=8),
    st.none() | st.integers(),
    st.none() | st.integers(),
)
def test_any_nonsense_is_priced_or_refused_by_field(
    operation: str,
    model: str | None,
    n: int,
    quality: str | None,
    seconds: int | None,
    text_length: int | None,
) -> None:
    request = PriceRequest(
        operation, model, n, quality, quality, seconds, text_length, seconds, 0, text_length
    )
    try:
        quoted = quote(CATALOGS["studio"], request)
    except ValidationFailed as error:
        named = [each["field"] and each["message"] for each in error.errors]
    else:
        named = [quoted.sentence]
        assert quoted.cost_micro >= 0
    assert named
    assert all(named)
