"""``./run check``: everything that has to hold before a change lands, in steps with names."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tools import test

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


# Every word "password" beside a text is no secret; keys of known kinds and random texts are.
_SECRETS = [
    "--disable-plugin",
    "KeywordDetector",
    "--exclude-lines",
    "password@|:pass@|:pw@|@127.0.0.1|_ALPHABET|SECRET_KEY=|--hash=",
]


def steps() -> dict[str, list[str]]:
    """Return each step's name and command."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607  # git is what brought this file here
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    texts = [name for name in tracked if name and not name.endswith((".lock", ".png", ".ico"))]
    return {
        "format": [str(BIN / "ruff"), "format", "--check", "--quiet", "."],
        "lint": [str(BIN / "ruff"), "check", "--quiet", "."],
        "types": [str(BIN / "mypy")],
        "layers": [str(BIN / "lint-imports")],
        "templates": [str(BIN / "djlint"), "templates", "--lint", "--quiet"],
        "dependencies": [str(BIN / "deptry"), "."],
        "unused code": [sys.executable, "-m", "tools.unused"],
        "secrets": [str(BIN / "detect-secrets-hook"), *_SECRETS, *texts],
        "tests": test.command([]),
    }


def main() -> None:
    """Run every step, the quick ones first; name what failed, and exit 1 if anything did."""
    failed = []
    for name, line in steps().items():
        began = time.monotonic()
        print(f"== {name}", flush=True)  # noqa: T201  # this is what the command is for
        if subprocess.call(line, cwd=ROOT) != 0:  # noqa: S603  # our own command lines
            failed.append(name)
        print(f"   {name}: {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    if failed:
        print(f"failed: {', '.join(failed)}")  # noqa: T201
        sys.exit(1)
    print("all checks hold")  # noqa: T201


if __name__ == "__main__":
    main()
