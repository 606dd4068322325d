"""A NUL in any field: PostgreSQL stores none, and a query must not fail on one."""

from __future__ import annotations

import json

import pytest
from flask import Flask

from tests.app_factory import Outbox, Person, Queue
from tests.web.steps import PASSWORD, emailed_paths, log_in, make

NEW_PASSWORD = "a brand new password"
NONCE = "a-nonce-of-the-test"

# What each form sends when it is filled in as it should be.
FORMS: dict[str, dict[str, str]] = {
    "/auth/change/<token>": {},
    "/auth/forgot": {"email": "alice@example.com"},
    "/auth/login": {"email": "alice@example.com", "password": PASSWORD, "next": "/"},
    "/auth/logout": {},
    "/auth/reset/<token>": {"password": NEW_PASSWORD},
    "/auth/signup": {"email": "dora@example.com", "password": PASSWORD, "next": "/"},
    "/auth/verify": {},
    "/auth/verify/<token>": {},
    "/chat/<conversation_id>/again": {},
    "/chat/<conversation_id>/delete": {},
    "/chat/answers/<usage_id>/stop": {},
    "/chat/messages": {
        "text": "hello", "model": "gpt-6-luna", "conversation": "cnv_none", "edited": "msg_none",
        "images": "upl_none", "kinds_images": "image", "nonce": NONCE,
    },
    "/credits/checkout": {
        "pack": "creator", "catalog": "x", "currency": "USD", "nonce": NONCE, "next": "/",
        "width": "1",
    },
    "/credits/plan": {
        "plan": "basic", "cycle": "month", "seats": "1", "catalog": "x", "nonce": NONCE,
        "next": "/", "quoted_at": "1790000000", "charged_minor": "700", "credits_micro": "1",
    },
    "/credits/plan/cancel": {"next": "/"},
    "/credits/plan/resume": {"next": "/"},
    "/credits/portal": {"flow": "cancel"},
    "/credits/redeem": {"receipt": "a.b.c"},
    "/credits/refunds": {"payment": "pur_none"},
    "/generations": {
        "prompt": "a boat", "model": "nano-banana", "n": "1", "size": "1:1", "quality": "low",
        "shown_micro": "1", "nonce": NONCE,
    },
    "/generations/<generation_id>/cancel": {"next": "/"},
    "/generations/<generation_id>/delete": {"next": "/"},
    "/generations/<generation_id>/report": {"report": "six fingers"},
    "/history/<prompt_id>/forget": {"next": "/history"},
    "/history/forget": {},
    "/images/delete": {"images": "ast_none", "next": "/"},
    "/images/restore": {"deletion": "del_none", "next": "/"},
    "/images/star": {"images": "ast_none", "starred": "1", "place": "tile", "next": "/"},
    "/images/zip": {"images": "ast_none"},
    "/example-ai": {"text": "Five words are in here", "nonce": NONCE},
    "/settings/api-keys": {
        "name": "Builder", "scopes": "read", "budget": "5", "period": "day", "ends": "2027-01-01",
        "models": "nano-banana", "nonce": NONCE,
    },
    "/settings/api-keys/<key_id>": {"name": "Builder", "scopes": "read"},
    "/settings/api-keys/<key_id>/revoke": {},
    "/settings/api-key-mode": {"api_key_mode": "own"},
    "/settings/delete": {"current_password": NEW_PASSWORD, "email": "alice@new.example"},
    "/settings/email": {"new_email": "alice@new.example", "email_password": PASSWORD},
    "/settings/notifications": {"notify": "low_balance"},
    "/settings/password": {"current_password": PASSWORD, "password": NEW_PASSWORD},
    "/settings/profile": {"name": "Alice", "low_balance": "5"},
    "/settings/provider-keys/<vendor_id>": {"provider_key": "sk-of-nobody-0123456789"},
    "/settings/provider-keys/<vendor_id>/remove": {},
    "/settings/sessions/<session_id>/end": {},
    "/settings/sessions/end-others": {},
    "/settings/theme": {"theme": "dark"},
    "/settings/top-up": {
        "threshold": "5", "pack": "creator", "limit": "50", "counts_manual": "1", "catalog": "x",
        "card": "new", "agree": "1",
    },
    "/settings/top-up/off": {},
    "/settings/webhooks": {
        "url": "https://hooks.example.com/", "description": "Builder", "events": "credits.low",
        "nonce": "of-one-form-as-shown",
    },
    "/settings/webhooks/<endpoint_id>": {
        "url": "https://hooks.example.com/", "events": "credits.low", "enabled": "1",
    },
    "/settings/webhooks/<endpoint_id>/delete": {},
    "/settings/webhooks/<endpoint_id>/deliveries/<delivery_id>/redeliver": {},
    "/settings/webhooks/<endpoint_id>/rotate": {"nonce": "of-one-form-as-shown"},
    "/settings/webhooks/<endpoint_id>/test": {},
    "/studio": {"prompt": "a boat", "model": "nano-banana", "n": "1", "size": "1:1"},
    "/studio/price": {
        "operation": "image-to-image", "compare": "1", "models": "gpt-image", "images": "upl_x",
        "negativePrompt": "rain", "seed": "7", "style": "ink", "shown_micro": "1",
    },
    "/uploads": {"add_to": "images", "kinds": "image", "single": "1", "next": "/"},
    "/uploads/<upload_id>/delete": {"next": "/uploads"},
    "/unsubscribe/<token>": {"List-Unsubscribe": "One-Click"},
}  # fmt: skip


