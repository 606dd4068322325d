"""Figures of packs and plans are true, and shown only where they are positive."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from creditapp.catalog import Catalog, load_catalog, packs_view, plans_view, yield_text

Edit = Callable[[str, str], Path]


def test_each_pack_says_what_it_is_worth(studio: Catalog) -> None:
    assert [(view.unit_price, view.yields) for view in packs_view(studio)] == [
        ("20.0¢ a credit", "about 50 Nano Banana images or 25 Flux Dev"),
        ("13.6¢ a credit", "about 220 Nano Banana images or 110 Flux Dev"),
        ("10.0¢ a credit", "about 600 Nano Banana images or 300 Flux Dev"),
        ("7.7¢ a credit", "about 1,300 Nano Banana images or 650 Flux Dev"),
    ]


def test_bonus_and_saving_are_measured_against_the_dearest_credit(studio: Catalog) -> None:
    # 14.99 dollars buy 75.1 credits at Starter's price; 110 credits cost 21.956 dollars there.
    assert [(view.bonus_micro, view.saving_percent) for view in packs_view(studio)] == [
        (None, None),
        (34_000_000, 31),
        (149_000_000, 49),
        (399_000_000, 61),
    ]


def test_the_price_of_a_credit_has_four_decimals(studio: Catalog) -> None:
    assert [view.per_credit for view in packs_view(studio)] == [
        Decimal("0.1996"),
        Decimal("0.1363"),
        Decimal("0.1000"),
        Decimal("0.0769"),
    ]


def test_in_dollars_the_bonus_is_what_the_pack_adds(dollars: Catalog) -> None:
    assert [
        (view.bonus_micro, view.saving_percent, view.unit_price) for view in packs_view(dollars)
    ] == [
        (None, None, "$1.00 for each $1 of credit"),
        (2_000_000, 7, "92.6¢ for each $1 of credit"),
        (5_000_000, 9, "90.9¢ for each $1 of credit"),
        (15_000_000, 13, "87.0¢ for each $1 of credit"),
    ]


def test_without_packs_there_is_nothing_to_compare(agents: Catalog) -> None:
    assert packs_view(agents) == ()


def test_a_pack_that_saves_nothing_says_nothing(edited: Edit) -> None:
    # The larger pack is now the dearer one for each credit: the smaller one saves.
    views = packs_view(load_catalog(edited('price = "49.99"', 'price = "499.99"')))
    assert (views[3].saving_percent, views[3].bonus_micro) == (None, None)
    assert views[0].saving_percent == 74


@pytest.mark.parametrize(
    ("currency", "price", "each"),
    [("EUR", '"4.99"', "20.0 ct a credit"), ("GBP", '"4.99"', "20.0p a credit")],
)
def test_other_currencies_have_their_own_words(
    edited: Edit, currency: str, price: str, each: str
) -> None:
    path = edited('currency = "USD"', f'currency = "{currency}"')
    assert packs_view(load_catalog(path))[0].unit_price == each


def test_a_year_shows_its_price_a_month_and_what_it_saves_or_costs_more(studio: Catalog) -> None:
    free, basic, premium = plans_view(studio)
    assert (free.month.price, free.year.price) == ("Free", "Free")
    assert (basic.month.price, basic.month.unit_price) == ("$15.00 a month", "3.0¢ a credit")
    assert (basic.year.price, basic.year.a_month) == ("$210.00 a year", "$17.50 a month")
    assert (basic.year.saving, basic.year.surcharge) == (None, "$30.00 more than twelve months")
    assert basic.year.unit_price == "3.5¢ a credit"
    # 290 / 12 is 24.1666...: rounded up, so that twelve of it are never less than the year.
    assert (premium.year.price, premium.year.a_month) == ("$290.00 a year", "$24.17 a month")
    assert premium.year.saving == "$58.00 less than twelve months"
    assert premium.year.surcharge is None
    assert [view.credits for view in (free, basic)] == [
        "60 credits when you confirm your address",
        "500 credits a month",
    ]


def test_only_the_lowest_price_of_a_credit_is_called_so(studio: Catalog) -> None:
    """Premium by the year is the cheapest of all: the cheapest pack and month say among what."""
    assert [view.lowest for view in packs_view(studio)] == [
        *(None, None, None),
        "Lowest price per credit in a pack",
    ]
    assert [(view.month.lowest, view.year.lowest) for view in plans_view(studio)] == [
        (None, None),
        (None, None),
        ("Lowest monthly price per credit", "Lowest price per credit"),
    ]


def test_where_packs_are_the_cheapest_a_pack_has_the_lowest_price(edited: Edit) -> None:
    views = packs_view(load_catalog(edited('price = "49.99"', 'price = "4.98"')))
    assert [view.lowest for view in views] == [None, None, None, "Lowest price per credit"]


def test_a_single_price_is_not_called_the_lowest(dollars: Catalog, studio: Catalog) -> None:
    single = studio.model_copy(update={"packs": studio.packs[:1], "plans": studio.plans[:2]})
    assert [view.lowest for view in packs_view(single)] == [None]
    assert [view.year.lowest for view in plans_view(single)] == [None, None]
    assert packs_view(dollars)[3].lowest == "Lowest price per credit"


def test_a_fair_use_cap_is_no_price_of_a_credit(edited: Edit) -> None:
    path = edited("month = 15", 'kind = "unlimited"\nmonth = 15')
    assert plans_view(load_catalog(path))[1].month.unit_price is None


def test_a_plan_says_what_becomes_of_unused_credits(studio: Catalog, edited: Edit) -> None:
    assert plans_view(studio)[1].unused == "Unused credits last 1 more month."
    assert plans_view(studio)[0].unused == "Unused credits never expire."
    catalog = load_catalog(edited('unused = "carry"\ncarry_months = 1', 'unused = "expire"'))
    assert plans_view(catalog)[1].unused == "Unused credits expire at the end of each month."
    assert catalog.plans[1].lasting_months == 1


@pytest.mark.parametrize(
    ("fields", "month", "included"),
    [
        (
            'kind = "unlimited"',
            "$15.00 a month",
            "Unlimited, with fair use up to 500 credits a month",
        ),
        (
            'kind = "team"\nseats_min = 2\nseats_max = 50',
            "$15.00 a month for each seat",
            "500 credits a month for each seat",
        ),
    ],
)
def test_the_other_kinds_of_plan_say_what_they_are(
    edited: Edit, fields: str, month: str, included: str
) -> None:
    view = plans_view(load_catalog(edited("month = 15", f"{fields}\nmonth = 15")))[1]
    assert (view.month.price, view.credits) == (month, included)


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, ""),
        (499_999, ""),
        (500_000, "about 1 Nano Banana image"),
        (1_000_000, "about 2 Nano Banana images or 1 Flux Dev"),
    ],
)
def test_an_amount_says_what_it_makes(studio: Catalog, micro: int, text: str) -> None:
    assert yield_text(studio, micro) == text


def test_a_model_priced_by_quality_says_which(dollars: Catalog) -> None:
    assert yield_text(dollars, 10_000_000) == "about 500 GPT Image (medium) images"
