"""The operator decides payments whose outcome no facilitator tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from creditapp.agents.rails import Rails, claims
from creditapp.cli import agents as command
from creditapp.clock import StoppedClock, now
from creditapp.errors import AppError
from creditapp.services import get, provide
from tests.agents.signed_shop import SignedShop
from tests.agents.wallets import Wallet, decode

HASH = "0x" + "ab" * 32
Run = Callable[..., str]


@pytest.fixture
def run(signed_shop: SignedShop, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in the app of the test."""

    @contextmanager
    def this_app() -> Iterator[Flask]:
        with signed_shop.app.app_context():
            yield signed_shop.app

    monkeypatch.setattr(command, "app_context", this_app)

    def call(*words: str) -> str:
        result = CliRunner().invoke(command.unknown_payments, words)
        if isinstance(result.exception, AppError):
            raise result.exception
        return result.output

    return call


def unknown(shop: SignedShop) -> dict[str, str]:
    """Make a payment that moved money and whose answer is lost; return its header."""
    shop.facilitator.fail("cut")
    payment = shop.payment("x402")
    assert shop.buy(payment).json["code"] == "settlement_unknown"
    return payment


def listed(run: Run) -> list[dict[str, Any]]:
    payments: list[dict[str, Any]] = json.loads(run("--json"))["payments"]
    return payments


def test_nothing_is_listed_while_every_outcome_is_known(signed_shop: SignedShop, run: Run) -> None:
    assert signed_shop.buy(signed_shop.payment("x402")).status_code == 200

    assert "Every payment's outcome is known." in run()
    assert listed(run) == []


def test_a_payment_that_is_on_the_chain_is_granted_once(signed_shop: SignedShop, run: Run) -> None:
    payment = unknown(signed_shop)
    (found,) = listed(run)
    authorization = decode(payment["PAYMENT-SIGNATURE"])["payload"]["authorization"]
    assert (found["payer"], found["nonce"]) == (Wallet().account.address, authorization["nonce"])
    assert found["amount"] == "3000000"
    assert authorization["nonce"] in run()

    run("--paid", found["id"], "--transaction", HASH)

    assert signed_shop.credits_granted() == signed_shop.money_received() == 3
    assert signed_shop.settlement_row(found["id"]).ref == HASH
    assert listed(run) == []
    with pytest.raises(AppError, match="no payment of unknown outcome"):
        run("--paid", found["id"], "--transaction", HASH)


def test_a_transaction_counts_for_one_payment(signed_shop: SignedShop, run: Run) -> None:
    for _ in range(2):
        unknown(signed_shop)
    first, second = (each["id"] for each in listed(run))
    run("--paid", first, "--transaction", HASH)

    with pytest.raises(AppError):
        run("--paid", second, "--transaction", HASH.upper().replace("0X", "0x"))

    assert signed_shop.credits_granted() == 3
    assert [each["id"] for each in listed(run)] == [second]


def test_what_can_still_be_settled_is_not_closed(signed_shop: SignedShop, run: Run) -> None:
    unknown(signed_shop)
    (found,) = listed(run)

    with pytest.raises(AppError, match="it can still be settled"):
        run("--unpaid", found["id"])

    assert signed_shop.states() == ["settling"]


def test_what_is_not_on_the_chain_is_closed_after_its_end(
    signed_shop: SignedShop, signed_clock: StoppedClock, run: Run
) -> None:
    payment = unknown(signed_shop)
    (found,) = listed(run)
    signed_clock.advance(datetime.now(UTC) + timedelta(minutes=10) - signed_clock.now())

    run("--unpaid", found["id"])

    assert listed(run) == []
    assert signed_shop.credits_granted() == 0
    assert signed_shop.buy(payment).status_code in (401, 410)
    assert signed_shop.facilitator.count("/settle") == 1


def switch_off(shop: SignedShop) -> None:
    """Take both rails off the site."""
    with shop.app.app_context():
        left = [rail for rail in get(Rails) if rail.name not in ("x402", "mpp")]
    provide(shop.app, Rails, Rails(left))


def test_a_payment_of_a_rail_that_was_switched_off_is_granted(
    signed_shop: SignedShop, run: Run
) -> None:
    unknown(signed_shop)
    switch_off(signed_shop)
    (found,) = listed(run)

    run("--paid", found["id"], "--transaction", HASH)

    assert signed_shop.credits_granted() == 3
    row = signed_shop.settlement_row(found["id"])
    assert (row.rail, row.option_id, row.ref, row.livemode) == ("x402", "x402", HASH, False)
    assert row.payer == f"did:pkh:eip155:84532:{Wallet().account.address}"
    assert listed(run) == []


def test_a_payment_of_a_rail_that_was_switched_off_is_closed(
    signed_shop: SignedShop, signed_clock: StoppedClock, run: Run
) -> None:
    unknown(signed_shop)
    switch_off(signed_shop)
    (found,) = listed(run)
    signed_clock.advance(datetime.now(UTC) + timedelta(minutes=10) - signed_clock.now())

    run("--unpaid", found["id"])

    assert (signed_shop.states(), listed(run)) == (["open"], [])
    assert signed_shop.credits_granted() == 0


def test_a_known_transaction_is_granted_without_its_rail(signed_shop: SignedShop, run: Run) -> None:
    """A process died between the transaction's note and the grant, and the rail went off."""
    unknown(signed_shop)
    (found,) = listed(run)
    with signed_shop.app.app_context():
        claim = claims.find(found["id"])
        assert claim is not None
        claims.note_reference(claim, HASH, now=now())
    switch_off(signed_shop)

    signed_shop.sweep()

    assert signed_shop.settlement_row(found["id"]).ref == HASH
    assert signed_shop.credits_granted() == 3


@pytest.mark.parametrize(
    "words", [("--paid", "prq_1"), ("--transaction", HASH), ("--paid", "a", "--unpaid", "b")]
)
def test_a_half_decision_is_none(run: Run, words: tuple[str, ...]) -> None:
    assert "Choose --paid ID --transaction HASH, or --unpaid ID." in run(*words)


@pytest.mark.parametrize("text", ["0x12", "ab" * 32, HASH + "0", "0x" + "zz" * 32])
def test_a_text_that_is_no_transaction_is_refused(
    signed_shop: SignedShop, run: Run, text: str
) -> None:
    unknown(signed_shop)
    (found,) = listed(run)

    with pytest.raises(AppError, match="hexadecimal"):
        run("--paid", found["id"], "--transaction", text)

    assert signed_shop.credits_granted() == 0
