"""Reference model of the ledger: slow and simple, with a token for every microcredit.

Written from the rules, with none of the ledger's arithmetic: a token is free in its grant, is in a
charge, or is gone (expired, revoked, transferred to a child). Sums are counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
PAID = {"purchase", "subscription", "agent"}


class Refused(Exception):
    """The model refuses; its text is the kind of refusal."""


@dataclass
class Token:
    place: object = "free"  # "free", "expired", "revoked", "transferred", or the Charge that has it


@dataclass(eq=False)
class Grant:
    number: int
    model: Model
    wallet: int
    source: str
    amount: int
    scope: str
    priority: int
    planned_end: datetime
    created_at: datetime
    parent: Grant | None = None
    frozen_at: datetime | None = None
    owed: int = 0
    revoked_target: int = 0  # roots only: to be revoked in total
    absorbed: int = 0  # roots only: the part of the target that had expired anyway
    frozen_spans: list[tuple[datetime, datetime]] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens = [Token() for _ in range(self.amount)]

    @property
    def expires_at(self) -> datetime:
        """The planned end plus all the time in which it or its wallet was frozen."""
        if self.planned_end == NEVER:
            return NEVER
        wallet = self.model.wallets[self.wallet]
        # A freeze counts when it ends; until then it hides what it overlaps.
        own = [(s, min(e, wallet.frozen_at or e)) for s, e in self.frozen_spans]
        shared = [
            (max(s, self.created_at), min(e, self.frozen_at or e)) for s, e in wallet.frozen_spans
        ]
        end, reached = self.planned_end, datetime.min.replace(tzinfo=UTC)
        for start, stop in sorted(own + shared):
            if start >= end:
                break
            if stop > max(start, reached):
                end += stop - max(start, reached)
                reached = stop
        return end

    @property
    def root(self) -> Grant:
        return self if self.parent is None else self.parent.root

    def count(self, place: str) -> int:
        return sum(token.place == place for token in self.tokens)

    def captured(self) -> int:
        return sum(isinstance(token.place, Charge) for token in self.tokens)

    def free(self) -> list[Token]:
        return [token for token in self.tokens if token.place == "free"]


@dataclass(eq=False)
class Charge:
    number: int
    wallet: int
    key: str
    operation: str
    state: str
    expires_at: datetime | None
    tokens: list[tuple[Grant, Token]]
    debtor: Grant | None = None
    api_key: str | None = None
    created_at: datetime = NEVER

    def captured(self) -> int:
        return sum(token.place is self for _, token in self.tokens)


@dataclass(frozen=True)
class Budget:
    """So many credits in each ``day``, ``week`` or ``month`` (UTC), or in ``all``, of one key."""

    api_key: str
    limit: int
    period: str

    def covers(self, moment: datetime, now: datetime) -> bool:
        """Whether two moments are in the same period."""
        match self.period:
            case "day":
                return moment.date() == now.date()
            case "week":
                return moment.isocalendar()[:2] == now.isocalendar()[:2]
            case "month":
                return (moment.year, moment.month) == (now.year, now.month)
        return True


@dataclass
class Wallet:
    frozen_at: datetime | None = None
    frozen_spans: list[tuple[datetime, datetime]] = field(default_factory=list)
    granted: int = 0
    welcome: int = 0
    purchased: int = 0


class Model:
    """All wallets, grants and charges; every method is one verb."""

    def __init__(self, wallets: int) -> None:
        self.wallets = {number: Wallet() for number in range(wallets)}
        self.grants: list[Grant] = []
        self.charges: list[Charge] = []
        self.origins: set[str] = set()

    # Reads

    def balance(self, wallet: int, now: datetime) -> tuple[int, int, int, int]:
        self.sweep(wallet, now)
        lots = self.lots(wallet)
        return (
            sum(len(g.free()) for g in lots if g.frozen_at is None),
            sum(c.captured() for c in self.charges if c.wallet == wallet and c.state == "open"),
            sum(len(g.free()) for g in lots if g.frozen_at is not None),
            sum(g.owed for g in lots),
        )

    def lifetime(self, wallet: int) -> tuple[int, int, int, int]:
        spent = sum(
            c.captured()
            for c in self.charges
            if c.wallet == wallet and c.state == "captured" and c.debtor is None
        )
        w = self.wallets[wallet]
        return w.granted, spent, w.welcome, w.purchased

    def spendable(self, wallet: int, operation: str, now: datetime) -> int:
        self.sweep(wallet, now)
        if self.wallets[wallet].frozen_at is not None:
            return 0
        return len(self.payable(wallet, operation))

    def taken(self, budget: Budget, now: datetime) -> int:
        """The credits that a key has taken or holds in the present period of its budget."""
        return sum(
            charge.captured()
            for charge in self.charges
            if charge.api_key == budget.api_key and budget.covers(charge.created_at, now)
        )

    def lots(self, wallet: int) -> list[Grant]:
        return [g for g in self.grants if g.wallet == wallet]

    def describe(self, wallet: int) -> list[tuple[object, ...]]:
        return sorted(
            (
                g.source, g.scope, g.amount, len(g.free()), g.count("expired"),
                g.count("revoked"), g.count("transferred"), g.owed, g.expires_at,
                g.frozen_at is None,
            )
            for g in self.lots(wallet)
        )  # fmt: skip

    # Time

    def clock(self, wallet: int, now: datetime) -> datetime:
        frozen_at = self.wallets[wallet].frozen_at
        return now if frozen_at is None else min(now, frozen_at)

    def has_expired(self, grant: Grant, at: datetime) -> bool:
        at = self.clock(grant.wallet, at)
        return grant.expires_at <= (at if grant.frozen_at is None else min(at, grant.frozen_at))

    def sweep(self, wallet: int, now: datetime) -> None:
        lapsed = [
            c
            for c in self.charges
            if c.wallet == wallet and c.state == "open" and c.expires_at and c.expires_at <= now
        ]
        for charge in sorted(lapsed, key=lambda c: (c.expires_at, c.number)):
            assert charge.expires_at
            charge.state = "released"
            self.keep(charge, 0, now, charge.expires_at)
        for grant in self.lots(wallet):
            if grant.frozen_at is None and self.has_expired(grant, now):
                for token in grant.free():
                    token.place = "expired"

    # Grants

    def grant(
        self,
        wallet: int,
        amount: int,
        source: str,
        origin: str,
        scope: str,
        priority: int,
        expires_at: datetime,
        now: datetime,
    ) -> Grant | None:
        self.sweep(wallet, now)
        if origin in self.origins:
            return None
        self.origins.add(origin)
        new = Grant(
            len(self.grants), self, wallet, source, amount, scope, priority, expires_at, now
        )
        w = self.wallets[wallet]
        w.granted += amount
        w.welcome += amount if source == "welcome" else 0
        w.purchased += amount if source in PAID else 0
        if source in PAID:
            for debtor in self.lots(wallet):
                pays = new.free()[: debtor.owed]
                if pays:
                    charge = Charge(
                        len(self.charges), wallet, f"debt{len(self.charges)}", "debt",
                        "captured", None, [(new, token) for token in pays], debtor=debtor,
                    )  # fmt: skip
                    self.charges.append(charge)
                    for token in pays:
                        token.place = charge
                    debtor.owed -= len(pays)
        self.grants.append(new)
        return new

    # Charges

    def payable(self, wallet: int, operation: str) -> list[tuple[Grant, Token]]:
        lots = [g for g in self.lots(wallet) if g.frozen_at is None and g.scope in ("*", operation)]
        lots.sort(key=self.order)
        return [(g, token) for g in lots for token in g.free()]

    def order(self, grant: Grant) -> tuple[object, ...]:
        return grant.priority, grant.expires_at, grant.scope == "*", grant.number

    def charge(
        self,
        wallet: int,
        amount: int,
        key: str,
        operation: str,
        now: datetime,
        hold: bool,
        expires_at: datetime | None = None,
        budget: Budget | None = None,
        most: int | None = None,
    ) -> Charge:
        if most is not None and amount > most:
            raise Refused("max")
        if self.wallets[wallet].frozen_at is not None:
            raise Refused("frozen")
        self.sweep(wallet, now)
        if self.balance(wallet, now)[0] < amount:
            raise Refused("insufficient")
        if budget is not None and self.taken(budget, now) + amount > budget.limit:
            raise Refused("budget")
        payable = self.payable(wallet, operation)
        if len(payable) < amount:
            raise Refused("insufficient")
        state = "open" if hold else "captured"
        charge = Charge(
            len(self.charges), wallet, key, operation, state, expires_at, payable[:amount],
            api_key=budget.api_key if budget else None, created_at=now,
        )  # fmt: skip
        for _, token in charge.tokens:
            token.place = charge
        self.charges.append(charge)
        return charge

    def capture(self, charge: Charge, amount: int, now: datetime) -> None:
        self.sweep(charge.wallet, now)
        if charge.state != "open":
            raise Refused("settled")
        charge.state = "captured" if amount else "released"
        self.keep(charge, amount, now, now)

    def refund(self, charge: Charge, down_to: int, now: datetime) -> None:
        self.sweep(charge.wallet, now)
        if charge.state == "open" or charge.debtor:
            raise Refused("settled")
        self.keep(charge, down_to, now, now)

    def keep(self, charge: Charge, captured: int, now: datetime, at: datetime) -> None:
        """Keep the first ``captured`` tokens; return the others, grant by grant."""
        returns: dict[Grant, list[Token]] = {}
        for grant, token in charge.tokens[captured:]:
            if token.place is charge:
                returns.setdefault(grant, []).append(token)
        for grant, tokens in returns.items():
            pays, rest = tokens[: grant.owed], tokens[grant.owed :]
            grant.owed -= len(pays)
            for token in pays:
                token.place = "revoked"
            self.return_tokens(grant, rest, now, at)

    def return_tokens(self, grant: Grant, tokens: list[Token], now: datetime, at: datetime) -> None:
        if tokens and self.has_expired(grant, at):
            for token in tokens:
                token.place = "transferred"
            late = Grant(
                len(self.grants), self, grant.wallet, "refund", len(tokens), grant.scope,
                grant.priority, at + timedelta(days=7), at, parent=grant,
                frozen_at=at if grant.frozen_at else None,
            )  # fmt: skip
            self.grants.append(late)
        else:
            for token in tokens:
                token.place = "free"

    # Reversals

    def lineage(self, grant: Grant) -> list[Grant]:
        return [g for g in self.grants if g.root is grant.root]

    def sweep_lineage(self, grant: Grant, now: datetime) -> None:
        for wallet in sorted({g.wallet for g in self.lineage(grant)}):
            self.sweep(wallet, now)

    def repaid(self, grant: Grant) -> int:
        return sum(c.captured() for c in self.charges if c.debtor is grant)

    def revoke(self, grant: Grant, total: int, now: datetime) -> None:
        self.sweep_lineage(grant, now)
        root, lineage = grant.root, self.lineage(grant)
        for _ in range(root.revoked_target, total):
            self.take_one(root, lineage)
        if total < root.revoked_target:
            self.restore(root, lineage, root.revoked_target - total, now)
        root.revoked_target = total

    def take_one(self, root: Grant, lineage: list[Grant]) -> None:
        for member in lineage:
            for token in member.free()[:1]:
                token.place = "revoked"
                return
        if sum(m.count("expired") for m in lineage) > root.absorbed:
            root.absorbed += 1
            return
        for member in lineage:
            if member.captured() > member.owed + self.repaid(member):
                member.owed += 1
                return
        raise AssertionError("nothing left to revoke")

    def restore(self, root: Grant, lineage: list[Grant], n: int, now: datetime) -> None:
        for member in lineage:
            forgiven = min(n, member.owed)
            member.owed -= forgiven
            n -= forgiven
        for debt in reversed([c for c in self.charges if c.debtor in lineage]):
            undone = min(n, debt.captured())
            self.keep(debt, debt.captured() - undone, now, now)
            n -= undone
        for member in lineage:
            revoked = [token for token in member.tokens if token.place == "revoked"][:n]
            self.return_tokens(member, revoked, now, now)
            n -= len(revoked)
        root.absorbed -= n

    def freeze(self, grant: Grant, now: datetime) -> None:
        self.sweep_lineage(grant, now)
        for member in self.lineage(grant):
            member.frozen_at = member.frozen_at or now

    def unfreeze(self, grant: Grant, now: datetime) -> None:
        self.sweep_lineage(grant, now)
        for member in self.lineage(grant):
            if member.frozen_at is not None:
                member.frozen_spans.append((member.frozen_at, now))
                member.frozen_at = None

    def freeze_wallet(self, wallet: int, now: datetime) -> None:
        self.sweep(wallet, now)
        self.wallets[wallet].frozen_at = self.wallets[wallet].frozen_at or now

    def unfreeze_wallet(self, wallet: int, now: datetime) -> None:
        w = self.wallets[wallet]
        if w.frozen_at is not None:
            w.frozen_spans.append((w.frozen_at, now))
            w.frozen_at = None
        self.sweep(wallet, now)

    # Transfers

    def transfer(
        self, sender: int, receiver: int, amount: int, now: datetime, min_age: timedelta
    ) -> list[Grant]:
        if self.wallets[sender].frozen_at is not None:
            raise Refused("frozen")
        self.sweep(sender, now)
        self.sweep(receiver, now)
        lots = [
            g
            for g in self.lots(sender)
            if g.source in PAID and g.frozen_at is None and g.root.created_at <= now - min_age
        ]
        lots.sort(key=self.order)
        tokens = [(g, token) for g in lots for token in g.free()][:amount]
        if len(tokens) < amount:
            raise Refused("insufficient")
        children = []
        for parent in lots:
            part = [token for g, token in tokens if g is parent]
            if part:
                for token in part:
                    token.place = "transferred"
                child = Grant(
                    len(self.grants), self, receiver, parent.source, len(part), parent.scope,
                    parent.priority, parent.expires_at, now, parent=parent,
                )  # fmt: skip
                self.grants.append(child)
                children.append(child)
        self.wallets[receiver].granted += amount
        return children
