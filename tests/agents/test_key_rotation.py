"""A new agents' key leaves what the earlier one signed valid, for as long as that is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.utils import base64url_decode

from creditapp.agents import Identity
from creditapp.config import SettingsInvalid, load_settings
from creditapp.services import provide
from tests.agents.conftest import AgentShop
from tests.agents.test_buy import claims_of

SITE = "http://127.0.0.1:8000"
OLD = "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZDE"  # pragma: allowlist secret
NEW = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldzE"  # pragma: allowlist secret


def use(shop: AgentShop, key: str, *previous: str) -> None:
    """Restart the site with a key, and those of before."""
    provide(shop.app, Identity, Identity(SITE, key, previous))


def signers(shop: AgentShop, text: str) -> list[str]:
    """Return which keys of the DID document signed a text, as others verify it."""
    document = shop.get("/.well-known/did.json").json
    assert document["authentication"] == document["assertionMethod"]
    assert document["assertionMethod"] == [each["id"] for each in document["verificationMethod"]]
    fitting = []
    for method in document["verificationMethod"]:
        key = Ed25519PublicKey.from_public_bytes(base64url_decode(method["publicKeyJwk"]["x"]))
        try:
            jwt.decode(text, key, algorithms=["EdDSA"], options={"verify_exp": False})
        except jwt.InvalidSignatureError:
            continue
        fitting.append(method["id"].rpartition("#")[2])
    return fitting


def test_receipts_and_tokens_of_the_earlier_key_stay_valid(agent_shop: AgentShop) -> None:
    use(agent_shop, OLD)
    receipt, unpaid, paid = agent_shop.receipt(3), agent_shop.token(2), agent_shop.token(1)
    assert agent_shop.pay(paid).status_code == 200

    use(agent_shop, NEW, OLD)

    assert agent_shop.make(receipt, prompt="a quay").status_code == 200
    assert agent_shop.balance(receipt)["remaining"] == 2
    assert agent_shop.pay(unpaid).status_code == 200
    for token, count in ((unpaid, 2), (paid, 1)):
        claimed = agent_shop.claim(token).json["receipt"]
        assert agent_shop.balance(claimed)["remaining"] == count
        assert signers(agent_shop, claimed) == ["jwk-1"]
        inside = claims_of(claimed)["vc"]["credentialSubject"]["paymentRequestToken"]
        assert inside == token, "byte for byte, or the receipt is refused"
        assert signers(agent_shop, inside) == ["jwk-2"]
    assert signers(agent_shop, receipt) == ["jwk-2"]
    assert signers(agent_shop, agent_shop.receipt(1)) == ["jwk-1"]


def test_a_repeated_purchase_gets_the_same_token_after_a_rotation(agent_shop: AgentShop) -> None:
    use(agent_shop, OLD)
    first = agent_shop.post("/api/images/buy", {"count": 3}, Idempotency_Key="k")
    use(agent_shop, NEW, OLD)
    again = agent_shop.post("/api/images/buy", {"count": 3}, Idempotency_Key="k")

    assert (again.status_code, again.text) == (402, first.text)


def test_a_key_that_is_not_named_any_more_proves_nothing(agent_shop: AgentShop) -> None:
    use(agent_shop, OLD)
    receipt, token = agent_shop.receipt(3), agent_shop.token(1)
    use(agent_shop, NEW)

    refused = agent_shop.generate(receipt, prompt="a quay")
    assert (refused.status_code, refused.json["code"]) == (401, "receipt_invalid")
    assert agent_shop.pay(token).json["code"] == "unknown_payment_request"


def load(tmp_path: Path, **environ: str) -> Any:
    return load_settings({"CREDITAPP_DATA": str(tmp_path), "SITE_URL": SITE, **environ})


def test_the_settings_name_several_earlier_keys(tmp_path: Path) -> None:
    settings = load(
        tmp_path, CREDITAPP_AGENTS_KEY=NEW, CREDITAPP_PREVIOUS_AGENTS_KEYS=f"{OLD}  {NEW}"
    )

    assert settings.previous_agents_keys == (OLD, NEW)
    assert OLD not in repr(settings)
    assert load(tmp_path).previous_agents_keys == ()


def test_an_earlier_key_that_is_none_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="CREDITAPP_PREVIOUS_AGENTS_KEYS must be") as raised:
        load(tmp_path, CREDITAPP_PREVIOUS_AGENTS_KEYS=f"{OLD} short-and-secret")
    assert "short-and-secret" not in str(raised.value)
