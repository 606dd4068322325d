"""``./run bench [name]``: each figure beside its limit, both measured in the same run."""

from __future__ import annotations

import importlib
import sys

BENCHES = ("ledger", "http", "api", "jobs", "waits", "pages")


def main() -> None:
    """Run one benchmark, or all of them."""
    named = sys.argv[2:]
    unknown = [name for name in named if name not in BENCHES]
    if unknown:
        sys.exit(f"There is no benchmark named {unknown[0]}. There are: {', '.join(BENCHES)}.")
    for name in named or BENCHES:
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
