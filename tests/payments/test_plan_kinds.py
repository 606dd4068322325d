"""Trials, teams and fair use: kinds of plans that the studio's own catalog does not have."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from flask import Flask

from creditapp.accounts import User
from creditapp.catalog.plan_kinds import PLAN_KINDS, KindName
from creditapp.config import SettingsInvalid
from creditapp.db import snapshot
from creditapp.errors import ValidationFailed
from creditapp.payments.subscriptions import checkout as plan_checkout
from creditapp.payments.subscriptions.models import Subscription
from creditapp.runtime.server import refuse_demo_money
from tests.app_factory import SharedApps
from tests.payments.plan_shop import PlanShop

pytestmark = pytest.mark.in_turn

STUDIO = Path(__file__).resolve().parents[2] / "creditapp" / "catalog" / "studio.toml"
MORE_PLANS = """
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


def catalog(folder: Path, more: str = MORE_PLANS) -> Path:
    file = folder / "shop.toml"
    head, mark, tail = STUDIO.read_text().partition("# What programs buy with a receipt")
    file.write_text(head + more + mark + tail)
    return file


@pytest.fixture(scope="module")
def catalog_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with three more kinds of plans."""
    return catalog(tmp_path_factory.mktemp("catalog"))


@pytest.fixture
def app(database_kind: str, shared_apps: SharedApps, catalog_file: Path) -> Flask:
    """The app that sells them."""
    return shared_apps.fresh(database_kind, {"CREDITAPP_CATALOG": str(catalog_file)})


def subscribe_five_seats(plans: PlanShop, buyer: User) -> Subscription:
    """Subscribe a team with five seats."""
    purchase = plans.choose(buyer, "crew", seats=5).purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    assert plans.shop_app.sync(purchase).state == "paid"
    row = plans.current(buyer)
    assert row is not None
    return row


def test_every_kind_of_the_catalog_has_its_rules() -> None:
    assert set(PLAN_KINDS) == set(get_args(KindName))


def test_a_trial_grants_its_own_credits_and_then_the_months(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "tried")
    assert plans.granted(alice) == [20]
    assert plans.status(alice).status == "trialing"
    assert plans.status(alice).trial_end == row.trial_end
    assert row.trial_end is not None
    plans.advance_to(row.trial_end + timedelta(hours=1))
    plans.sweep()
    assert plans.granted(alice) == [20, 200]
    assert plans.status(alice).status == "active"
    assert plans.shop_app.credits(alice) == 200  # the trial's credits expired with it


def test_a_trial_is_once_for_each_person(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "tried")
    plans.choose(alice, "free")
    plans.advance_to((row.trial_end or row.period_end) + timedelta(hours=1))
    plans.sweep()
    assert plans.status(alice).free
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


def test_a_change_during_the_trial_charges_nothing(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "tried")
    assert plans.choose(alice, "premium").outcome == "will_change"
    plans.advance_to((row.trial_end or row.period_end) + timedelta(hours=1))
    plans.sweep()
    assert plans.granted(alice) == [20, 1200]


def test_a_team_pays_and_gets_credits_per_seat(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    for seats in (1, 51):
        with pytest.raises(ValidationFailed):
            plans.choose(alice, "crew", seats=seats)
    purchase = plans.choose(alice, "crew", seats=3).purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    assert plans.shop_app.sync(purchase).state == "paid"
    assert plans.granted(alice) == [900]
    status = plans.status(alice)
    assert (status.seats, status.price_minor) == (3, 6000)
    assert plans.choose(alice, "crew", seats=5).outcome == "upgraded"
    assert 599 < plans.granted(alice)[1] <= 600
    assert plans.status(alice).seats == 5


def test_fewer_seats_wait_for_the_period_end_and_can_be_taken_back(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = subscribe_five_seats(plans, alice)
    assert plans.choose(alice, "crew", seats=3).outcome == "will_change"
    status = plans.status(alice)
    assert (status.seats, status.next_name, status.next_seats, status.next_price_minor) == (
        5, "Crew", 3, 6000,
    )  # fmt: skip
    assert plans.choose(alice, "crew", seats=5).outcome == "kept"
    assert plans.status(alice).next_name is None
    plans.choose(alice, "crew", seats=3)
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.granted(alice) == [1500, 900]
    assert plans.status(alice).seats == 3


def test_a_team_that_changes_to_a_plan_for_one_pays_for_one(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    subscribe_five_seats(plans, alice)
    plans.choose(alice, "basic")
    status = plans.status(alice)
    assert (status.next_name, status.next_seats, status.next_price_minor) == ("Basic", 1, 1500)


def test_fair_use_credits_expire_with_their_month(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "endless")
    plans.shop_app.spend(alice, 4000)
    plans.pass_months(row, 1)
    assert plans.granted(alice) == [5000, 5000]
    assert plans.shop_app.credits(alice) == 5000  # the first month's last 1000 expired


def test_an_upgrade_to_fair_use_expires_with_the_month_that_has_begun(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic")
    plans.advance_to(row.period_start + timedelta(days=15))
    assert plans.choose(alice, "endless").outcome == "upgraded"
    assert plans.granted(alice)[1] > 2000
    assert plans.months(alice)[1].expires_at == row.period_end


def test_production_refuses_a_database_with_a_sandbox_plan(plans: PlanShop) -> None:
    plans.subscribe(plans.shop_app.member())
    with plans.app.app_context(), pytest.raises(SettingsInvalid, match="sandbox credits"):
        refuse_demo_money(plans.shop_app.settings.model_copy(update={"env": "production"}))
