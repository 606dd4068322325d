"""The Agent Commerce Kit's own code verifies our tokens and receipts, and cannot forge them.

No chain and no card is involved: the payment is the sandbox's.
"""

from __future__ import annotations

import json

from tests.api_server import ApiServer
from tests.interop.conftest import RunNode


def test_its_own_code_verifies_what_we_sign_and_forges_nothing(
    server: ApiServer, node: RunNode
) -> None:
    printed = json.loads(node("ack.mjs", server.url))

    did = f"did:web:127.0.0.1%3A{server.url.rpartition(':')[2]}"
    assert printed["offer"] == [402, "text/plain; charset=utf-8"]
    assert printed["issuer"] == printed["receiptIssuer"] == did
    assert printed["description"] == "Purchase of 3 image generation credits"
    option = printed["option"]
    assert (option["amount"], option["decimals"], option["currency"]) == (300, 2, "USD")
    assert printed["payerIsNamed"]
    assert printed["receiptRequest"] == printed["paymentRequestId"]
    assert printed["receiptOption"] == option["id"]
    assert printed["image"] == [200, "image/png"]
    assert printed["forged"] == [[401, "untrusted_receipt_issuer"]] * 3
