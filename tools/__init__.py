"""Commands for developers: test, check, soak, bench, attack."""

from __future__ import annotations

import sys
from collections.abc import Collection


def words(about: str | None, known: Collection[str] | None) -> list[str]:
    """Return the words after a command's name; with ``--help`` show its help and exit.

    A word that is not ``known`` gets one line and exit status 2; None knows every word.
    """
    given = sys.argv[2:]
    if {"-h", "--help"} & set(given):
        names = f"\nNames: {', '.join(known)}.\n" if known else ""
        print((about or "").replace("``", "") + names, end="")  # noqa: T201
        sys.exit(0)
    unknown = [word for word in given if known is not None and word not in known]
    if unknown:
        names = f"The names are {', '.join(known)}." if known else "It takes no name."
        print(f"There is no {sys.argv[1]} named {unknown[0]}. {names}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    return given
