"""Check of agents' credits: every paid payment request has one settlement and one grant.

Reads only.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from creditapp.ledger.proof import Result, compare

NAME: Final = "agents' credits"
SENTENCE: Final = (
    "Each paid payment request of an agent has one settlement and one grant of its own, and no"
    " credits of agents exist without them."
)

_COUNT: Final = text("SELECT COUNT(*) FROM settlements")
_BREACHES: Final = text(
    "SELECT g.wallet_id, 'receipt of ' || r.id || ' has no grant of its own or of its size'"
    " FROM settlements s JOIN payment_requests r ON r.id = s.payment_request_id"
    " LEFT JOIN grants g ON g.id = s.grant_id LEFT JOIN wallets w ON w.id = g.wallet_id"
    " WHERE g.id IS NULL OR g.source <> 'agent' OR g.origin <> 'agent:' || r.id"
    " OR g.amount_micro <> CAST(r.count AS BIGINT) * 1000000 OR g.paid_minor <> r.price_minor"
    " OR g.currency <> r.currency OR g.livemode <> s.livemode"
    " OR w.owner_kind <> 'receipt' OR w.owner_id <> r.id"
    " UNION ALL"
    " SELECT g.wallet_id, 'receipt of ' || r.id || ' was refunded beyond what was taken back'"
    " FROM settlements s JOIN payment_requests r ON r.id = s.payment_request_id"
    " JOIN grants g ON g.id = s.grant_id WHERE r.refunded_micro > g.revoked_target_micro"
    " UNION ALL"
    " SELECT NULL, 'payment request ' || r.id || ' is ' || r.state || CASE WHEN s.id IS NULL"
    " THEN ' without a settlement' ELSE ' with a settlement' END"
    " FROM payment_requests r LEFT JOIN settlements s ON s.payment_request_id = r.id"
    " WHERE (r.state IN ('paid', 'refunded')) <> (s.id IS NOT NULL)"
    " UNION ALL"
    # The rest of a receipt that moved into an account is a child of the receipt's grant.
    " SELECT g.wallet_id, 'grant ' || g.id || ' belongs to no settlement'"
    " FROM grants g LEFT JOIN settlements s ON s.grant_id = COALESCE(g.root_grant_id, g.id)"
    " WHERE g.source = 'agent' AND s.id IS NULL"
)


def check(connection: Connection) -> Result:
    """Compare settlements and payment requests with the grants of agents, in two queries."""
    return compare(connection, NAME, SENTENCE, _COUNT, _BREACHES)
