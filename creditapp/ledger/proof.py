"""Proof: check every invariant of the ledger, for every wallet, from the rows alone."""

# ruff: noqa: S608  # SQL is joined from constants of ``invariants`` only

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, TextClause, text

from creditapp.ledger import seals, triggers
from creditapp.ledger.invariants import INVARIANTS

FINDINGS_MAX: Final = 50
"""Maximum number of breaches that are named per invariant; the rest is counted."""

_ACCOUNTS: Final = text(
    "SELECT account, COUNT(*), CAST(COALESCE(SUM(amount_micro), 0) AS BIGINT) FROM entries"
    " GROUP BY account ORDER BY account"
)

_COUNTS: Final = text(
    "SELECT "
    + ", ".join(
        f"(SELECT COUNT(*) FROM {table}) AS {table}"
        for table in dict.fromkeys(invariant.counted for invariant in INVARIANTS)
    )
)
_BREACHES: Final = text(
    " UNION ALL ".join(
        f"SELECT '{invariant.name}', breaches.* FROM ({invariant.breaches}) breaches"
        for invariant in INVARIANTS
    )
)


@dataclass(frozen=True)
class Finding:
    """A breach of an invariant, and its wallet (None: all wallets)."""

    wallet_id: int | None
    sentence: str

    @property
    def where(self) -> str:
        """The wallet as text."""
        return "all wallets" if self.wallet_id is None else f"wallet {self.wallet_id}"


@dataclass(frozen=True)
class Result:
    """Result of one invariant: the number of rows checked, and its breaches."""

    name: str
    sentence: str
    checked: int
    findings: list[Finding]
    unnamed: int = 0
    """Number of further findings."""

    @property
    def broken(self) -> int:
        """Number of breaches."""
        return len(self.findings) + self.unnamed


@dataclass(frozen=True)
class Report:
    """Results of all invariants. ``ok`` only if every one holds."""

    results: list[Result]
    accounts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Entries and sum per counter-account, in microcredits from the wallets' side."""

    @property
    def ok(self) -> bool:
        """Whether every invariant holds."""
        return not any(result.findings for result in self.results)

    def as_dict(self) -> dict[str, object]:
        """Return the report for scripts."""
        return {
            "ok": self.ok,
            "invariants": [
                {
                    "name": result.name,
                    "checked": result.checked,
                    "broken": result.broken,
                    "findings": [
                        {"wallet": finding.wallet_id, "detail": finding.sentence}
                        for finding in result.findings
                    ],
                }
                for result in self.results
            ],
            "accounts": {
                name: {"lines": lines, "micro": amount_micro}
                for name, (lines, amount_micro) in self.accounts.items()
            },
        }

    def as_text(self) -> str:
        """Return the report for people: a table, and each finding with its wallet."""
        lines = [f"{'invariant':<24} {'checked':>9}  result"]
        for result in self.results:
            verdict = "holds" if not result.findings else f"BROKEN {result.broken} times"
            lines.append(f"{result.name:<24} {result.checked:>9}  {verdict}")
            for finding in result.findings:
                lines.append(f"    {finding.where}: {finding.sentence}")
            if result.unnamed:
                lines.append(f"    and {result.unnamed} more")
        lines.append("")
        lines.append("The ledger is whole." if self.ok else "The ledger is NOT whole.")
        return "\n".join(lines)


def check(
    connection: Connection, *, with_seals: bool = False, exported: Mapping[int, str] | None = None
) -> Report:
    """Check every invariant and the triggers; with ``with_seals`` also the chain of seals.

    ``exported`` has the digests of seals that were kept outside the database, by number.

    All invariants are one statement and see one snapshot, so it may run beside writers on both
    databases. It reads every row.
    """
    results = _invariants(connection)
    results.append(_triggers(connection))
    if with_seals:
        results.append(_seals(connection, exported))
    accounts = {
        account: (lines, amount_micro)
        for account, lines, amount_micro in connection.execute(_ACCOUNTS)
    }
    return Report(results, accounts)


def compare(
    connection: Connection, name: str, sentence: str, count: TextClause, breaches: TextClause
) -> Result:
    """Return the result of a check of grants against the rows of a package above the ledger.

    ``count`` counts the rows; ``breaches`` selects a wallet, or null, and a sentence of each.
    """
    findings = [Finding(wallet_id, text) for wallet_id, text in connection.execute(breaches)]
    checked = connection.execute(count).scalar_one()
    left_out = max(0, len(findings) - FINDINGS_MAX)
    return Result(name, sentence, checked, findings[:FINDINGS_MAX], left_out)


def _invariants(connection: Connection) -> list[Result]:
    counts = connection.execute(_COUNTS).one()._mapping
    named: dict[str, list[Finding]] = {invariant.name: [] for invariant in INVARIANTS}
    unnamed = dict.fromkeys(named, 0)
    for name, wallet_id, sentence in connection.execute(_BREACHES):
        if len(named[name]) < FINDINGS_MAX:
            named[name].append(Finding(wallet_id, sentence))
        else:
            unnamed[name] += 1
    return [
        Result(
            invariant.name,
            invariant.sentence,
            counts[invariant.counted],
            named[invariant.name],
            unnamed[invariant.name],
        )
        for invariant in INVARIANTS
    ]


def _triggers(connection: Connection) -> Result:
    expected = triggers.expected(connection.dialect.name)
    installed = triggers.installed(connection)
    findings = [
        Finding(None, f"trigger {name} is {'altered' if name in installed else 'missing'}")
        for name, definition in expected.items()
        if installed.get(name) != definition
    ]
    return Result("triggers", "Entries refuse change", len(expected), findings)


def _seals(connection: Connection, exported: Mapping[int, str] | None) -> Result:
    checked, sentences = seals.check_seals(connection, exported)
    return Result(
        "seals",
        "Sealed entries are unchanged",
        checked,
        [Finding(None, sentence) for sentence in sentences[:FINDINGS_MAX]],
        max(0, len(sentences) - FINDINGS_MAX),
    )
