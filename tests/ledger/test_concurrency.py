"""Many processes use one wallet, and no credit is spent twice."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing.synchronize import Barrier

import pytest
from sqlalchemy import Engine, text

from creditapp import ledger
from creditapp.db import transaction
from creditapp.ledger import idempotency
from tests.ledger.cast import DAY, START, Person, open_engine, prove

PROCESSES, THREADS = 4, 4
PRICE = 10
_barrier: Barrier | None = None

pytestmark = pytest.mark.slow


@pytest.fixture
def database_url(engine: Engine) -> str:
    """The address of the test's database, for processes."""
    return engine.url.render_as_string(hide_password=False)


def in_processes(worker: Callable[..., list[str]], *arguments: object) -> list[str]:
    """Run a worker in each process, started together, and return all their outcomes.

    Forked, because a fresh interpreter takes seconds to import the app; the parent has closed its
    connections, which must not be shared.
    """
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(PROCESSES)
    with context.Pool(PROCESSES, initializer=_meet_at, initargs=(barrier,)) as pool:
        shares = [(*arguments, number) for number in range(PROCESSES)]
        return list(chain.from_iterable(pool.starmap(worker, shares, chunksize=1)))


def _meet_at(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def in_threads(worker: Callable[[int], str], items: list[int]) -> list[str]:
    assert _barrier is not None
    _barrier.wait(timeout=60)
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(worker, items))


def test_of_1000_spends_and_holds_exactly_the_400_that_are_paid_for_succeed(
    engine: Engine, database_url: str
) -> None:
    with transaction(engine) as session:
        alice = Person(session.connection(), "alice")
        for number in range(40):
            alice.gets(100, priority=number % 3, expires_at=START + (1 + number % 7) * DAY)
    engine.dispose()
    outcomes = in_processes(spend_and_hold, database_url, alice.wallet)
    assert len(outcomes) == 1000
    assert Counter(outcomes) == {"paid": 400, "refused": 600}
    with engine.connect() as connection:
        balance = ledger.balance(connection, alice.wallet, now=START)
        assert (balance.available_micro, balance.total_micro) == (0, balance.held_micro)
        assert balance.held_micro + balance.lifetime_spent_micro == 4000
        assert connection.execute(text("SELECT COUNT(*) FROM charges")).scalar() == 400
        prove(connection)
    print(
        f"\n{engine.dialect.name}: 400 of {len(outcomes)} paid, {balance.held_micro // PRICE} held"
    )


