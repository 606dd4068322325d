"""Clients that are not ours pay a real server process: ``@x402/fetch`` in Node, pympp for MPP.

The facilitator is a stand-in on loopback: nothing is settled on a chain.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account
from mpp import Receipt
from mpp.client import Mpp
from mpp.methods.evm import BASE_SEPOLIA_USDC
from mpp.methods.evm import client as evm

from tests.agents.wallets import PAY_TO
from tests.browser.conftest import free_port, start_server, stop_server
from tests.fakes.facilitator import FakeFacilitator
from tests.interop.conftest import RunNode

KEY = "0x" + "44" * 32
DOLLAR = 1_000_000


@pytest.fixture(scope="module")
def facilitator() -> Iterator[FakeFacilitator]:
    with FakeFacilitator() as server:
        yield server


@pytest.fixture(scope="module")
def address(
    facilitator: FakeFacilitator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a server that takes x402 and MPP."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("agents")
    server = start_server(
        folder,
        port,
        {
            "CREDITAPP_X402_PAY_TO": PAY_TO,
            "CREDITAPP_X402_NETWORK": "base-sepolia",
            "CREDITAPP_X402_FACILITATOR": facilitator.address,
            "CREDITAPP_MPP_SECRET": "a-secret-of-tests-that-signs-challenges",
        },
    )
    yield f"http://127.0.0.1:{port}"
    stop_server(server)


@pytest.fixture(autouse=True)
def _as_new(facilitator: FakeFacilitator) -> None:
    facilitator.recover()
    facilitator.calls.clear()


def test_x402_fetch_buys_three_credits_and_makes_three_images(
    node: RunNode, address: str, facilitator: FakeFacilitator
) -> None:
    before = facilitator.received(PAY_TO)

    seen = json.loads(node("x402.mjs", address, "3", "3", PRIVATE_KEY=KEY, MAX="$5"))

    assert seen["status"] == 200, seen
    assert seen["body"]["credits"] == 3
    assert seen["cacheControl"] == "private, no-store"
    assert seen["settled"]["success"] is True
    assert seen["settled"]["payer"].lower() == Account.from_key(KEY).address.lower()
    assert [image["status"] for image in seen["images"]] == [200, 200, 200]
    assert {image["type"] for image in seen["images"]} == {"image/png"}
    assert [image["remaining"] for image in seen["images"]] == ["2", "1", "0"]
    assert (seen["replay"]["status"], seen["replay"]["body"]["code"]) == (
        403,
        "credential_replayed",
    )
    assert seen["thirty"] == {"status": 402, "then": 200}
    assert facilitator.received(PAY_TO) - before == 6 * DOLLAR
    assert facilitator.count("/settle") == 2


def test_the_default_wallet_pays_one_dollar_and_not_three(
    node: RunNode, address: str, facilitator: FakeFacilitator
) -> None:
    three = json.loads(node("x402.mjs", address, "3", PRIVATE_KEY=KEY))
    one = json.loads(node("x402.mjs", address, "1", "1", PRIVATE_KEY=KEY))

    assert "spendControls" in three["refusedByWallet"]
    assert one["status"] == 200
    assert one["images"][0]["status"] == 200
    assert facilitator.count("/settle") == 2


def test_a_wallet_that_gets_an_unknown_outcome_is_not_asked_to_pay_again(
    node: RunNode, address: str, facilitator: FakeFacilitator
) -> None:
    before = facilitator.received(PAY_TO)
    facilitator.fail("lost_500")

    seen = json.loads(node("x402.mjs", address, "1", PRIVATE_KEY=KEY))

    assert (seen["status"], seen["body"]["code"]) == (503, "settlement_unknown")
    assert facilitator.received(PAY_TO) - before == 2 * DOLLAR  # and that of the program's end
    assert seen["thirty"] == {"status": 402, "then": 200}


def pay_by_mpp(address: str, path: str, body: dict[str, Any]) -> tuple[httpx.Response, str]:
    """Return the answer to a program that pays by pympp's own client, and what it sent."""
    method = evm.charge(currency=BASE_SEPOLIA_USDC, account=Account.from_key(KEY), max_amount="5")
    sent: list[str] = []

    async def run() -> httpx.Response:
        async with Mpp([method]) as client:
            client.on_credential_created(
                lambda payload: sent.append(payload["credential"].to_authorization())
            )
            answer = await client.fetch(address + path, method="POST", json=body, timeout=60)
            await answer.aread()
            return answer

    return asyncio.run(run()), sent[0] if sent else ""


def test_pympp_buys_three_credits_by_mpp_and_a_replay_is_refused(
    address: str, facilitator: FakeFacilitator
) -> None:
    before = facilitator.received(PAY_TO)

    answer, sent = pay_by_mpp(address, "/api/images/buy", {"count": 3})

    assert answer.status_code == 200, answer.text
    assert answer.json()["credits"] == 3
    receipt = Receipt.from_payment_receipt(answer.headers["Payment-Receipt"])
    assert (receipt.status, receipt.method) == ("success", "evm")
    assert answer.headers["Cache-Control"] == "private, no-store"
    again = httpx.post(
        f"{address}/api/images/buy", json={"count": 3}, headers={"Authorization": sent}
    )
    assert (again.status_code, again.json()["code"]) == (403, "credential_replayed")
    assert "WWW-Authenticate" not in again.headers
    dearer = httpx.post(
        f"{address}/api/images/buy", json={"count": 30}, headers={"Authorization": sent}
    )
    assert dearer.status_code == 403
    assert facilitator.received(PAY_TO) - before == 3 * DOLLAR


def test_pympp_pays_for_one_image_in_the_same_request(
    address: str, facilitator: FakeFacilitator
) -> None:
    before = facilitator.received(PAY_TO)

    answer, _ = pay_by_mpp(address, "/images/generate", {"prompt": "a lighthouse at dawn"})

    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Credits-Remaining"] == "0"
    assert facilitator.received(PAY_TO) - before == DOLLAR


def test_a_header_of_a_megabyte_is_refused_by_the_server(
    address: str, facilitator: FakeFacilitator
) -> None:
    try:
        status = httpx.post(
            f"{address}/api/images/buy",
            json={"count": 3},
            headers={"PAYMENT-SIGNATURE": "A" * 1024 * 1024},
        ).status_code
    except httpx.TransportError:
        status = 0  # the server cut the connection
    assert status != 200
    assert status < 500
    assert httpx.get(f"{address}/healthz").status_code == 200
    assert facilitator.calls == []
