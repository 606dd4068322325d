"""Invariants of the ledger, as queries that find their breaches.

Each query returns ``(wallet_id, sentence)`` for every breach; ``proof`` joins them into one
statement, so that all see one snapshot while others write. They trust no projection. The numbers
in parentheses are those of "always true" in ``docs/architecture.md``.
"""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from creditapp.ledger.entry_types import PAID_SOURCES

_PAID: Final = ", ".join(f"'{source}'" for source in PAID_SOURCES)
_SETTLING: Final = "'spend', 'capture', 'release', 'debt'"
_CAPTURED: Final = """CASE WHEN c.captured_micro <= a.offset_micro THEN 0
        WHEN c.captured_micro >= a.offset_micro + a.amount_micro THEN a.amount_micro
        ELSE c.captured_micro - a.offset_micro END"""


@dataclass(frozen=True)
class Invariant:
    """One invariant: its name, its sentence, the table it counts, and the query for breaches."""

    name: str
    sentence: str
    counted: str
    breaches: str


_GRANT_PARTS = """
    SELECT wallet_id, 'grant ' || id || ': amount ' || amount_micro || ', parts ' || parts
    FROM (SELECT g.wallet_id, g.id, g.amount_micro, g.remaining_micro + COALESCE(a.captured, 0)
            + g.expired_micro + g.revoked_micro + g.transferred_micro AS parts
          FROM grants g LEFT JOIN
            (SELECT grant_id, SUM(captured_micro) AS captured FROM allocations GROUP BY grant_id) a
            ON a.grant_id = g.id) sums
    WHERE amount_micro <> parts
"""

_LINEAGE = """
    SELECT g.wallet_id, 'grant ' || g.id || ': transferred ' || g.transferred_micro
        || ', its children hold ' || COALESCE(k.amount, 0)
    FROM grants g LEFT JOIN
        (SELECT parent_grant_id, SUM(amount_micro) AS amount FROM grants
         WHERE parent_grant_id IS NOT NULL GROUP BY parent_grant_id) k
        ON k.parent_grant_id = g.id
    WHERE g.transferred_micro <> COALESCE(k.amount, 0)
    UNION ALL
    SELECT g.wallet_id, 'grant ' || g.id || ': its root is not the root of its parent'
    FROM grants g JOIN grants p ON p.id = g.parent_grant_id
    WHERE g.root_grant_id <> COALESCE(p.root_grant_id, p.id)
"""

# A target is the sum of what was taken, is owed, was repaid, and had expired anyway.
_REVERSALS = """
    SELECT r.wallet_id, 'grant ' || r.id || ': ' || r.revoked_target_micro
        || ' reversed in total, but ' || l.revoked || ' taken, ' || l.owed || ' owed, '
        || COALESCE(d.repaid, 0) || ' repaid'
    FROM grants r JOIN
        (SELECT COALESCE(root_grant_id, id) AS root_id, SUM(revoked_micro) AS revoked,
            SUM(owed_micro) AS owed, SUM(expired_micro) AS expired FROM grants GROUP BY 1) l
        ON l.root_id = r.id LEFT JOIN
        (SELECT COALESCE(g.root_grant_id, g.id) AS root_id, SUM(c.captured_micro) AS repaid
         FROM charges c JOIN grants g ON g.id = c.debt_grant_id GROUP BY 1) d
        ON d.root_id = r.id
    WHERE r.revoked_target_micro - l.revoked - l.owed - COALESCE(d.repaid, 0)
        NOT BETWEEN 0 AND l.expired
    UNION ALL
    SELECT wallet_id, 'grant ' || id || ': a child has a reversal of its own'
    FROM grants WHERE root_grant_id IS NOT NULL AND revoked_target_micro <> 0
"""

_CHARGES = f"""
    SELECT c.wallet_id, 'charge ' || c.id || ': amount ' || c.amount_micro || ' and captured '
        || c.captured_micro || ', its allocations have ' || COALESCE(a.amount, 0) || ' and '
        || COALESCE(a.captured, 0)
    FROM charges c LEFT JOIN
        (SELECT charge_id, SUM(amount_micro) AS amount, SUM(captured_micro) AS captured,
            MAX(offset_micro + amount_micro) AS reach FROM allocations GROUP BY charge_id) a
        ON a.charge_id = c.id
    WHERE c.amount_micro <> COALESCE(a.amount, 0) OR c.captured_micro <> COALESCE(a.captured, 0)
        OR c.amount_micro <> a.reach
    UNION ALL
    SELECT c.wallet_id, 'charge ' || c.id || ': captured ' || a.captured_micro || ' of grant '
        || a.grant_id || ', by its offset ' || {_CAPTURED}
    FROM allocations a JOIN charges c ON c.id = a.charge_id WHERE a.captured_micro <> {_CAPTURED}
    UNION ALL
    SELECT c.wallet_id, 'charge ' || c.id || ': takes from grant ' || a.grant_id
        || ' of another wallet'
    FROM allocations a JOIN charges c ON c.id = a.charge_id JOIN grants g ON g.id = a.grant_id
    WHERE g.wallet_id <> c.wallet_id
"""

