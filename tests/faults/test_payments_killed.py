"""The process is killed at every step of a payment; trying again ends in exactly one grant.

Every step means: before and after each statement, each commit and each call to Stripe. The sync
that takes back has the most; without ``CREDITAPP_SOAK=1`` its odd steps are taken on one database
and its even ones on the other.
"""

from __future__ import annotations

import json
import os
import secrets
from datetime import timedelta

import pytest

from creditapp.accounts import User
from creditapp.payments import checkout
from creditapp.payments.checkout import Order
from creditapp.payments.models import Purchase
from creditapp.payments.sandbox.deliveries import signature
from tests.faults.doer import Doer, doer, killed
from tests.payments.till import COMPLETED, CREATOR, Till, house, till

__all__ = ["doer", "house", "killed", "till"]

MICRO = 1_000_000
SOAK = os.environ.get("CREDITAPP_SOAK") == "1"


def paid(till: Till) -> tuple[User, Purchase]:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    return alice, purchase


def test_killed_anywhere_in_the_sync_that_grants(till: Till, doer: Doer) -> None:
    steps = doer.count("sync", paid(till)[1].id)
    for step in range(1, steps + 1):
        alice, purchase = paid(till)
        doer.killed_at(step, "sync", purchase.id)
        assert till.credits(alice) in (0, CREATOR), step
        till.sync(purchase)
        assert (till.grants(purchase), till.credits(alice)) == (1, CREATOR), step
        assert till.row(purchase).state == "paid"
        assert till.told(alice) == ["receipt"], step
    till.prove()


def reversed_meanwhile(till: Till) -> tuple[User, Purchase]:
    """Return what was granted and mostly spent before a part was refunded and all disputed."""
    alice, purchase = paid(till)
    till.sync(purchase)
    till.spend(alice, 150)
    till.refund(purchase, "7.49")
    till.dispute(purchase)
    return alice, purchase


def test_killed_anywhere_in_the_sync_that_takes_back(till: Till, doer: Doer) -> None:
    steps = doer.count("sync", reversed_meanwhile(till)[1].id)
    before = (10 * MICRO, 0, 0)
    owed = CREATOR * MICRO * 749 // 1499 - 10 * MICRO
    after = (0, 0, owed)
    first, stride = (1, 1) if SOAK else (1 if till.url.startswith("sqlite") else 2, 2)
    for step in range(first, steps + 1, stride):
        alice, purchase = reversed_meanwhile(till)
        doer.killed_at(step, "sync", purchase.id)
        has = till.balance(alice)
        assert (has.available_micro, has.frozen_micro, has.owed_micro) in (before, after), step
        till.sync(purchase)
        has = till.balance(alice)
        assert (has.available_micro, has.frozen_micro, has.owed_micro) == after, step
        assert till.row(purchase).refunded_minor == 749
        assert sorted(till.told(alice)) == ["dispute_opened", "receipt", "refund"], step
    till.prove()


def signed(till: Till, purchase: Purchase) -> tuple[bytes, str]:
    payload = json.dumps(till.event(purchase, COMPLETED))
    return payload.encode(), signature(payload, till.secret)


@pytest.mark.parametrize("again", ["stripe", "sweep"])
def test_killed_anywhere_in_the_webhook(till: Till, doer: Doer, again: str) -> None:
    """Nothing was answered, so Stripe sends it again; or it was stored, and the sweep finds it."""
    steps = doer.count("receive", *signed(till, paid(till)[1]))
    # Each kind of repair is shown at every second step; together they are shown at all.
    for step in range(1 if again == "stripe" else 2, steps + 1, 2):
        alice, purchase = paid(till)
        doer.killed_at(step, "receive", *signed(till, purchase))
        if again == "stripe":
            assert till.send(till.event(purchase, COMPLETED)).status_code == 200
        till.sweep(after=timedelta(seconds=61))
        assert (till.grants(purchase), till.credits(alice)) == (1, CREATOR), step
        stored = till.stored(till.event(purchase, COMPLETED))
        assert stored is None or stored.state == "done", step
        till.clock.advance(-timedelta(seconds=61))
    till.prove()


def test_killed_anywhere_between_the_click_and_the_checkout(till: Till, doer: Doer) -> None:
    steps = doer.count("start", till.member().id, "dry run")
    for step in range(1, steps + 1):
        alice, key = till.member(), secrets.token_hex(8)
        doer.killed_at(step, "start", alice.id, key)
        purchase = start_again(till, alice, key)
        assert len(till.purchases(alice)) == 1, step
        assert len(till.sessions(purchase)) == 1, step
        till.pay(purchase)
        till.sync(purchase)
        assert (till.grants(purchase), till.credits(alice)) == (1, CREATOR), step
    till.prove()


def start_again(till: Till, alice: User, key: str) -> Purchase:
    with till.app.app_context():
        return checkout.start(Order("creator", ""), alice, key=key)
