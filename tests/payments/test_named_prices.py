"""A plan sold at a price that the operator named, which later gives something else."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from creditapp.catalog import Catalog
from creditapp.catalog.products import Plan
from creditapp.db import snapshot
from creditapp.payments.subscriptions import plans
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions.models import PlanPrice
from creditapp.services import provide
from tests.payments.plan_shop import MICRO, PlanShop
from tests.shop_app import ShopApp, values

WARNING = "named price has other terms, created another"


class Shop:
    """A till whose catalog names a price of Stripe's for one plan by the month."""

    def __init__(self, shop_app: PlanShop, plan_id: str) -> None:
        self.shop_app = shop_app
        self.before = shop_app.catalog
        self.plan_id = plan_id
        self.written_before = {each.id for each in self._all_rows()}
        plan = self.plan
        self.named = self.made_price(plan)
        self.offer(month=replace(plan.month, stripe_price_id=self.named))

    @property
    def plan(self) -> Plan:
        """What is on sale now."""
        found = self.shop_app.catalog.plan(self.plan_id)
        assert found is not None
        return found

    def made_price(self, plan: Plan) -> str:
        """Make a price at the bank, as an operator does on Stripe's dashboard."""
        return self.shop_app.shop_app.gateway.create_price(
            key=secrets.token_hex(8),
            product=plan.name,
            price_minor=plan.month.price_minor,
            currency=plan.currency,
            cycle="month",
            metadata={},
        )

    def offer(self, **changes: Any) -> None:
        """Change the plan in the catalog."""
        catalog = self.shop_app.catalog
        changed = tuple(
            replace(each, **changes) if each.id == self.plan_id else each for each in catalog.plans
        )
        provide(self.shop_app.app, Catalog, replace(catalog, plans=changed))

    def ensure(self) -> PlanPrice:
        """Return the price that the plan is sold at now."""
        with self.shop_app.app.app_context():
            return plan_prices.ensure_price(self.plan, "month")

    def rows(self) -> list[PlanPrice]:
        """Return what was written down since this shop opened, the named price first."""
        return sorted(
            (each for each in self._all_rows() if each.id not in self.written_before),
            key=lambda each: each.id != self.named,
        )

    def _all_rows(self) -> Sequence[PlanPrice]:
        with self.shop_app.app.app_context(), snapshot() as session:
            return session.scalars(select(PlanPrice)).all()


@pytest.fixture
def shop(shop_app: ShopApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Shop]]:
    """Return a shop by the plan whose price is named; afterwards the catalog is as it was."""
    # The sandbox's prices are nobody's at Stripe, so the shop does not look for named ones there.
    monkeypatch.setattr(
        plan_prices, "_catalog_price_id", lambda plan, cycle: plan.price(cycle).stripe_price({})
    )
    made: list[Shop] = []

    def opened(plan_id: str) -> Shop:
        made.append(Shop(PlanShop(shop_app), plan_id))
        return made[-1]

    yield opened
    for each in made:
        provide(shop_app.app, Catalog, each.before)


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        ({"credits_micro": 600 * MICRO}, 600),
        ({"name": "Basic, renamed"}, 500),
        ({"unused": "expire"}, 500),
    ],
    ids=["credits", "name", "unused"],
)
def test_new_terms_are_sold_at_a_price_of_their_own(
    shop: Callable[[str], Shop], changes: dict[str, Any], given: int
) -> None:
    sold = shop("basic")
    alice, bob, carol = (sold.shop_app.shop_app.member() for _ in range(3))
    hers = sold.shop_app.subscribe(alice)
    assert (hers.price_id, sold.shop_app.given(alice)) == (sold.named, [500])

    sold.offer(**changes)
    with capture_logs() as logs:
        his = sold.shop_app.subscribe(bob)
        again = sold.shop_app.subscribe(carol)

    assert his.price_id == again.price_id != sold.named
    assert (sold.shop_app.given(bob), sold.shop_app.given(carol)) == ([given], [given])
    assert [each.price_minor for each in sold.rows()] == [1500, 1500]
    (warning,) = [each for each in logs if each["event"] == WARNING]
    assert (warning["log_level"], warning["plan"], warning["named"], warning["created"]) == (
        "warning",
        "basic",
        sold.named,
        his.price_id,
    )
    sold.shop_app.pass_to(hers.period_end + timedelta(hours=1))
    sold.shop_app.sweep()
    assert sold.shop_app.given(alice) == [500, 500], "she keeps what she began with"
    assert sold.shop_app.given(bob) == [given, given]


