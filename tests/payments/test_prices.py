"""Prices of plans: a price named in the catalog, whose plan later gets other terms."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from creditapp.catalog import Catalog
from creditapp.catalog.products import Plan
from creditapp.db import snapshot
from creditapp.payments.subscriptions import plans as plan_actions
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.payments.subscriptions.models import PlanPrice
from creditapp.services import provide
from tests.payments.plan_shop import MICRO, PlanShop
from tests.shop_app import ShopApp, values

WARNING = "named price has other terms, created another"


class NamedPriceShop:
    """A shop whose catalog names a Stripe price for the month of one plan."""

    def __init__(self, plans: PlanShop, plan_id: str) -> None:
        self.plans = plans
        self.catalog_before = plans.catalog
        self.plan_id = plan_id
        self.stored_before = {price.id for price in self._all_rows()}
        plan = self.plan
        self.named = self.create_price(plan)
        self.offer(stripe_month_id=self.named)

    @property
    def plan(self) -> Plan:
        """The plan on sale now."""
        plan = self.plans.catalog.plan(self.plan_id)
        assert plan is not None
        return plan

    def create_price(self, plan: Plan) -> str:
        """Create a price at the sandbox, as an operator does on Stripe's dashboard."""
        return self.plans.shop_app.gateway.create_price(
            key=secrets.token_hex(8),
            product=plan.name,
            price_minor=plan.month.price_minor,
            currency=plan.currency,
            cycle="month",
            metadata={},
        )

    def offer(self, **changes: Any) -> None:
        """Change the plan in the catalog."""
        catalog = self.plans.catalog
        changed = tuple(
            plan.model_copy(update=changes) if plan.id == self.plan_id else plan
            for plan in catalog.plans
        )
        provide(self.plans.app, Catalog, catalog.model_copy(update={"plans": changed}))

    def ensure(self) -> PlanPrice:
        """Return the stored price of the plan's current terms."""
        with self.plans.app.app_context():
            return plan_prices.ensure_price(self.plan, "month")

    def rows(self) -> list[PlanPrice]:
        """Return the prices stored since this shop opened, the named price first."""
        return sorted(
            (price for price in self._all_rows() if price.id not in self.stored_before),
            key=lambda price: price.id != self.named,
        )

    def _all_rows(self) -> Sequence[PlanPrice]:
        with self.plans.app.app_context(), snapshot() as session:
            return session.scalars(select(PlanPrice)).all()


OpenShop = Callable[[str], NamedPriceShop]


@pytest.fixture
def open_shop(shop_app: ShopApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenShop]:
    """Open a shop by the plan whose price is named; restore the catalog afterwards."""
    # With the sandbox the app ignores named prices, which belong to a real Stripe account.
    monkeypatch.setattr(
        plan_prices, "_catalog_price_id", lambda plan, cycle: plan.price(cycle).stripe_price({})
    )
    shops: list[NamedPriceShop] = []

    def new_shop(plan_id: str) -> NamedPriceShop:
        shops.append(NamedPriceShop(PlanShop(shop_app), plan_id))
        return shops[-1]

    yield new_shop
    for shop in shops:
        provide(shop_app.app, Catalog, shop.catalog_before)


@pytest.mark.parametrize(
    ("changes", "granted"),
    [
        ({"credits_micro": 600 * MICRO}, 600),
        ({"name": "Basic, renamed"}, 500),
        ({"unused": "expire"}, 500),
    ],
    ids=["credits", "name", "unused"],
)
def test_new_terms_are_sold_at_a_price_of_their_own(
    open_shop: OpenShop, changes: dict[str, Any], granted: int
) -> None:
    shop = open_shop("basic")
    alice, bob, carol = (shop.plans.shop_app.member() for _ in range(3))
    first = shop.plans.subscribe(alice)
    assert (first.price_id, shop.plans.granted(alice)) == (shop.named, [500])

    shop.offer(**changes)
    with capture_logs() as logs:
        second = shop.plans.subscribe(bob)
        third = shop.plans.subscribe(carol)

    assert second.price_id == third.price_id != shop.named
    assert (shop.plans.granted(bob), shop.plans.granted(carol)) == ([granted], [granted])
    assert [price.price_minor for price in shop.rows()] == [1500, 1500]
    (warning,) = [entry for entry in logs if entry["event"] == WARNING]
    assert (warning["log_level"], warning["plan"], warning["named"], warning["created"]) == (
        "warning",
        "basic",
        shop.named,
        second.price_id,
    )
    shop.plans.advance_to(first.period_end + timedelta(hours=1))
    shop.plans.sweep()
    assert shop.plans.granted(alice) == [500, 500], "a subscriber keeps the terms they began with"
    assert shop.plans.granted(bob) == [granted, granted]