_ONCE = f"""
    SELECT c.wallet_id, 'charge ' || c.id || ': is ' || c.state || ', ended '
        || COALESCE(e.ends, 0) || ' times'
    FROM charges c LEFT JOIN
        (SELECT charge_id, COUNT(*) AS ends, MIN(kind) AS kind, MIN(seq) AS seq,
            MIN(wallet_id) AS wallet_id
         FROM entries WHERE charge_id IS NOT NULL AND kind IN ({_SETTLING}) GROUP BY charge_id) e
        ON e.charge_id = c.id
    WHERE COALESCE(e.ends, 0) <> CASE WHEN c.state = 'open' THEN 0 ELSE 1 END
        OR (c.state = 'released') <> (COALESCE(e.kind, '') = 'release')
        OR COALESCE(c.entry_seq, 0) <> COALESCE(e.seq, 0)
        OR c.wallet_id <> COALESCE(e.wallet_id, c.wallet_id)
        OR (c.state = 'open') <> (c.settled_at IS NULL)
        OR (c.state = 'open' AND c.captured_micro <> c.amount_micro)
        OR (c.state = 'released' AND c.captured_micro <> 0)
"""

_WALLETS = """
    SELECT w.id, 'available ' || w.available_micro || ' of ' || COALESCE(g.available, 0)
        || ', held ' || w.held_micro || ' of ' || COALESCE(c.held, 0)
        || ', frozen ' || w.frozen_micro || ' of ' || COALESCE(g.frozen, 0)
        || ', owed ' || w.owed_micro || ' of ' || COALESCE(g.owed, 0)
    FROM wallets w LEFT JOIN
        (SELECT wallet_id,
            SUM(CASE WHEN frozen_at IS NULL THEN remaining_micro ELSE 0 END) AS available,
            SUM(CASE WHEN frozen_at IS NULL THEN 0 ELSE remaining_micro END) AS frozen,
            SUM(owed_micro) AS owed FROM grants GROUP BY wallet_id) g ON g.wallet_id = w.id
        LEFT JOIN
        (SELECT wallet_id, SUM(amount_micro) AS held FROM charges WHERE state = 'open'
         GROUP BY wallet_id) c ON c.wallet_id = w.id
    WHERE w.available_micro <> COALESCE(g.available, 0) OR w.frozen_micro <> COALESCE(g.frozen, 0)
        OR w.owed_micro <> COALESCE(g.owed, 0) OR w.held_micro <> COALESCE(c.held, 0)
"""

_HISTORY = """
    SELECT id, 'the history has ' || entries || ' of ' || seq || ' entries with a sum of '
        || total || '; the wallet has ' || balance
    FROM (SELECT w.id, w.seq, w.available_micro + w.held_micro + w.frozen_micro AS balance,
            COALESCE(e.entries, 0) AS entries, COALESCE(e.first, 1) AS first,
            COALESCE(e.last, 0) AS last, COALESCE(e.total, 0) AS total
          FROM wallets w LEFT JOIN
            (SELECT wallet_id, COUNT(*) AS entries, MIN(seq) AS first, MAX(seq) AS last,
                SUM(amount_micro) AS total FROM entries GROUP BY wallet_id) e
            ON e.wallet_id = w.id) sums
    WHERE entries <> seq OR last <> seq OR first <> 1 OR total <> balance
"""

_RUNNING = """
    SELECT wallet_id, 'entry ' || seq || ': balance ' || balance_after_micro || ' after '
        || amount_micro || ' on ' || before
    FROM (SELECT wallet_id, seq, amount_micro, balance_after_micro, COALESCE(
            LAG(balance_after_micro) OVER (PARTITION BY wallet_id ORDER BY seq), 0) AS before
          FROM entries) balances
    WHERE balance_after_micro <> before + amount_micro
"""

