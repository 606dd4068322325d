"""Requests that a stranger's page, a stranger's account or a malformed client sends."""

from __future__ import annotations

import secrets
from urllib.parse import quote

from tests.attack.attacker import PASSWORD, Attacker
from tests.attack.sites import HOST, Site, new_email, until

ORDER = {"prompt": "a boat", "model": "nano-banana"}


def test_a_json_call_from_another_origin_spends_nothing(site: Site) -> None:
    """Foreign origins, no content type and plain text are refused with a member's cookies."""
    victim = site.member()
    own = victim.origin
    foreign = ["https://evil.example", "null", f"{own}.evil.example", own.replace("//", "//evil.")]
    for origin in foreign:
        answer = victim.send_json("/api/generate-image", ORDER, Origin=origin)
        assert answer.status == 403, (origin, answer.text)
    for fetch_site in ("cross-site", "same-site", "none of these"):
        answer = victim.send_json(
            "/api/generate-image", ORDER, Origin="", Sec_Fetch_Site=fetch_site
        )
        assert answer.status == 403, (fetch_site, answer.text)
    plain = victim.send_json("/api/generate-image", ORDER, Content_Type="text/plain", Origin="null")
    assert plain.status in (403, 415)
    assert victim.credits() == 50


def test_a_form_needs_the_token_of_its_own_session(site: Site) -> None:
    """No token and another session's token are refused; log-out is no GET."""
    victim, stranger = site.member(), site.attacker()
    for token in ("", stranger.token(), secrets.token_urlsafe(32)):
        fields = {"csrf_token": token, "prompt": "a boat", "model": "nano-banana", "nonce": "n"}
        assert victim.send_form("/generations", fields).status == 403
    assert victim.get("/auth/logout").status == 405
    assert victim.credits() == 50


def test_a_reset_email_links_to_the_site_alone(site: Site) -> None:
    """Host, X-Forwarded-Host and Forwarded do not change the link in an email."""
    victim = site.attacker()
    email = new_email()
    victim.sign_up(email)
    fields = {"csrf_token": victim.token(), "email": email}
    for headers in ({"X_Forwarded_Host": "evil.example"}, {"Forwarded": "host=evil.example"}):
        assert victim.send_form("/auth/forgot", fields, **headers).status in (200, 303)
    evil = Attacker(site.port, "evil.example", site.production, victim.network)
    evil.submit("/auth/forgot", {"email": email})
    until("the reset email", lambda: any("/auth/reset/" in text for text in site.emails()))
    assert not [text for text in site.emails() if "evil.example" in text]


def test_a_log_in_returns_to_this_site_alone(site: Site) -> None:
    """``next`` cannot lead to another site."""
    victim, email = site.attacker(), new_email()
    victim.sign_up(email)
    for target in (
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "https:evil.example",
        " //evil.example",
        f"https://{HOST}@evil.example/",
    ):
        victim.submit("/auth/logout", {})
        fields = {"email": email, "password": PASSWORD, "next": target}
        answer = victim.submit(f"/auth/login?next={quote(target)}", fields)
        assert answer.status == 303, target
        location = answer.header("Location")
        assert location.startswith("/"), target
        assert not location.startswith(("//", "/\\")), target


def test_a_strangers_objects_do_not_exist(site: Site) -> None:
    """Generations, images, purchases and receipts of others answer 404, to a guest too."""
    owner = site.member()
    made = owner.generate().json
    asset = made["assets"][0]["url"]
    bank_page = owner.start_checkout()
    site.pay(bank_page)
    until("the purchase is paid", lambda: owner.credits() > 100)
    receipts = [link["href"] for link in owner.get("/dashboard").page.all("a[href*='/receipts/']")]
    assert receipts, "the dashboard links to the receipt"
    paths = [asset, f"/generations/{made['id']}", f"/api/generations/{made['id']}", *receipts]
    for stranger in (site.member(), site.attacker()):
        for path in paths:
            answer = stranger.get(path)
            assert answer.status in (401, 404) or "/auth/" in answer.header("Location"), path
            assert b"a boat" not in answer.body
        deleted = stranger.send_json(f"/api/generations/{made['id']}", {}, method="DELETE")
        assert deleted.status in (401, 404)
    assert owner.get(asset).status == 200


def test_files_outside_the_folders_are_not_served(site: Site) -> None:
    """``..``, encoded slashes and NUL reach no file, and no answer is a server error."""
    stranger = site.attacker()
    for path in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/media/..%2f..%2fcreditapp.sqlite",
        "/media/%00",
        "/media/....//secret_key",
        "/credits-demo/emails/..%2f..%2fsecret",
    ):
        answer = stranger.get(path)
        assert answer.status in (400, 403, 404), (path, answer.status)
        assert b"import" not in answer.body


def test_html_in_a_prompt_is_text(site: Site) -> None:
    """A script in a prompt is escaped wherever it is shown."""
    member = site.member()
    script = "<script>alert(1)</script>{{ 7*7 }}"
    made = member.generate(prompt=script).json
    for path in ("/", "/gallery", f"/generations/{made['id']}", f"/?prompt={quote(script)}"):
        answer = member.get(path)
        assert "<script>alert" not in answer.text, path
        assert "unsafe" not in answer.header("Content-Security-Policy")


def test_an_admin_route_needs_the_key(site: Site) -> None:
    """A missing, short, long or strange admin key opens no operator's route."""
    member = site.member()
    for key in ("", "x", "an-admin-key", "é".encode().decode("latin-1"), "a" * 5000):
        answer = member.send_json("/api/billing/sync-prices", {}, x_admin_key=key)
        assert answer.status in (400, 401, 404, 431), answer.status


def test_malformed_bodies_are_refused_in_plain_words(site: Site) -> None:
    """Deep, huge, repeated and broken JSON get a 4xx and cost nothing."""
    member = site.member()
    headers = {"Content-Type": "application/json", "Origin": member.origin}
    for body in (
        b"{",
        b"[" * 100_000,
        b'{"prompt": ' + b"9" * 900_000 + b"}",
        b'{"prompt": "a", "prompt": "b", "n": 1e309}',
        b'{"n": NaN, "prompt": "a"}',
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "a\\u0000b"}',
        b'{"prompt": "a", "n": -1}',
        b"\xff\xfe",
    ):
        answer = member.call("POST", "/api/generate-image", body, headers)
        assert 400 <= answer.status < 500, (body[:40], answer.status)
    assert member.credits() == 50
