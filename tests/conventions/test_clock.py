"""Domain functions get the time as an argument; only the modules named here ask the clock."""

from __future__ import annotations

import re

from tests.conventions.files import texts

ENTRY_POINTS = re.compile(r"creditapp/(web|api|http|cli|runtime)/")

SERVICES = {
    "creditapp/emails/delivery.py": "the mail server may take minutes to answer",
    "creditapp/jobs/__init__.py": "heartbeats of processes are compared with the machine's time",
    "creditapp/jobs/records.py": "DBOS writes the machine's time",
    "creditapp/stripe_sandbox/": "a program of its own",
    "creditapp/payments/": "services wait for Stripe between their transactions",
    "creditapp/agents/": "services wait for rails between their transactions",
    "creditapp/chat/": "readers and recovery wait for providers and watch leases",
    "creditapp/generation/": "services wait for providers between their transactions",
    "creditapp/webhooks_out/runs.py": "receivers may take seconds to answer",
    "creditapp/webhooks_out/transport.py": "receivers date their Retry-After by real time",
    "creditapp/features/access_tokens.py": "an entry point of other programs in this process",
    "creditapp/media/s3.py": "a bucket compares the time of a link with the machine's",
    "creditapp/clock.py": "the clock",
    "creditapp/ids.py": "an identifier begins with the machine's time",
}
"""The modules below the entry points that may ask the clock, and why."""

ASKS = re.compile(r"\bnow\(\)|\bdatetime\.now\(|\btime\.time(_ns)?\(|\bclock\.now\b|\bget\(Clock\)")


def test_only_entry_points_and_services_that_wait_ask_the_clock() -> None:
    domain = {
        name: text
        for name, text in texts(".py").items()
        if name.startswith("creditapp/")
        and not ENTRY_POINTS.match(name)
        and not name.startswith(tuple(SERVICES))
    }
    assert "creditapp/ledger/holds.py" in domain
    for name, text in domain.items():
        code = re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
        assert not ASKS.search(code), f"{name} asks the clock: take `now: datetime` instead"


def test_each_named_service_asks_the_clock() -> None:
    sources = texts(".py")
    for module in SERVICES:
        assert any(
            ASKS.search(text) for name, text in sources.items() if name.startswith(module)
        ), f"{module} no longer asks the clock: remove it from the list"
