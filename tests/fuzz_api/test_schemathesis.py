"""Schemathesis calls every operation of the description, as each kind of caller.

No answer is an undescribed status, content, header or member, and none is a fault of the server;
afterwards the ledger's invariants hold. The check sends every example and some sequences, always
the same; ``./run soak schemathesis`` adds each phase at length, on both databases, by chance.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection

import pytest
from flask import Flask

from tests.api.test_keys import create
from tests.app_factory import Person, SharedApps, member
from tests.conftest import BOTH, SOAK
from tests.fuzz_api.callers import ALL_PHASES, Caller, Run, attack, cookie_of
from tests.shop_app import ShopApp

ADMIN_KEY = "kP7xW2vR9tY4mQ8s-of-the-operator"  # pragma: allowlist secret
EXAMPLES = 40 if SOAK else 8
SEED = secrets.randbelow(2**32) + 1 if SOAK else 0
"""Zero makes a run the same each time."""


@pytest.fixture
def app(database_kind: str, shared_apps: SharedApps) -> Flask:
    """The app with an operator's key."""
    return shared_apps.fresh(database_kind, {"ADMIN_API_KEY": ADMIN_KEY})


def guest(_person: Person) -> Caller:
    return Caller({"Sec-Fetch-Site": "same-origin"})


def by_session(person: Person) -> Caller:
    return Caller({"Sec-Fetch-Site": "same-origin"}, cookie_of(person))


def program(person: Person) -> Caller:
    return Caller({"Authorization": f"Bearer {create(person)['key']}"})


def on_a_budget(person: Person) -> Caller:
    key = create(person, budget={"amount": 3, "period": "day"})["key"]
    return Caller({"Authorization": f"Bearer {key}", "X-Max-Credits": "2"})


def reader(person: Person) -> Caller:
    return Caller({"Authorization": f"Bearer {create(person, scopes=['read'])['key']}"})


def operator(_person: Person) -> Caller:
    return Caller({"x-admin-key": ADMIN_KEY})


SUCCEEDS = {guest: 10, by_session: 20, reader: 15, operator: 8}
"""How many paths at least answer each kind of caller with success: the rest is refused."""


@pytest.mark.databases(*BOTH)
@pytest.mark.parametrize("kind", [program, on_a_budget], ids=lambda kind: kind.__name__)
def test_every_answer_to_a_program_is_described(
    shop_app: ShopApp, database_kind: str, kind: Callable[[Person], Caller]
) -> None:
    if not SOAK and (kind is on_a_budget) != (database_kind == "postgresql"):
        return  # the check tries each on one database
    phases = ALL_PHASES if SOAK else ("examples",)
    run = attack_as(kind, shop_app, phases, examples=EXAMPLES)
    assert len(run.successes) >= 15


@pytest.mark.in_turn
@pytest.mark.databases(*BOTH)
@pytest.mark.parametrize("kind", SUCCEEDS, ids=lambda kind: kind.__name__)
def test_every_answer_to_a_caller_is_described(
    shop_app: ShopApp, kind: Callable[[Person], Caller]
) -> None:
    phases = ALL_PHASES if SOAK else ("fuzzing",)
    run = attack_as(kind, shop_app, phases, examples=EXAMPLES if SOAK else 1)
    assert len(run.successes) >= SUCCEEDS[kind]


@pytest.mark.databases(*BOTH)
def test_every_answer_in_a_sequence_of_calls_is_described(shop_app: ShopApp) -> None:
    """Calls that take the ids of earlier answers: keys, holds, generations, uploads, endpoints."""
    run = attack_as(by_session, shop_app, ["stateful"], examples=EXAMPLES)
    assert run.requests > EXAMPLES


def attack_as(
    kind: Callable[[Person], Caller], shop_app: ShopApp, phases: Collection[str], *, examples: int
) -> Run:
    """Call the API as one kind of caller; fail for each answer that is not described."""
    caller = kind(member(shop_app.app, "alice"))
    run = attack(shop_app.app, caller, seed=SEED, examples=examples, phases=phases)
    print(f"seed {SEED}: {run.requests} requests, {sorted(run.successes)}")
    assert run.faults == []
    return run
