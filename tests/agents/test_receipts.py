"""Receipts: only what this server issued for a payment of its own request is worth a credit."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from werkzeug.test import TestResponse

from creditapp.agents import Identity
from creditapp.clock import StoppedClock
from creditapp.config import Settings
from creditapp.generation.models import Generation
from creditapp.services import get, provide
from tests.agents.conftest import AgentShop
from tests.agents.test_buy import claims_of


def segment(data: object) -> str:
    """Return an object as a part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def refused(agent_shop: AgentShop, receipt: str) -> str:
    """Return the code with which both uses of a receipt are refused; nothing is made."""
    made = agent_shop.generate(receipt, prompt="a quay")
    read = agent_shop.get("/api/receipts/balance", Authorization=f"Bearer {receipt}")
    assert made.status_code == read.status_code == 401
    assert made.json["code"] == read.json["code"]
    assert agent_shop.count(Generation) == 0
    return str(made.json["code"])


def did_key(key: Ed25519PrivateKey) -> str:
    """Return the did:key of a key."""
    alphabet = (
        "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"  # pragma: allowlist secret
    )
    number = int.from_bytes(b"\xed\x01" + key.public_key().public_bytes_raw(), "big")
    letters = ""
    while number:
        number, rest = divmod(number, 58)
        letters = alphabet[rest] + letters
    return f"did:key:z{letters}"


def test_a_receipt_issued_by_its_holder_is_refused(agent_shop: AgentShop) -> None:
    """The design that these receipts replace accepted one: anybody could pay nothing."""
    claims = claims_of(agent_shop.receipt())
    key = Ed25519PrivateKey.generate()
    claims["iss"] = claims["sub"] = did_key(key)

    assert refused(agent_shop, jwt.encode(claims, key, "EdDSA")) == "untrusted_receipt_issuer"


def test_a_receipt_in_our_name_with_another_key_is_refused(agent_shop: AgentShop) -> None:
    claims = claims_of(agent_shop.receipt())

    forged = jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA")

    assert refused(agent_shop, forged) == "receipt_invalid"


def test_a_receipt_without_a_signature_is_refused(agent_shop: AgentShop) -> None:
    claims = claims_of(agent_shop.receipt())
    for algorithm in ("none", "None", "EdDSA"):
        unsigned = f"{segment({'alg': algorithm, 'typ': 'JWT'})}.{segment(claims)}."
        assert refused(agent_shop, unsigned) == "receipt_invalid"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP256K1()), "ES256K"),
        (Ed448PrivateKey.generate(), "EdDSA"),
        ("a secret that everybody could know, long enough", "HS256"),
    ],
)
def test_other_curves_and_shared_secrets_are_refused(
    agent_shop: AgentShop, key: Any, algorithm: str
) -> None:
    claims = claims_of(agent_shop.receipt())

    assert refused(agent_shop, jwt.encode(claims, key, algorithm)) == "receipt_invalid"


def test_our_public_key_as_a_shared_secret_signs_nothing(agent_shop: AgentShop) -> None:
    claims = claims_of(agent_shop.receipt())
    document = agent_shop.get("/.well-known/did.json").json
    x = document["verificationMethod"][0]["publicKeyJwk"]["x"]

    assert refused(agent_shop, jwt.encode(claims, x, "HS256")) == "receipt_invalid"


def test_an_altered_claim_breaks_the_signature(agent_shop: AgentShop) -> None:
    head, _, signature = agent_shop.receipt().split(".")
    claims = claims_of(agent_shop.receipt())
    claims["exp"] += 10_000_000

    assert refused(agent_shop, f"{head}.{segment(claims)}.{signature}") == "receipt_invalid"


def signed_by_us(agent_shop: AgentShop, claims: dict[str, Any]) -> str:
    """Return claims signed with the server's own key: what a bug or a thief could make."""
    with agent_shop.app.app_context():
        return get(Identity).sign(claims)


def test_a_foreign_payment_request_within_our_receipt_is_refused(agent_shop: AgentShop) -> None:
    claims = claims_of(agent_shop.receipt())
    token = claims_of(claims["vc"]["credentialSubject"]["paymentRequestToken"])
    foreign = jwt.encode(token, Ed25519PrivateKey.generate(), "EdDSA")
    claims["vc"]["credentialSubject"]["paymentRequestToken"] = foreign

    code = refused(agent_shop, signed_by_us(agent_shop, claims))
    assert code == "unknown_payment_request"