def test_every_form_is_tried(app: Flask) -> None:
    posted = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if "POST" in (rule.methods or ())
        and not hasattr(app.view_functions[rule.endpoint], "documentation")  # of the API
    }
    assert posted == set(FORMS)


@pytest.mark.parametrize("route", [route for route, fields in FORMS.items() if fields])
def test_a_nul_in_a_field_is_never_our_failure(
    app: Flask, alice: Person, queue: Queue, outbox: Outbox, route: str
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    path = route
    if "<generation_id>" in route:
        path = route.replace("/generations/<generation_id>", make(alice, queue))
    elif route == "/auth/reset/<token>":
        alice.post("/auth/forgot", {"email": "alice@example.com"})
        (path,) = emailed_paths(outbox, queue, "reset", "alice@example.com")
    fields = FORMS[route]
    for field in fields:
        for person in (Person(app), alice):
            answer = person.post(path, {**fields, field: "a\0b"})
            assert answer.status_code < 500, (field, answer.text)
        log_in(alice, "alice@example.com")
        assert alice.browser.get("/gallery").status_code == 200


# What each JSON route takes that is a text; numbers have a form of their own.
BODIES: dict[str, dict[str, object]] = {
    "/api/billing/checkout-session": {
        "packId": "creator", "planId": "basic", "priceId": "price_1", "cycle": "month",
        "currency": "USD", "idempotencyKey": "k1",
    },
    "/api/generate-image": {
        "prompt": "a boat", "model": "nano-banana", "size": "1:1", "quality": "low",
        "idempotencyKey": "k1",
    },
    "/api/webhook-endpoints": {"url": "https://hooks.example.com/", "description": "Builder"},
    "/api/generate-video": {
        "prompt": "waves", "size": "16:9", "model": "video", "idempotencyKey": "k2",
    },
    "/api/generate-audio": {"text": "hello", "voice": "coral", "format": "wav"},
    "/api/upscale-image": {"image": "upl_" + "0" * 26},
    "/api/generate-lipsync": {"image": "upl_" + "0" * 26, "audio": "ast_" + "0" * 26},
    "/api/chat": {"type": "audio", "text": "hello", "voice": "coral"},
    "/api/quotes": {"operation": "chat", "model": "nano-banana", "quality": "low", "text": "a"},
    "/api/upgrade-plan": {"planId": "premium", "cycle": "month", "idempotencyKey": "k1"},
}  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
def test_a_nul_or_half_a_pair_in_a_body_is_never_our_failure(
    app: Flask, alice: Person, path: str
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    for field, good in BODIES[path].items():
        # By itself too: a body may name its pack, its plan or its price, and only one of them.
        for others in ({}, BODIES[path]):
            for bad in ("a\0b", "\0", "a\ud83d"):
                answer = alice.browser.post(
                    path,
                    data=json.dumps({**others, field: f"{good}{bad}"}),
                    content_type="application/json",
                    headers={"Sec-Fetch-Site": "same-origin", "Prefer": "respond-async"},
                )
                assert answer.status_code < 500, (field, answer.text)


def test_a_guest_with_free_images_sees_them_free(guest: Person, alice: Person) -> None:
    rows = guest.page("/").all(".model:not(.row-closed) .row-cost")
    assert rows
    assert all(row.text.startswith("free") and row.text.endswith("later") for row in rows)
    assert not any("free" in row.text for row in alice.page("/").all(".row-cost"))
