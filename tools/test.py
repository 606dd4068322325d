"""``./run test [pytest arguments]``: every test; what this machine lacks is skipped by name."""

from __future__ import annotations

import sys

import pytest


def arguments(given: list[str]) -> list[str]:
    """Return the arguments of pytest; without any given it runs everything on every core."""
    # An idle core takes over what another has still before it; tests/conftest.py puts long ones
    # first.
    return given or ["-n", "auto", "--dist", "worksteal", "--durations", "15"]


def main() -> None:
    """Run the tests."""
    sys.exit(pytest.main(arguments(sys.argv[2:] if sys.argv[1:2] == ["test"] else sys.argv[1:])))


if __name__ == "__main__":
    main()