def test_an_upgrade_to_new_terms_is_previewed_and_made(open_shop: OpenShop) -> None:
    shop = open_shop("premium")
    earlier, alice = shop.plans.shop_app.member(), shop.plans.shop_app.member()
    shop.plans.subscribe(earlier, "premium")
    shop.plans.subscribe(alice, "basic")
    shop.offer(credits_micro=1500 * MICRO)
    with shop.plans.app.app_context():
        preview = plan_actions.preview_upgrade(PlanOrder("premium"), alice)
    assert preview is not None
    assert preview.quote.charged_minor == 2900 - 1500
    assert shop.plans.choose(alice, "premium").outcome == "upgraded"
    row = shop.plans.current(alice)
    assert row is not None
    assert row.price_id not in (shop.named, "")
    assert sum(shop.plans.granted(alice)) == 1500


def test_the_first_terms_get_the_named_price_again(open_shop: OpenShop) -> None:
    shop = open_shop("basic")
    assert shop.ensure().id == shop.named
    shop.offer(credits_micro=700 * MICRO)
    assert shop.ensure().id != shop.named
    shop.offer(credits_micro=500 * MICRO)
    assert shop.ensure().id == shop.named
    assert [price.credits_micro // MICRO for price in shop.rows()] == [500, 700]


def test_concurrent_requests_store_one_price(open_shop: OpenShop) -> None:
    shop = open_shop("basic")
    first = values(shop.plans.shop_app.at_once(*[shop.ensure] * 6))
    assert {price.id for price in first} == {shop.named}
    shop.offer(credits_micro=800 * MICRO)
    with capture_logs() as logs:
        second = values(shop.plans.shop_app.at_once(*[shop.ensure] * 6))
    (created,) = {price.id for price in second}
    assert [price.id for price in shop.rows()] == [shop.named, created]
    assert [entry["event"] for entry in logs].count(WARNING) == 1


def test_old_and_new_terms_at_once_share_no_price(open_shop: OpenShop) -> None:
    """Two servers, one of which has the new catalog already, see the named price for the first
    time: one of them gets it, the other creates its own."""
    shop = open_shop("basic")
    old = shop.plan
    new = old.model_copy(update={"credits_micro": 900 * MICRO})
    acts = [lambda plan=plan: plan_prices.ensure_price(plan, "month") for plan in [old, new] * 3]
    prices = values(shop.plans.shop_app.at_once(*acts))
    by_credits = {price.credits_micro // MICRO: price.id for price in prices}
    assert set(by_credits) == {500, 900}
    assert len({price.id for price in prices}) == 2
    assert shop.named in by_credits.values()


def test_a_stored_price_keeps_its_terms(open_shop: OpenShop) -> None:
    shop = open_shop("basic")
    with shop.plans.app.app_context():
        (first,) = plan_prices.find_prices({shop.named, "price_unknown"}).values()
        assert (first.id, first.credits_micro) == (shop.named, 500 * MICRO)
    shop.offer(credits_micro=650 * MICRO)
    with shop.plans.app.app_context():
        (later,) = plan_prices.find_prices({shop.named}).values()
    assert (later.id, later.credits_micro) == (shop.named, 500 * MICRO)
    assert len(shop.rows()) == 1, "a lookup creates no price"


def test_a_price_is_found_by_its_id_even_if_another_server_stored_it_first(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between lookup and insert another server stored the named price on its own terms."""
    shop = open_shop("basic")
    old = shop.plan
    shop.offer(credits_micro=550 * MICRO)
    real_ensure_price = plan_prices.ensure_price

    def store_old_terms_first(plan: Plan, cycle: str) -> PlanPrice:
        real_ensure_price(old, "month")
        return real_ensure_price(plan, cycle)

    monkeypatch.setattr(plan_prices, "ensure_price", store_old_terms_first)
    with shop.plans.app.app_context():
        prices = plan_prices.find_prices({shop.named})
    assert {price_id: price.credits_micro for price_id, price in prices.items()} == {
        shop.named: 500 * MICRO
    }
