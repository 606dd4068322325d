"""Kills at every step of a payment: the next try ends with exactly one grant.

A step is before or after each statement, each commit and each call to Stripe. Without
``CREDITAPP_SOAK=1`` the odd steps run on one database and the even ones on the other; of two ways
of repair, each runs at every second of these.
"""

from __future__ import annotations

import json
import os
import secrets
from datetime import timedelta

import pytest

from creditapp.accounts import User
from creditapp.payments.purchases import packs
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.packs import Order
from creditapp.stripe_sandbox.deliveries import signature
from tests.faults.crash_worker import CrashWorker
from tests.shop_app import COMPLETED, CREATOR, ShopApp

MICRO = 1_000_000
SOAK = os.environ.get("CREDITAPP_SOAK") == "1"


def chosen(shop_app: ShopApp, steps: int, turn: int = 0, turns: int = 1) -> range:
    """Return the numbers of the steps that run on this database, and in this of several turns."""
    if SOAK:
        return range(1, steps + 1)
    first = 2 * turn + (1 if shop_app.url.startswith("sqlite") else 2)
    return range(first, steps + 1, 2 * turns)


def paid(shop_app: ShopApp) -> tuple[User, Purchase]:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    return alice, purchase


def test_killed_anywhere_in_the_sync_that_grants(
    shop_app: ShopApp, crash_worker: CrashWorker
) -> None:
    steps = crash_worker.count("sync", paid(shop_app)[1].id)
    for step in chosen(shop_app, steps):
        alice, purchase = paid(shop_app)
        crash_worker.killed_at(step, "sync", purchase.id)
        assert shop_app.credits(alice) in (0, CREATOR), step
        shop_app.sync(purchase)
        assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (1, CREATOR), step
        assert shop_app.row(purchase).state == "paid"
        assert shop_app.emails_sent(alice) == ["receipt"], step
    shop_app.check_ledger()


def reversed_meanwhile(shop_app: ShopApp) -> tuple[User, Purchase]:
    """Return a granted, mostly spent purchase that was refunded in part and disputed."""
    alice, purchase = paid(shop_app)
    shop_app.sync(purchase)
    shop_app.spend(alice, 150)
    shop_app.refund(purchase, "7.49")
    shop_app.dispute(purchase)
    return alice, purchase


def test_killed_anywhere_in_the_sync_that_revokes(
    shop_app: ShopApp, crash_worker: CrashWorker
) -> None:
    steps = crash_worker.count("sync", reversed_meanwhile(shop_app)[1].id)
    before = (10 * MICRO, 0, 0)
    owed = CREATOR * MICRO * 749 // 1499 - 10 * MICRO
    after = (0, 0, owed)
    for step in chosen(shop_app, steps):
        alice, purchase = reversed_meanwhile(shop_app)
        crash_worker.killed_at(step, "sync", purchase.id)
        balance = shop_app.balance(alice)
        assert (balance.available_micro, balance.frozen_micro, balance.owed_micro) in (
            before,
            after,
        ), step
        shop_app.sync(purchase)
        balance = shop_app.balance(alice)
        assert (balance.available_micro, balance.frozen_micro, balance.owed_micro) == after, step
        assert shop_app.row(purchase).refunded_minor == 749
        assert sorted(shop_app.emails_sent(alice)) == ["dispute_opened", "receipt", "refund"], step
    shop_app.check_ledger()


def signed(shop_app: ShopApp, purchase: Purchase) -> tuple[bytes, str]:
    payload = json.dumps(shop_app.event(purchase, COMPLETED))
    return payload.encode(), signature(payload, shop_app.secret)


AGAIN = ("stripe", "sweep")


@pytest.mark.parametrize("again", AGAIN)
def test_killed_anywhere_in_the_webhook(
    shop_app: ShopApp, crash_worker: CrashWorker, again: str
) -> None:
    """Stripe repeats an unanswered event; the sweep finds a stored one."""
    steps = crash_worker.count("receive", *signed(shop_app, paid(shop_app)[1]))
    for step in chosen(shop_app, steps, AGAIN.index(again), len(AGAIN)):
        shop_app.set_clock()  # the child uses the real time, and a slow machine takes minutes here
        alice, purchase = paid(shop_app)
        crash_worker.killed_at(step, "receive", *signed(shop_app, purchase))
        if again == "stripe":
            assert shop_app.send(shop_app.event(purchase, COMPLETED)).status_code == 200
        shop_app.sweep(after=timedelta(seconds=61))
        assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (1, CREATOR), step
        stored = shop_app.stored_event(shop_app.event(purchase, COMPLETED))
        assert stored is None or stored.state == "done", step
    shop_app.check_ledger()


def test_killed_anywhere_between_the_click_and_the_checkout(
    shop_app: ShopApp, crash_worker: CrashWorker
) -> None:
    steps = crash_worker.count("start", shop_app.member().id, "dry run")
    for step in chosen(shop_app, steps):
        alice, key = shop_app.member(), secrets.token_hex(8)
        crash_worker.killed_at(step, "start", alice.id, key)
        purchase = start_again(shop_app, alice, key)
        assert len(shop_app.purchases(alice)) == 1, step
        assert len(shop_app.sessions(purchase)) == 1, step
        shop_app.pay(purchase)
        shop_app.sync(purchase)
        assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (1, CREATOR), step
    shop_app.check_ledger()


def start_again(shop_app: ShopApp, alice: User, key: str) -> Purchase:
    with shop_app.app.app_context():
        return packs.start_checkout(Order("creator", ""), alice, key=key)
