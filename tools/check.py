"""``./run check``: everything that has to hold before a change lands, within 15 minutes.

The minutes are those of two cores, installation included, and are divided among parts. Whoever adds
tests stays within their part's line; what is longer belongs to ``./run soak``. A line that is
exceeded is printed, and does not fail: a busy machine is no fault of the change.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools import test, words

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

SECONDS_MAX = 900
INSTALLATION, STATIC, TESTS, ALL = "installation", "static checks", "unit and contract", "all"
SECONDS = {
    INSTALLATION: 45,
    STATIC: 48,
    TESTS: 490,
    "browser": 125,
    "faults and kills": 60,
    "fuzz": 40,
    "restore": 18,
    "attack": 10,
    "workers": 28,
    "interop": 18,
    "samples": 18,
}
"""The parts of the check and their seconds."""

PARTS = {
    "tests/browser": "browser",
    "tests/stripe_sandbox/test_browser.py": "browser",
    "tests/faults": "faults and kills",
    "tests/ledger/test_killed.py": "faults and kills",
    "tests/ledger/test_state_machine.py": "fuzz",
    "tests/payments/test_plans_machine.py": "fuzz",
    "tests/api/test_fuzz.py": "fuzz",
    "tests/fuzz_api": "fuzz",
    "tests/restore": "restore",
    "tests/attack": "attack",
    "tests/workers": "workers",
    "tests/interop": "interop",
    "tests/samples": "samples",
}
"""The part that a test file or folder belongs to; any other belongs to ``TESTS``."""

_NO_TEXTS = (".lock", "package-lock.json", ".png", ".ico")

# Every word "password" beside a text is no secret, nor is an id; keys and random texts are.
_SECRETS = [
    "--disable-plugin",
    "KeywordDetector",
    "--exclude-lines",
    "password@|:pass@|:pw@|@127.0.0.1|_ALPHABET|SECRET_KEY=|--hash=|[a-z]{3}_0[0-9a-hjkmnp-tv-z]{25}",
    "--exclude-files",
    "tests/agents/test_golden",  # tokens of a key that is in the test
]


class Times:
    """Plugin of pytest: the seconds of each part, an equal share of each test's for every core."""

    def __init__(self) -> None:
        self.seconds = Counter[str]()
        self.workers = 1

    def pytest_xdist_setupnodes(self, specs: list[object]) -> None:
        """Count the processes that run tests at the same time."""
        self.workers = len(specs)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the duration of a test's setup, call or teardown."""
        path = report.nodeid.partition("::")[0]
        part = next((part for start, part in PARTS.items() if path.startswith(start)), TESTS)
        self.seconds[part] += report.duration / self.workers


def static_checks() -> dict[str, list[str]]:
    """Return the name and command of each check that runs no test."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607  # git is what brought this file here
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    texts = [name for name in tracked if name and not name.endswith(_NO_TEXTS)]
    return {
        "types": [str(BIN / "mypy")],
        # Compiles the tests once; otherwise each of the processes that run them does.
        "collection": [sys.executable, "-m", "pytest", "--collect-only", "-qq"],
        "secrets": [str(BIN / "detect-secrets-hook"), *_SECRETS, *texts],
        "format": [str(BIN / "ruff"), "format", "--check", "--quiet", "."],
        "lint": [str(BIN / "ruff"), "check", "--quiet", "."],
        "layers": [str(BIN / "lint-imports")],
        "templates": [
            str(BIN / "djlint"),
            "templates",
            "creditapp/stripe_sandbox/templates",
            "--lint",
            "--quiet",
        ],
        "dependencies": [str(BIN / "deptry"), "."],
        "unused code": [sys.executable, "-m", "tools.unused"],
    }


def run_static_checks() -> list[str]:
    """Run them on every core; print what fails and return the names."""

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603  # our own command lines
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    checks = static_checks()
    failed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, ended in zip(checks, pool.map(run, checks.values()), strict=True):
            print(f"== {name}: {'fails' if ended.returncode else 'holds'}", flush=True)  # noqa: T201
            if ended.returncode:
                print(ended.stdout, flush=True)  # noqa: T201
                failed.append(name)
    return failed


def main() -> None:
    """Run every check, the quick ones first; name what failed, and exit 1 if anything did."""
    words(__doc__, ())
    began = time.time()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    times = Times()
    times.seconds[INSTALLATION] = began - float(os.environ.get("CREDITAPP_CHECK_BEGAN", began))
    failed = run_static_checks()
    times.seconds[STATIC] = time.time() - began
    if pytest.main(test.arguments([]), plugins=[times]) != 0:
        failed.append("tests")
    print()  # noqa: T201
    times.seconds[ALL] = times.seconds[INSTALLATION] + time.time() - began
    for part, seconds_max in {**SECONDS, ALL: SECONDS_MAX}.items():
        seconds = times.seconds[part]
        over = "   OVER ITS LINE" if seconds > seconds_max else ""
        print(f"{part}: {seconds:.0f} s of {seconds_max}{over}")  # noqa: T201
    if failed:
        print(f"failed: {', '.join(failed)}")  # noqa: T201
        sys.exit(1)
    print("all checks hold")  # noqa: T201


if __name__ == "__main__":
    main()