def test_an_upgrade_to_new_terms_is_shown_and_done(shop: Callable[[str], Shop]) -> None:
    sold = shop("premium")
    first, alice = sold.shop_app.shop_app.member(), sold.shop_app.shop_app.member()
    sold.shop_app.subscribe(first, "premium")
    sold.shop_app.subscribe(alice, "basic")
    sold.offer(credits_micro=1500 * MICRO)
    with sold.shop_app.app.app_context():
        shown = plans.preview_upgrade(sold.shop_app.order("premium"), alice)
    assert shown is not None
    assert shown.charged_minor == 2900 - 1500
    assert sold.shop_app.choose(alice, "premium").outcome == "upgraded"
    row = sold.shop_app.live(alice)
    assert row is not None
    assert row.price_id not in (sold.named, "")
    assert sum(sold.shop_app.given(alice)) == 1500


def test_the_terms_before_are_sold_at_the_named_price_again(shop: Callable[[str], Shop]) -> None:
    sold = shop("basic")
    assert sold.ensure().id == sold.named
    sold.offer(credits_micro=700 * MICRO)
    assert sold.ensure().id != sold.named
    sold.offer(credits_micro=500 * MICRO)
    assert sold.ensure().id == sold.named
    assert [each.credits_micro // MICRO for each in sold.rows()] == [500, 700]


def test_two_at_once_write_one_row(shop: Callable[[str], Shop]) -> None:
    sold = shop("basic")
    first = values(sold.shop_app.shop_app.at_once(*[sold.ensure] * 6))
    assert {each.id for each in first} == {sold.named}
    sold.offer(credits_micro=800 * MICRO)
    with capture_logs() as logs:
        then = values(sold.shop_app.shop_app.at_once(*[sold.ensure] * 6))
    (made,) = {each.id for each in then}
    assert [each.id for each in sold.rows()] == [sold.named, made]
    assert [each["event"] for each in logs].count(WARNING) == 1


def test_old_and_new_terms_at_once_share_no_price(shop: Callable[[str], Shop]) -> None:
    """Two servers, of which one has the new catalog already, meet the named price for the first
    time: it is one's, and the other makes its own."""
    sold = shop("basic")
    old = sold.plan
    new = replace(old, credits_micro=900 * MICRO)
    acts = [lambda plan=each: plan_prices.ensure_price(plan, "month") for each in [old, new] * 3]
    found = values(sold.shop_app.shop_app.at_once(*acts))
    by_credits = {each.credits_micro // MICRO: each.id for each in found}
    assert set(by_credits) == {500, 900}
    assert len({each.id for each in found}) == 2
    assert sold.named in by_credits.values()


def test_what_is_known_of_a_named_price_is_what_was_written(shop: Callable[[str], Shop]) -> None:
    sold = shop("basic")
    with sold.shop_app.app.app_context():
        (met,) = plan_prices.find_prices({sold.named, "price_of_nobody"}).values()
        assert (met.id, met.credits_micro) == (sold.named, 500 * MICRO)
    sold.offer(credits_micro=650 * MICRO)
    with sold.shop_app.app.app_context():
        (still,) = plan_prices.find_prices({sold.named}).values()
    assert (still.id, still.credits_micro) == (sold.named, 500 * MICRO)
    assert len(sold.rows()) == 1, "to ask makes no price"


def test_a_price_is_known_by_its_id_also_if_another_writes_it_first(
    shop: Callable[[str], Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the writing another server wrote the named price on its own terms."""
    sold = shop("basic")
    old = sold.plan
    sold.offer(credits_micro=550 * MICRO)
    real = plan_prices.ensure_price

    def beaten(plan: Plan, cycle: str) -> PlanPrice:
        real(old, "month")
        return real(plan, cycle)

    monkeypatch.setattr(plan_prices, "ensure_price", beaten)
    with sold.shop_app.app.app_context():
        found = plan_prices.find_prices({sold.named})
    assert {name: row.credits_micro for name, row in found.items()} == {sold.named: 500 * MICRO}