_SOURCES = f"""
    SELECT g.wallet_id, 'grant ' || g.id || ': amount ' || g.amount_micro || ', the history has '
        || COALESCE(e.amount, 0) || ' in ' || COALESCE(e.entries, 0) || ' entries'
    FROM grants g LEFT JOIN
        (SELECT grant_id, wallet_id, SUM(amount_micro) AS amount, COUNT(*) AS entries,
            MIN(kind) AS kind
         FROM entries WHERE kind IN ('purchase', 'grant', 'transfer_in')
         GROUP BY grant_id, wallet_id) e ON e.grant_id = g.id
    LEFT JOIN grants p ON p.id = g.parent_grant_id
    WHERE (p.id IS NULL OR p.wallet_id <> g.wallet_id) AND (
        COALESCE(e.entries, 0) <> 1 OR e.amount <> g.amount_micro OR e.wallet_id <> g.wallet_id
        OR e.kind <> CASE WHEN p.id IS NOT NULL THEN 'transfer_in'
            WHEN g.source IN ({_PAID}) THEN 'purchase' ELSE 'grant' END)
    UNION ALL
    SELECT e.wallet_id, 'entry ' || e.seq || ': ' || e.kind || ' without a new grant'
    FROM entries e LEFT JOIN grants g ON g.id = e.grant_id
    LEFT JOIN grants p ON p.id = g.parent_grant_id
    WHERE e.kind IN ('purchase', 'grant', 'transfer_in')
        AND (g.id IS NULL OR p.wallet_id = g.wallet_id)
"""

_TRANSFERS = """
    SELECT p.wallet_id, 'grant ' || p.id || ': ' || COALESCE(o.amount, 0)
        || ' transferred out, ' || COALESCE(i.amount, 0) || ' received'
    FROM grants p LEFT JOIN
        (SELECT grant_id, -SUM(amount_micro) AS amount FROM entries WHERE kind = 'transfer_out'
         GROUP BY grant_id) o ON o.grant_id = p.id LEFT JOIN
        (SELECT c.parent_grant_id, SUM(c.amount_micro) AS amount FROM grants c
         JOIN grants p ON p.id = c.parent_grant_id AND p.wallet_id <> c.wallet_id
         GROUP BY c.parent_grant_id) i ON i.parent_grant_id = p.id
    WHERE COALESCE(o.amount, 0) <> COALESCE(i.amount, 0)
"""

_USAGE = """
    SELECT wallet_id, 'charge ' || id || ': captured ' || captured || ', the history has ' || amount
    FROM (SELECT c.wallet_id, c.id, COALESCE(e.amount, 0) AS amount,
            CASE WHEN c.state = 'open' THEN 0 ELSE c.captured_micro END AS captured
          FROM charges c LEFT JOIN
            (SELECT charge_id, -SUM(amount_micro) AS amount FROM entries
             WHERE kind IN ('spend', 'capture', 'release', 'refund')
                OR (kind IN ('debt', 'restore') AND charge_id IS NOT NULL)
             GROUP BY charge_id) e ON e.charge_id = c.id) sums
    WHERE amount <> captured
    UNION ALL
    SELECT e.wallet_id, 'entry ' || e.seq || ': ' || e.kind || ' of no charge of this wallet'
    FROM entries e LEFT JOIN charges c ON c.id = e.charge_id AND c.wallet_id = e.wallet_id
    WHERE e.kind IN ('spend', 'capture', 'release', 'refund', 'debt')
        AND (c.id IS NULL OR (e.kind = 'debt') <> (c.debt_grant_id IS NOT NULL))
"""

_LOSSES = """
    SELECT g.wallet_id, 'grant ' || g.id || ': expired ' || g.expired_micro || ' and revoked '
        || g.revoked_micro || ', the history has ' || COALESCE(e.expired, 0) || ' and '
        || COALESCE(e.revoked, 0)
    FROM grants g LEFT JOIN
        (SELECT grant_id, wallet_id,
            SUM(CASE WHEN kind = 'expiry' THEN -amount_micro ELSE 0 END) AS expired,
            SUM(CASE WHEN kind IN ('revoke', 'restore') THEN -amount_micro ELSE 0 END) AS revoked
         FROM entries WHERE kind IN ('expiry', 'revoke', 'restore') AND grant_id IS NOT NULL
         GROUP BY grant_id, wallet_id) e ON e.grant_id = g.id AND e.wallet_id = g.wallet_id
    WHERE g.expired_micro <> COALESCE(e.expired, 0) OR g.revoked_micro <> COALESCE(e.revoked, 0)
    UNION ALL
    SELECT e.wallet_id, 'entry ' || e.seq || ': ' || e.kind || ' of no grant of this wallet'
    FROM entries e LEFT JOIN grants g ON g.id = e.grant_id AND g.wallet_id = e.wallet_id
    WHERE g.id IS NULL
        AND (e.kind IN ('expiry', 'revoke') OR (e.kind = 'restore' AND e.charge_id IS NULL))
"""

