"""Check of sold credits: every paid purchase and month of a plan has a grant, and vice versa.

Reads only.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from creditapp.ledger.proof import Result, compare

SENTENCE: Final = (
    "Each paid purchase and month of a plan has one grant of its own, and no credits were sold"
    " without one."
)

_COUNT: Final = text(
    "SELECT (SELECT COUNT(*) FROM purchases WHERE grant_id IS NOT NULL)"
    " + (SELECT COUNT(*) FROM scheduled_grants WHERE grant_id IS NOT NULL)"
)
_BREACHES: Final = text(
    "SELECT g.wallet_id, 'purchase ' || p.id || ' has no grant of its own or of its size'"
    " FROM purchases p LEFT JOIN grants g ON g.id = p.grant_id"
    " WHERE p.grant_id IS NOT NULL AND (g.id IS NULL OR g.origin <> 'purchase:' || p.id"
    " OR g.amount_micro <> p.credits_micro OR g.livemode <> p.livemode)"
    " UNION ALL"
    " SELECT g.wallet_id, 'month ' || s.invoice_id || ':' || s.number || ' has no grant of its own'"
    " FROM scheduled_grants s LEFT JOIN grants g ON g.id = s.grant_id"
    " WHERE s.grant_id IS NOT NULL AND (g.id IS NULL"
    " OR g.origin <> 'invoice:' || s.invoice_id || ':' || s.number"
    " OR g.amount_micro > s.credits_micro)"
    " UNION ALL"
    " SELECT g.wallet_id, 'grant ' || g.id || ' belongs to no invoice'"
    " FROM grants g LEFT JOIN scheduled_grants s ON g.id = s.grant_id"
    " WHERE g.source = 'subscription' AND g.root_grant_id IS NULL AND s.id IS NULL"
    " UNION ALL"
    " SELECT g.wallet_id, 'grant ' || g.id || ' belongs to no purchase'"
    " FROM grants g LEFT JOIN purchases p ON g.id = p.grant_id"
    " WHERE g.source = 'purchase' AND g.root_grant_id IS NULL AND p.id IS NULL"
)


def check(connection: Connection) -> Result:
    """Compare purchases and months of plans with their grants, in two queries."""
    return compare(connection, "sales and purchases", SENTENCE, _COUNT, _BREACHES)
