"""Payments of x402 and MPP: signed once, settled once, granted once."""

from __future__ import annotations

import json
import time

import pytest
from sqlalchemy import select

from creditapp.agents.models import PaymentClaim
from creditapp.agents.rails import Rails, x402
from creditapp.agents.rails.evm import EvmRail
from creditapp.db import snapshot
from creditapp.generation.providers.protocol import PromptRejected
from creditapp.services import get
from tests.agents.conftest import ACCEPT_JSON
from tests.agents.signed_shop import ADMIN_KEY, SignedShop
from tests.agents.wallets import PAY_TO, Wallet, decode, encode, x402_challenge

both_rails = pytest.mark.parametrize("rail", ["x402", "mpp"])


def test_the_402_offers_both_rails_beside_the_token(signed_shop: SignedShop) -> None:
    answer = signed_shop.challenge(3)

    required = x402_challenge(answer)
    (terms,) = required["accepts"]
    assert (terms["scheme"], terms["network"]) == ("exact", "eip155:84532")
    assert (terms["amount"], terms["payTo"].lower()) == ("3000000", PAY_TO)
    assert required["resource"]["url"].endswith("/api/images/buy")
    assert required["extensions"][x402.IDENTIFIER]["info"] == {"required": False}
    assert answer.headers["WWW-Authenticate"].startswith("Payment id=")
    assert answer.mimetype == "text/plain"
    assert answer.headers["Cache-Control"] == "no-store"
    assert signed_shop.facilitator.calls == []


@both_rails
@pytest.mark.parametrize("path", ["/api/images/buy", "/images/buy"])
def test_a_signed_payment_buys(signed_shop: SignedShop, rail: str, path: str) -> None:
    challenge = signed_shop.post(path, {"count": 3})
    answer = signed_shop.post(
        path, {"count": 3}, **signed_shop.paying(rail, challenge), **ACCEPT_JSON
    )

    assert answer.status_code == 200, answer.text
    assert answer.json["credits"] == answer.json["remaining"] == 3
    assert answer.headers["Cache-Control"] == "private, no-store"
    header = "PAYMENT-RESPONSE" if rail == "x402" else "Payment-Receipt"
    settled = decode(answer.headers[header].replace("-", "+").replace("_", "/") + "==")
    reference = settled["transaction" if rail == "x402" else "reference"]
    row = signed_shop.settlement_row(answer.json["purchaseId"])
    assert (row.rail, row.ref, row.livemode) == (rail, reference, False)
    assert row.payer == f"did:pkh:eip155:84532:{signed_shop.wallet.account.address}"
    assert signed_shop.balance(answer.json["receipt"])["remaining"] == 3
    assert signed_shop.money_received() == signed_shop.credits_granted() == 3
    assert [path for path, _ in signed_shop.facilitator.calls] == ["/verify", "/settle"]


@both_rails
def test_a_payment_sent_again_is_refused_and_charges_nothing(
    signed_shop: SignedShop, rail: str
) -> None:
    payment = signed_shop.payment(rail)
    assert signed_shop.buy(payment).status_code == 200

    again = signed_shop.buy(payment)

    assert (again.status_code, again.json["code"]) == (403, "credential_replayed")
    assert "PAYMENT-REQUIRED" not in again.headers
    assert signed_shop.facilitator.count("/settle") == 1
    assert signed_shop.credits_granted() == 3


@both_rails
def test_a_payment_sent_again_with_its_key_gets_the_stored_answer(
    signed_shop: SignedShop, rail: str
) -> None:
    payment = signed_shop.payment(rail)
    first = signed_shop.buy(payment, Idempotency_Key="order-1")

    again = signed_shop.buy(payment, Idempotency_Key="order-1")

    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert signed_shop.facilitator.count("/settle") == 1


@both_rails
def test_five_at_once_settle_once(signed_shop: SignedShop, rail: str) -> None:
    payment = signed_shop.payment(rail)

    answers = signed_shop.at_once(*[lambda: signed_shop.buy(payment)] * 5)

    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 4
    assert signed_shop.facilitator.count("/settle") == 1
    assert signed_shop.credits_granted() == signed_shop.money_received() == 3


