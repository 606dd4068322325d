"""``./run bench [name]``: each figure beside its limit, both measured in the same run."""

from __future__ import annotations

import importlib

from tools import words

BENCHES = ("ledger", "http", "api", "jobs", "waits", "pages")


def main() -> None:
    """Run one benchmark, or all of them."""
    for name in words(__doc__, BENCHES) or BENCHES:
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
