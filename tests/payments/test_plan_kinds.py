"""Trials, teams and fair use: what a catalog can say of a plan beyond the studio's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from creditapp.accounts import User
from creditapp.config import SettingsInvalid
from creditapp.db import snapshot
from creditapp.errors import ValidationFailed
from creditapp.payments.subscriptions import checkout as plan_checkout
from creditapp.payments.subscriptions.models import Subscription
from tests.payments.plan_shop import PlanShop
from tests.shop_app import opened

STUDIO = Path(__file__).resolve().parents[2] / "creditapp" / "catalog" / "studio.toml"
MORE = """
[[plans]]
id = "tried"
name = "Tried"
tagline = "A week for nothing"
month = 10
year = 100
credits = 200
trial_days = 7
trial_credits = 20

[[plans]]
id = "crew"
name = "Crew"
tagline = "For each of you"
kind = "team"
month = 20
year = 200
credits = 300
seats_min = 2
seats_max = 50

[[plans]]
id = "endless"
name = "Endless"
tagline = "As much as is fair"
kind = "unlimited"
month = 99
year = 990
credits = 5000
unused = "expire"
"""


def catalog(folder: Path, more: str = MORE) -> Path:
    file = folder / "shop.toml"
    head, mark, tail = STUDIO.read_text().partition("# What programs buy with a receipt")
    file.write_text(head + more + mark + tail)
    return file


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def plans(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlanShop]:
    """A till of a shop with three more kinds of plans."""
    folder = tmp_path_factory.mktemp("shop_app")
    server = request.getfixturevalue("postgresql_server") if request.param != "sqlite" else None
    environ = {"CREDITAPP_CATALOG": str(catalog(folder))}
    with opened(request.param, folder, server, environ=environ) as made:
        made.begin()
        yield PlanShop(made)
        made.prove()


def test_a_trial_gives_its_own_credits_and_then_the_months(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "tried")
    assert plans.given(alice) == [20]
    assert plans.standing(alice).status == "trialing"
    assert plans.standing(alice).trial_end == row.trial_end
    assert row.trial_end is not None
    plans.pass_to(row.trial_end + timedelta(hours=1))
    plans.sweep()
    assert plans.given(alice) == [20, 200]
    assert plans.standing(alice).status == "active"
    assert plans.shop_app.credits(alice) == 200  # the trial's ended with it


def test_a_trial_is_once_for_each_person(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "tried")
    plans.choose(alice, "free")
    plans.pass_to((row.trial_end or row.period_end) + timedelta(hours=1))
    plans.sweep()
    assert plans.standing(alice).free
    purchase = plans.choose(alice, "tried").purchase
    assert purchase is not None
    assert purchase.trial_days == 0


def test_another_account_of_the_same_person_has_no_second_trial(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, "tried")
    again = plans.shop_app.member(alice.email.replace("@", "+again@"))
    stranger = plans.shop_app.member()
    with plans.app.app_context(), snapshot() as session:
        tried = plans.catalog.plan("tried")
        assert tried is not None
        assert not plan_checkout.is_trial_eligible(session, tried, again.id)
        assert plan_checkout.is_trial_eligible(session, tried, stranger.id)


def test_a_change_within_the_trial_charges_nothing(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "tried")
    assert plans.choose(alice, "premium").outcome == "will_change"
    plans.pass_to((row.trial_end or row.period_end) + timedelta(hours=1))
    plans.sweep()
    assert plans.given(alice) == [20, 1200]


def test_a_team_pays_and_gets_for_each_seat(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    for seats in (1, 51):
        with pytest.raises(ValidationFailed):
            plans.choose(alice, "crew", seats=seats)
    purchase = plans.choose(alice, "crew", seats=3).purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    assert plans.shop_app.sync(purchase).state == "paid"
    assert plans.given(alice) == [900]
    mine = plans.standing(alice)
    assert (mine.seats, mine.price_minor) == (3, 6000)
    assert plans.choose(alice, "crew", seats=5).outcome == "upgraded"
    assert 599 < plans.given(alice)[1] <= 600
    assert plans.standing(alice).seats == 5


def test_fewer_seats_wait_for_the_end_and_can_be_taken_back(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = team_of_five(plans, alice)
    assert plans.choose(alice, "crew", seats=3).outcome == "will_change"
    mine = plans.standing(alice)
    assert (mine.seats, mine.next_name, mine.next_seats, mine.next_price_minor) == (
        5, "Crew", 3, 6000,
    )  # fmt: skip
    assert plans.choose(alice, "crew", seats=5).outcome == "kept"
    assert plans.standing(alice).next_name is None
    plans.choose(alice, "crew", seats=3)
    plans.pass_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.given(alice) == [1500, 900]
    assert plans.standing(alice).seats == 3


def test_a_team_that_becomes_one_pays_for_one(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    team_of_five(plans, alice)
    plans.choose(alice, "basic")
    mine = plans.standing(alice)
    assert (mine.next_name, mine.next_seats, mine.next_price_minor) == ("Basic", 1, 1500)


def team_of_five(plans: PlanShop, buyer: User) -> Subscription:
    """Subscribe a team of five."""
    purchase = plans.choose(buyer, "crew", seats=5).purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    assert plans.shop_app.sync(purchase).state == "paid"
    row = plans.live(buyer)
    assert row is not None
    return row


def test_fair_use_is_a_cap_that_ends_with_its_month(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "endless")
    plans.shop_app.spend(alice, 4000)
    plans.live_through(row, 1)
    assert plans.given(alice) == [5000, 5000]
    assert plans.shop_app.credits(alice) == 5000  # the first month's last thousand has ended


def test_production_refuses_a_database_with_a_plan_of_the_sandbox(plans: PlanShop) -> None:
    from dataclasses import replace

    from creditapp.runtime.server import refuse_demo_money

    plans.subscribe(plans.shop_app.member())
    with plans.app.app_context(), pytest.raises(SettingsInvalid, match="sandbox credits"):
        refuse_demo_money(replace(plans.shop_app.settings, env="production"))
