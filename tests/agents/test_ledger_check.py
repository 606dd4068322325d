"""Check of agents' credits against what paid for them: agreeing, and forged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import text

from creditapp.agents import ledger_check
from creditapp.cli import commands
from creditapp.cli import credits as command
from creditapp.db import snapshot, transaction
from creditapp.ledger.proof import Finding
from tests.agents.conftest import AgentShop
from tests.agents.test_refund import refund, with_admin_key
from tests.app_factory import Person

GRANT = (
    "INSERT INTO grants (wallet_id, source, origin, amount_micro, remaining_micro, priority,"
    " expires_at, paid_minor, currency, livemode, parent_grant_id, root_grant_id, created_at)"
    " SELECT {wallet}, 'agent', 'agent:prq_forged', 1000000, 1000000, priority, expires_at,"
    " 100, currency, livemode, {parent}, {parent}, created_at FROM grants WHERE source = {copied}"
)
OWN = "(SELECT MIN(id) FROM wallets WHERE owner_kind = 'receipt')"
MEMBER = "(SELECT MIN(id) FROM wallets WHERE owner_kind = 'user')"
WELCOME = "(SELECT MIN(id) FROM grants WHERE source = 'welcome')"


def findings(shop: AgentShop) -> list[Finding]:
    with shop.app.app_context(), snapshot() as session:
        return ledger_check.check(session.connection()).findings


def alter(shop: AgentShop, *statements: str) -> None:
    with shop.app.app_context(), transaction() as session:
        for statement in statements:
            session.execute(text(statement))


@pytest.fixture
def shop(app: Flask, alice: Person) -> AgentShop:
    """A shop that sold two receipts, of which one was refunded and one moved into an account."""
    shop = with_admin_key(AgentShop(app))  # its fixture would check what is forged here
    moved, refunded = shop.receipt(3), shop.receipt(2)
    shop.make(moved, prompt="a quay")
    assert alice.call("POST", "/api/receipts/redeem", {"receipt": moved}).status_code == 200
    assert refund(shop, receipt=refunded).status_code == 200
    shop.token(5)  # not paid
    return shop


def test_sold_moved_and_refunded_credits_agree(
    shop: AgentShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop.app.app_context():
        monkeypatch.setattr(command, "app_context", lambda: nullcontext(shop.app))
        ended = CliRunner().invoke(commands, ["proof", "--json"])
    (result,) = (
        each for each in json.loads(ended.output)["invariants"] if each["name"] == "agents' credits"
    )
    assert (ended.exit_code, result["checked"], result["findings"]) == (0, 2, [])


FORGERIES = {
    "a grant for an agent": ([GRANT.format(wallet=OWN, parent="NULL", copied="'welcome'")]),
    "a grant in an account": ([GRANT.format(wallet=MEMBER, parent="NULL", copied="'welcome'")]),
    "a rest of a receipt that there was not": (
        [GRANT.format(wallet=MEMBER, parent=WELCOME, copied="'welcome'")]
    ),
    "a receipt for a grant of another": (
        [
            "UPDATE payment_requests SET state = 'paid' WHERE state = 'open'",
            "INSERT INTO settlements (id, payment_request_id, rail, ref, option_id, paid_minor,"
            " livemode, sandbox, grant_id, expires_at, created_at)"
            " SELECT 'stl_forged', r.id, 'sandbox', 'forged', '', r.price_minor, s.livemode,"
            " s.sandbox, s.grant_id, s.expires_at, s.created_at FROM payment_requests r,"
            " settlements s WHERE r.count = 5 AND s.grant_id = (SELECT MIN(grant_id)"
            " FROM settlements)",
        ]
    ),
    "a receipt that nobody paid": ["UPDATE payment_requests SET state = 'paid' WHERE count = 5"],
    "a receipt that is open again": ["UPDATE payment_requests SET state = 'open' WHERE count = 3"],
    "a larger receipt": ["UPDATE payment_requests SET count = 30 WHERE count = 3"],
    "a larger price": ["UPDATE payment_requests SET price_minor = 3000 WHERE count = 3"],
    "a refund of credits that are there": [
        "UPDATE payment_requests SET refunded_micro = 3000000, state = 'refunded' WHERE count = 3"
    ],
    "real money": ["UPDATE settlements SET livemode = NOT livemode"],
    "a forgotten payment": ["DELETE FROM settlements"],
}


@pytest.mark.parametrize("statements", FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_found(shop: AgentShop, statements: Sequence[str]) -> None:
    assert findings(shop) == []
    alter(shop, *statements)
    assert findings(shop)
