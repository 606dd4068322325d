"""Payments that are forged, altered or garbage: nothing is settled."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.clock import StoppedClock
from creditapp.db import transaction, update_if
from tests.agents.signed_shop import BUY, SignedShop
from tests.agents.wallets import decode, encode, x402_challenge

both_rails = pytest.mark.parametrize("rail", ["x402", "mpp"])


@both_rails
def test_three_dollars_do_not_buy_thirty(signed_shop: SignedShop, rail: str) -> None:
    payment = signed_shop.payment(rail, 3)

    answer = signed_shop.buy(payment, 30)

    assert answer.status_code == 402
    assert x402_challenge(answer)["accepts"][0]["amount"] == "30000000"
    assert signed_shop.facilitator.calls == []
    assert (
        signed_shop.buy(payment, 3).status_code == 200
    )  # and it still buys what it was signed for


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
    signed_shop: SignedShop, rail: str, changes: dict[str, str]
) -> None:
    answer = signed_shop.buy(signed_shop.payment(rail, **changes))

    assert answer.status_code == 402
    assert signed_shop.facilitator.count("/settle") == 0
    assert signed_shop.count(Settlement) == 0
    assert set(signed_shop.states()) == {"open"}


ACCEPTED = {
    "another network": {"network": "eip155:8453"},
    "a cheaper price": {"amount": "1"},
    "another token": {"asset": "0x" + "77" * 20},
    "another recipient": {"payTo": "0x" + "99" * 20},
    "another domain": {"extra": {"name": "Fake", "version": "2"}},
    "another scheme": {"scheme": "upto"},
}


@pytest.mark.parametrize("accepted", ACCEPTED.values(), ids=ACCEPTED)
def test_terms_of_the_payers_own_settle_nothing(signed_shop: SignedShop, accepted: Any) -> None:
    answer = signed_shop.buy(signed_shop.payment("x402", accepted=accepted))

    assert answer.status_code == 402
    assert signed_shop.facilitator.calls == []


def test_a_nonce_that_mpp_did_not_ask_for_settles_nothing(signed_shop: SignedShop) -> None:
    answer = signed_shop.buy(signed_shop.payment("mpp", nonce="0x" + "12" * 32))

    assert answer.status_code == 402
    assert signed_shop.facilitator.calls == []


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
def test_garbage_is_answered_with_a_challenge(
    signed_shop: SignedShop, header: str, text: str
) -> None:
    value = f"Payment {text}" if header == "Authorization" else text

    answer = signed_shop.post(BUY, {"count": 3}, Accept="application/json", **{header: value})

    assert answer.status_code == 402
    assert len(answer.json["error"]) < 400
    assert signed_shop.facilitator.calls == []
    assert set(signed_shop.states()) == {"open"}


@pytest.mark.parametrize("where", ["mppx", "mppx.info", "mppx.info.opaque", "payment-identifier"])
@pytest.mark.parametrize("value", [[], "x", 7, None, {"info": []}, {"info": {"id": 7}}])
def test_extensions_of_any_shape_are_read(signed_shop: SignedShop, where: str, value: Any) -> None:
    payment = decode(signed_shop.payment("x402")["PAYMENT-SIGNATURE"])
    place = payment["extensions"]
    *parents, last = where.split(".")
    for name in parents:
        place = place[name]
    place[last] = value

    answer = signed_shop.buy({"PAYMENT-SIGNATURE": encode(payment)})

    assert answer.status_code in (200, 402)
    assert signed_shop.credits_granted() == signed_shop.money_received()


def test_a_payment_that_names_no_request_is_not_settled(signed_shop: SignedShop) -> None:
    """Everybody can copy it from the chain; only the payer knows the request."""
    payment = decode(signed_shop.payment("x402")["PAYMENT-SIGNATURE"])
    del payment["extensions"]

    answer = signed_shop.post(
        BUY, {"count": 3}, Accept="application/json", PAYMENT_SIGNATURE=encode(payment)
    )

    assert answer.status_code == 402
    assert "extensions" in answer.json["error"]
    assert signed_shop.facilitator.calls == []


def test_an_expired_request_is_not_paid(
    signed_shop: SignedShop, signed_clock: StoppedClock
) -> None:
    payment = signed_shop.payment("x402")
    signed_clock.advance(timedelta(minutes=16))

    answer = signed_shop.buy(payment)

    assert (answer.status_code, answer.json["code"]) == (410, "payment_request_expired")
    assert signed_shop.facilitator.calls == []


@both_rails
def test_a_request_that_does_not_offer_the_rail_is_not_paid_by_it(
    signed_shop: SignedShop, rail: str
) -> None:
    """A site that sells in euros offers no dollars; neither does a request of before it did."""
    payment = signed_shop.payment(rail)
    with signed_shop.app.app_context(), transaction() as session:
        request = session.scalars(select(PaymentRequest)).one()
        kept = [option for option in request.options if option["id"] != rail]
        update_if(session, request, options=kept)

    answer = signed_shop.buy(payment)

    assert answer.status_code == 402
    assert signed_shop.facilitator.calls == []


@pytest.mark.databases("sqlite")
@both_rails
def test_no_altered_payment_buys_more_than_it_pays(signed_shop: SignedShop, rail: str) -> None:
    """A random change of a good payment, many times: credits and money stay equal."""
    dice, statuses = Random(rail), Counter[int]()
    for number in range(120):
        client = signed_shop.app.test_client()
        network = {"REMOTE_ADDR": f"10.{number}.0.1"}  # 402s are limited by network
        challenge = client.post(BUY, json={"count": 3}, environ_base=network)
        ((name, text),) = signed_shop.paying(rail, challenge).items()
        scheme, _, encoded = text.rpartition(" ")
        altered = json.loads(urlsafe_b64decode(encoded.translate(_URL_SAFE) + "==="))
        _alter(altered, dice)
        data = urlsafe_b64encode(json.dumps(altered).encode()).decode()
        header = f"{scheme} {data}" if scheme else data.translate(_STANDARD)
        answer = client.post(BUY, json={"count": 3}, headers={name: header}, environ_base=network)
        statuses[answer.status_code] += 1
        assert answer.status_code in (200, 401, 402), header
        assert signed_shop.credits_granted() == signed_shop.money_received(), header
    assert statuses[402] > 50
    assert signed_shop.money_received() == 3 * statuses[200]


_STANDARD, _URL_SAFE = str.maketrans("-_", "+/"), str.maketrans("+/", "-_")
_VALUES = ("", "0", "1", "3000000", "0x" + "ab" * 20, "eip155:1", -1, 0, 2**70, None, [], {}, True)


def _alter(place: Any, dice: Random) -> None:
    """Replace, remove or copy one member somewhere in a JSON object."""
    while True:
        key = dice.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inner = place[key]
        if isinstance(inner, dict | list) and inner and dice.random() < 0.75:
            place = inner
            continue
        if isinstance(place, dict) and dice.random() < 0.3:
            del place[key]
        elif isinstance(inner, str) and inner and dice.random() < 0.5:
            at = dice.randrange(len(inner))
            place[key] = inner[:at] + dice.choice("0123456789abcdefXYZ\u00e9") + inner[at + 1 :]
        else:
            place[key] = dice.choice(_VALUES)
        return