def spend_and_hold(url: str, wallet: int, number: int) -> list[str]:
    engine = open_engine(url)

    def attempt(item: int) -> str:
        verb = ledger.hold if item % 2 else ledger.spend
        charge = ledger.NewCharge(
            amount_micro=PRICE, key=f"k:{number}:{item}", digest="d", operation="image"
        )
        try:
            with transaction(engine) as session:
                verb(session.connection(), wallet, charge, now=START)
        except ledger.InsufficientCredits:
            return "refused"
        return "paid"

    return in_threads(attempt, list(range(1000 // PROCESSES)))


KEY_CALLS = 52
BUDGET = ledger.Budget(limit_micro=20 * PRICE, since=START - DAY, resets_at=START + DAY)


@pytest.mark.parametrize("returned", [False, True], ids=["spent", "partly returned"])
def test_of_52_calls_of_one_key_at_once_none_passes_its_budget(
    engine: Engine, database_url: str, returned: bool
) -> None:
    with transaction(engine) as session:
        alice = Person(session.connection(), "alice")
        alice.gets(100 * KEY_CALLS * PRICE)
    engine.dispose()
    outcomes = in_processes(spend_by_a_key, database_url, alice.wallet, returned)
    assert len(outcomes) == KEY_CALLS
    assert set(outcomes) <= {"paid", "refused"}
    with engine.connect() as connection:
        taken_micro = ledger.taken_by_key(connection, "key_1", since=BUDGET.since)
        sums = connection.execute(text("SELECT SUM(captured_micro) FROM charges")).scalar_one()
        prove(connection)
    paid = outcomes.count("paid")
    assert taken_micro == sums <= BUDGET.limit_micro
    if returned:
        # What is returned can be taken again: each keeps a half, so that up to 40 fit, and the
        # last one needs the room of a whole hold.
        assert taken_micro == paid * PRICE // 2
        assert 20 <= paid <= 39
    else:
        assert (paid, taken_micro) == (20, BUDGET.limit_micro)


def spend_by_a_key(url: str, wallet: int, returned: bool, number: int) -> list[str]:
    engine = open_engine(url)

    def attempt(item: int) -> str:
        charge = ledger.NewCharge(
            amount_micro=PRICE,
            key=f"k:{number}:{item}",
            digest="d",
            operation="image",
            api_key_id="key_1",
            budget=BUDGET,
        )
        try:
            with transaction(engine) as session:
                verb = ledger.hold if returned else ledger.spend
                held = verb(session.connection(), wallet, charge, now=START)
        except ledger.BudgetExceeded:
            return "refused"
        if returned:
            with transaction(engine) as session:
                ledger.capture(session.connection(), held.id, PRICE // 2, now=START)
        return "paid"

    return in_threads(attempt, list(range(KEY_CALLS // PROCESSES)))


def test_a_hold_ends_once_of_captures_and_releases_at_once(
    engine: Engine, database_url: str
) -> None:
    """Also when each waits for the wallet of a hold that another one ends meanwhile."""
    with transaction(engine) as session:
        alice = Person(session.connection(), "alice")
        alice.gets(40 * PRICE)
        holds = [alice.holds(PRICE).id for _ in range(40)]
    engine.dispose()
    outcomes = in_processes(end_holds, database_url, holds)
    with engine.connect() as connection:
        states = Counter(connection.execute(text("SELECT state FROM charges")).scalars())
        entries = connection.execute(text("SELECT COUNT(*) FROM entries WHERE kind <> 'grant'"))
        balance = ledger.balance(connection, alice.wallet, now=START)
        prove(connection)
        assert entries.scalar() == 40
    # Each hold gives the same answer to those who end it alike, and refuses the others.
    assert outcomes.count("captured") == 2 * states["captured"]
    assert outcomes.count("released") == 2 * states["released"]
    assert outcomes.count("refused") == 80
    assert states["captured"] + states["released"] == 40
    assert balance.lifetime_spent_micro == states["captured"] * PRICE
    assert (balance.held_micro, balance.total_micro) == (0, states["released"] * PRICE)


def end_holds(url: str, holds: list[int], number: int) -> list[str]:
    engine = open_engine(url)

    def end(hold: int) -> str:
        try:
            with transaction(engine) as session:
                connection = session.connection()
                if number % 2:
                    return ledger.release(connection, hold, now=START).state
                return ledger.capture(connection, hold, PRICE, now=START).state
        except ledger.ChargeSettled:
            return "refused"

    return in_threads(end, holds)


def test_everything_at_once_keeps_every_invariant(engine: Engine, database_url: str) -> None:
    with transaction(engine) as session:
        connection = session.connection()
        people = [Person(connection, name) for name in ("alice", "bob", "charlie")]
        grants = [person.buys(5000).id for person in people]
        for person in people:
            person.gets(3000, expires_at=START + DAY)
    engine.dispose()
    wallets = [person.wallet for person in people]
    outcomes = in_processes(do_everything, database_url, wallets, grants)
    assert len(outcomes) == PROCESSES * 120
    assert set(outcomes) <= {"done", "refused"}, set(outcomes)
    assert outcomes.count("done") > 200
    with engine.connect() as connection:
        prove(connection)


def do_everything(url: str, wallets: list[int], grants: list[int], number: int) -> list[str]:
    engine = open_engine(url)

    def act(item: int) -> str:
        here, there = wallets[item % 3], wallets[(item + 1 + number % 2) % 3]
        key, at = f"k:{number}:{item}", START + 20 * DAY + item * DAY / 40
        try:
            with transaction(engine) as session:
                connection = session.connection()
                charge_of = partial(ledger.NewCharge, key=key, digest="d", operation="image")
                match (item + number) % 6:
                    case 0:
                        ledger.spend(connection, here, charge_of(amount_micro=7), now=at)
                    case 1:
                        new = charge_of(amount_micro=9)
                        charge = ledger.hold(connection, here, new, now=at)
                        ledger.capture(connection, charge.id, (4, 9)[item % 2], now=at)
                    case 2:
                        ledger.transfer(connection, here, there, 11, key=key, now=at)
                    case 3:
                        grant = grants[item % 3]
                        ledger.revoke(connection, grant, item * 7 % 900, now=at, reason="r")
                    case 4:
                        ledger.freeze(connection, grants[item % 3], now=at)
                        ledger.unfreeze(connection, grants[item % 3], now=at)
                    case _:
                        ledger.grant(
                            connection,
                            here,
                            ledger.NewGrant(amount_micro=50, source="purchase", origin=key),
                            now=at,
                        )
        except (ledger.InsufficientCredits, ledger.AccountFrozen):
            return "refused"
        return "done"

    return in_threads(act, list(range(120)))


def test_a_double_click_in_two_processes_charges_once(engine: Engine, database_url: str) -> None:
    with transaction(engine) as session:
        alice = Person(session.connection(), "alice")
        alice.gets(1000)
    engine.dispose()
    outcomes = in_processes(click, database_url, alice.wallet)
    # Each of 20 requests came four times: done once, and answered again three times.
    assert Counter(outcomes) == {"done": 20, "again": 60}
    with engine.connect() as connection:
        assert ledger.balance(connection, alice.wallet, now=START).available_micro == 800
        prove(connection)


def click(url: str, wallet: int, number: int) -> list[str]:
    engine = open_engine(url)

    def send(item: int) -> str:
        request_key = ("alice", "POST /api/credits/spend", f"k{item}")
        with transaction(engine) as session:
            connection = session.connection()
            if idempotency.claim(connection, *request_key, "d", now=START) is not None:
                return "again"
            charge = ledger.spend(
                connection,
                wallet,
                ledger.NewCharge(
                    amount_micro=PRICE, key=f"r:{item}", digest="d", operation="image"
                ),
                now=START,
            )
            idempotency.complete(connection, *request_key, "d", f'{{"charge": {charge.id}}}')
            return "done"

    return in_threads(send, list(range(20)))


def test_two_processes_create_one_wallet(engine: Engine, database_url: str) -> None:
    engine.dispose()
    ids = in_processes(create_wallets, database_url)
    assert len(set(ids)) == 10


def create_wallets(url: str, number: int) -> list[str]:
    engine = open_engine(url)

    def create(item: int) -> str:
        with transaction(engine) as session:
            connection = session.connection()
            return str(ledger.ensure_wallet(connection, "user", f"u{item}", now=START))

    return in_threads(create, list(range(10)))
