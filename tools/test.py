"""``./run test [pytest arguments]``: every test; what this machine lacks is skipped by name."""

from __future__ import annotations

import os
import subprocess
import sys


def command(arguments: list[str]) -> list[str]:
    """Return the pytest command; without arguments it runs everything on every core."""
    # A file stays on one core, and files keep their order: tests/conftest.py puts long ones first.
    parallel = ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]
    told = ["--durations", "15"]
    return [sys.executable, "-m", "pytest", *(arguments or [*parallel, *told])]


def main() -> None:
    """Run the tests in place of this process."""
    line = command(sys.argv[2:] if sys.argv[1:2] == ["test"] else sys.argv[1:])
    sys.exit(subprocess.call(line, env=os.environ))  # noqa: S603  # our own command line


if __name__ == "__main__":
    main()
