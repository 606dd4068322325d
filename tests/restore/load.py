"""A process that uses the app: grants, spends, holds, purchases, images and seals, in threads."""

from __future__ import annotations

import faulthandler
import itertools
import json
import multiprocessing
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flask import Flask

from creditapp import accounts, create_app, ledger
from creditapp.accounts import AccountRules, Network, User
from creditapp.clock import now
from creditapp.config import load_settings
from creditapp.db import transaction
from creditapp.generation import Caller, submit, worker
from creditapp.generation.operations.text_to_image import ImageOrder
from creditapp.guests import Visitor
from creditapp.ids import new_id
from creditapp.ledger import NewCharge, NewGrant
from creditapp.payments.purchases import checkout, packs
from creditapp.payments.stripe.server import SandboxGateway
from creditapp.runtime import server, tasks
from creditapp.services import get

MEMBERS = 8
GUEST_IMAGES_MAX = 900
"""Less than the catalog's daily budget of all guests, which a long run would use up."""


STACKS_AFTER_SECONDS = 30


def use(environ: dict[str, str], counts: Path) -> None:
    """Use the app until SIGTERM; write how often each action ended to ``counts``.

    Where each thread is ``STACKS_AFTER_SECONDS`` after the signal goes to a file beside it.
    """
    stop, stacks = threading.Event(), stacks_of(counts).open("w")

    def end(*_: object) -> None:
        stop.set()
        faulthandler.dump_traceback_later(STACKS_AFTER_SECONDS, file=stacks)

    signal.signal(signal.SIGTERM, end)
    app = create_app(load_settings(environ))
    with app.app_context():
        server.prepare(app)
        members = [_sign_up(f"member{number}@example.com") for number in range(MEMBERS)]
    load = Load(app, members, counts, stop)
    with ThreadPoolExecutor(len(ACTIONS)) as pool:
        for result in [pool.submit(load.repeat, action) for action in ACTIONS]:
            result.result()


def stacks_of(counts: Path) -> Path:
    """Return the file that tells why the process did not end."""
    return counts.with_suffix(".stacks")


class Load:
    """The members, and how often each action has ended."""

    def __init__(
        self, app: Flask, members: list[User], counts: Path, stop: threading.Event
    ) -> None:
        self._app, self._members, self._file, self._stop = app, members, counts, stop
        self._lock, self._counts = threading.Lock(), Counter[str]()

    def repeat(self, action: Callable[[User, int], None]) -> None:
        """Repeat an action until the end; an error ends all."""
        test = multiprocessing.parent_process()
        for turn in itertools.count():
            # A test that was killed ends nothing.
            if self._stop.is_set() or (test is not None and not test.is_alive()):
                return
            try:
                with self._app.app_context():
                    action(self._members[turn % MEMBERS], turn)
            except BaseException:
                self._stop.set()
                raise
            self._count(action.__name__)

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1
            partial = self._file.with_suffix(".partial")
            partial.write_text(json.dumps(self._counts))
            partial.rename(self._file)


def _sign_up(email: str) -> User:
    new = accounts.prepare_account(email, "correct horse battery")
    with transaction() as session:
        return accounts.sign_up(session, new, get(AccountRules), now=now()).user


def _spend(member: User, turn: int) -> None:
    with transaction() as session:
        connection = session.connection()
        wallet_id = ledger.ensure_wallet(connection, "user", member.id, now=now())
        ledger.grant(
            connection,
            wallet_id,
            NewGrant(
                amount_micro=1_000_000,
                source="admin",
                origin=f"admin:{new_id('grant')}",
                actor="operator",
            ),
            now=now(),
        )
    charge = NewCharge(
        amount_micro=700_000 + turn % 7, key=new_id("load"), digest="", operation="chat"
    )
    with transaction() as session:
        hold = ledger.hold(session.connection(), wallet_id, charge, now=now())
    with transaction() as session:
        ledger.capture(session.connection(), hold.id, 500_000, now=now())
    time.sleep(0.01)


def _buy(member: User, turn: int) -> None:
    purchase = packs.start_checkout(packs.Order("starter", ""), member, key=f"load:{turn}")
    page = f"/pay/{purchase.checkout_id}"
    bank = get(SandboxGateway).sandbox.test_client()
    form = dict(re.findall(r'name="([a-z_]+)"[^>]*value="([^"]*)"', bank.get(page).text))
    bank.post(page, data={**form, "card": "succeeds", "email": member.email})
    checkout.sync_purchase(purchase.id)


def _generate(_member: User, turn: int) -> None:
    if turn >= GUEST_IMAGES_MAX:
        time.sleep(0.1)
        return
    guest = Caller(None, Visitor(f"guest{turn}", (Network(f"network{turn}"),)))
    order = ImageOrder(prompt=f"A boat, number {turn}", model=None, n=1)
    generation = submit(order, guest, key=f"load:{turn}", now=now()).generation
    worker.run(f"{generation.id}.{generation.attempt}")


def _seal(_member: User, _turn: int) -> None:
    tasks.seal()
    time.sleep(0.2)


ACTIONS = (_spend, _buy, _generate, _seal)
