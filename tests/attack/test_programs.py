"""Programs with keys: what a key, a token or a body gains that it must not."""

from __future__ import annotations

import json
import socket
from collections import Counter
from typing import Any

import pytest

from tests.attack.attacker import Answer, Attacker, together
from tests.attack.sites import ADMIN_KEY, Site

SPEND = "/api/credits/spend"
OPEN_TO_ANYBODY = ("/api/quotes", "/api/images/", "/images/", "/api/ack/", "/api/receipts/")
"""Unsafe routes that also take callers without a key, and ask agents for money or a receipt."""


def _key(member: Attacker, **settings: Any) -> tuple[str, str]:
    """Return the id of a new key, and the key."""
    scopes = ["read", "generate", "spend", "purchase"]
    answer = member.send_json("/api/keys", {"name": "attack", "scopes": scopes, **settings})
    assert answer.status == 201, answer.text
    return answer.json["id"], answer.json["key"]


def _as(site: Site, key: str, method: str, path: str, body: bytes, **headers: str) -> Answer:
    """Call as a program of a network of its own."""
    own = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.attacker().call(method, path, body, own | named)


def _spend(site: Site, key: str, number: int, amount: float = 1) -> Answer:
    body = {"amount": amount, "feature": "attack", "idempotencyKey": f"call-{number}"}
    return _as(site, key, "POST", SPEND, json.dumps(body).encode())


def test_fifty_calls_at_once_pass_neither_budget_nor_balance(production: Site) -> None:
    """50 calls on a budget of 5 credits spend 5; 50 more of two keys end with the balance."""
    member = production.member()
    (_, bounded), (_, free) = _key(member, budget={"amount": 5, "period": "day"}), _key(member)
    answers = together(50, lambda number: _spend(production, bounded, number))
    codes = Counter(a.json.get("code", "spent") for a in answers)
    assert codes == {"spent": 5, "budget_exceeded": 45}
    assert member.credits() == 45
    answers = together(50, lambda number: _spend(production, free, 100 + number, 2))
    codes = Counter(a.json.get("code", "spent") for a in answers)
    assert codes == {"spent": 22, "insufficient_credits": 28}
    assert member.credits() == 1


def test_a_key_that_ended_opens_nothing(production: Site) -> None:
    """Every operation of the document with a revoked key, beside its owner's cookies."""
    member = production.member()
    key_id, key = _key(member)
    assert (
        member.call("DELETE", f"/api/keys/{key_id}", None, {"Origin": member.origin}).status == 204
    )
    document = production.attacker().get("/api/openapi.json").json
    cookies = "; ".join(f"{name}={value}" for name, value in member.cookies.items())
    tried = 0
    for path, operations in document["paths"].items():
        for method in {"post", "put", "patch", "delete"} & set(operations):
            if path.startswith(OPEN_TO_ANYBODY):
                continue
            real = path.replace("{", "x").replace("}", "x")
            answer = _as(production, key, method.upper(), real, b"{}", Cookie=cookies)
            assert answer.status in (400, 401, 403, 404), (method, path, answer.text[:300])
            assert answer.status != 400 or "webhook" in path, (path, answer.text[:300])
            assert key not in answer.text
            tried += 1
    assert tried > 40
    assert member.credits() == 50


def test_a_header_that_is_almost_the_admin_key_grants_nothing(production: Site) -> None:
    """Cut, longer, twice, in capitals, with another script's letter, with a space inside."""
    grant = {"userId": "usr_x", "amount": 1, "reason": "attack", "idempotencyKey": "one"}
    body = json.dumps(grant).encode()
    wrong = (
        *(ADMIN_KEY[:-1], f"{ADMIN_KEY}0", f"{ADMIN_KEY}, {ADMIN_KEY}", ADMIN_KEY.upper()),
        *(ADMIN_KEY.replace("a", "\xe0", 1), f"{ADMIN_KEY[:9]} {ADMIN_KEY[9:]}", ""),
    )
    for key in wrong:
        headers = {"Content-Type": "application/json", "x-admin-key": key}
        answer = production.attacker().call("POST", "/api/credits/grant", body, headers)
        assert (answer.status, answer.json["code"]) == (401, "authentication_required"), key
    headers = {"Content-Type": "application/json", "x_admin_key": ADMIN_KEY}
    assert production.attacker().call("POST", "/api/credits/grant", body, headers).status == 401


def test_strange_json_costs_nothing_and_breaks_nothing(production: Site) -> None:
    """Deep, huge, not finite, cut surrogates and NUL, to each new way in."""
    member = production.member()
    _, key = _key(member)
    values = (
        *("[" * 950 + "]" * 950, "[" * 100_000, "NaN", "-Infinity", "1e400", "1e99999999999"),
        *("9" * 5000, "-0", '"a\\u0000b"', '"\\ud800"', "{" * 500, '{"a": {}}'),
    )
    bodies = {
        SPEND: '{{"amount": {0}, "feature": "a", "description": {0}, "idempotencyKey": "k"}}',
        "/v1/images/generations": '{{"prompt": {0}, "n": {0}, "seed": {0}}}',
        "/v1/embeddings": '{{"model": {0}, "input": {0}, "dimensions": {0}}}',
        "/v1/audio/speech": '{{"model": "audio", "input": {0}, "voice": {0}, "speed": {0}}}',
        "/mcp": '{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"name":'
        ' "generate", "arguments": {{"prompt": {0}, "maxCredits": {0}}}}}}}',
    }
    for path, body in bodies.items():
        for value in values:
            answer = _as(production, key, "POST", path, body.format(value).encode())
            assert answer.status < 500, (path, value[:20], answer.text[:300])
            refused = answer.status in (400, 422) or '"isError":true' in answer.text
            assert refused or '"error"' in answer.text, (path, value[:20], answer.text[:300])
    assert member.credits() == 50


@pytest.mark.parametrize("path", ["/v1/images/generations", "/mcp", "/api/credits/spend"])
def test_a_body_without_an_end_is_cut_at_the_limit(production: Site, path: str) -> None:
    """Chunks without a declared length: 413 as soon as the limit is passed, and not a byte more."""
    client = production.attacker()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {client.host}\r\nX-Forwarded-For: {client.network}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", production.port), timeout=10) as connection:
        connection.sendall(head.encode())
        try:
            while sent < 100:
                connection.sendall(chunk)
                sent += 1
            answer = connection.recv(4096)
        except (ConnectionError, TimeoutError):
            answer = b""
    assert sent < 100 or answer.startswith(b"HTTP/1.1 413"), (sent, answer)


def test_private_answers_are_stored_by_no_cache_and_read_by_no_other_site(production: Site) -> None:
    """No-store on everything that a key reads, no header that lets other origins read it."""
    member = production.member()
    _, key = _key(member)
    for path in ("/api/credits", "/v1/models", "/api/billing/auto-topup", "/api/generations"):
        answer = _as(production, key, "GET", path, b"", Origin="https://evil.example")
        assert answer.status == 200, (path, answer.text)
        assert answer.header("Cache-Control") == "no-store", path
        assert not answer.header("Access-Control-Allow-Origin"), path
    for path in ("/api/keys", "/api/webhook-endpoints", "/settings/webhooks"):
        assert "no-store" in member.get(path).header("Cache-Control"), path
        assert _as(production, key, "GET", path, b"").status in (401, 403), path
    foreign = _as(production, key, "POST", "/mcp", b"{}", Origin="https://evil.example")
    assert foreign.status == 403
