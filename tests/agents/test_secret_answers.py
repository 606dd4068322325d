"""Answers that carry a secret: no cache on the way may store one."""

from __future__ import annotations

from collections.abc import Iterator

from werkzeug.test import TestResponse

from tests.agents.conftest import ACCEPT_JSON, AgentShop
from tests.app_factory import Person
from tests.pages import parse_html

ENDPOINT = {"url": "https://hooks.example.com/in", "events": ["credits.low"]}
KEY = {"name": "Builder", "scopes": ["read", "spend"]}


def answers(shop: AgentShop, alice: Person) -> Iterator[tuple[str, TestResponse, str]]:
    """Yield every answer with a secret: its name, itself, and the secret."""
    made = alice.call("POST", "/api/keys", KEY)
    yield "API key", made, made.json["key"]
    nonce = {"nonce": "of-one-form-as-shown"}
    page = alice.post("/settings/api-keys", {**KEY, **nonce, "period": "day", "budget": "5"})
    yield "API key on a page", page, parse_html(page.text).one("#new-key").text
    token = alice.call("POST", "/api/me/access-token", {"feature": "search"})
    yield "access token", token, token.json["token"]
    created = alice.call("POST", "/api/webhook-endpoints", ENDPOINT)
    yield "webhook secret", created, created.json["secret"]
    rotated = alice.call("POST", f"/api/webhook-endpoints/{created.json['id']}/rotate")
    yield "new webhook secret", rotated, rotated.json["secret"]
    shown = alice.post("/settings/webhooks", {**ENDPOINT, **nonce, "description": "Builder"})
    yield "webhook secret on a page", shown, parse_html(shown.text).one("#new-secret").text

    challenge = shop.post("/api/images/buy", {"count": 3})
    yield "payment request token", challenge, challenge.text
    challenge = shop.post("/api/images/buy", {"count": 1}, **ACCEPT_JSON)
    yield "its JSON", challenge, challenge.json["paymentRequestToken"]
    shop.pay(challenge.json["paymentRequestToken"])
    claimed = shop.claim(challenge.json["paymentRequestToken"])
    yield "receipt", claimed, claimed.json["receipt"]
    bought = shop.post("/images/buy", {"count": 2}, X_Sandbox_Payment=shop.token(2))
    yield "purchase", bought, bought.json["receipt"]
    image = shop.post(
        "/api/images/generate",
        {"prompt": "a quay"},
        X_Sandbox_Payment=shop.token(1),
        Prefer="respond-async",
    )
    yield "receipt beside an image", image, image.headers["X-Receipt"]


def test_no_cache_stores_an_answer_with_a_secret(agent_shop: AgentShop, alice: Person) -> None:
    seen = set()
    for name, answer, secret in answers(agent_shop, alice):
        assert answer.status_code in (200, 201, 202, 402), (name, answer.text)
        assert len(secret) > 20, name
        assert "no-store" in answer.headers["Cache-Control"], name
        seen.add(name)
    assert len(seen) == 11
