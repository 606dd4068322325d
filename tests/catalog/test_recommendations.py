"""Recommendations and suggestions for a balance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditapp.catalog import (
    Catalog,
    PriceRequest,
    affordability,
    load_catalog,
    offers,
    quote,
    recommend,
)

CREDIT = 1_000_000
STUDIO = load_catalog("studio")
ALL = frozenset(model.id for model in STUDIO.models)


@pytest.mark.parametrize(
    ("balance", "model", "reason"),
    [
        ("0.5", "nano-banana", "fits your balance: 1 image left"),
        ("3", "nano-banana", "fits your balance: 6 images left"),
        ("12", "nano-banana", "fits your balance: 24 images left"),
        ("20", "flux-dev", "fits your balance: 20 images left"),
        ("39.999999", "flux-dev", "fits your balance: 39 images left"),
        ("50", "nano-banana-pro", "fits your balance: 25 images left"),
        ("2600", "nano-banana-pro", "fits your balance: 1,300 images left"),
    ],
)
def test_the_recommended_model_fits_the_balance(
    studio: Catalog, balance: str, model: str, reason: str
) -> None:
    whole, _, rest = balance.partition(".")
    micro = int(whole) * CREDIT + int(rest.ljust(6, "0"))
    found = recommend(studio, micro, ALL)
    assert found is not None
    assert (found.model.id, found.reason) == (model, reason)


def test_every_recommendation_is_available_and_can_be_paid(studio: Catalog) -> None:
    assert recommend(studio, 0, ALL) is None
    assert recommend(studio, 499_999, ALL) is None
    assert recommend(studio, 50 * CREDIT, []) is None
    found = recommend(studio, 50 * CREDIT, ["lora-normal", "gpt-image"])
    assert found is not None
    assert found.model.id == "gpt-image"


def test_a_guest_is_offered_the_default_model(studio: Catalog) -> None:
    found = recommend(studio, None, ALL)
    assert found is not None
    assert (found.model.id, found.reason) == ("flux-dev", "free to try, no account needed")
    found = recommend(studio, None, ["gemini-flash", "nano-banana-pro"])
    assert found is not None
    assert found.model.id == "gemini-flash"
    assert recommend(studio, None, ["nano-banana-pro"]) is None


def test_the_picker_says_what_is_out_of_reach_and_the_ways_out(studio: Catalog) -> None:
    rows = offers(studio, 12 * CREDIT, ALL, PriceRequest(n=2, quality="high"))
    assert [row.model.id for row in rows] == [model.id for model in studio.models]
    assert [row.recommended for row in rows].count(True) == 1
    first, last = rows[0], rows[-1]
    assert (first.why, first.reason, first.suggestions) == (
        "fits your balance: 24 images left",
        "",
        (),
    )
    assert first.cost_micro == CREDIT
    assert (last.quality, last.cost_micro, last.affordable) == ("high", 16 * CREDIT, False)
    assert last.reason == "2 images need 16 credits; you have 12"
    assert [way.label for way in last.suggestions] == [
        "Use medium (4)",
        "Make 1 image (8)",
        "Add credits",
    ]


def test_one_image_needs_and_two_need(studio: Catalog) -> None:
    row = offers(studio, CREDIT // 2, ALL)[1]
    assert row.reason == "1 image needs 1 credit; you have 0.5"
    assert [way.kind for way in row.suggestions] == ["credits"]


def test_a_guest_sees_which_models_need_an_account(studio: Catalog) -> None:
    rows = {row.model.id: row for row in offers(studio, None, ALL)}
    assert rows["nano-banana"].reason == ""
    assert rows["flux-dev"].recommended
    assert rows["gpt-image"].reason == "Sign up to use GPT Image."


def test_a_model_that_is_not_set_up_says_so(studio: Catalog) -> None:
    rows = {row.model.id: row for row in offers(studio, 50 * CREDIT, ["gpt-image"])}
    assert rows["flux-dev"].reason == "Not set up on this server."
    assert not rows["flux-dev"].available
    assert rows["gpt-image"].available


def test_too_small_a_balance_is_told_in_one_sentence(studio: Catalog) -> None:
    request = PriceRequest(model="nano-banana-pro")
    found = affordability(studio, request, quote(studio, request), CREDIT // 2, available_ids=ALL)
    assert found.state == "insufficient"
    assert found.sentence == (
        "You have 0.5 credits; this needs 2. Add credits or choose Nano Banana (0.5)."
    )
    assert found.after_micro == -1_500_000


def test_every_way_out_is_named(studio: Catalog) -> None:
    request = PriceRequest(model="gpt-image", quality="high", n=2)
    found = affordability(studio, request, quote(studio, request), 12 * CREDIT, available_ids=ALL)
    assert found.sentence == (
        "You have 12 credits; this needs 16. "
        "Add credits, use medium (4), make 1 image (8) or choose Nano Banana (1)."
    )
    assert [way.kind for way in found.suggestions] == ["quality", "count", "model", "credits"]


@pytest.mark.parametrize(
    ("balance", "low", "state", "sentence"),
    [
        (50, None, "sufficient", "This leaves 45 credits."),
        (15, None, "sufficient", "This leaves 10 credits."),
        (14, None, "low", "This leaves 9 credits."),
        (14, 5, "sufficient", "This leaves 9 credits."),
        (6, None, "low", "This leaves 1 credit."),
        (5, None, "low", "This leaves 0 credits."),
        (4, None, "insufficient", "You have 4 credits; this needs 5. Add credits."),
    ],
)
def test_a_cost_stands_to_a_balance(
    studio: Catalog, balance: int, low: int | None, state: str, sentence: str
) -> None:
    request = PriceRequest("upscale")
    found = affordability(
        studio,
        request,
        quote(studio, request),
        balance * CREDIT,
        available_ids=ALL,
        low_balance_micro=None if low is None else low * CREDIT,
    )
    assert (found.state, found.sentence) == (state, sentence)


def test_in_dollars_the_words_are_dollars(dollars: Catalog) -> None:
    request = PriceRequest(quality="high", n=2)
    found = affordability(dollars, request, quote(dollars, request), 90_000)
    assert found.sentence == (
        "You have $0.09; this needs $0.16. Add credits, use medium ($0.04) or make 1 image ($0.08)."
    )


@given(
    st.integers(0, 40 * CREDIT),
    st.sets(st.sampled_from(sorted(ALL))),
    st.integers(1, 4),
    st.sampled_from([None, "low", "medium", "high"]),
    st.sampled_from(sorted(ALL)),
)
def test_every_recommended_model_can_be_paid(
    balance_micro: int, available: set[str], n: int, quality: str | None, model: str
) -> None:
    asked = PriceRequest(n=n, quality=quality, model=model)
    found = affordability(
        STUDIO, asked, quote(STUDIO, asked), balance_micro, available_ids=available
    )
    rows = offers(STUDIO, balance_micro, available, asked)
    for way in [*found.suggestions, *(way for row in rows for way in row.suggestions)]:
        if way.kind != "credits":
            changed = PriceRequest(model=way.model, quality=way.quality, n=way.n or 0)
            assert quote(STUDIO, changed).cost_micro == way.cost_micro
            assert way.cost_micro is not None
            assert way.cost_micro <= balance_micro
        if way.kind == "model":
            assert way.model in available
    for row in rows:
        assert (row.reason == "") == (row.available and row.affordable)
        assert not row.recommended or row.available
    recommended = recommend(STUDIO, balance_micro, available)
    if recommended is not None:
        assert recommended.model.id in available
        assert recommended.model.price_micro <= balance_micro
