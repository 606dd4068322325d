"""Objects that Stripe has lost (deleted, archived, of another account) are replaced or ended."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.config import Settings
from creditapp.db import snapshot, transaction
from creditapp.payments import customers
from creditapp.payments.auto_topup import outcomes
from creditapp.payments.customers import Customer
from creditapp.payments.purchases.checkout import PriceUnavailable
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import plans as plan_actions
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.payments.subscriptions.models import PlanPrice
from creditapp.payments.subscriptions.sync import PlanEnded
from creditapp.services import get, provide
from creditapp.stripe_sandbox.state import State
from tests.flaky_gateway import on_first_call
from tests.payments.plan_shop import PlanShop
from tests.payments.topup_shop import PRICE, TopupShop
from tests.shop_app import CREATOR, ShopApp, values


def customer_of(shop_app: ShopApp, buyer: User) -> str:
    with shop_app.app.app_context(), snapshot() as session:
        return session.scalars(select(Customer.stripe_id).where(Customer.user_id == buyer.id)).one()


def delete_customer(shop_app: ShopApp, buyer: User) -> None:
    """Delete the customer in Stripe's dashboard."""
    shop_app.gateway.v1.customers.delete(customer_of(shop_app, buyer))


def use_another_account(shop_app: ShopApp, buyer: User) -> None:
    """Keep the id of a customer that only another account has."""
    with shop_app.app.app_context(), transaction() as session:
        session.execute(
            update(Customer)
            .where(Customer.user_id == buyer.id)
            .values(stripe_id=f"cus_{secrets.token_hex(7)}")
        )


def forget(shop_app: ShopApp, object_id: str) -> None:
    """Delete an object of the sandbox without a trace, as if it were another account's."""
    with State.of(shop_app.gateway.sandbox).transaction() as store:
        store.connection.execute("DELETE FROM objects WHERE id = ?", (object_id,))


LOSSES = [delete_customer, use_another_account]
Loss = Callable[[ShopApp, User], None]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_customer_is_replaced_and_the_buyer_notices_nothing(
    plans: PlanShop, lose: Loss
) -> None:
    shop_app = plans.shop_app
    alice = shop_app.member()
    shop_app.buy_and_pay(alice)
    topups = TopupShop(shop_app)
    steps: list[Callable[[], object]] = [
        lambda: shop_app.buy_and_pay(alice),
        lambda: portal(shop_app, alice),
        lambda: topups.agree(alice),
        lambda: topups.agree(alice, new_card=True),
        lambda: plans.subscribe(alice),
    ]
    for step in steps:
        lose(shop_app, alice)
        lost_id = customer_of(shop_app, alice)
        step()
        assert customer_of(shop_app, alice) != lost_id
    assert shop_app.credits(alice) == 2 * CREATOR + 500


def portal(shop_app: ShopApp, buyer: User, flow: str = "") -> str:
    with shop_app.app.app_context():
        return plan_actions.portal_url(buyer, flow)


