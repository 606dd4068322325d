"""``./run soak [name]``: the long proofs at full length: faults, kills, histories, Lighthouse."""

from __future__ import annotations

import os
import subprocess
import sys

from tools import words

PROOFS = {
    "ledger": ["tests/ledger"],
    "faults": ["tests/faults"],
    "jobs": ["tests/test_jobs.py"],
    "workers": ["tests/workers"],
    "guests": ["tests/test_guests.py"],
    "api": ["tests/api"],
    "schemathesis": ["tests/fuzz_api"],
    "payments": ["tests/payments"],
    "generation": ["tests/generation"],
    "agents": ["tests/agents", "tests/openai_shape"],
    "chat": ["tests/chat"],
    "accounts": ["tests/accounts", "tests/credentials"],
    "pages": ["tests/web"],
    "webhooks": ["tests/webhooks_out"],
    "commands": ["tests/test_cli.py", "tests/test_server.py"],
    "browser": ["tests/browser", "tests/stripe_sandbox/test_browser.py"],
    "attack": ["tests/attack"],
    "restore": ["tests/restore"],
    "mutation": [],
    "lighthouse": [],
}


TOOLS = ("mutation", "lighthouse")
"""Proofs without tests: the modules of ``tools`` of that name, after the others."""


def main() -> None:
    """Run one proof, or all of them, with their bounds taken off."""
    named = words(__doc__, PROOFS)
    paths = [path for name in named or PROOFS for path in PROOFS[name]]
    lines = [[sys.executable, "-m", "pytest", "-s", "-rs", *paths]] if paths else []
    tools = [name for name in TOOLS if name in (named or PROOFS)]
    lines += [[sys.executable, "-m", f"tools.{name}"] for name in tools]
    environ = {**os.environ, "CREDITAPP_SOAK": "1"}
    sys.exit(max(subprocess.call(line, env=environ) for line in lines))  # noqa: S603


if __name__ == "__main__":
    main()
