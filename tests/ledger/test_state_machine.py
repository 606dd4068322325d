"""Every verb in any order, compared with a model in which each microcredit is a token.

After each step the balances and grants are compared and every invariant is checked. At the end
every verb and every refusal must have happened, or the run has proved too little; the counts are
printed (``pytest -s``). ``CREDITAPP_SOAK=1`` makes it long and random.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime, timedelta
from inspect import signature
from random import Random
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine

from creditapp import ledger
from creditapp.api_keys import PERIODS, bounds, budget_of
from creditapp.clock import NEVER
from tests.ledger import reference_model
from tests.ledger.cast import DAY, START, prove
from tests.ledger.expected_events import EXPECTED, REFUSALS, VERBS
from tests.ledger.reference_model import Budget, Model, Refused

SOAK = os.environ.get("CREDITAPP_SOAK") == "1"
OPERATIONS = ("image", "video")
WALLETS = 2
MIN_AGE = 2 * DAY


class LedgerMachine(RuleBasedStateMachine):
    """Runs in one transaction that is rolled back, so that a run costs no fresh database."""

    engine: Engine
    seen: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.connection = self.engine.connect().execution_options(creditapp_writes=True)
        self.outer = self.connection.begin()
        self.now: datetime = START
        self.model = Model(WALLETS)
        self.ids = [
            ledger.ensure_wallet(self.connection, "user", f"u{n}", now=START)
            for n in range(WALLETS)
        ]
        self.grant_ids: dict[str, int] = {}
        self.number = 0

    def teardown(self) -> None:
        self.outer.rollback()
        self.connection.close()

    # Rules

    @initialize()
    def begin(self) -> None:
        for wallet in range(WALLETS):
            self._grant(wallet, 30, "purchase", "*", None)

    # One seed draws everything. If hypothesis draws each value, it repeats the same few verbs and
    # values, and a sequence of three particular steps hardly ever happens.
    @rule(seed=st.integers(0, 2**64 - 1))
    def act(self, seed: int) -> None:
        draw = Random(seed)
        drawn = {
            "wallet": draw.randrange(WALLETS),
            "amount": draw.randint(1, 40),
            "pick": draw.randrange(1000),
            "share": draw.choice((0, 0, 30, 60, 100, 100, 110)),
            "operation": draw.choice(OPERATIONS),
            "hold": draw.random() < 0.6,
            "days": draw.choice((None, 1, 3, 6)),
            "source": draw.choice(("welcome", "purchase", "purchase", "subscription")),
            "scope": draw.choice(("*", "*", "image", "video")),
            "hours": draw.choice((1, 24, 24, 60, 100, 250)),
            "period": draw.choice((None, "day", "day", *PERIODS)),
            "limit": draw.choice((8, 20, 40)),
            "most": draw.choice((None, None, None, None, 15)),
        }
        method = getattr(self, draw.choice(VERBS))
        arguments = {name: drawn[name] for name in signature(method).parameters}
        note(f"{self.now:%d %H:%M} {method.__name__} {arguments}")
        method(**arguments)

    def grant(self, wallet: int, amount: int, source: str, scope: str, days: int | None) -> None:
        self._grant(wallet, amount, source, scope, days)

    def grant_again(self, pick: int, wallet: int) -> None:
        origin = sorted(self.grant_ids)[pick % len(self.grant_ids)]
        again = ledger.grant(
            self.connection,
            self.ids[wallet],
            ledger.NewGrant(amount_micro=5, source="gift", origin=origin),
            now=self.now,
        )
        assert again is None
        self.model.sweep(wallet, self.now)
        self.seen["grant repeated"] += 1

    def charge(
        self,
        wallet: int,
        amount: int,
        operation: str,
        hold: bool,
        days: int | None,
        period: str | None = None,
        limit: int = 0,
        most: int | None = None,
    ) -> None:
        verb = "hold" if hold else "spend"
        ends = self.now + days * DAY if hold and days else None
        self.number += 1
        key = f"generation:{self.number}"
        total = self.model.balance(wallet, self.now)[0]
        budget = Budget(f"key_{wallet}_{period}", limit, period) if period else None
        call = self._charge_call(
            wallet, amount, key, operation, hold, ends, budget=budget, most=most
        )
        expected = self._try(
            verb,
            lambda: self.model.charge(
                wallet, amount, key, operation, self.now, hold, ends, budget, most
            ),
            call,
        )
        if expected is None and total >= amount and not self.model.wallets[wallet].frozen_at:
            self.seen["refused for its scope"] += 1
        if expected is not None:
            assert self.result.amount_micro == amount
        if expected is not None and budget is not None:
            assert self.result.api_key_id == budget.api_key
            self.seen[f"{verb} by a key"] += 1
            self.seen["budget began anew"] += any(
                charge.api_key == budget.api_key and not budget.covers(charge.created_at, self.now)
                for charge in self.model.charges
            )

    def charge_again(self, pick: int, amount: int) -> None:
        usage = [c for c in self.model.charges if c.debtor is None]
        if not usage:
            return
        old = usage[pick % len(usage)]
        hold = old.state == "open" or old.expires_at is not None
        verb = "hold" if hold else "spend"
        spent = Budget(old.api_key, 1, "all") if old.api_key else None
        self.seen["replayed beyond the budget"] += spent is not None
        again = self._charge_call(
            old.wallet, amount, old.key, old.operation, hold, None, budget=spent
        )()
        assert again.replayed
        assert again.id == self._id(old)
        self.seen[f"{verb} replayed"] += 1
        with pytest.raises(ledger.IdempotencyKeyReused):
            self._charge_call(old.wallet, amount, old.key, old.operation, hold, None, "other")()
        self.seen["spend key reused"] += 1

    def capture(self, pick: int, share: int) -> None:
        charge = self._pick_charge(pick)
        if charge is None:
            return
        amount = len(charge.tokens) * share // 100
        verb = "capture" if amount else "release"
        real_id = self._id(charge)
        self.model.sweep(charge.wallet, self.now)
        if charge.state == "open" and amount > len(charge.tokens):
            with pytest.raises(ValueError, match="at most"):
                ledger.capture(self.connection, real_id, amount, now=self.now)
            self.seen["capture of too much"] += 1
            return
        same = {"captured": amount > 0 and charge.captured() == amount, "released": amount == 0}
        if same.get(charge.state):
            assert ledger.capture(self.connection, real_id, amount, now=self.now)
            self.seen["capture repeated"] += 1
            return
        self._try(
            verb,
            lambda: self._capture_model(charge, amount),
            lambda: ledger.capture(self.connection, real_id, amount, now=self.now),
        )

    def refund(self, pick: int, share: int) -> None:
        charge = self._pick_charge(pick)
        if charge is None:
            return
        down_to = min(len(charge.tokens) * share // 100, charge.captured())
        real_id = self._id(charge)

        def model() -> object:
            before = self._returns()
            self.model.refund(charge, down_to, self.now)
            self._note_returns(before)
            return True

        self._try(
            "refund",
            model,
            lambda: ledger.refund(self.connection, real_id, down_to_micro=down_to, now=self.now),
        )

    def revoke(self, pick: int, share: int) -> None:
        grant = self._pick_grant(pick)
        grant_id = self._grant_id(grant)
        total = grant.root.amount * min(share, 100) // 100
        before, debts = grant.root.revoked_target, self._debts()
        real = ledger.revoke(self.connection, grant_id, total, now=self.now, reason="r")
        self.model.revoke(grant, total, self.now)
        lineage = self.model.lineage(grant)
        assert real.owed_micro == sum(member.owed for member in lineage)
        assert real.revoked_micro == sum(member.count("revoked") for member in lineage)
        self.seen["revoke"] += 1
        self.seen["revoke less"] += total < before
        self.seen["revoke leaves owed"] += real.owed_micro > 0
        self.seen["debt undone"] += self._debts() < debts

    def dispute(self, pick: int, amount: int) -> None:
        """Do four steps in a row: spend, revoke, repay by the next purchase, win the dispute."""
        grant = self._pick_grant(pick)
        if grant.parent is None and self.model.wallets[grant.wallet].frozen_at is None:
            spendable = self.model.spendable(grant.wallet, "image", self.now)
            self.charge(grant.wallet, max(1, spendable), "image", pick % 2 == 0, None)
            self.revoke(pick, 100)
            self._grant(grant.wallet, amount, "purchase", "*", None)
            self.revoke(pick, pick % 3 * 30)

    def freeze_or_unfreeze(self, pick: int) -> None:
        grant = self._pick_grant(pick)
        grant_id = self._grant_id(grant)
        if any(member.frozen_at for member in self.model.lineage(grant)):
            ledger.unfreeze(self.connection, grant_id, now=self.now)
            self.model.unfreeze(grant, self.now)
            self.seen["unfreeze"] += 1
        else:
            ledger.freeze(self.connection, grant_id, now=self.now)
            self.model.freeze(grant, self.now)
            self.seen["freeze"] += 1

    def freeze_account(self, wallet: int) -> None:
        if self.model.wallets[wallet].frozen_at is None:
            ledger.freeze_wallet(self.connection, self.ids[wallet], now=self.now)
            self.model.freeze_wallet(wallet, self.now)
            self.seen["freeze wallet"] += 1

    def unfreeze_account(self, wallet: int) -> None:
        if self.model.wallets[wallet].frozen_at is not None:
            ledger.unfreeze_wallet(self.connection, self.ids[wallet], now=self.now)
            self.model.unfreeze_wallet(wallet, self.now)
            self.seen["unfreeze wallet"] += 1

    def transfer(self, wallet: int, pick: int, amount: int) -> None:
        sender, receiver = wallet, (wallet + 1 + pick % (WALLETS - 1)) % WALLETS
        self.number += 1
        key = f"t{self.number}"

        def real() -> ledger.Transfer:
            return ledger.transfer(
                self.connection, self.ids[sender], self.ids[receiver], amount,
                key=key, now=self.now, min_age=MIN_AGE,
            )  # fmt: skip

        done = self._try(
            "transfer",
            lambda: self.model.transfer(sender, receiver, amount, self.now, MIN_AGE),
            real,
        )
        if done is not None:
            first = self.result
            assert len(first.grant_ids) == len(done)
            again = real()
            assert (again.grant_ids, again.replayed) == (first.grant_ids, True)
            self.seen["transfer replayed"] += 1

    def expire(self, wallet: int) -> None:
        ledger.expire(self.connection, self.ids[wallet], now=self.now)
        self.model.sweep(wallet, self.now)
        self.seen["expire"] += 1

    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        open_before = sum(c.state == "open" for c in self.model.charges)
        expired_before = sum(g.count("expired") for g in self.model.grants)
        for wallet in range(WALLETS):
            before = self._returns()
            self.model.sweep(wallet, self.now)
            self._note_returns(before)
        lapsed = open_before - sum(c.state == "open" for c in self.model.charges)
        self.seen["hold lapsed"] += lapsed
        expired = sum(g.count("expired") for g in self.model.grants) - expired_before
        self.seen["expired"] += expired > 0

    # Invariants

    @invariant()
    def balances_agree(self) -> None:
        for number, wallet_id in enumerate(self.ids):
            real = ledger.balance(self.connection, wallet_id, now=self.now)
            assert (
                real.available_micro, real.held_micro, real.frozen_micro, real.owed_micro,
            ) == self.model.balance(number, self.now)  # fmt: skip
            assert (
                real.lifetime_granted_micro, real.lifetime_spent_micro,
                real.lifetime_welcome_micro, real.lifetime_purchased_micro,
            ) == self.model.lifetime(number)  # fmt: skip
            for operation in OPERATIONS:
                assert ledger.spendable(
                    self.connection, wallet_id, operation, now=self.now
                ) == self.model.spendable(number, operation, self.now)

    @invariant()
    def grants_agree(self) -> None:
        # The model knows what has expired; the rows do after a sweep, which is rolled back here so
        # that the verbs also meet unswept rows.
        savepoint = self.connection.begin_nested()
        for number, wallet_id in enumerate(self.ids):
            ledger.expire(self.connection, wallet_id, now=self.now)
            lots = ledger.list_grants(self.connection, wallet_id, include_spent=True)
            assert sorted(
                (
                    g.source, g.scope, g.amount_micro, g.remaining_micro, g.expired_micro,
                    g.revoked_micro, g.transferred_micro, g.owed_micro, g.expires_at,
                    g.frozen_at is None,
                )
                for g in lots
            ) == self.model.describe(number)  # fmt: skip
            for period in PERIODS:
                budget = Budget(f"key_{number}_{period}", 0, period)
                since, _ = bounds(period, now=self.now)
                taken = ledger.taken_by_key(self.connection, budget.api_key, since=since)
                assert taken == self.model.taken(budget, self.now)
        savepoint.rollback()

    @invariant()
    def everything_is_proven(self) -> None:
        prove(self.connection)

    # Helpers

    def _grant(self, wallet: int, amount: int, source: str, scope: str, days: int | None) -> None:
        self.number += 1
        origin = f"{source}:{self.number}"
        expires_at = NEVER if days is None else self.now + days * DAY
        debts = len(self.model.charges)
        real = ledger.grant(
            self.connection,
            self.ids[wallet],
            ledger.NewGrant(
                amount_micro=amount,
                source=source,
                origin=origin,
                scope=scope,
                expires_at=expires_at,
            ),
            now=self.now,
        )
        assert real is not None
        model_grant = self.model.grant(
            wallet, amount, source, origin, scope, real.priority, expires_at, self.now
        )
        assert model_grant is not None
        self.grant_ids[origin] = real.id
        self.seen["grant"] += 1
        self.seen["grant pays debt"] += len(self.model.charges) > debts

    def _charge_call(
        self,
        wallet: int,
        amount: int,
        key: str,
        operation: str,
        hold: bool,
        ends: datetime | None,
        digest: str = "d",
        budget: Budget | None = None,
        most: int | None = None,
    ) -> Any:
        charge = ledger.NewCharge(
            amount_micro=amount,
            key=key,
            digest=digest,
            operation=operation,
            api_key_id=budget.api_key if budget else None,
            budget=budget_of(budget.limit, budget.period, now=self.now) if budget else None,
            max_micro=most,
        )
        if hold:
            return lambda: ledger.hold(
                self.connection, self.ids[wallet], charge, now=self.now, expires_at=ends
            )
        return lambda: ledger.spend(self.connection, self.ids[wallet], charge, now=self.now)

    def _try(self, verb: str, model: Any, real: Any) -> Any:
        """Do the same to both; a refusal must be the same and must write nothing."""
        try:
            expected = model()
        except Refused as refusal:
            with pytest.raises(REFUSALS[str(refusal)]):
                real()
            self.seen[f"{verb} refused: {refusal}"] += 1
            self.seen["went on after a refusal"] += 1
            return None
        self.result = real()
        self.seen[verb] += 1
        return expected

    def _capture_model(self, charge: reference_model.Charge, amount: int) -> bool:
        before = self._returns()
        self.model.capture(charge, amount, self.now)
        self._note_returns(before)
        return True

    def _returns(self) -> tuple[int, int]:
        late = sum(g.source == "refund" for g in self.model.grants)
        return late, sum(g.owed for g in self.model.grants)

    def _note_returns(self, before: tuple[int, int]) -> None:
        late, owed = self._returns()
        self.seen["returned to an expired grant"] += late > before[0]
        self.seen["return pays what is owed"] += owed < before[1]

    def _debts(self) -> int:
        return sum(c.captured() for c in self.model.charges if c.debtor)

    def _pick_charge(self, pick: int) -> reference_model.Charge | None:
        # Mostly an open one, newest first, so that holds are met before they lapse.
        usage = [c for c in reversed(self.model.charges) if c.debtor is None]
        still_open = [c for c in usage if c.state == "open"]
        charges = still_open if still_open and pick % 4 else usage
        return charges[pick // 4 % min(len(charges), 8)] if charges else None

    def _pick_grant(self, pick: int) -> reference_model.Grant:
        # Mostly one that was reversed or frozen before, so that reversals meet and end.
        debtors = {charge.debtor for charge in self.model.charges if charge.captured()}
        marked = [
            g for g in self.model.grants if g.root.revoked_target or g.frozen_at or g in debtors
        ]
        grants = marked if marked and pick % 3 else self.model.grants
        return grants[pick // 3 % len(grants)]

    def _id(self, charge: reference_model.Charge) -> int:
        row = ledger.find_charge(self.connection, self.ids[charge.wallet], charge.key)
        assert row is not None
        return row.id

    def _grant_id(self, grant: reference_model.Grant) -> int:
        """Return the id of a model's grant: both number them by creation."""
        position = self.model.lots(grant.wallet).index(grant)
        wallet_id = self.ids[grant.wallet]
        lots = ledger.list_grants(self.connection, wallet_id, include_spent=True)
        if position >= len(lots):
            # The model has swept; the ledger creates this grant at its next sweep.
            ledger.expire(self.connection, wallet_id, now=self.now)
            lots = ledger.list_grants(self.connection, wallet_id, include_spent=True)
        return sorted(lot.id for lot in lots)[position]


@pytest.mark.slow
def test_every_verb_agrees_with_the_reference_model_after_every_step(engine: Engine) -> None:
    seen: Counter[str] = Counter()
    machine = type("Machine", (LedgerMachine,), {"engine": engine, "seen": seen})
    # PostgreSQL answers more slowly; its histories are the first of the same.
    bounded = 45 if engine.dialect.name == "sqlite" else 8
    examples, steps = (600, 80) if SOAK else (bounded, 50)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=not SOAK,
            # Shrinking takes minutes; the long form has them.
            phases=(Phase.generate, Phase.shrink) if SOAK else (Phase.generate,),
            report_multiple_bugs=False,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"\n{engine.dialect.name}: {sum(seen.values())} events")
    for name, count in sorted(seen.items()):
        print(f"  {name:<40} {count:>6}")
    never = EXPECTED - {name for name, count in seen.items() if count}
    # With fewer histories than SQLite's, not everything that is expected happens.
    assert not never or examples < 45, f"never happened: {sorted(never)}"