@pytest.mark.parametrize("amount", [1, 30_000])
def test_a_token_with_another_amount_is_not_the_row(agent_shop: AgentShop, amount: int) -> None:
    claims = claims_of(agent_shop.receipt())
    token = claims_of(claims["vc"]["credentialSubject"]["paymentRequestToken"])
    token["paymentOptions"][0]["amount"] = amount
    claims["vc"]["credentialSubject"]["paymentRequestToken"] = signed_by_us(agent_shop, token)

    code = refused(agent_shop, signed_by_us(agent_shop, claims))
    assert code == "unknown_payment_request"


def test_a_receipt_of_another_option_is_refused(agent_shop: AgentShop) -> None:
    claims = claims_of(agent_shop.receipt())
    claims["vc"]["credentialSubject"]["paymentOptionId"] = "another"

    assert refused(agent_shop, signed_by_us(agent_shop, claims)) == "receipt_invalid"


def test_our_receipt_of_an_unpaid_request_is_refused(agent_shop: AgentShop) -> None:
    claims = claims_of(agent_shop.receipt())
    claims["vc"]["credentialSubject"]["paymentRequestToken"] = agent_shop.token()

    assert refused(agent_shop, signed_by_us(agent_shop, claims)) == "receipt_invalid"


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é.é.é", "x" * 20_000, "\x00"])
def test_what_is_no_receipt_is_refused(agent_shop: AgentShop, text: str) -> None:
    answer = agent_shop.post("/api/images/generate", {"receipt": text, "prompt": "a quay"})

    assert (answer.status_code, answer.json["code"]) == (401, "receipt_invalid")


@pytest.mark.parametrize("vc", [None, [], {}, {"type": "PaymentReceiptCredential"}])
def test_a_signed_text_that_is_no_receipt_is_refused(agent_shop: AgentShop, vc: Any) -> None:
    claims = {**claims_of(agent_shop.receipt()), "vc": vc}

    assert refused(agent_shop, signed_by_us(agent_shop, claims)) == "receipt_invalid"


def test_a_receipt_ends_with_its_credits(agent_shop: AgentShop, clock: StoppedClock) -> None:
    receipt = agent_shop.receipt()
    end = agent_shop.balance(receipt)["expiresAt"]
    clock.advance(timedelta(days=365, seconds=1))

    assert refused(agent_shop, receipt) == "receipt_expired"
    assert claims_of(receipt)["exp"] == int(
        agent_shop.settlement_row(
            claims_of(claims_of(receipt)["vc"]["credentialSubject"]["paymentRequestToken"])["id"]
        ).expires_at.timestamp()
    )
    assert end.startswith("2027-11-21")


def test_a_token_that_we_did_not_sign_gets_no_receipt(agent_shop: AgentShop) -> None:
    claims = claims_of(agent_shop.token())
    forged = jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA")

    answer = agent_shop.claim(forged)

    assert (answer.status_code, answer.json["code"]) == (401, "unknown_payment_request")
    assert agent_shop.pay(forged).json["code"] == "unknown_payment_request"


