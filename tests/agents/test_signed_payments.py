"""Payments of x402 and MPP: settled once and granted once, whatever the facilitator does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from creditapp import agents
from creditapp.agents.models import PaymentClaim, PaymentRequest, Settlement
from creditapp.agents.rails import facilitator as client
from creditapp.agents.rails import x402
from creditapp.clock import StoppedClock, now
from creditapp.db import snapshot
from creditapp.ledger.models import Grant
from tests.agents.conftest import ACCEPT_JSON, AgentShop
from tests.agents.wallets import PAY_TO, Wallet, decode, encode, x402_challenge
from tests.app_factory import SharedApps
from tests.fakes.facilitator import FakeFacilitator

BUY = "/api/images/buy"
DOLLAR = 1_000_000


class SignedShop(AgentShop):
    """The app with x402 and MPP on, their facilitator, and a payer."""

    def __init__(self, app: Flask, facilitator: FakeFacilitator) -> None:
        super().__init__(app)
        self.facilitator = facilitator
        self.wallet = Wallet()

    def challenge(self, count: int = 3) -> TestResponse:
        """Return a 402 for so many credits."""
        answer = self.post(BUY, {"count": count})
        assert answer.status_code == 402, answer.text
        return answer

    def payment(self, rail: str, count: int = 3, **changes: Any) -> dict[str, str]:
        """Return the header of a payment for so many credits."""
        return self.paying(rail, self.challenge(count), **changes)

    def paying(self, rail: str, challenge: TestResponse, **changes: Any) -> dict[str, str]:
        """Return the header of a payment for a 402."""
        if rail == "x402":
            return {"PAYMENT-SIGNATURE": self.wallet.x402(challenge, **changes)}
        return {"Authorization": self.wallet.mpp(challenge, **changes)}

    def buy(self, payment: dict[str, str], count: int = 3, **headers: str) -> TestResponse:
        """Send a payment."""
        return self.post(BUY, {"count": count}, **payment, **ACCEPT_JSON, **headers)

    def sweep(self) -> None:
        """Run the sweep."""
        with self.app.app_context():
            agents.sweep(now=now())

    def credits_granted(self) -> int:
        """Return the credits of all grants."""
        with self.app.app_context(), snapshot() as session:
            return sum(session.scalars(select(Grant.amount_micro)).all()) // 1_000_000

    def money_received(self) -> int:
        """Return the dollars that arrived."""
        return self.facilitator.received(PAY_TO) // DOLLAR

    def states(self) -> list[str]:
        """Return the states of all payment requests."""
        with self.app.app_context(), snapshot() as session:
            return sorted(session.scalars(select(PaymentRequest.state)).all())


@pytest.fixture(scope="session")
def listening() -> Iterator[FakeFacilitator]:
    """A facilitator at one address for all tests, so that the app is built once."""
    with FakeFacilitator(token="facilitator-token-of-tests") as server:
        yield server


@pytest.fixture
def facilitator(listening: FakeFacilitator) -> FakeFacilitator:
    """The facilitator as new."""
    listening.recover()
    listening.calls.clear()
    listening.transfers.clear()
    listening.remembers = False
    return listening


@pytest.fixture
def shop(
    database_kind: str, shared_apps: SharedApps, facilitator: FakeFacilitator
) -> Iterator[SignedShop]:
    """The app with both rails; afterwards the ledger holds, and nobody got more than was paid."""
    app = shared_apps.fresh(database_kind, environ(facilitator))
    made = SignedShop(app, facilitator)
    yield made
    made.check_ledger()
    assert made.credits_granted() <= made.money_received()


def environ(facilitator: FakeFacilitator) -> dict[str, str]:
    return {
        "CREDITAPP_X402_PAY_TO": PAY_TO,
        "CREDITAPP_X402_NETWORK": "base-sepolia",
        "CREDITAPP_X402_FACILITATOR": facilitator.address,
        "CREDITAPP_X402_FACILITATOR_TOKEN": facilitator.token,
        "CREDITAPP_MPP_SECRET": "a-secret-of-tests-that-signs-challenges",
    }


both_rails = pytest.mark.parametrize("rail", ["x402", "mpp"])


def test_the_402_offers_both_rails_beside_the_token(shop: SignedShop) -> None:
    answer = shop.challenge(3)

    required = x402_challenge(answer)
    (terms,) = required["accepts"]
    assert (terms["scheme"], terms["network"]) == ("exact", "eip155:84532")
    assert (terms["amount"], terms["payTo"].lower()) == ("3000000", PAY_TO)
    assert required["resource"]["url"].endswith("/api/images/buy")
    assert required["extensions"][x402.IDENTIFIER]["info"] == {"required": False}
    assert answer.headers["WWW-Authenticate"].startswith("Payment id=")
    assert answer.mimetype == "text/plain"
    assert answer.headers["Cache-Control"] == "no-store"
    assert shop.facilitator.calls == []


@both_rails
@pytest.mark.parametrize("path", ["/api/images/buy", "/images/buy"])
def test_a_signed_payment_buys(shop: SignedShop, rail: str, path: str) -> None:
    challenge = shop.post(path, {"count": 3})
    answer = shop.post(path, {"count": 3}, **shop.paying(rail, challenge), **ACCEPT_JSON)

    assert answer.status_code == 200, answer.text
    assert answer.json["credits"] == answer.json["remaining"] == 3
    assert answer.headers["Cache-Control"] == "private"
    header = "PAYMENT-RESPONSE" if rail == "x402" else "Payment-Receipt"
    settled = decode(answer.headers[header].replace("-", "+").replace("_", "/") + "==")
    reference = settled["transaction" if rail == "x402" else "reference"]
    row = shop.settlement_row(answer.json["purchaseId"])
    assert (row.rail, row.ref, row.livemode) == (rail, reference, False)
    assert row.payer == f"did:pkh:eip155:84532:{shop.wallet.account.address}"
    assert shop.balance(answer.json["receipt"])["remaining"] == 3
    assert shop.money_received() == shop.credits_granted() == 3
    assert [path for path, _ in shop.facilitator.calls] == ["/verify", "/settle"]


@both_rails
def test_a_payment_sent_again_is_refused_and_charges_nothing(shop: SignedShop, rail: str) -> None:
    payment = shop.payment(rail)
    assert shop.buy(payment).status_code == 200

    again = shop.buy(payment)

    assert (again.status_code, again.json["code"]) == (403, "credential_replayed")
    assert "PAYMENT-REQUIRED" not in again.headers
    assert shop.facilitator.count("/settle") == 1
    assert shop.credits_granted() == 3


@both_rails
def test_a_payment_sent_again_with_its_key_gets_the_stored_answer(
    shop: SignedShop, rail: str
) -> None:
    payment = shop.payment(rail)
    first = shop.buy(payment, Idempotency_Key="order-1")

    again = shop.buy(payment, Idempotency_Key="order-1")

    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert shop.facilitator.count("/settle") == 1


@both_rails
def test_five_at_once_settle_once(shop: SignedShop, rail: str) -> None:
    payment = shop.payment(rail)

    answers = shop.at_once(*[lambda: shop.buy(payment)] * 5)

    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 4
    assert shop.facilitator.count("/settle") == 1
    assert shop.credits_granted() == shop.money_received() == 3


def test_one_authorization_for_five_requests_pays_one(shop: SignedShop) -> None:
    """The terms of x402 are the same for each request of three: the nonce tells them apart."""
    challenges = [shop.challenge() for _ in range(5)]
    one = {"nonce": "0x" + "7a" * 32, "validBefore": str(int(time.time()) + 200)}
    payments = [shop.paying("x402", challenge, **one) for challenge in challenges]

    answers = shop.at_once(*[lambda payment=each: shop.buy(payment) for each in payments])

    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 4
    assert shop.states() == ["open"] * 4 + ["paid"]
    assert shop.credits_granted() == shop.money_received() == 3


def test_the_same_authorization_by_the_other_rail_pays_nothing(shop: SignedShop) -> None:
    challenge = shop.challenge()
    paid = shop.buy(shop.paying("mpp", challenge))
    assert paid.status_code == 200
    with shop.app.app_context(), snapshot() as session:
        (stored,) = [
            row.value
            for row in session.scalars(select(PaymentClaim)).all()
            if row.key.startswith("mpp:evm:authorization")
        ]
    required = x402_challenge(shop.challenge())
    copied = {
        **json.loads(stored)["payment"],
        "accepted": required["accepts"][0],
        "resource": required["resource"],
        "extensions": required["extensions"],
    }

    answer = shop.buy({"PAYMENT-SIGNATURE": encode(copied)})

    assert (answer.status_code, answer.json["code"]) == (403, "credential_replayed")
    assert shop.credits_granted() == 3


@both_rails
def test_three_dollars_do_not_buy_thirty(shop: SignedShop, rail: str) -> None:
    payment = shop.payment(rail, 3)

    answer = shop.buy(payment, 30)

    assert answer.status_code == 402
    assert x402_challenge(answer)["accepts"][0]["amount"] == "30000000"
    assert shop.facilitator.calls == []
    assert shop.buy(payment, 3).status_code == 200  # and it still buys what it was signed for


WRONG = {
    "another recipient": {"to": "0x" + "99" * 20},
    "a smaller amount": {"value": "2999999"},
    "a larger amount": {"value": "3000001"},
    "an expired authorization": {"validBefore": "1790000000"},
    "one that begins later": {"validAfter": "4102444800"},
    "one for years": {"validBefore": "4102444800"},
    "another payer": {"from": "0x" + "88" * 20},
}


@both_rails
@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_a_payment_that_differs_from_the_row_settles_nothing(
    shop: SignedShop, rail: str, changes: dict[str, str]
) -> None:
    answer = shop.buy(shop.payment(rail, **changes))

    assert answer.status_code == 402
    assert shop.facilitator.count("/settle") == 0
    assert shop.count(Settlement) == 0
    assert set(shop.states()) == {"open"}


ACCEPTED = {
    "another network": {"network": "eip155:8453"},
    "a cheaper price": {"amount": "1"},
    "another token": {"asset": "0x" + "77" * 20},
    "another recipient": {"payTo": "0x" + "99" * 20},
    "another domain": {"extra": {"name": "Fake", "version": "2"}},
    "another scheme": {"scheme": "upto"},
}


@pytest.mark.parametrize("accepted", ACCEPTED.values(), ids=ACCEPTED)
def test_terms_of_the_payers_own_settle_nothing(shop: SignedShop, accepted: Any) -> None:
    answer = shop.buy(shop.payment("x402", accepted=accepted))

    assert answer.status_code == 402
    assert shop.facilitator.calls == []


def test_a_nonce_that_mpp_did_not_ask_for_settles_nothing(shop: SignedShop) -> None:
    answer = shop.buy(shop.payment("mpp", nonce="0x" + "12" * 32))

    assert answer.status_code == 402
    assert shop.facilitator.calls == []


GARBAGE = {
    "no base64": "%%%",
    "no JSON": "bm90IGpzb24=",
    "a list": encode([]),  # type: ignore[arg-type]
    "empty": "",
    "nested": "W" * 8000,
    "a version": encode({"x402Version": 1}),
    "a surrogate": "IlxcdWQ4MDAi",
    "a megabyte": "A" * 1024 * 1024,
    "no payload": encode({"x402Version": 2, "payload": None}),
}


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("header", ["PAYMENT-SIGNATURE", "Authorization", "X-PAYMENT"])
def test_garbage_is_answered_with_a_challenge(shop: SignedShop, header: str, text: str) -> None:
    value = f"Payment {text}" if header == "Authorization" else text

    answer = shop.post(BUY, {"count": 3}, Accept="application/json", **{header: value})

    assert answer.status_code == 402
    assert len(answer.json["error"]) < 400
    assert shop.facilitator.calls == []
    assert set(shop.states()) == {"open"}


@pytest.mark.parametrize("where", ["mppx", "mppx.info", "mppx.info.opaque", "payment-identifier"])
@pytest.mark.parametrize("value", [[], "x", 7, None, {"info": []}, {"info": {"id": 7}}])
def test_extensions_of_any_shape_are_read(shop: SignedShop, where: str, value: Any) -> None:
    payment = decode(shop.payment("x402")["PAYMENT-SIGNATURE"])
    place = payment["extensions"]
    *parents, last = where.split(".")
    for name in parents:
        place = place[name]
    place[last] = value

    answer = shop.buy({"PAYMENT-SIGNATURE": encode(payment)})

    assert answer.status_code in (200, 402)
    assert shop.credits_granted() == shop.money_received()


def test_a_payment_that_names_no_request_is_not_settled(shop: SignedShop) -> None:
    """Everybody can copy it from the chain; only the payer knows the request."""
    payment = decode(shop.payment("x402")["PAYMENT-SIGNATURE"])
    del payment["extensions"]

    answer = shop.post(
        BUY, {"count": 3}, Accept="application/json", PAYMENT_SIGNATURE=encode(payment)
    )

    assert answer.status_code == 402
    assert "extensions" in answer.json["error"]
    assert shop.facilitator.calls == []


UNKNOWN = [
    *("reset", "cut", "http_500", "lost_500", "refused_500", "redirect", "html", "huge"),
    *("pending", "unexpected", "no_transaction", "other_network", "other_payer"),
]


@both_rails
@pytest.mark.parametrize("fault", UNKNOWN)
def test_an_unknown_outcome_is_503_and_the_same_payment_learns_it(
    shop: SignedShop, rail: str, fault: str
) -> None:
    shop.facilitator.remembers = True
    shop.facilitator.fail(fault)
    payment = shop.payment(rail)

    unknown = shop.buy(payment)

    assert (unknown.status_code, unknown.json["code"]) == (503, "settlement_unknown")
    assert "PAYMENT-REQUIRED" not in unknown.headers
    assert "WWW-Authenticate" not in unknown.headers
    assert shop.credits_granted() == 0
    answer = shop.buy(payment)
    assert answer.status_code == 200, answer.text
    assert shop.credits_granted() == shop.money_received() == 3
    assert shop.buy(payment).status_code == 403


def test_a_facilitator_that_hangs_is_left_alone(
    shop: SignedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SETTLE_SECONDS", 0.3)
    shop.facilitator.remembers = True
    shop.facilitator.fail("slow", seconds=1.5)
    payment = shop.payment("x402")

    unknown = shop.buy(payment)

    assert (unknown.status_code, unknown.json["code"]) == (503, "settlement_unknown")
    assert shop.buy(payment).status_code == 200
    assert shop.credits_granted() == shop.money_received() == 3


@pytest.mark.parametrize("fault", ["reset", "http_500", "redirect", "html", "hang"])
def test_without_an_answer_before_settling_nothing_is_charged(
    shop: SignedShop, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "VERIFY_SECONDS", 0.3)
    shop.facilitator.fail(fault, at="/verify", seconds=0.6)
    payment = shop.payment("x402")

    answer = shop.buy(payment)

    assert (answer.status_code, answer.json["code"]) == (503, "provider_unavailable")
    assert answer.json["creditsCharged"] == 0
    assert shop.facilitator.count("/settle") == 0
    assert shop.buy(payment).status_code == 200


@both_rails
@pytest.mark.parametrize("at", ["/verify", "/settle"])
def test_a_refusal_of_the_facilitator_asks_again(shop: SignedShop, rail: str, at: str) -> None:
    shop.facilitator.fail("refuse", at=at)
    payment = shop.payment(rail)

    answer = shop.post(BUY, {"count": 3}, Accept="application/json", **payment)

    assert answer.status_code == 402
    assert "insufficient_funds" in answer.json["error"]
    assert shop.states() == ["open", "open"]
    assert shop.count(PaymentClaim) == 0
    assert shop.buy(payment).status_code == 200  # the payer has filled the wallet


def test_a_plain_facilitator_leaves_a_lost_answer_unknown(shop: SignedShop) -> None:
    """It says "nonce used", which a cancelled authorization is too: nothing is granted by that."""
    shop.facilitator.fail("cut")
    payment = shop.payment("x402")
    assert shop.buy(payment).status_code == 503

    for _ in range(3):
        assert shop.buy(payment).json["code"] == "settlement_unknown"

    assert shop.money_received() == 3
    assert shop.credits_granted() == 0
    assert shop.states() == ["settling"]


def test_an_authorization_that_somebody_else_settled_is_not_signed_twice(shop: SignedShop) -> None:
    payment = shop.payment("x402")
    shop.facilitator.transfer(
        {
            "x402Version": 2,
            "paymentPayload": decode(payment["PAYMENT-SIGNATURE"]),
            "paymentRequirements": decode(payment["PAYMENT-SIGNATURE"])["accepted"],
        }
    )

    answer = shop.buy(payment)

    assert (answer.status_code, answer.json["code"]) == (403, "credential_replayed")
    assert "PAYMENT-REQUIRED" not in answer.headers


def test_another_signature_for_an_unknown_payment_is_not_settled(shop: SignedShop) -> None:
    shop.facilitator.fail("lost_500")
    challenge = shop.challenge()
    assert shop.buy(shop.paying("x402", challenge)).status_code == 503

    second = shop.buy(shop.paying("x402", challenge))

    assert (second.status_code, second.json["code"]) == (409, "payment_request_not_open")
    assert shop.facilitator.count("/settle") == 1
    assert shop.money_received() == 3


def test_one_transaction_never_pays_two_payments(shop: SignedShop) -> None:
    assert shop.buy(shop.payment("x402")).status_code == 200
    shop.facilitator.fail("same_transaction")

    answer = shop.buy(shop.payment("mpp"))

    assert (answer.status_code, answer.json["code"]) == (503, "settlement_unknown")
    assert shop.credits_granted() == 3


@pytest.mark.parametrize("moment", ["settled", "noted"])
def test_a_process_that_dies_after_settling_grants_later(
    shop: SignedShop, clock_of: StoppedClock, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    name = "claims.note_reference" if moment == "settled" else "rail.Settled"
    target = "creditapp.agents.rails.evm." + name.rpartition(".")[2]
    target = "creditapp.agents.rails.claims.note_reference" if moment == "settled" else target
    shop.facilitator.remembers = True
    payment = shop.payment("x402")
    with monkeypatch.context() as patch:
        patch.setattr(target, die)
        with pytest.raises(Killed):
            shop.buy(payment)
    assert shop.money_received() == 3
    assert shop.credits_granted() == 0
    assert shop.buy(payment).status_code == 403  # its lease may still be worked on

    clock_of.advance(timedelta(minutes=2))
    shop.sweep()

    assert shop.credits_granted() == 3
    assert shop.states() == ["paid"]
    shop.sweep()
    assert shop.credits_granted() == 3


def test_a_process_that_dies_before_settling_opens_the_request_again(
    shop: SignedShop, clock_of: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    payment = shop.payment("x402")
    with monkeypatch.context() as patch:
        patch.setattr("creditapp.agents.rails.claims.claim", die)
        with pytest.raises(Killed):
            shop.buy(payment)
    clock_of.advance(timedelta(minutes=2))
    shop.sweep()

    assert shop.states() == ["open"]
    assert shop.buy(payment).status_code == 200


def test_the_sweep_learns_an_unknown_outcome(shop: SignedShop, clock_of: StoppedClock) -> None:
    shop.facilitator.remembers = True
    shop.facilitator.fail("lost_500")
    payment = shop.payment("x402")
    assert shop.buy(payment).status_code == 503

    clock_of.advance(timedelta(minutes=2))
    shop.sweep()

    assert shop.credits_granted() == shop.money_received() == 3


def test_a_payment_identifier_is_the_key(shop: SignedShop) -> None:
    challenge = shop.challenge()
    payment = shop.paying("x402", challenge, identifier="order_0123456789ab")
    first = shop.buy(payment)

    again = shop.buy(payment)

    assert first.status_code == 200, first.text
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_second_signature_with_an_identifier_gets_the_first_answer(shop: SignedShop) -> None:
    name = {"identifier": "order_0123456789ab"}
    first = shop.buy(shop.payment("x402", **name))

    again = shop.buy(shop.payment("x402", **name))
    other = shop.buy(shop.payment("x402", 4, **name), 4)

    assert again.status_code == 200, again.text
    assert again.json["receipt"] == first.json["receipt"]
    assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused")
    assert shop.facilitator.count("/settle") == 1
    assert shop.credits_granted() == shop.money_received() == 3


def test_an_identifier_belongs_to_its_payer(shop: SignedShop) -> None:
    name = {"identifier": "order_0123456789ab"}
    first = shop.buy(shop.payment("x402", **name))
    shop.wallet = Wallet("0x" + "33" * 32)

    other = shop.buy(shop.payment("x402", **name))

    assert other.status_code == 200
    assert other.json["receipt"] != first.json["receipt"]
    assert shop.credits_granted() == shop.money_received() == 6


def test_an_expired_request_is_not_paid(shop: SignedShop, clock_of: StoppedClock) -> None:
    payment = shop.payment("x402")
    clock_of.advance(timedelta(minutes=16))

    answer = shop.buy(payment)

    assert (answer.status_code, answer.json["code"]) == (410, "payment_request_expired")
    assert shop.facilitator.calls == []


def test_no_signature_and_no_token_is_logged(shop: SignedShop) -> None:
    shop.facilitator.fail("http_500")
    payment = shop.payment("x402")
    with capture_logs() as entries:
        shop.buy(payment)
        paid = shop.buy(payment)

    logged = str(entries)
    signature = decode(payment["PAYMENT-SIGNATURE"])["payload"]["signature"]
    assert paid.status_code == 200
    assert "settlement unknown" in {entry["event"] for entry in entries}
    assert signature[2:40] not in logged
    assert paid.json["receipt"] not in logged
    assert shop.facilitator.token not in logged


@pytest.fixture
def clock_of(shop: SignedShop) -> StoppedClock:
    """The clock of the shop's app."""
    from tests.app_factory import get_clock

    with shop.app.app_context():
        return get_clock()
