"""Golden vectors: what viem signed and hashed, for machines without Node.

``tests/interop/test_signed_payments.py`` has the clients of Node pay.
"""

from __future__ import annotations

import pytest
import time_machine
from mpp.methods.evm import challenge_hash

from tests.agents.signed_shop import SignedShop
from tests.agents.wallets import PAY_TO, Wallet, encode, x402_challenge

AT = 1796083200
"""2026-12-01, at which the authorization below is valid for five minutes."""

AUTHORIZATION = {
    "from": "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A",
    "to": PAY_TO,
    "value": "3000000",
    "validAfter": "0",
    "validBefore": str(AT + 300),
    "nonce": "0x" + "5e" * 32,
}
SIGNATURE = (
    "0x3324526a79fb53bd52951cce466ffadafe034942998ddf92c2199a3e87258c41"
    "560a8f935796eec649a3adcbc9ef1c0af1d4355ab409ebb7a8b2404e2c6be62f1b"
)
"""By viem 2.57.20 ``signTypedData``, for USDC on Base Sepolia, with the key 0x1111...11."""

CHALLENGE_HASH = "0x401e1871c46d786911869050ed1af851c3566a0e021e44d5c24142ff6e14677e"
"""By viem: keccak256 of ``JSON.stringify(["golden-challenge", "shop.example"])``."""


def payment(challenge: object, **changes: str) -> dict[str, str]:
    """Return the header of the authorization above for a 402."""
    required = x402_challenge(challenge)  # type: ignore[arg-type]
    return {
        "PAYMENT-SIGNATURE": encode(
            {
                "x402Version": 2,
                "accepted": required["accepts"][0],
                "payload": {"authorization": AUTHORIZATION, "signature": SIGNATURE, **changes},
                "resource": required["resource"],
                "extensions": required["extensions"],
            }
        )
    }


def test_a_payment_that_viem_signed_buys(signed_shop: SignedShop) -> None:
    with time_machine.travel(AT, tick=False):
        answer = signed_shop.buy(payment(signed_shop.challenge(3)))

    assert answer.status_code == 200, answer.text
    assert signed_shop.money_received() == signed_shop.credits_granted() == 3


@pytest.mark.parametrize("place", [2, 40, 100, 131])
def test_one_other_digit_and_it_buys_nothing(signed_shop: SignedShop, place: int) -> None:
    other = "0" if SIGNATURE[place] != "0" else "1"
    altered = SIGNATURE[:place] + other + SIGNATURE[place + 1 :]
    with time_machine.travel(AT, tick=False):
        answer = signed_shop.buy(payment(signed_shop.challenge(3), signature=altered))

    assert answer.status_code == 402
    assert signed_shop.facilitator.calls == []


def test_after_its_end_it_buys_nothing(signed_shop: SignedShop) -> None:
    with time_machine.travel(AT + 301, tick=False):
        answer = signed_shop.buy(payment(signed_shop.challenge(3)))

    assert answer.status_code == 402
    assert signed_shop.facilitator.calls == []


def test_the_wallet_of_these_tests_is_the_same_person() -> None:
    assert Wallet().account.address == AUTHORIZATION["from"]


def test_the_nonce_of_mpp_is_the_hash_of_the_challenge() -> None:
    assert challenge_hash("golden-challenge", "shop.example") == CHALLENGE_HASH
