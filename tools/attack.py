"""``./run attack [words]``: attack a running demo and a running production set-up; one line each.

The attacks are the tests in ``tests/attack``; words choose among them as pytest's ``-k`` does.
``./run check`` runs those that take little time, on the production set-up alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import pytest

from tools import words


class Lines:
    """Plugin of pytest: prints one line for each attack, with what was seen."""

    def __init__(self) -> None:
        self.titles: dict[str, str] = {}
        self.held = self.broken = 0

    def pytest_collection_modifyitems(self, items: Iterable[pytest.Item]) -> None:
        """Remember each attack's sentence and the site that it is for."""
        for item in items:
            doc = str(getattr(item, "function", item).__doc__ or item.name).partition("\n")[0]
            fixtures = getattr(item, "fixturenames", ())
            site = "production" if "production" in fixtures else "demo"
            if "site" in fixtures:
                site = item.callspec.params["site"]  # type: ignore[attr-defined]
            self.titles[item.nodeid] = f"{site:<10}  {doc}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print the line of an attack; a failure at the end of a site is a line too."""
        if report.when == "call" or report.failed:
            title = self.titles[report.nodeid]
            if report.when == "teardown":
                title = (
                    f"{title.partition(' ')[0]:<10}  The ledger is whole and agrees with Stripe."
                )
            seen = dict(report.user_properties).get("seen") or _reason(report)
            self.held += report.passed
            self.broken += report.failed
            word = "held  " if report.passed else "BROKEN"
            print(f"{word}  {title}" + (f" ({seen})" if seen else ""), flush=True)  # noqa: T201


def _reason(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message).partition("\n")[0] if crash else ""


def main() -> None:
    """Run the attacks and print a line for each; exit 1 if one broke something."""
    chosen = words(__doc__, None)
    os.environ.update(CREDITAPP_ATTACK="1", CREDITAPP_TEST_ALL="1")
    lines = Lines()
    arguments = ["tests/attack", "-o", "addopts=-p no:terminal -p no:xdist -p no:cacheprovider"]
    status = pytest.main([*arguments, *(["-k", " and ".join(chosen)] if chosen else [])], [lines])
    print(f"{lines.held} attacks held, {lines.broken} broke something.")  # noqa: T201
    sys.exit(status)


if __name__ == "__main__":
    main()
