"""The email address at Stripe, after a member has changed it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from creditapp import payments
from creditapp.accounts import User
from creditapp.clock import NEVER
from creditapp.db import snapshot, transaction
from creditapp.payments.customers import Customer
from tests.flaky_gateway import cut, on_first_call
from tests.shop_app import ShopApp

pytestmark = pytest.mark.in_turn


def change_address(shop_app: ShopApp, member: User, email: str) -> None:
    with transaction() as session:
        session.execute(update(User).where(User.id == member.id).values(email=email))
        payments.note_changed_address(session, member.id, now=shop_app.clock.now())


def address_at_stripe(shop_app: ShopApp, member: User) -> str | None:
    """Return the email address of the member's customer, as Stripe has it."""
    with snapshot() as session:
        query = select(Customer.stripe_id).where(Customer.user_id == member.id)
        customer_id = session.scalars(query).one()
    return shop_app.gateway.v1.customers.retrieve(customer_id).email


def test_a_changed_address_is_sent_to_stripe_once(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    shop_app.start_checkout(alice)
    with shop_app.app.app_context():
        change_address(shop_app, alice, "Alice@b\u00fccher.example")
        for _ in range(3):
            payments.sweep_addresses()
        assert address_at_stripe(shop_app, alice) == "Alice@xn--bcher-kva.example"
    assert shop_app.flaky_gateway.calls["update_customer"] == 1


def test_it_is_sent_again_after_a_lost_connection(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    shop_app.start_checkout(alice)
    shop_app.flaky_gateway.before = cut("update_customer")
    with shop_app.app.app_context():
        change_address(shop_app, alice, "new@example.com")
        payments.sweep_addresses()
        assert address_at_stripe(shop_app, alice) == alice.email
        shop_app.flaky_gateway.before = lambda name: None
        shop_app.clock.advance(timedelta(minutes=11))
        payments.sweep_addresses()
        assert address_at_stripe(shop_app, alice) == "new@example.com"


def test_a_change_while_stripe_is_told_is_sent_too(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    shop_app.start_checkout(alice)
    shop_app.flaky_gateway.before = on_first_call(
        "update_customer", lambda: change_address(shop_app, alice, "third@example.com")
    )
    with shop_app.app.app_context():
        change_address(shop_app, alice, "second@example.com")
        payments.sweep_addresses()
        assert address_at_stripe(shop_app, alice) == "second@example.com"
        payments.sweep_addresses()
        assert address_at_stripe(shop_app, alice) == "third@example.com"


def test_a_member_without_a_customer_and_a_lost_customer_end_the_sweep(shop_app: ShopApp) -> None:
    alice, bob = shop_app.member(), shop_app.member()
    shop_app.start_checkout(alice)
    with shop_app.app.app_context():
        with snapshot() as session:
            (customer_id,) = session.scalars(select(Customer.stripe_id))
        shop_app.gateway.v1.customers.delete(customer_id)
        for member in (alice, bob):
            change_address(shop_app, member, f"{member.id}@example.com")
        payments.sweep_addresses()
        with snapshot() as session:
            assert session.scalars(select(Customer.tell_address_at)).one() == NEVER
            alice = session.get_one(User, alice.id)
        shop_app.start_checkout(alice)
        assert address_at_stripe(shop_app, alice) == f"{alice.id}@example.com"
    assert shop_app.flaky_gateway.calls["update_customer"] == 1