def test_one_authorization_for_five_requests_pays_one(signed_shop: SignedShop) -> None:
    """The terms of x402 are the same for each request of three: the nonce tells them apart."""
    challenges = [signed_shop.challenge() for _ in range(5)]
    one = {"nonce": "0x" + "7a" * 32, "validBefore": str(int(time.time()) + 200)}
    payments = [signed_shop.paying("x402", challenge, **one) for challenge in challenges]

    answers = signed_shop.at_once(
        *[lambda payment=each: signed_shop.buy(payment) for each in payments]
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 4
    assert signed_shop.states() == ["open"] * 4 + ["paid"]
    assert signed_shop.credits_granted() == signed_shop.money_received() == 3


def test_the_same_authorization_by_the_other_rail_pays_nothing(signed_shop: SignedShop) -> None:
    challenge = signed_shop.challenge()
    paid = signed_shop.buy(signed_shop.paying("mpp", challenge))
    assert paid.status_code == 200
    with signed_shop.app.app_context(), snapshot() as session:
        (stored,) = [
            row.value
            for row in session.scalars(select(PaymentClaim)).all()
            if row.key.startswith("mpp:evm:authorization")
        ]
    required = x402_challenge(signed_shop.challenge())
    copied = {
        **json.loads(stored)["payment"],
        "accepted": required["accepts"][0],
        "resource": required["resource"],
        "extensions": required["extensions"],
    }

    answer = signed_shop.buy({"PAYMENT-SIGNATURE": encode(copied)})

    assert (answer.status_code, answer.json["code"]) == (403, "credential_replayed")
    assert signed_shop.credits_granted() == 3


def test_a_payment_identifier_is_the_key(signed_shop: SignedShop) -> None:
    challenge = signed_shop.challenge()
    payment = signed_shop.paying("x402", challenge, identifier="order_0123456789ab")
    first = signed_shop.buy(payment)

    again = signed_shop.buy(payment)

    assert first.status_code == 200, first.text
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_second_signature_with_an_identifier_gets_the_first_answer(
    signed_shop: SignedShop,
) -> None:
    name = {"identifier": "order_0123456789ab"}
    first = signed_shop.buy(signed_shop.payment("x402", **name))

    again = signed_shop.buy(signed_shop.payment("x402", **name))
    other = signed_shop.buy(signed_shop.payment("x402", 4, **name), 4)

    assert again.status_code == 200, again.text
    assert again.json["receipt"] == first.json["receipt"]
    assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused")
    assert signed_shop.facilitator.count("/settle") == 1
    assert signed_shop.credits_granted() == signed_shop.money_received() == 3


def test_an_identifier_belongs_to_its_payer(signed_shop: SignedShop) -> None:
    name = {"identifier": "order_0123456789ab"}
    first = signed_shop.buy(signed_shop.payment("x402", **name))
    signed_shop.wallet = Wallet("0x" + "33" * 32)

    other = signed_shop.buy(signed_shop.payment("x402", **name))

    assert other.status_code == 200
    assert other.json["receipt"] != first.json["receipt"]
    assert signed_shop.credits_granted() == signed_shop.money_received() == 6


def test_an_identifier_of_a_refused_payment_is_free_again(signed_shop: SignedShop) -> None:
    name = {"identifier": "order_0123456789ab"}
    payment = signed_shop.payment("x402", **name)
    signed_shop.facilitator.fail("refuse")
    assert signed_shop.buy(payment).status_code == 402

    again = signed_shop.buy(payment)

    assert again.status_code == 200, again.text
    other = signed_shop.payment("x402", **name)
    signed_shop.facilitator.fail("refuse")
    assert signed_shop.buy(other).json["receipt"] == again.json["receipt"]
    assert signed_shop.credits_granted() == signed_shop.money_received() == 3


def test_an_identifier_moves_on_from_a_request_that_was_never_paid(signed_shop: SignedShop) -> None:
    name = {"identifier": "order_0123456789ab"}
    signed_shop.facilitator.fail("refuse")
    assert signed_shop.buy(signed_shop.payment("x402", **name)).status_code == 402

    second = signed_shop.buy(signed_shop.payment("x402", **name))
    third = signed_shop.buy(signed_shop.payment("x402", **name))

    assert second.status_code == 200, second.text
    assert third.json["receipt"] == second.json["receipt"]
    assert signed_shop.credits_granted() == signed_shop.money_received() == 3


def test_an_identifier_waits_for_a_payment_of_unknown_outcome(signed_shop: SignedShop) -> None:
    name = {"identifier": "order_0123456789ab"}
    signed_shop.facilitator.remembers = True
    signed_shop.facilitator.fail("cut")
    first = signed_shop.payment("x402", **name)
    assert signed_shop.buy(first).status_code == 503

    second = signed_shop.buy(signed_shop.payment("x402", **name))

    assert (second.status_code, second.json["code"]) == (503, "settlement_unknown")
    assert signed_shop.money_received() == 3
    assert signed_shop.buy(first).status_code == 200
    assert signed_shop.credits_granted() == 3


def test_a_second_signature_at_the_same_moment_settles_once(signed_shop: SignedShop) -> None:
    name = {"identifier": "order_0123456789ab"}
    payments = [signed_shop.payment("x402", **name) for _ in range(4)]

    answers = signed_shop.at_once(*[lambda each=each: signed_shop.buy(each) for each in payments])

    assert 200 in [answer.status_code for answer in answers]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert signed_shop.facilitator.count("/settle") == 1
    assert signed_shop.credits_granted() == signed_shop.money_received() == 3


def test_others_buy_while_the_facilitator_thinks(signed_shop: SignedShop) -> None:
    """On SQLite an open transaction would keep them waiting."""
    payment = signed_shop.payment("x402")
    signed_shop.facilitator.fail("slow", seconds=1.5)
    ends: list[float] = []

    def others() -> int:
        time.sleep(0.4)
        status = signed_shop.challenge().status_code
        ends.append(time.monotonic())
        return status

    def buy() -> int:
        status = signed_shop.buy(payment).status_code
        ends.append(time.monotonic())
        return status

    assert signed_shop.at_once(buy, others) == [200, 402]
    assert ends[1] - ends[0] > 0.5


def test_a_full_house_charges_nothing(signed_shop: SignedShop) -> None:
    """At most a quarter of the threads waits for the facilitator."""
    payment = signed_shop.payment("x402")
    with signed_shop.app.app_context():
        rail = get(Rails).named("x402")
    assert isinstance(rail, EvmRail)
    taken = 0
    while rail.chain.seats.acquire(blocking=False):
        taken += 1
    try:
        answer = signed_shop.buy(payment)
    finally:
        rail.chain.seats.release(taken)

    assert (answer.status_code, answer.json["code"]) == (503, "provider_unavailable")
    assert taken == 8
    assert signed_shop.facilitator.calls == []
    assert signed_shop.buy(payment).status_code == 200


def test_a_stranger_who_reads_the_chain_and_guesses_the_key_gets_no_receipt(
    signed_shop: SignedShop,
) -> None:
    payment = signed_shop.payment("x402")
    assert signed_shop.buy(payment, Idempotency_Key="1").status_code == 200
    copied = decode(payment["PAYMENT-SIGNATURE"])
    copied["extensions"] = x402_challenge(signed_shop.challenge())["extensions"]

    answer = signed_shop.buy({"PAYMENT-SIGNATURE": encode(copied)}, Idempotency_Key="1")

    assert (answer.status_code, answer.json["code"]) == (403, "credential_replayed")


@both_rails
def test_an_image_is_paid_for_in_its_own_request(signed_shop: SignedShop, rail: str) -> None:
    path, body = "/api/images/generate", {"prompt": "a lighthouse"}
    challenge = signed_shop.post(path, body)

    answer = signed_shop.post(
        path, body, **signed_shop.paying(rail, challenge), **ACCEPT_JSON, Prefer="respond-async"
    )

    assert answer.status_code == 202, answer.text
    assert answer.headers["X-Receipt"]
    assert signed_shop.credits_granted() == signed_shop.money_received() == 1


@pytest.mark.parametrize("body", [{"name": "Nobody"}, {"prompt": ""}, {"prompt": "x" * 20_000}])
def test_an_impossible_image_is_refused_before_it_is_paid(
    signed_shop: SignedShop, body: dict[str, str]
) -> None:
    path = "/api/images/generate"
    challenge = signed_shop.post(path, {"prompt": "a lighthouse"})

    unpaid = signed_shop.post(path, body)
    paid = signed_shop.post(path, body, **signed_shop.paying("x402", challenge))

    assert [unpaid.status_code, paid.status_code] == [422, 422]
    assert signed_shop.money_received() == 0


def test_a_refused_image_leaves_its_buyer_the_receipt(
    signed_shop: SignedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PromptRejected("This is not drawn here.")

    monkeypatch.setattr("creditapp.agents.images.submit", refuse)
    path, body = "/api/images/generate", {"prompt": "a lighthouse"}
    challenge = signed_shop.post(path, body)

    answer = signed_shop.post(path, body, **signed_shop.paying("x402", challenge))

    assert (answer.status_code, answer.json["code"]) == (422, "prompt_rejected")
    assert signed_shop.balance(answer.headers["X-Receipt"])["remaining"] == 1


@both_rails
def test_a_refund_sends_nothing_and_names_the_payer(signed_shop: SignedShop, rail: str) -> None:
    bought = signed_shop.buy(signed_shop.payment(rail)).json
    asked = {"purchaseId": bought["purchaseId"]}

    answer = signed_shop.post("/api/receipts/refund", asked, x_admin_key=ADMIN_KEY)

    assert answer.status_code == 200, answer.text
    assert (answer.json["credits"], answer.json["amount"], answer.json["sent"]) == (3, 300, False)
    assert answer.json["rail"] == rail
    assert answer.json["payer"] == f"did:pkh:eip155:84532:{signed_shop.wallet.account.address}"
    assert signed_shop.balance(bought["receipt"])["status"] == "refunded"
    assert [path for path, _ in signed_shop.facilitator.calls] == ["/verify", "/settle"]
