"""Other people's accounts, and more accounts, credits and tries than one network has."""

from __future__ import annotations

import re
import stat
from collections import Counter

import pytest

from tests.attack.attacker import PASSWORD, Attacker, together
from tests.attack.sites import Site, new_email, until


def _session_of(client: Attacker) -> dict[str, str]:
    return {name: value for name, value in client.cookies.items() if "session" in name}


def test_a_copied_session_ends_with_the_log_out(site: Site) -> None:
    """The cookie from before the log-out opens nothing."""
    victim = site.member()
    thief = site.attacker()
    thief.cookies = _session_of(victim)
    assert thief.get("/api/credits/balance").status == 200
    assert victim.submit("/auth/logout", {}).status == 303
    assert thief.get("/api/credits/balance").status == 401


def test_a_session_from_before_the_log_in_is_not_the_members(site: Site) -> None:
    """A session that was fixed beforehand stays a guest's."""
    email = new_email()
    site.attacker().sign_up(email)
    victim = site.attacker()
    victim.token()
    fixed = _session_of(victim)
    assert victim.log_in(email).status == 303
    thief = site.attacker()
    thief.cookies = fixed
    assert thief.get("/api/credits/balance").status == 401


def test_production_cookies_cannot_be_set_by_a_sister_host(production: Site) -> None:
    """Every cookie begins with ``__Host-``, is secure, and names no domain."""
    member = production.attacker()
    email = new_email()
    answers = [member.get("/"), member.sign_up(email), member.get("/settings")]
    answers += [member.submit("/auth/logout", {}), member.log_in(email), member.generate()]
    lines = [line for answer in answers for line in answer.cookies]
    assert len(lines) >= 3
    for line in lines:
        assert line.startswith("__Host-"), line
        assert {"Secure", "Path=/", "HttpOnly"} <= set(line.split("; ")), line
        assert "Domain" not in line, line
    tossed = production.attacker()
    tossed.cookies = {"creditapp_session": next(iter(_session_of(member).values()))}
    assert tossed.get("/api/credits/balance").status == 401


@pytest.mark.whole
def test_the_networks_of_one_ipv6_site_share_its_limits(production: Site) -> None:
    """90 sign-ups from 90 /64s of one /48 give welcome credits to at most 80."""
    welcomed = Counter[float]()
    for index in range(90):
        client = production.attacker(f"2001:db8:77:{index:x}::1")
        if client.sign_up(new_email()).status == 303:
            welcomed[client.credits()] += 1
    assert welcomed[50.0] <= 80, welcomed
    assert welcomed[50.0] >= 10, "a site of many people is not locked out"


@pytest.mark.whole
def test_guests_of_one_ipv6_site_share_its_limits(production: Site) -> None:
    """Free images from 60 /64s of one /48 end."""
    statuses = Counter(
        production.attacker(f"2001:db8:99:{index:x}::1").generate().status for index in range(60)
    )
    assert statuses[429] >= 10, statuses


def test_an_ipv4_address_has_one_name(production: Site) -> None:
    """Mapped, 6to4, NAT64 and plain forms of an address share three free images."""
    forms = ["198.51.100.9", "::ffff:198.51.100.9", "2002:c633:6409::1", "64:ff9b::198.51.100.9"]
    statuses = [production.attacker(form).generate().status for form in forms]
    assert statuses.count(429) == 1, statuses


def test_a_client_cannot_choose_its_address(site: Site) -> None:
    """Entries before the proxy's, and other headers, open no new free images."""
    guest = site.attacker()
    statuses = []
    for index in range(4):
        guest.cookies.clear()
        fake = f"192.0.2.{index}"
        headers = {"X-Real-IP": fake, "CF-Connecting-IP": fake, "Forwarded": f"for={fake}"}
        if site.production:
            headers["X-Forwarded-For"] = f"{fake}, {guest.network}"
        else:
            headers["X-Forwarded-For"] = fake
        sent = {"Content-Type": "application/json", "Origin": guest.origin, **headers}
        body = b'{"prompt": "a boat", "model": "nano-banana"}'
        statuses.append(guest.call("POST", "/api/generate-image", body, sent).status)
    assert statuses[3] == 429, statuses


@pytest.mark.whole
def test_guessing_a_password_is_slowed(site: Site) -> None:
    """Thirty parallel wrong passwords for one account end in 429."""
    email = new_email()
    site.attacker().sign_up(email)
    guesser = site.attacker()
    token = guesser.token()

    def guess(index: int) -> int:
        fields = {"csrf_token": token, "email": email, "password": f"wrong password {index}"}
        return guesser.send_form("/auth/login", fields).status

    statuses = Counter(together(30, guess))
    assert statuses[429] >= 18, statuses
    assert statuses[303] == 0


@pytest.mark.whole
def test_the_owner_is_not_locked_out(production: Site) -> None:
    """Forty wrong tries from four networks do not lock out the owner's own browser."""
    email = new_email()
    owner = production.attacker()
    owner.sign_up(email)
    owner.submit("/auth/logout", {})
    for network in range(4):
        guesser = production.attacker(f"203.0.{network}.9")
        token = guesser.token()
        for index in range(10):
            fields = {"csrf_token": token, "email": email, "password": f"wrong password {index}"}
            guesser.send_form("/auth/login", fields)
    assert owner.log_in(email).status == 303


@pytest.mark.whole
def test_a_sign_up_names_nobody_for_long(production: Site) -> None:
    """After a few tries a network cannot tell which addresses have an account."""
    taken = [new_email() for _ in range(8)]
    for email in taken:
        assert production.attacker().sign_up(email).status == 303
    prober = production.attacker("203.0.113.200")
    told = []
    for email in taken:
        prober.cookies.clear()
        known = prober.sign_up(email)
        prober.cookies.clear()
        fresh = prober.sign_up(new_email())
        outcomes = {(answer.status, answer.header("Location")) for answer in (known, fresh)}
        told.append(len(outcomes) > 1)
    assert told.count(True) <= 4, told


def test_an_email_carries_no_word_of_its_sender(site: Site) -> None:
    """The name of an account is in no email to an unconfirmed address."""
    attacker = site.attacker()
    victim = new_email()
    attacker.sign_up(victim)
    name = "Your account is locked. Unlock at http://evil.example/now"
    attacker.submit("/settings/profile", {"name": name, "low_balance": "10"})
    attacker.submit("/settings/verify", {})
    until("an email", lambda: site.emails())
    assert not [text for text in site.emails() if "evil.example" in text or "locked" in text]


def test_only_the_apps_user_reads_its_files(site: Site) -> None:
    """The data folder and what is in it are closed to other users of the machine."""
    for path in [site.folder, *site.folder.rglob("*")]:
        if path.name in ("out", "error", "bank") or path.parent.name == "bank":
            continue  # the test's own
        mode = stat.S_IMODE(path.stat().st_mode)
        assert not mode & 0o077, f"{path.relative_to(site.folder)} is {mode:o}"


def test_nothing_secret_is_logged(site: Site) -> None:
    """Passwords, cookies, prompts, addresses and keys are not in the server's output."""
    email = new_email()
    member = site.attacker()
    member.sign_up(email)
    member.generate(prompt="an unmistakable prompt about zebras")
    member.call("POST", "/auth/login", b"password=unmistakable-password&x=\x00", {"Origin": "null"})
    output = "".join((site.folder / name).read_text() for name in ("out", "error"))
    for secret in (email, PASSWORD, "zebras", "unmistakable", *member.cookies.values()):
        assert secret not in output
    assert not re.search(r"sk_test_\w{12}|whsec_of", output)
