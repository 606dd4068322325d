"""One person cannot stop the site for others: slow and large bodies, costly pages, slow Stripe."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median

import pytest

from tests.attack.attacker import Answer, Attacker, together
from tests.attack.sites import Site

SOAK = os.environ.get("CREDITAPP_SOAK") == "1"
SECONDS = 30.0 if SOAK else 6.0
"""How long each attack goes on."""

STRANGER_SECONDS_MAX = 2.0
"""How long a stranger may wait, on a machine that runs the attackers as well."""


@contextmanager
def going_on(attacks: Sequence[Callable[[], object]]) -> Iterator[None]:
    """Run attacks in threads meanwhile; they end by themselves."""
    threads = [threading.Thread(target=attack, daemon=True) for attack in attacks]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1.0)
        yield
    finally:
        for thread in threads:
            thread.join(SECONDS + 60)


@pytest.mark.whole
def test_slow_bodies_of_many_networks_change_nothing(
    production: Site, record_property: Callable[[str, object], None]
) -> None:
    """40 clients that drip a body from 40 networks: others post, and Stripe's events arrive."""
    drippers = [production.attacker(f"10.77.{index}.1") for index in range(40)]
    stranger = production.attacker()
    token = stranger.token()
    fields = {"csrf_token": token, "email": "a@example.com", "password": "wrong password"}
    attacks = [partial(dripper.drip, "/auth/login", SECONDS) for dripper in drippers]
    with going_on(attacks):
        posts = [stranger.send_form("/auth/login", fields) for _ in range(3)]
        hook = stranger.call(
            "POST", "/api/webhooks/stripe", b"{}", {"Stripe-Signature": "t=1,v1=0"}
        )
        page = stranger.get("/")
    assert {answer.status for answer in posts} <= {401, 422}, posts
    assert (hook.status, page.status) == (400, 200)
    slowest = max(answer.seconds for answer in (*posts, hook, page))
    record_property("seen", f"a stranger waits {slowest:.2f} s at most")
    assert slowest < STRANGER_SECONDS_MAX


@pytest.mark.whole
def test_a_slow_body_is_cut(production: Site) -> None:
    """A body that comes at a byte a second is answered or closed within 20 seconds."""
    assert production.attacker().drip("/auth/login", 20.0)


def test_a_large_body_is_refused_unread(site: Site) -> None:
    """A declared length above the route's limit gets 413 before a byte of it is read."""
    for path, kind, length in (
        ("/api/generate-image", "application/json", 20_000_000),
        ("/auth/login", "application/x-www-form-urlencoded", 1_000_000),
        ("/auth/login", "multipart/form-data; boundary=x", 19_000_000),
        ("/api/webhooks/stripe", "application/json", 1_000_000),
    ):
        client = site.attacker()
        connection = client.connection(10)
        connection.putrequest("POST", path, skip_host=True)
        headers = {"Host": client.host, "Origin": client.origin, "X-Forwarded-For": client.network}
        for name, value in {**headers, "Content-Type": kind, "Content-Length": str(length)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == 413, (path, kind)
        connection.close()


def test_a_form_of_many_fields_is_refused_small(site: Site) -> None:
    """30,000 fields get a short refusal, not a page with 30,000 fields."""
    client = site.attacker()
    body = "&".join(f"f{index}=" for index in range(30_000)).encode()[:250_000]
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": client.origin}
    answer = client.call("POST", "/studio", body, headers)
    assert answer.status in (413, 422)
    assert len(answer.body) < 20_000


def test_a_large_public_page_is_built_once(site: Site) -> None:
    """Pages that are the same for everybody have an ETag; asked for again they answer 304."""
    client = site.attacker()
    for path in ("/api/openapi.json", "/api/docs", "/credits-demo"):
        first = client.get(path)
        assert first.status == 200, path
        assert first.header("ETag"), path
        again = client.get(path, If_None_Match=first.header("ETag"))
        assert (again.status, again.body) == (304, b""), path


@pytest.mark.whole
def test_a_member_cannot_exhaust_stripe(production: Site) -> None:
    """Sixty returns to one unpaid purchase ask Stripe a few times, not hundreds."""
    assert production.stripe is not None
    member = production.member()
    purchase = production.purchase_of(member.start_checkout("starter"))
    before = production.stripe.calls.total()
    together(30, lambda _i: member.get(f"/credits/purchases/{purchase}/back"))
    together(30, lambda _i: member.get(f"/credits/purchases/{purchase}/back"))
    assert production.stripe.calls.total() - before <= 30


@pytest.mark.whole
def test_a_slow_stripe_keeps_no_strangers_waiting(
    production: Site, record_property: Callable[[str, object], None]
) -> None:
    """While Stripe takes 2 s and 40 members wait for it, a stranger's page comes at once."""
    assert production.stripe is not None
    members = [production.member() for _ in range(12 if not SOAK else 40)]
    stranger = production.attacker()
    stranger.get("/")
    production.stripe.delay_seconds = 2.0

    def ask(index: int) -> Answer:
        return members[index % len(members)].send_json(
            "/api/billing/checkout-session", {"packId": "starter"}
        )

    try:
        with going_on([partial(ask, index) for index in range(40)]):
            waits = [stranger.get("/").seconds for _ in range(10)]
    finally:
        production.stripe.delay_seconds = 0.0
    record_property("seen", f"a stranger waits {median(waits):.2f} s, at most {max(waits):.2f} s")
    assert median(waits) < 0.3
    assert max(waits) < STRANGER_SECONDS_MAX


@pytest.mark.whole
def test_the_demo_shows_its_bank_to_its_own_machine_alone(demo: Site) -> None:
    """Through a proxy, or under another name, the sandbox shows the checkout alone."""
    local = Attacker(demo.port, f"127.0.0.1:{demo.port}", False, "127.0.0.1")
    assert local.get("/sandbox/").status == 200
    for headers in (
        {"X_Forwarded_For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"X_Real_IP": "203.0.113.9"},
        {"Via": "1.1 proxy"},
        {"Host": "demo.example.org"},
    ):
        assert local.get("/sandbox/", **headers).status == 404, headers


def test_production_has_no_bank(production: Site) -> None:
    """The payment sandbox is not part of a production site."""
    stranger = production.attacker()
    for path in ("/sandbox/", "/sandbox/pay/cs_1", "/sandbox/v1/refunds", "/sandbox/static/x.css"):
        assert stranger.get(path).status == 404


@pytest.mark.whole
def test_one_network_is_slowed(site: Site) -> None:
    """1,300 requests of one network within a minute end in 429 with Retry-After."""
    client = site.attacker()
    answers = [a for _ in range(20) for a in together(65, lambda _i: client.get("/auth/verify/x"))]
    statuses = Counter(answer.status for answer in answers)
    assert statuses[429] >= 80, statuses
    refused = next(answer for answer in answers if answer.status == 429)
    assert 1 <= int(refused.header("Retry-After")) <= 60
    assert client.get("/healthz").status == 200