_LIFETIME = f"""
    SELECT w.id, 'lifetime: granted ' || w.lifetime_granted_micro || ' of '
        || COALESCE(g.granted, 0) || ', spent ' || w.lifetime_spent_micro || ' of '
        || COALESCE(c.spent, 0) || ', welcome ' || w.lifetime_welcome_micro || ' of '
        || COALESCE(g.welcome, 0) || ', purchased ' || w.lifetime_purchased_micro || ' of '
        || COALESCE(g.purchased, 0)
    FROM wallets w LEFT JOIN
        (SELECT g.wallet_id, SUM(g.amount_micro) AS granted,
            SUM(CASE WHEN p.id IS NULL AND g.source = 'welcome' THEN g.amount_micro ELSE 0 END)
                AS welcome,
            SUM(CASE WHEN p.id IS NULL AND g.source IN ({_PAID}) THEN g.amount_micro ELSE 0 END)
                AS purchased
         FROM grants g LEFT JOIN grants p ON p.id = g.parent_grant_id
         WHERE p.id IS NULL OR p.wallet_id <> g.wallet_id GROUP BY g.wallet_id) g
        ON g.wallet_id = w.id LEFT JOIN
        (SELECT wallet_id, SUM(captured_micro) AS spent FROM charges
         WHERE state = 'captured' AND debt_grant_id IS NULL GROUP BY wallet_id) c
        ON c.wallet_id = w.id
    WHERE w.lifetime_granted_micro <> COALESCE(g.granted, 0)
        OR w.lifetime_welcome_micro <> COALESCE(g.welcome, 0)
        OR w.lifetime_purchased_micro <> COALESCE(g.purchased, 0)
        OR w.lifetime_spent_micro <> COALESCE(c.spent, 0)
"""

_CLOCK = """
    SELECT w.id, 'something expires before next_expiry_at'
    FROM wallets w
    WHERE EXISTS (SELECT 1 FROM grants g WHERE g.wallet_id = w.id AND g.remaining_micro > 0
            AND g.frozen_at IS NULL AND g.expires_at < w.next_expiry_at)
        OR EXISTS (SELECT 1 FROM charges c WHERE c.wallet_id = w.id AND c.state = 'open'
            AND c.expires_at < w.next_expiry_at)
"""

_SIGNS = """
    SELECT id, 'the wallet has an amount below zero' FROM wallets
    WHERE available_micro < 0 OR held_micro < 0 OR frozen_micro < 0 OR owed_micro < 0 OR seq < 0
    UNION ALL
    SELECT wallet_id, 'grant ' || id || ': has an amount below zero' FROM grants
    WHERE amount_micro <= 0 OR remaining_micro < 0 OR expired_micro < 0 OR revoked_micro < 0
        OR transferred_micro < 0 OR owed_micro < 0
    UNION ALL
    SELECT c.wallet_id, 'charge ' || c.id || ': an allocation captured less than zero or too much'
    FROM allocations a JOIN charges c ON c.id = a.charge_id
    WHERE a.amount_micro <= 0 OR a.captured_micro < 0 OR a.captured_micro > a.amount_micro
"""

INVARIANTS: Final = (
    Invariant("grant parts",
              "Each grant is remaining + captured + expired + revoked + transferred (1)",
              "grants", _GRANT_PARTS),
    Invariant("grant lineage", "What left a grant is in its children (1)",
              "grants", _LINEAGE),
    Invariant("reversals", "Each reversal is taken, owed, repaid, or had expired (6)",
              "grants", _REVERSALS),
    Invariant("charge parts", "Each charge is the sum of its allocations (1, 3)",
              "charges", _CHARGES),
    Invariant("charges end once", "Each charge is open, or captured or released once (3)",
              "charges", _ONCE),
    Invariant("wallet balances", "Available, held, frozen and owed are the sums of the rows (2)",
              "wallets", _WALLETS),
    Invariant("wallet history", "The entries have no gap and sum to the balance (2)",
              "wallets", _HISTORY),
    Invariant("running balance", "Each entry's balance follows from the entry before (2)",
              "entries", _RUNNING),
    Invariant("sales and promotions", "Each grant has one entry of its amount (2)",
              "grants", _SOURCES),
    Invariant("transfers", "What one wallet sent, another received (2)",
              "grants", _TRANSFERS),
    Invariant("usage", "Each charge captured the sum of its entries (2)",
              "charges", _USAGE),
    Invariant("expiry and reversals", "Each grant lost the sum of its entries (2)",
              "grants", _LOSSES),
    Invariant("lifetime", "Lifetime numbers are the sums of the rows",
              "wallets", _LIFETIME),
    Invariant("clock", "Nothing expires before the wallet's next expiry (4)",
              "wallets", _CLOCK),
    Invariant("nothing below zero", "No amount is below zero (2)",
              "grants", _SIGNS),
)  # fmt: skip