def test_errors_and_logs_show_no_receipt(
    agent_shop: AgentShop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    receipt = agent_shop.receipt(1)
    agent_shop.make(receipt, prompt="a quay")

    exhausted = agent_shop.generate(receipt, prompt="a quay")
    altered = agent_shop.generate(receipt[:-4] + "AAAA", prompt="a quay")

    signature = receipt.rpartition(".")[2]
    assert caplog.text, "the image's thumbnail failed, and the log says so"
    assert signature not in exhausted.text + altered.text + caplog.text
    assert receipt not in caplog.text


@pytest.mark.parametrize("path", ["/api/images/generate", "/api/ack/receipts"])
@pytest.mark.parametrize("text", [r"\ud800.a.b", r"\u00e9.a.b", "a" * 20_000])
def test_texts_that_no_token_has_are_refused(agent_shop: AgentShop, path: str, text: str) -> None:
    name = "receipt" if path.endswith("generate") else "paymentRequestToken"

    answer = agent_shop.app.test_client().post(
        path, data=f'{{"{name}": "{text}"}}', content_type="application/json"
    )

    assert answer.status_code == 401


def trust(agent_shop: AgentShop, key: Ed25519PrivateKey) -> str:
    """Let receipts of a key count; return its did:key."""
    did = did_key(key)
    with agent_shop.app.app_context():
        settings = get(Settings).model_copy(update={"trusted_receipt_issuers": (did,)})
    provide(agent_shop.app, Settings, settings)
    return did


def foreign_receipt(agent_shop: AgentShop, key: Ed25519PrivateKey, token: str) -> str:
    """Return a receipt of another issuer for a payment request of ours."""
    claims = claims_of(agent_shop.receipt(1))
    claims["iss"] = did_key(key)
    claims["vc"]["credentialSubject"]["paymentRequestToken"] = token
    return jwt.encode(claims, key, "EdDSA")


def test_a_trusted_issuers_receipt_pays_its_request_once(agent_shop: AgentShop) -> None:
    key = Ed25519PrivateKey.generate()
    trust(agent_shop, key)
    receipt = foreign_receipt(agent_shop, key, agent_shop.token(3))

    answers = agent_shop.at_once(
        *[lambda: agent_shop.get("/api/receipts/balance", Authorization=f"Bearer {receipt}")] * 6
    )

    assert {answer.json["remaining"] for answer in answers} == {3}
    assert agent_shop.make(receipt, prompt="a quay").status_code == 200
    assert agent_shop.balance(receipt)["remaining"] == 2


def test_a_trusted_issuer_gets_nothing_of_what_was_paid_here(agent_shop: AgentShop) -> None:
    key = Ed25519PrivateKey.generate()
    trust(agent_shop, key)
    token = agent_shop.token(3)
    receipt = foreign_receipt(agent_shop, key, token)
    agent_shop.pay(token)

    assert refused(agent_shop, receipt) == "receipt_invalid"


def test_another_key_in_a_trusted_issuers_name_is_refused(agent_shop: AgentShop) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    did = trust(agent_shop, key)
    claims = claims_of(agent_shop.receipt()) | {"iss": did}

    assert refused(agent_shop, jwt.encode(claims, other, "EdDSA")) == "receipt_invalid"


def test_a_payer_who_signs_the_proof_is_named_by_the_receipt(agent_shop: AgentShop) -> None:
    token, key = agent_shop.token(3), Ed25519PrivateKey.generate()
    agent_shop.pay(token)
    content = {"paymentRequestToken": token, "paymentOptionId": "sandbox", "iss": did_key(key)}

    def claim(payload: str) -> TestResponse:
        return agent_shop.post("/api/ack/receipts", {"payload": payload})

    named = claim(jwt.encode(content, key, "EdDSA"))
    forged = claim(jwt.encode(content, Ed25519PrivateKey.generate(), "EdDSA"))
    other = Ed25519PrivateKey.generate()
    second = claim(jwt.encode(content | {"iss": did_key(other)}, other, "EdDSA"))

    assert claims_of(named.json["receipt"])["sub"] == did_key(key)
    assert agent_shop.balance(named.json["receipt"])["remaining"] == 3
    assert (forged.status_code, forged.json["code"]) == (401, "receipt_invalid")
    assert claims_of(second.json["receipt"])["sub"] == did_key(key), "the first payer stays"


@pytest.mark.parametrize("body", [{}, {"payload": "a.b.c", "paymentRequestToken": "a.b.c"}])
def test_a_proof_comes_in_one_form(agent_shop: AgentShop, body: dict[str, str]) -> None:
    answer = agent_shop.post("/api/ack/receipts", body)

    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")


@pytest.mark.parametrize("issuer", [None, 3, "did:web:localhost", "did:key:z6Mk", ["did:key:z"]])
def test_a_payload_without_a_key_is_refused(agent_shop: AgentShop, issuer: Any) -> None:
    content = {"paymentRequestToken": agent_shop.token(), "iss": issuer}
    payload = f"{segment({'alg': 'EdDSA', 'typ': 'JWT'})}.{segment(content)}.AAAA"

    answer = agent_shop.post("/api/ack/receipts", {"payload": payload})

    assert (answer.status_code, answer.json["code"]) == (401, "receipt_invalid")