def test_a_lost_customer_is_replaced_once_for_requests_at_once(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    shop_app.start_checkout(alice)
    delete_customer(shop_app, alice)
    purchases = values(shop_app.at_once(*[lambda: shop_app.start_checkout(alice)] * 6))
    customer_ids = {shop_app.session(purchase)["customer"] for purchase in purchases}
    assert customer_ids == {customer_of(shop_app, alice)}


def test_a_buyer_of_packs_has_one_customer(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchases = values(shop_app.at_once(*[lambda: shop_app.start_checkout(alice)] * 6))
    customer_ids = {shop_app.session(purchase)["customer"] for purchase in purchases}
    assert customer_ids == {customer_of(shop_app, alice)}
    shop_app.pay(purchases[0])
    shop_app.sync(purchases[0])
    intent = shop_app.gateway.v1.payment_intents.retrieve(shop_app.payment_intent_id(purchases[0]))
    assert intent.customer == customer_of(shop_app, alice), "disputes and portal show its payments"


def test_a_customer_that_another_request_is_creating_is_waited_for(shop_app: ShopApp) -> None:
    alice = shop_app.member()

    def be_late() -> None:
        with shop_app.app.app_context():
            customers.ensure(alice)
        raise GatewayError("in use", permanent=True, code="idempotency_key_in_use")

    shop_app.flaky_gateway.before = on_first_call("create_customer", be_late)
    with shop_app.app.app_context():
        assert customers.ensure(alice) == customer_of(shop_app, alice)


def test_a_subscription_of_a_deleted_customer_ends(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    delete_customer(plans.shop_app, alice)
    assert portal(plans.shop_app, alice, "cancel").startswith("http")
    assert plans.status(alice).free
    assert plans.subscribe(alice, "premium").live


@pytest.mark.parametrize("action", ["portal", "cancel", "preview", "downgrade", "upgrade", "sync"])
def test_a_subscription_that_stripe_has_lost_ends(plans: PlanShop, action: str) -> None:
    alice = plans.shop_app.member()
    subscription = plans.subscribe(alice, "premium" if action == "downgrade" else "basic")
    forget(plans.shop_app, subscription.id)
    with capture_logs() as logs:
        if action == "portal":
            portal(plans.shop_app, alice, "plan")
        elif action == "sync":
            plans.sync(subscription)
        else:
            with pytest.raises(PlanEnded), plans.app.app_context():
                act_on(plans, alice, action)
    lost = [entry for entry in logs if entry["event"] == "subscription is missing at Stripe"]
    assert [entry["subscription"] for entry in lost] == [subscription.id]
    assert plans.status(alice).free
    assert plans.subscribe(alice).live


def act_on(plans: PlanShop, buyer: User, action: str) -> object:
    if action == "cancel":
        return plan_actions.cancel(buyer)
    if action == "preview":
        return plan_actions.preview_upgrade(PlanOrder("premium"), buyer)
    return plans.choose(buyer, "basic" if action == "downgrade" else "premium")


def test_a_subscription_that_comes_back_goes_on(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    subscription = plans.subscribe(alice)
    with State.of(plans.shop_app.gateway.sandbox).transaction() as store:
        body = store.get("subscription", subscription.id)
    forget(plans.shop_app, subscription.id)
    plans.sync(subscription)
    assert body
    with State.of(plans.shop_app.gateway.sandbox).transaction() as store:
        store.put(body)
    plans.shop_app.clock.advance(timedelta(days=1))
    plans.sweep()
    assert plans.status(alice).plan_id == "basic"


@pytest.mark.parametrize("lost", ["forgotten", "archived"])
def test_a_lost_price_of_a_plan_is_replaced(plans: PlanShop, lost: str) -> None:
    shop_app = plans.shop_app
    bob = shop_app.member()
    plans.subscribe(bob)
    plans.subscribe(shop_app.member(), "premium")
    with shop_app.app.app_context(), snapshot() as session:
        price_ids = {row.plan_id: row.id for row in session.scalars(select(PlanPrice))}
    for price_id in price_ids.values():
        if lost == "forgotten":
            forget(shop_app, price_id)
        else:
            plans.change_at_stripe("price", price_id, active=False)
    alice = shop_app.member()
    assert plans.subscribe(alice).price_id != price_ids["basic"]
    with shop_app.app.app_context():
        preview = plan_actions.preview_upgrade(PlanOrder("premium"), alice)
    assert preview
    assert plans.choose(alice, "premium").outcome == "upgraded"
    changed = plans.current(alice)
    assert changed
    assert changed.price_id != price_ids["premium"]
    assert shop_app.credits(alice) > 1000
    assert plans.status(bob).plan_id == "basic", "its subscribers keep the lost price's terms"


def test_a_named_price_that_stripe_does_not_sell_is_told_to_buyer_and_operator(
    shop_app: ShopApp,
) -> None:
    alice = shop_app.member()
    with shop_app.app.app_context():
        provide(shop_app.app, Settings, get(Settings).model_copy(update=STRIPE))
        catalog = get(Catalog)
        packs = tuple(
            pack.model_copy(update={"stripe_price_id": "price_lost"}) for pack in catalog.packs
        )
        provide(shop_app.app, Catalog, catalog.model_copy(update={"packs": packs}))
    with capture_logs() as logs, pytest.raises(PriceUnavailable) as refused:
        shop_app.start_checkout(alice)
    assert refused.value.status == 409
    assert "You were not charged" in refused.value.detail
    entry = next(entry for entry in logs if entry["log_level"] == "error")
    assert (entry["pack"], entry["price"]) == ("creator", "price_lost")


STRIPE = {"stripe_secret_key": "sk_test_of_nobody"}


def test_a_checkout_that_stripe_has_lost_does_not_bar_another_plan(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase
    forget(plans.shop_app, str(purchase.checkout_id))
    assert plans.subscribe(alice, "premium").live


@pytest.mark.parametrize("lost", ["card detached", "customer deleted", "another account"])
def test_a_lost_card_stops_the_automatic_top_up_with_its_reason(
    shop_app: ShopApp, lost: str
) -> None:
    tops = TopupShop(shop_app)
    alice = tops.switched_on()
    row, stripe = tops.row(alice), shop_app.gateway.v1
    with shop_app.app.app_context(), snapshot() as session:
        customer_id = customers.find(session, alice.id)
    assert row.card_id
    assert customer_id
    if lost == "card detached":
        stripe.payment_methods.detach(row.card_id)
    elif lost == "customer deleted":
        stripe.customers.delete(customer_id)
    else:
        with shop_app.app.app_context(), transaction() as session:
            session.execute(update(Customer).values(stripe_id="cus_of_another_account"))
    tops.run_low(alice)
    row = tops.row(alice)
    assert (row.on, row.stopped_reason, row.purchase_id) == (False, "card_removed", None)
    assert [each.state for each in tops.purchases(alice)] == ["failed"]
    assert [each["reason"] for each in tops.mails(alice, "topup_stopped")] == ["card_removed"]
    page = tops.agree(alice)
    assert page, "it asks for another card"
    tops.save_card(page)
    tops.return_from_setup(alice)
    tops.sweep(outcomes.COOLDOWN + timedelta(minutes=1))
    assert tops.charges(alice) == [PRICE]


def test_a_top_up_refused_for_another_reason_is_no_declined_card(shop_app: ShopApp) -> None:
    tops = TopupShop(shop_app)
    alice = tops.switched_on()

    def refuse(name: str) -> None:
        if name == "charge_saved_card":
            raise GatewayError("Stripe: no permission", permanent=True)

    shop_app.flaky_gateway.before = refuse
    with capture_logs() as logs:
        tops.run_low(alice)
    row, (purchase,) = tops.row(alice), tops.purchases(alice)
    assert (row.on, row.declines, row.purchase_id, purchase.state) == (True, 0, None, "expired")
    error = next(entry for entry in logs if entry["log_level"] == "error")
    assert error["purchase"] == purchase.id
    shop_app.flaky_gateway.before = lambda name: None
    tops.sweep(outcomes.COOLDOWN + timedelta(minutes=1))
    assert tops.charges(alice) == [PRICE]
