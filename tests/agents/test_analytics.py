"""Sales to agents by rail."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import timedelta

import pytest
from click.testing import CliRunner

from creditapp.agents.rails import Rails
from creditapp.agents.refund import note_sent
from creditapp.cli import agents as command
from creditapp.cli import commands
from creditapp.clock import StoppedClock, now
from creditapp.services import provide
from tests.agents.conftest import AgentShop
from tests.agents.flaky_rail import FlakyRail
from tests.agents.test_payment import new_request, send
from tests.agents.test_refund import refund, with_admin_key
from tests.app_factory import Person


def report(shop: AgentShop, monkeypatch: pytest.MonkeyPatch, *options: str) -> str:
    """Run the command in this process, on the test's app."""
    with shop.app.app_context():
        monkeypatch.setattr(command, "app_context", lambda: nullcontext(shop.app))
        ended = CliRunner().invoke(commands, ["agent-sales", *options])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_what_each_rail_sold_and_what_became_of_it(
    agent_shop: AgentShop, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_admin_key(agent_shop)
    used, refunded, moved = (agent_shop.receipt(count) for count in (2, 3, 4))
    agent_shop.make(used, prompt="a quay")
    refund(agent_shop, receipt=refunded)
    alice.call("POST", "/api/receipts/redeem", {"receipt": moved})

    (row,) = json.loads(report(agent_shop, monkeypatch, "--json"))["rails"]
    text = report(agent_shop, monkeypatch)

    assert row == {
        "rail": "sandbox",
        "currency": "USD",
        "livemode": False,
        "payments": 3,
        "paidMinor": 900,
        "refundedMinor": 300,
        "unsentMinor": 0,
        "bought": "9",
        "used": "1",
        "moved": "4",
        "left": "1",
    }
    assert "$9.00 by sandbox (no real money), $3.00 refunded: 3 payments, 9 credits" in text


def test_a_refund_that_is_promised_and_not_sent_has_a_sum_of_its_own(
    agent_shop: AgentShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    rail = FlakyRail()
    rail.pays_back = False
    provide(agent_shop.app, Rails, Rails([rail]))
    shop = with_admin_key(agent_shop)
    receipts = [
        send(shop, f"{new_request(shop)}:{number}").json["receipt"] for number in ("a", "b")
    ]
    promised = [refund(shop, receipt=receipt).json for receipt in receipts]
    with shop.app.app_context():
        note_sent(promised[0]["refundId"], now=now())

    (row,) = json.loads(report(shop, monkeypatch, "--json"))["rails"]
    text = report(shop, monkeypatch)

    assert (row["paidMinor"], row["refundedMinor"], row["unsentMinor"]) == (600, 300, 300)
    assert "$3.00 refunded, $3.00 more to be sent: 2 payments" in text


def test_sales_since_a_day(
    agent_shop: AgentShop, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_shop.receipt(2)
    clock.advance(timedelta(days=3))
    agent_shop.receipt(1)

    since = f"{clock.now():%Y-%m-%d}"
    (row,) = json.loads(report(agent_shop, monkeypatch, "--since", since, "--json"))["rails"]

    assert row["paidMinor"] == 100


def test_without_sales_it_says_so(agent_shop: AgentShop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report(agent_shop, monkeypatch) == "No agent has bought anything.\n"
