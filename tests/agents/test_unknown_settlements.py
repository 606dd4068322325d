"""Facilitators that fail in every way: nobody pays twice, and nothing is granted unpaid."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from creditapp.agents.models import PaymentClaim
from creditapp.agents.rails import facilitator as client
from creditapp.clock import StoppedClock
from tests.agents.signed_shop import BUY, SignedShop
from tests.agents.wallets import decode

both_rails = pytest.mark.parametrize("rail", ["x402", "mpp"])


UNKNOWN = [
    *("reset", "cut", "http_500", "lost_500", "refused_500", "redirect", "html", "huge"),
    *("pending", "unexpected", "no_transaction", "other_network", "other_payer"),
]


@both_rails
@pytest.mark.parametrize("fault", UNKNOWN)
def test_an_unknown_outcome_is_503_and_the_same_payment_learns_it(
    signed_shop: SignedShop, rail: str, fault: str
) -> None:
    signed_shop.facilitator.remembers = True
    signed_shop.facilitator.fail(fault)
    payment = signed_shop.payment(rail)

    unknown = signed_shop.buy(payment)

    assert (unknown.status_code, unknown.json["code"]) == (503, "settlement_unknown")
    assert "PAYMENT-REQUIRED" not in unknown.headers
    assert "WWW-Authenticate" not in unknown.headers
    assert signed_shop.credits_granted() == 0
    answer = signed_shop.buy(payment)
    assert answer.status_code == 200, answer.text
    assert signed_shop.credits_granted() == signed_shop.money_received() == 3
    assert signed_shop.buy(payment).status_code == 403
    assert signed_shop.facilitator.count("/elsewhere") == 0


def test_a_facilitator_that_hangs_is_left_alone(
    signed_shop: SignedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SETTLE_SECONDS", 0.3)
    signed_shop.facilitator.remembers = True
    signed_shop.facilitator.fail("slow", seconds=1.5)
    payment = signed_shop.payment("x402")

    unknown = signed_shop.buy(payment)

    assert (unknown.status_code, unknown.json["code"]) == (503, "settlement_unknown")
    assert signed_shop.buy(payment).status_code == 200
    assert signed_shop.credits_granted() == signed_shop.money_received() == 3


@pytest.mark.parametrize("fault", ["reset", "http_500", "redirect", "html", "hang"])
def test_without_an_answer_before_settling_nothing_is_charged(
    signed_shop: SignedShop, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "VERIFY_SECONDS", 0.3)
    signed_shop.facilitator.fail(fault, at="/verify", seconds=0.6)
    payment = signed_shop.payment("x402")

    answer = signed_shop.buy(payment)

    assert (answer.status_code, answer.json["code"]) == (503, "provider_unavailable")
    assert answer.json["creditsCharged"] == 0
    assert signed_shop.facilitator.count("/settle") == 0
    assert signed_shop.buy(payment).status_code == 200


@both_rails
@pytest.mark.parametrize("at", ["/verify", "/settle"])
def test_a_refusal_of_the_facilitator_asks_again(
    signed_shop: SignedShop, rail: str, at: str
) -> None:
    signed_shop.facilitator.fail("refuse", at=at)
    payment = signed_shop.payment(rail)

    answer = signed_shop.post(BUY, {"count": 3}, Accept="application/json", **payment)

    assert answer.status_code == 402
    assert "insufficient_funds" in answer.json["error"]
    assert signed_shop.states() == ["open", "open"]
    assert signed_shop.count(PaymentClaim) == 0
    assert signed_shop.buy(payment).status_code == 200  # the payer has filled the wallet


def test_a_plain_facilitator_leaves_a_lost_answer_unknown(signed_shop: SignedShop) -> None:
    """It says "nonce used", which a cancelled authorization is too: nothing is granted by that."""
    signed_shop.facilitator.fail("cut")
    payment = signed_shop.payment("x402")
    assert signed_shop.buy(payment).status_code == 503

    for _ in range(3):
        assert signed_shop.buy(payment).json["code"] == "settlement_unknown"

    assert signed_shop.money_received() == 3
    assert signed_shop.credits_granted() == 0
    assert signed_shop.states() == ["settling"]


def test_an_authorization_that_somebody_else_settled_is_not_signed_twice(
    signed_shop: SignedShop,
) -> None:
    payment = signed_shop.payment("x402")
    signed_shop.facilitator.transfer(
        {
            "x402Version": 2,
            "paymentPayload": decode(payment["PAYMENT-SIGNATURE"]),
            "paymentRequirements": decode(payment["PAYMENT-SIGNATURE"])["accepted"],
        }
    )

    answer = signed_shop.buy(payment)

    assert (answer.status_code, answer.json["code"]) == (403, "credential_replayed")
    assert "PAYMENT-REQUIRED" not in answer.headers


def test_another_signature_for_an_unknown_payment_is_not_settled(signed_shop: SignedShop) -> None:
    signed_shop.facilitator.fail("lost_500")
    challenge = signed_shop.challenge()
    assert signed_shop.buy(signed_shop.paying("x402", challenge)).status_code == 503

    second = signed_shop.buy(signed_shop.paying("x402", challenge))

    assert (second.status_code, second.json["code"]) == (409, "payment_request_not_open")
    assert signed_shop.facilitator.count("/settle") == 1
    assert signed_shop.money_received() == 3


def test_one_transaction_never_pays_two_payments(signed_shop: SignedShop) -> None:
    assert signed_shop.buy(signed_shop.payment("x402")).status_code == 200
    signed_shop.facilitator.fail("same_transaction")

    answer = signed_shop.buy(signed_shop.payment("mpp"))

    assert (answer.status_code, answer.json["code"]) == (503, "settlement_unknown")
    assert signed_shop.credits_granted() == 3


@pytest.mark.parametrize("moment", ["settled", "noted"])
def test_a_process_that_dies_after_settling_grants_later(
    signed_shop: SignedShop,
    signed_clock: StoppedClock,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    name = "note_reference" if moment == "settled" else "Settled"
    target = f"creditapp.agents.rails.claims.{name}"
    signed_shop.facilitator.remembers = True
    payment = signed_shop.payment("x402")
    with monkeypatch.context() as patch:
        patch.setattr(target, die)
        with pytest.raises(Killed):
            signed_shop.buy(payment)
    assert signed_shop.money_received() == 3
    assert signed_shop.credits_granted() == 0
    assert signed_shop.buy(payment).status_code == 403  # its lease may still be worked on

    signed_clock.advance(timedelta(minutes=2))
    signed_shop.sweep()

    assert signed_shop.credits_granted() == 3
    assert signed_shop.states() == ["paid"]
    signed_shop.sweep()
    assert signed_shop.credits_granted() == 3


def test_a_process_that_dies_before_settling_opens_the_request_again(
    signed_shop: SignedShop, signed_clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    payment = signed_shop.payment("x402")
    with monkeypatch.context() as patch:
        patch.setattr("creditapp.agents.rails.claims.claim", die)
        with pytest.raises(Killed):
            signed_shop.buy(payment)
    signed_clock.advance(timedelta(minutes=2))
    signed_shop.sweep()

    assert signed_shop.states() == ["open"]
    assert signed_shop.buy(payment).status_code == 200


def test_the_sweep_learns_an_unknown_outcome(
    signed_shop: SignedShop, signed_clock: StoppedClock
) -> None:
    signed_shop.facilitator.remembers = True
    signed_shop.facilitator.fail("lost_500")
    payment = signed_shop.payment("x402")
    assert signed_shop.buy(payment).status_code == 503

    signed_clock.advance(timedelta(minutes=2))
    signed_shop.sweep()

    assert signed_shop.credits_granted() == signed_shop.money_received() == 3


def test_no_signature_and_no_token_is_logged(signed_shop: SignedShop) -> None:
    signed_shop.facilitator.fail("http_500")
    payment = signed_shop.payment("x402")
    with capture_logs() as entries:
        signed_shop.buy(payment)
        paid = signed_shop.buy(payment)

    logged = str(entries)
    signature = decode(payment["PAYMENT-SIGNATURE"])["payload"]["signature"]
    assert paid.status_code == 200
    assert "settlement unknown" in {entry["event"] for entry in entries}
    assert signature[2:40] not in logged
    assert paid.json["receipt"] not in logged
    assert signed_shop.facilitator.token not in logged


def test_a_sweep_waits_once_for_a_facilitator_that_hangs(
    signed_shop: SignedShop, signed_clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SETTLE_SECONDS", 0.3)
    payments = [signed_shop.payment("x402") for _ in range(3)]
    signed_shop.facilitator.fail("reset", times=4)
    for payment in payments:
        assert signed_shop.buy(payment).status_code == 503
    signed_clock.advance(timedelta(minutes=2))

    signed_shop.sweep()

    assert signed_shop.facilitator.count("/settle") == 3  # it did not answer just now
    monkeypatch.setattr(client, "REST_SECONDS", 0.0)
    assert signed_shop.buy(payments[0]).status_code == 503  # a payer's own question is asked
    signed_shop.sweep()
    assert signed_shop.states() == ["paid"] * 3
    assert signed_shop.credits_granted() == signed_shop.money_received() == 9


def test_a_wrong_token_of_the_facilitator_charges_nothing(signed_shop: SignedShop) -> None:
    signed_shop.facilitator.token = "another"
    payment = signed_shop.payment("mpp")

    answer = signed_shop.buy(payment)

    assert (answer.status_code, answer.json["code"]) == (503, "provider_unavailable")
    assert signed_shop.facilitator.count("/settle") == 0
